"""Structures as graphs of neighbors: lists, batches, the one graph type models read."""
