"""A pretrained model and the data it is fine-tuned on."""

from tuned import free_atoms, new_file, old_structures, pretrained

__all__ = ["free_atoms", "new_file", "old_structures", "pretrained"]
