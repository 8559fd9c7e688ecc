"""A pretrained model and the data of small tasks."""

from tuned import new_file, old_structures, pretrained

__all__ = ["new_file", "old_structures", "pretrained"]
