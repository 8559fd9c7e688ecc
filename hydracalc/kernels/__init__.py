"""Loops over edges and atoms, compiled for the processor by numba."""
