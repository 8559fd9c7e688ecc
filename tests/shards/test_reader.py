"""What was written comes back to the last bit, in any order, from any shard."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from published import CARD, make_structure, same_bits

from hydracalc.graphs.collate import collate
from hydracalc.shards import reader
from hydracalc.shards.reader import open_shards
from hydracalc.shards.table import SPLITS
from hydracalc.shards.writer import ShardWriter


@pytest.fixture
def shards(folder):
    with open_shards(folder) as opened:
        yield opened


def test_every_structure_comes_back_to_the_last_bit(shards, mixture):
    found = shards.read(range(len(shards)))
    assert [same_bits(*pair) for pair in zip(found, mixture, strict=True)] == [True] * 6
    assert [structure.split for structure in found] == [SPLITS[i] for i in shards.splits]


@pytest.mark.parametrize("indices", [[5, 0, 3], [2, 2, 2], [4], [1, 2], []], ids=str)
def test_structures_come_in_the_order_asked_for(shards, mixture, indices):
    found = shards.read(indices)
    assert len(found) == len(indices)
    assert all(same_bits(a, mixture[i]) for a, i in zip(found, indices, strict=True))


def test_a_read_does_not_depend_on_the_one_before(shards, mixture):
    """ADIOS2 keeps a selection until the next one."""
    shards.read([1])
    assert same_bits(shards.read([0])[0], mixture[0])
    assert shards.read_table([0, 1]).num_atoms.tolist() == [3, 2]


def test_sizes_and_splits_are_known_without_reading(shards, mixture):
    assert shards.num_atoms.tolist() == [structure.num_atoms for structure in mixture]
    assert [SPLITS[i] for i in shards.splits] == ["train", "train", "train", "val", "test", "train"]
    assert len(shards) == 6
    assert shards.card == CARD
    assert shards.branch == "own"


def test_normalized_energies_of_the_training_split_average_to_nothing(tmp_path):
    """(E - sum of references) / N is the residual of the fit that made the references."""
    with ShardWriter(tmp_path / "own", card=CARD) as writer:
        for seed in range(60):
            numbers = [(8, 1, 1), (6, 1, 1), (6, 8)][seed % 3]
            writer.add(make_structure(seed, numbers), split="train")
    shards = open_shards(tmp_path / "own")
    normalized = [
        shards.references.normalize(s.energy, s.atomic_numbers) for s in shards.read(range(60))
    ]
    assert abs(np.mean(normalized)) < 0.01
    assert np.std(normalized) < 0.1  # the spread that make_structure gives, not thousands of eV


@pytest.mark.parametrize("index", [-1, 6, 10**9])
def test_an_index_outside_is_an_error(shards, index):
    with pytest.raises(IndexError, match=f"no structure {index}, there are 6"):
        shards.read([0, index])


def test_a_table_is_read_in_ascending_order_only(shards):
    with pytest.raises(ValueError, match="ascend"):
        shards.read_table([2, 1])
    assert len(shards.read_table([])) == 0


def test_all_shards_come_one_after_another(shards):
    assert [len(table) for table in shards.tables()] == [2, 2, 2]


def test_more_shards_than_may_be_open_are_read(folder, mixture, monkeypatch):
    monkeypatch.setattr(reader, "_MOST_OPEN", 1)
    with open_shards(folder) as shards:
        for index in (0, 5, 2, 0, 4):
            assert same_bits(shards.read([index])[0], mixture[index])


def test_threads_may_share_shards(shards, mixture):
    def right(seed):
        order = np.random.default_rng(seed).permutation(6)
        return all(
            same_bits(found, mixture[i]) for found, i in zip(shards.read(order), order, strict=True)
        )

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(right, range(40)))


def test_what_is_read_cannot_be_changed_by_accident(shards):
    structure = shards.read([0])[0]
    with pytest.raises(ValueError, match="read-only"):
        structure.positions[0] = 0.0


def test_what_is_read_makes_a_graph(shards):
    structures = shards.read(range(6))
    graph = collate(structures, 5.0)
    assert graph.positions.shape == (14, 3)


def test_random_reads_of_many_structures_are_right(tmp_path):
    rng = np.random.default_rng(0)
    data = [make_structure(seed, (1,) * int(rng.integers(1, 9))) for seed in range(300)]
    with ShardWriter(tmp_path / "own", card=CARD, max_shard_bytes=20_000) as writer:
        for structure in data:
            writer.add(structure, split="train")
    shards = open_shards(tmp_path / "own")
    assert len(shards.manifest.shards) > 3
    order = rng.choice(300, 200)
    found = shards.read(order)
    assert all(same_bits(a, data[i]) for a, i in zip(found, order, strict=True))


def test_a_missing_folder_is_bad_input(tmp_path):
    with pytest.raises(ValueError, match="nowhere: there is no such folder"):
        open_shards(tmp_path / "nowhere")
