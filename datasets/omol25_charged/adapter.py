"""OMol25, the part with total charge [10.48550/arXiv.2505.08762]."""

from hydracalc.ingest.ase_rows import OmolAdapter
from hydracalc.readers.aselmdb import Row


class Omol25Charged(OmolAdapter):
    """Reads the files of OMol25; neutral structures are counted."""

    def reason_to_drop(self, row: Row) -> str | None:
        """Also drops what is neutral."""
        return super().reason_to_drop(row) or (None if row["data"]["charge"] else "neutral")
