"""Training of the weights that composition gives the branches."""
