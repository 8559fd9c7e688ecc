"""Other programs at the border: dispersion corrections, batched simulation in torch-sim."""
