"""QCML: small molecules of most elements, in many charge states [10.1038/s41597-025-04720-7]."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist

from hydracalc import elements
from hydracalc.ingest.adapter import Adapter
from hydracalc.readers.damage import reading
from hydracalc.readers.parts import Part
from hydracalc.readers.tfrecord import Feature, stream_examples
from hydracalc.structure import AtomicStructure

BONDS = 200  # hydrogens of a file whose nearest neighbor is looked at
BOND_LENGTHS = (0.85, 1.60)  # Angstrom, for their median; 0.6 or 2 if the unit were another


class Qcml(Adapter):
    """Reads the TFRecord files of the feature group dft_force_field; outliers are counted.

    The unit of length is not stated in the files. The card has the one that is documented, and the
    first hydrogens of every file are held against it: a file in another unit is refused.
    """

    patterns = ("**/*.tfrecord-*-of-*",)

    def structures(self, part: Part) -> Iterator[AtomicStructure]:
        """Every record that the publishers do not flag as an outlier."""
        lengths: list[float] = []
        for number, example in enumerate(stream_examples(part.path)):
            with reading(part.path, f"record {number}"):
                if _whole(example, "is_outlier"):
                    self.dropped["is_outlier"] += 1
                    continue
                structure = self._structure(example)
            if len(lengths) < BONDS:
                lengths += _bonds_of_hydrogen(structure)
                if len(lengths) >= BONDS:
                    self._compare(part.path, lengths)
            yield structure
        if 0 < len(lengths) < BONDS:
            self._compare(part.path, lengths)

    def _structure(self, example: Mapping[str, Feature]) -> AtomicStructure:
        numbers = np.asarray(example["atomic_numbers"], dtype=np.int64)
        (energy,) = example["pbe0_formation_energy"]
        (name,) = example["key_hash"]
        return self.converted(
            AtomicStructure(
                atomic_numbers=numbers,
                positions=np.reshape(example["positions"], (-1, 3)),
                energy=float(energy),
                forces=np.reshape(example["pbe0_forces"], (-1, 3)),
                total_charge=_whole(example, "charge"),
                spin_multiplicity=_whole(example, "multiplicity"),
                group=elements.formula(numbers),
                source=name.decode(),
            )
        )

    def _compare(self, path: Path, lengths: list[float]) -> None:
        shortest, longest = BOND_LENGTHS
        median = float(np.median(lengths))
        with reading(path):
            if not shortest < median < longest:
                raise ValueError(
                    f"hydrogens are {median:.2f} A from their nearest neighbor, expected {shortest}"
                    f" to {longest}: positions are not in {self.card.labels.length}"
                )


def _whole(example: Mapping[str, Feature], name: str) -> int:
    (value,) = example[name]
    return int(value)


def _bonds_of_hydrogen(structure: AtomicStructure) -> list[float]:
    """Distance of each hydrogen to its nearest neighbor, Angstrom."""
    if structure.num_atoms < 2:
        return []
    distances = cdist(structure.positions, structure.positions)
    np.fill_diagonal(distances, np.inf)
    return distances[structure.atomic_numbers == 1].min(axis=1).tolist()
