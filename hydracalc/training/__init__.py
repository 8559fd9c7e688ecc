"""Training on labelled structures of several branches at once."""
