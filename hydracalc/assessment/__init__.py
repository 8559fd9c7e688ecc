"""What a finished model is worth: held against labels, dynamics, crystals, and its own spread."""
