"""Structures in memory, ready to be drawn into batches."""
