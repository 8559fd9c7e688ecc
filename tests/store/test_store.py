"""A split in memory hands out what was stored, as fast as slicing."""

import numpy as np
import pytest
from published import CARD, make_structure, same_bits

from hydracalc.errors import DataError
from hydracalc.shards.reader import open_shards
from hydracalc.shards.writer import ShardWriter
from hydracalc.store.store import StructureStore, open_store

SPLITS = ("train", "test", "train", "train", "test", "train")


@pytest.fixture
def structures():
    return [make_structure(seed, (1,) * (1 + seed)) for seed in range(6)]


@pytest.fixture
def folder(tmp_path, structures):
    with ShardWriter(tmp_path / "own", card=CARD, max_shard_bytes=1000) as writer:
        for structure, split in zip(structures, SPLITS, strict=True):
            writer.add(structure, split=split)
    return tmp_path / "own"


def test_a_store_holds_one_split(folder, structures):
    store: StructureStore = open_store(folder, "train")
    assert len(store) == 4
    assert store.num_atoms.tolist() == [1, 3, 4, 6]
    assert store.branch == "own"
    assert store.card == CARD
    assert store.references.to_json() == open_shards(folder).references.to_json()


def test_structures_come_in_the_order_asked_for(folder, structures):
    store = open_store(folder, "train")
    kept = [structures[i] for i in (0, 2, 3, 5)]
    order = np.array([3, 0, 0, 2])
    found = store.fetch(order)
    assert all(same_bits(a, kept[i]) for a, i in zip(found, order, strict=True))
    assert {structure.split for structure in found} == {"train"}
    assert store.fetch([]) == []


def test_open_shards_serve_several_stores(folder):
    with open_shards(folder) as shards:
        assert [len(open_store(shards, name)) for name in ("train", "val", "test")] == [4, 0, 2]


def test_an_empty_split_has_nothing(folder):
    store = open_store(folder, "val")
    assert store.num_atoms.tolist() == []
    with pytest.raises(IndexError, match="there are 0"):
        store.fetch([0])


@pytest.mark.parametrize("index", [-1, 4])
def test_an_index_outside_is_an_error(folder, index):
    with pytest.raises(IndexError, match=f"own: no structure {index}, there are 4"):
        open_store(folder, "train").fetch([index])


def test_an_unknown_split_offers_the_nearest(folder):
    with pytest.raises(ValueError, match="did you mean 'test'"):
        open_store(folder, "tests")


def test_a_damaged_shard_is_a_data_error(folder):
    (folder / "shard-00000.bp" / "data.0").write_bytes(b"")
    with pytest.raises(DataError, match="data.0"):
        open_store(folder, "train")
