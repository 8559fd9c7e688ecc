"""Structures that are made or given, labelled by any ASE calculator."""
