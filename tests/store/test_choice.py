"""The kind of store follows from structures, memory and ranks, and is told."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
from published import CARD, make_structure

from hydracalc.shards.reader import open_shards
from hydracalc.shards.writer import ShardWriter
from hydracalc.store.choice import StoreConfig, choose, resolve, working_set
from hydracalc.store.places import NO_MPI, Place
from hydracalc.store.store import open_store

GB = 10**9


def place(size, node_size, mpi=True):
    """Rank 0 of a job; the others would answer as it does."""
    return Place(
        size=size,
        node_size=node_size,
        gather=lambda own: [own] * size,
        no_rma="" if mpi else NO_MPI,
    )


@pytest.mark.parametrize(
    ("num_bytes", "where", "kind", "width"),
    [
        (8 * GB, Place(), "local", 0),
        (12 * GB, Place(), "mapped", 0),
        (8 * GB, place(64, 4), "shared", 0),
        (8 * GB, place(64, 4, mpi=False), "shared", 0),
        (12 * GB, place(64, 4), "rma", 5),  # 4 ranks of a machine hold 4 / 5 of a copy
        (100 * GB, place(64, 4), "rma", 40),
        (161 * GB, place(64, 4), "mapped", 0),
        (12 * GB, place(64, 4, mpi=False), "mapped", 0),
    ],
)
def test_auto_takes_what_a_machine_has_room_for(caplog, num_bytes, where, kind, width):
    with caplog.at_level(logging.INFO, "hydracalc.store"):
        chosen = choose(StoreConfig(memory_GB=10), num_bytes, where)
    assert (chosen.kind, chosen.width) == (kind, width)
    assert f"store: {kind}" in caplog.text
    assert f"{num_bytes / GB:.3g} GB" in caplog.text


def test_groups_that_share_a_machine_share_its_memory(caplog):
    """Two groups with 6 and 4 GB fit into 10 GB together, but not into 9."""
    told = {"own": 6 * GB, "others": 4 * GB}
    world = Place(node=7, gather=lambda own: [own, (7, "others", told["others"]), (8, "far", GB)])
    for limit, kind in ((10, "local"), (9, "mapped")):
        shards = SimpleNamespace(
            manifest=SimpleNamespace(
                shards=[SimpleNamespace(files=[SimpleNamespace(size=6 * GB)])]
            ),
            splits=np.zeros(3, dtype=np.int8),
            num_atoms=np.ones(3),
        )
        config = StoreConfig(memory_GB=limit)
        assert resolve(config, [shards], Place(token="own"), world=world).kind == kind


def test_only_the_splits_that_are_held_are_counted():
    shards = SimpleNamespace(
        manifest=SimpleNamespace(shards=[SimpleNamespace(files=[SimpleNamespace(size=1000)])]),
        splits=np.array([0, 1, 2, 2], dtype=np.int8),
        num_atoms=np.array([5, 5, 20, 20]),
    )
    assert working_set(shards) == 1000
    assert working_set(shards, ("train", "val")) == 200


def test_a_width_that_is_asked_for_is_kept_where_it_has_room():
    chosen = choose(StoreConfig(memory_GB=10, width=32), 12 * GB, place(64, 4))
    assert (chosen.kind, chosen.width) == ("rma", 32)


def test_without_a_budget_half_of_the_machine_is_one():
    assert choose(StoreConfig(), 1000, Place()).kind == "local"
    assert choose(StoreConfig(), 10**18, Place()).kind == "mapped"


@pytest.mark.parametrize(("kind", "gigabytes"), [("local", "48"), ("shared", "12"), ("rma", "12")])
def test_a_kind_that_does_not_fit_is_refused_rather_than_exchanged(kind, gigabytes):
    config = StoreConfig(kind=kind, memory_GB=10, width=4 if kind == "rma" else 0)
    with pytest.raises(ValueError, match=f"{kind!r} takes {gigabytes} GB on a machine, memory_GB"):
        choose(config, 12 * GB, place(8, 4))


def test_rma_without_mpi_is_refused_with_the_reason(folder):
    config = StoreConfig(kind="rma")
    with pytest.raises(ValueError, match="through MPI, which did not start this process"):
        choose(config, 1, place(4, 4, mpi=False))
    with pytest.raises(ValueError, match="through MPI, which did not start this process"):
        open_store(folder, "train", config=config)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "shard"}, "did you mean 'shared'"),
        ({"kind": "local", "width": 2}, "store width is 2 with kind 'local'"),
        ({"width": -1}, "store width is -1"),
        ({"memory_GB": 0}, "store memory_GB is 0"),
        ({"timeout_s": float("nan")}, "store timeout_s is nan"),
    ],
)
def test_values_out_of_range_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        StoreConfig(**values)


def test_the_working_set_is_about_what_a_store_takes(tmp_path):
    with ShardWriter(tmp_path / "own", card=CARD) as writer:
        for seed in range(300):
            writer.add(make_structure(seed, (1,) * 15), split="train")
    with open_shards(tmp_path / "own") as shards:
        store = open_store(shards, "train", config=StoreConfig(kind="shared"))
        assert working_set(shards) == pytest.approx(store.num_bytes, rel=0.1)
        budget = StoreConfig(memory_GB=1.5 * working_set(shards) / 1e9)
        assert resolve(budget, [shards], Place()).kind == "local"
        assert resolve(budget, [shards, shards], Place()).kind == "mapped"
