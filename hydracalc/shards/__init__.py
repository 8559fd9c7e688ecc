"""Structures on disk: ADIOS2 files of concatenated arrays, and the manifest that vouches for them."""
