"""What users type: one file for each group of commands."""
