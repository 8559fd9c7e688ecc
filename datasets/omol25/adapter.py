"""OMol25: molecules, complexes, electrolytes with charge and spin [10.48550/arXiv.2505.08762]."""

from hydracalc.ingest.ase_rows import OmolAdapter


class Omol25(OmolAdapter):
    """Reads train/*.aselmdb (or train_4M, neutral_train) and val/*.aselmdb, of every charge."""
