"""Several models that answer together: their mean, their spread, and what the spread is worth."""
