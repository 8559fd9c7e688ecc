"""Many structures through one model: read, evaluated in batches, kept as columns on disk."""
