"""OC25: catalyst surfaces below explicit solvents and ions [10.48550/arXiv.2509.17862]."""

import re

from hydracalc.ingest.ase_rows import RowAdapter
from hydracalc.readers.aselmdb import Row

BULK = re.compile(r"(?:^|/)(bulk\d+)(?:/|$)")


class Oc25(RowAdapter):
    """Reads train/*.aselmdb and val/*.aselmdb.

    `data` names the calculation, "ml-relax/solvent6/6/bulk18088/surface_.../ads_.../...": the group
    is the bulk crystal that the surface is cut from, with all adsorbates and solvents on it.
    """

    def group(self, row: Row) -> str:
        """The bulk crystal; the calculation, or the composition, where it is not named."""
        source = str(row["data"].get("source") or row["data"].get("sid") or "")
        bulk = BULK.search(source)
        return bulk[1] if bulk else source or super().group(row)
