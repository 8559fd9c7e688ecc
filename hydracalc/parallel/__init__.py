"""Several processes on one task: how they were started, how they share work."""
