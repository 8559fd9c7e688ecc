"""OC20: molecules on the surfaces of metals and their compounds [10.1021/acscatal.0c04525]."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ase import Atoms

from hydracalc.ingest.ase_rows import UNLABELLED
from hydracalc.ingest.folders import published_split, refuse_nested
from hydracalc.ingest.pyg_lmdb import RefusesPickles
from hydracalc.readers.ase_frames import labelled, read_frames
from hydracalc.readers.damage import reading
from hydracalc.readers.json_stream import open_bytes
from hydracalc.readers.parts import Part
from hydracalc.structure import AtomicStructure

FOLDERS = {"s2ef_train*": "train", "s2ef_val*": "val"}


class Oc20(RefusesPickles):
    """Reads <number>.extxyz with the lines "system,frame,reference energy" of <number>.txt.

    The energy is that of the whole slab; less the line's third number it is the adsorption energy.
    Both files may be compressed, as they are published (.xz). The group is the system.
    """

    patterns = ("**/*.extxyz", "**/*.extxyz.xz")
    instead = "s2ef_train_*.tar and s2ef_val_*.tar, which hold extended XYZ files"

    def files(self, raw: Path) -> list[Path]:
        """The extended XYZ files.

        Raises:
            ValueError: there is none, or there are training sets of several sizes.
            DataError: there are pickled files alone.
        """
        files = super().files(raw)
        refuse_nested(files, ("s2ef_train*",))
        return files

    def structures(self, part: Part) -> Iterator[AtomicStructure]:
        """Every frame that has energy and forces."""
        path, split = part.path, published_split(part.path, FOLDERS)
        with reading(path):
            for atoms, line in _paired(path):
                system, frame, _ = line.split(",")
                structure = labelled(atoms, source=f"{system}/{frame}")
                if structure is None:
                    self.dropped[UNLABELLED] += 1
                else:
                    yield self.converted(replace(structure, group=system, split=split))


def _paired(path: Path) -> Iterator[tuple[Atoms, str]]:
    """Frames of a file with their lines in the text file beside it."""
    name = path.name.partition(".")[0]
    texts = [path.with_name(f"{name}{suffix}") for suffix in (".txt", ".txt.xz")]
    text = next((text for text in texts if text.is_file()), None)
    if text is None:
        raise ValueError(f"{name}.txt, which names the systems, is not beside it")
    with reading(text), open_bytes(text) as file:
        lines = file.read().decode().splitlines()
    yield from zip(read_frames(path), lines, strict=True)
