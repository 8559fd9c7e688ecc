"""What datasets share, counted by hand."""

import pytest
from published import CARD, make_structure

from hydracalc.shards.reader import open_shards
from hydracalc.shards.writer import ShardWriter
from hydracalc.survey.composition_overlap import count_compositions, overlap

WATER, DIMER, OXYGEN, METHANE = (8, 1, 1), (8, 8, 1, 1, 1, 1), (8, 8), (6, 1, 1, 1, 1)


@pytest.fixture
def counted(tmp_path):
    datasets = {
        "one": [WATER, WATER, OXYGEN, METHANE],
        "two": [DIMER, OXYGEN, OXYGEN],
        "three": [(1, 1)],
    }
    found = {}
    for name, formulas in datasets.items():
        with ShardWriter(tmp_path / name, card=CARD, max_shard_bytes=800) as writer:
            for number, numbers in enumerate(formulas):
                writer.add(make_structure(number, numbers), split="train")
        with open_shards(tmp_path / name) as shards:
            found[name] = count_compositions(shards)
    return found


def test_formulas_and_reduced_formulas_are_counted_across_shards(counted):
    assert overlap(counted) == {
        "names": ["one", "two", "three"],
        "formulas": [[3, 1, 0], [1, 2, 0], [0, 0, 1]],
        "reduced_formulas": [[3, 2, 0], [2, 2, 0], [0, 0, 1]],
        "share_of_structures": [[1.0, 0.75, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    }
