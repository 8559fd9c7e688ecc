"""sAlex: a part of Alexandria without the materials of WBM [10.48550/arXiv.2410.12771]."""

from hydracalc.ingest.ase_rows import RowAdapter


class Salex(RowAdapter):
    """Reads train/*.aselmdb and val/*.aselmdb; the group is the composition in lowest terms."""
