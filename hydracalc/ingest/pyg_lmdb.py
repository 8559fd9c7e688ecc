"""LMDB files of pickled torch_geometric objects: why they are refused, and what to read instead.

OC20, OC22 and ODAC23 are published in this form too. Reading a pickle runs what it contains. A
reader that builds only the known classes would be safe, but fragile: how torch_geometric and torch
lay out an object inside a pickle differs with their versions, several of which wrote these files,
and a wrong guess is a wrong number. Nothing is lost by refusing: every labelled structure in them
is also published as text or ASE trajectory, there in double precision and, for OC20 and ODAC23,
with the total energy, where the pickles hold an adsorption energy in single precision.
"""

from pathlib import Path
from typing import ClassVar

from hydracalc.errors import DataError
from hydracalc.ingest.adapter import Adapter

PICKLED = ".lmdb"


class RefusesPickles(Adapter):
    """Reader of a dataset of which there are pickled LMDB files too.

    Attributes:
        instead: published files that hold the same structures.
    """

    instead: ClassVar[str]

    def files(self, raw: Path) -> list[Path]:
        """The published files that can be read.

        Raises:
            ValueError: there is none.
            DataError: there are pickled files alone; the message says what to download.
        """
        if raw.is_file() and raw.suffix == PICKLED:
            raise self._refusal(raw)
        if raw.is_dir() and not any(next(raw.glob(name), None) for name in self.patterns):
            for path in sorted(raw.glob(f"**/*{PICKLED}")):
                raise self._refusal(path)
        return super().files(raw)

    def _refusal(self, path: Path) -> DataError:
        return DataError(
            f"{path}: an LMDB of pickled objects, which can run any program while they are read; "
            f"hydracalc does not read it. Download {self.instead}"
        )
