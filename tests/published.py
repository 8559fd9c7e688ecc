"""A small dataset of our own and its adapter, for tests of shards, stores and preparation."""

from dataclasses import fields

import numpy as np
from builders import make_card

from hydracalc.fields import FIELDS
from hydracalc.ingest.adapter import Adapter
from hydracalc.readers.parts import Part
from hydracalc.structure import AtomicStructure

CARD = make_card("own", ("H", "C", "O", "Si"))
ENERGIES = {1: -13.6, 6: -1030.0, 8: -2040.0, 14: -7800.0}  # eV


class Handed(Adapter):
    """Hands out the structures it was given, whatever the raw folder holds."""

    def __init__(self, structures, dropped=None):
        super().__init__(CARD)
        self._structures = list(structures)
        self._dropped = dropped or {}

    def parts(self, raw):
        return [Part(path=raw)]

    def structures(self, part):
        yield from self._structures
        self.dropped.update(self._dropped)


def make_structure(seed, numbers=(8, 1, 1), **changes):
    """A labelled molecule, its atoms 2 Angstrom apart and a little displaced."""
    rng = np.random.default_rng(seed)
    size = len(numbers)
    positions = np.arange(size)[:, None] * [2.0, 0, 0] + rng.normal(0, 0.05, (size, 3))
    values = {
        "atomic_numbers": np.array(numbers),
        "positions": positions,
        "energy": sum(ENERGIES[z] for z in numbers) + rng.normal(0, 0.1),
        "forces": rng.normal(size=(size, 3)),
        "branch": "own",
        "group": f"group {seed}",
        "source": f"structure {seed}",
    }
    return AtomicStructure(**values | changes)


def make_mixture():
    """Structures of every kind: crystal, without forces, unlabelled, charged, one atom."""
    return [
        make_structure(1),
        make_structure(
            2, (14, 14), cell=5.43 * np.eye(3), pbc=[True, True, False], stress=np.eye(3) * 0.1
        ),
        make_structure(3, (6,), forces=None, group="é", source=""),
        make_structure(4, (1, 6), energy=None, forces=None, group="", source="Größe"),
        make_structure(5, (8, 1), total_charge=-1, spin_multiplicity=2, source="0.1 + 0.2"),
        make_structure(
            6, (6, 8, 8, 1), positions=np.asfortranarray(make_structure(6, (6,) * 4).positions)
        ),
    ]


def same_bits(one, other):
    """Whether two structures are equal, every float to its last bit."""
    for field in fields(one):
        if field.name in FIELDS:
            a, b = getattr(one, field.name), getattr(other, field.name)
            if (a is None) != (b is None):
                return False
            if a is not None and np.asarray(a).tobytes() != np.asarray(b).tobytes():
                return False
        elif field.name != "split" and getattr(one, field.name) != getattr(other, field.name):
            return False
    return True
