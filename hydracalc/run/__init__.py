"""Whole runs: read `pretrain.py` first, it tells the story of a training run."""
