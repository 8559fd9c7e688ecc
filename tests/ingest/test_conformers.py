"""Many conformations at once give the same structures as one by one."""

import numpy as np
import pytest
from builders import make_card

from hydracalc.card import Labels
from hydracalc.ingest.adapter import Adapter, ConformerAdapter
from hydracalc.ingest.conformers import Conformers, row_blocks
from hydracalc.readers.parts import Part
from hydracalc.structure import AtomicStructure

UNITS = Labels(length="Bohr", energy="Hartree", forces="Hartree/Bohr", forces_sign="gradient")
CARD = make_card("own", ("H", "C", "O")).model_copy(update={"labels": UNITS})


def blocks():
    """Isomers, then conformations of one molecule, of single precision as files have them."""
    rng = np.random.default_rng(0)
    yield Conformers(
        atomic_numbers=np.array([[1, 8], [6, 8], [1, 6]]),
        positions=rng.normal(size=(3, 2, 3)).astype(np.float32),
        energies=rng.normal(size=3),
        forces=rng.normal(size=(3, 2, 3)).astype(np.float32),
        groups=["a", "b", "ü"],
        sources=["a/0", "b/0", "ü/0"],
        total_charge=np.array([0, -1, 2], dtype=np.int8),
        spin_multiplicity=np.array([1, 2, 3]),
    )
    yield Conformers(
        atomic_numbers=np.array([8, 1, 1]),
        positions=rng.normal(size=(2, 3, 3)),
        energies=rng.normal(size=2),
        forces=None,
        groups="water",
        sources=["w/0", "w/1"],
        split="val",
    )


class Many(ConformerAdapter):
    def conformers(self, part):
        yield from blocks()


class One(Adapter):
    """The same structures, each built and converted by itself."""

    def structures(self, part):
        for block in blocks():
            shape = block.positions.shape[:2]
            for i, numbers in enumerate(np.broadcast_to(block.atomic_numbers, shape)):
                yield self.converted(
                    AtomicStructure(
                        atomic_numbers=numbers,
                        positions=block.positions[i],
                        energy=block.energies[i],
                        forces=None if block.forces is None else block.forces[i],
                        total_charge=np.broadcast_to(block.total_charge, len(block))[i],
                        spin_multiplicity=np.broadcast_to(block.spin_multiplicity, len(block))[i],
                        group=block.groups if isinstance(block.groups, str) else block.groups[i],
                        source=block.sources[i],
                        split=block.split,
                    )
                )


def test_blocks_are_the_structures_one_by_one(tmp_path):
    part = Part(path=tmp_path)
    many, one = (list(adapter(CARD).structures(part)) for adapter in (Many, One))
    assert len(many) == len(one) == 5
    for structure, same in zip(many, one, strict=True):
        for name, value in vars(same).items():
            found = getattr(structure, name)
            assert np.array_equal(found, value), name
            assert np.asarray(found).dtype == np.asarray(value).dtype


def test_tables_of_both_are_equal(tmp_path):
    part = Part(path=tmp_path)
    first, second = Many(CARD).tables(part)
    (joined,) = One(CARD).tables(part)
    assert [*first.splits, *second.splits] == joined.splits.tolist() == [-1, -1, -1, 1, 1]
    for name, array in joined.arrays.items():
        if not name.endswith("offsets"):
            parts = np.concatenate([first.arrays[name], second.arrays[name]])
            assert parts.tobytes() == array.tobytes(), name
            assert parts.dtype == array.dtype


def test_rows_keep_what_belongs_together():
    block, molecule = blocks()
    kept = block.rows(np.array([True, False, True]))
    assert kept.sources == ["a/0", "ü/0"]
    assert kept.groups == ["a", "ü"]
    assert kept.total_charge.tolist() == [0, 2]
    assert kept.atomic_numbers.tolist() == [[1, 8], [1, 6]]
    assert molecule.rows(np.array([False, True])).groups == "water"
    assert len(molecule.rows(np.zeros(2, dtype=bool))) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"energies": np.zeros(2)}, r"energies has shape \(2,\), expected \(3,\)"),
        ({"forces": np.zeros((3, 3, 2))}, "forces has shape"),
        ({"atomic_numbers": np.array([0, 119])}, r"atomic_numbers \[0, 119\] are no elements"),
    ],
)
def test_shapes_and_elements_are_checked(changes, message):
    block = next(blocks())
    with pytest.raises(ValueError, match=message):
        Conformers(**(vars(block) | changes))


def test_row_blocks_cover_every_row_once():
    rows = np.arange(100_001)
    pieces = list(row_blocks(len(rows), 10))
    assert np.array_equal(np.concatenate([rows[piece] for piece in pieces]), rows)
    assert all(piece.stop - piece.start <= 20_000 for piece in pieces)
    assert list(row_blocks(0, 5)) == []
