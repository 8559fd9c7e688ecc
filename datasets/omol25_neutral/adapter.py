"""OMol25, the part without total charge [10.48550/arXiv.2505.08762]."""

from hydracalc.ingest.ase_rows import OmolAdapter
from hydracalc.readers.aselmdb import Row


class Omol25Neutral(OmolAdapter):
    """Reads the files of OMol25; charged structures are counted. Radicals are neutral too."""

    def reason_to_drop(self, row: Row) -> str | None:
        """Also drops what is charged."""
        return super().reason_to_drop(row) or ("charged" if row["data"]["charge"] else None)
