"""Search over the keys of a recipe: trials, early discarding, energy, and what to keep of them."""
