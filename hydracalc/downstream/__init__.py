"""Downstream tasks: fine-tuned against trained from scratch, over sizes of the training set."""
