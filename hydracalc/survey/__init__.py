"""What is in shards: statistics, coverage, overlap, leakage between splits."""
