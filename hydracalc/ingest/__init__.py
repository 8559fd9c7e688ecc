"""From published files to structures: adapters, shared readers, checks of the labels."""
