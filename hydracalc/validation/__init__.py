"""How good a model is: errors on labelled data."""
