"""OMat24: crystals far from and near equilibrium [10.48550/arXiv.2410.12771]."""

from hydracalc.ingest.ase_rows import RowAdapter
from hydracalc.readers.aselmdb import Row


class Omat24(RowAdapter):
    """Reads train/<subset>/*.aselmdb and val/<subset>/*.aselmdb.

    The uncorrected energy is read, whose derivatives forces and stress are;
    `energy_corrected_mp2020` beside it is not. The group is the crystal that a structure was made
    from by rattling, molecular dynamics or relaxation.
    """

    def group(self, row: Row) -> str:
        """The Alexandria entry a structure was made from; the composition where it is not named."""
        return str(row["data"].get("parent_id") or super().group(row))
