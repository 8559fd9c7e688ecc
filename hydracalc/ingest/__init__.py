"""From published files to structures: adapters, the readers they share, and checks of the labels."""
