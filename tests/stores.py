"""What every store has to do: the same as the one of a process alone, whatever the ranks."""

import os

import numpy as np

from hydracalc.errors import DataError
from hydracalc.shards.table import SPLITS, from_structures
from hydracalc.store.store import open_store


def say(text):
    """A whole line, whoever else writes."""
    os.write(1, f"{text}\n".encode())


def orders(size, rank):
    """Indices to ask for: all, none, backwards, at random and repeated, numbers and lists."""
    rng = np.random.default_rng(rank)
    yield np.arange(size)
    yield []
    if size:
        yield list(range(size))[::-1]
        yield np.zeros(3, dtype=np.int32)
        for _ in range(5):
            yield rng.integers(0, size, 2 * size)


def message_of(call, kind):
    try:
        call()
    except kind as error:
        return str(error)
    raise AssertionError(f"no {kind.__name__}")


def compare(store, local, rank=0):
    """Every structure and every error of a store against the local one."""
    size = len(local)
    assert len(store) == size
    assert store.branch == local.branch
    assert store.card == local.card
    assert store.references.to_json() == local.references.to_json()
    assert store.num_atoms.tolist() == local.num_atoms.tolist()
    asked = 0
    for indices in orders(size, rank):
        asked += len(indices)
        found, expected = store.fetch(indices), local.fetch(indices)
        compare_structures(found, expected)
        assert not any(structure.positions.flags.writeable for structure in found)
        compare_tables(store.fetch_table(indices), local.fetch_table(indices))
    assert store.traffic.structures == 2 * asked
    for bad in ([size], [-1], [0, size + 5] if size else [3]):
        message = message_of(lambda bad=bad: store.fetch(bad), IndexError)
        assert message == message_of(lambda bad=bad: local.fetch(bad), IndexError)
        assert message.startswith(f"{local.branch}: no structure {bad[-1]}, there are {size}")
        assert message == message_of(lambda bad=bad: store.fetch_table(bad), IndexError)
    assert "expected whole numbers" in message_of(lambda: store.fetch([0.5]), IndexError)


def compare_tables(found, expected):
    assert found.branch == expected.branch
    assert found.arrays.keys() == expected.arrays.keys()
    for name, array in expected.arrays.items():
        assert found.arrays[name].dtype == array.dtype, name
        assert found.arrays[name].shape == array.shape, name
        assert found.arrays[name].tobytes() == array.tobytes(), name


def compare_structures(found, expected):
    """Field by field, each float to its last bit, None and NaN told apart."""
    assert [vars(one).keys() for one in found] == [vars(one).keys() for one in expected]
    for one, other in zip(found, expected, strict=True):
        absent = [name for name, value in vars(one).items() if value is None]
        assert absent == [name for name, value in vars(other).items() if value is None]
    if expected:
        compare_tables(*map(joined, (found, expected)))


def joined(structures):
    splits = [SPLITS.index(structure.split) for structure in structures]
    return from_structures(structures[0].branch, structures, splits)


def compare_all(folder, place, configs, splits=("train", "test", "val")):
    """Open every split in every way, compare, close; returns how many stores that were."""
    stores = 0
    for split in splits:
        local = open_store(folder, split)
        for config in configs:
            store = open_store(folder, split, config=config, place=place)
            assert store.kind == config.kind
            compare(store, local, place.rank)
            held = store.fetch(np.arange(len(store)))
            store.close()
            compare_structures(held, local.fetch(np.arange(len(local))))  # they outlive it
            stores += 1
    return stores


def say_damage(folder, place, configs):
    """Every rank hears of a shard that one of them found damaged."""
    for config in configs:
        message = message_of(
            lambda config=config: open_store(folder, "train", config=config, place=place), DataError
        )
        say(f"{config.kind} {place.rank}: {message}")
