"""Structures on disk: ADIOS2 files, and the manifest that vouches for them."""
