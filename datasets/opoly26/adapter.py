"""OPoly26: pieces of polymers, by the method of OMol25 [10.48550/arXiv.2512.23117]."""

from hydracalc.ingest.ase_rows import OmolAdapter


class Opoly26(OmolAdapter):
    """Reads train/*.aselmdb and val/*.aselmdb, in the form of OMol25."""
