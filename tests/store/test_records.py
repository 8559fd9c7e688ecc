"""A record holds a structure whole, and what is read from records is what was packed."""

import numpy as np
import pytest
from published import make_mixture, same_bits

from hydracalc.errors import DataError
from hydracalc.fields import FIELDS
from hydracalc.shards.table import from_structures
from hydracalc.store import assembly, records

ORDER = np.array([3, 0, 0, 5, 2, 4, 1])


@pytest.fixture
def structures():
    return make_mixture()


@pytest.fixture
def table(structures):
    return from_structures("own", structures, [0, 1, 2, 0, 1, 2])


@pytest.fixture
def packed(table):
    return records.pack(table)


def test_every_way_back_gives_the_same_bits(structures, table, packed):
    block, bounds = packed
    asked = block, bounds[ORDER], table.num_atoms[ORDER], "own"
    gathered = records.gather(*asked)
    taken = assembly.table_rows(table, ORDER)
    ways = (
        assembly.structures_at(*asked, copies=False),
        assembly.structures_at(*asked, copies=True),
        assembly.structures_of(gathered, np.arange(len(ORDER))),
        assembly.structures_of(taken, np.arange(len(ORDER))),
        assembly.structures_of(table, ORDER),
        [table.structure(index) for index in ORDER],
    )
    for found in ways:
        for one, index in zip(found, ORDER, strict=True):
            assert same_bits(one, structures[index])
            assert one.split == ("train", "val", "test")[index % 3]
            assert one.positions.shape == (one.num_atoms, 3)
            assert one.positions.flags.c_contiguous
            assert not one.positions.flags.writeable
    assert {name: array.tobytes() for name, array in gathered.arrays.items()} == {
        name: array.tobytes() for name, array in taken.arrays.items()
    }


def test_views_share_memory_and_what_is_gathered_does_not(table, packed):
    block, bounds = packed
    asked = block, bounds[:1], table.num_atoms[:1], "own"
    (viewed,) = assembly.structures_at(*asked, copies=False)
    (copied,) = assembly.structures_at(*asked, copies=True)
    gathered = records.gather(*asked)
    assert np.shares_memory(viewed.forces, block)
    assert not np.shares_memory(copied.forces, block)
    assert block.flags.writeable
    assert not np.shares_memory(gathered.arrays["forces"], block)


def test_parts_lie_on_multiples_of_their_own_size_and_do_not_overlap(table, packed):
    _, bounds = packed
    assert (bounds % records.ALIGNMENT == 0).all()
    assert set(FIELDS) < set(records.PARTS)
    for num_atoms in (1, 2, 7):
        end = 0
        for part in records.PARTS.values():
            first = part.fixed + part.per_atom * num_atoms
            size = np.dtype(part.dtype).itemsize
            assert first % size == 0
            assert first == end
            end = first + size * part.count * (num_atoms if part.is_per_atom else 1)
        assert records.num_bytes(np.array([num_atoms]))[0] - end in range(records.ALIGNMENT)


def test_a_record_of_other_size_than_known_is_damage(table, packed):
    block, bounds = packed
    with pytest.raises(DataError, match=r"own: a record holds 2 atoms where one of 5 belongs"):
        records.gather(block, bounds[1:2], np.array([5]), "own")
    freed = np.zeros_like(block)
    with pytest.raises(DataError, match=r"holds 0 atoms where one of 3 belongs"):
        assembly.structures_at(freed, bounds[:1], table.num_atoms[:1], "own", copies=True)


def test_chunks_come_to_the_same_as_all_at_once(monkeypatch, folder):
    from hydracalc.shards.reader import open_shards

    with open_shards(folder) as shards:
        rows = np.flatnonzero(shards.splits == 0)
        whole, bounds = records.pack(shards.read_table(rows))
        for atoms in (1, 5, 10**6):
            monkeypatch.setattr(records, "_CHUNK_ATOMS", atoms)
            chunks = list(records.packed_chunks(shards, rows))
            assert np.concatenate([block for block, _ in chunks]).tobytes() == whole.tobytes()
            assert np.concatenate([size for _, size in chunks]).tolist() == np.diff(bounds).tolist()
        assert list(records.packed_chunks(shards, rows[:0])) == []
