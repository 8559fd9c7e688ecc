"""How fast a model is on this machine, in how much memory, and how far that is from the limit."""
