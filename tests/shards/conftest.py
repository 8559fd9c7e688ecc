"""A folder of shards with every kind of structure."""

import pytest
from published import CARD, make_mixture

from hydracalc.shards.writer import ShardWriter

MIXTURE_SPLITS = ("train", "train", "train", "val", "test", "train")


@pytest.fixture
def mixture():
    return make_mixture()


@pytest.fixture
def folder(tmp_path, mixture):
    """Three shards of two structures."""
    with ShardWriter(tmp_path / "own", card=CARD, max_shard_bytes=2 * 300) as writer:
        for structure, split in zip(mixture, MIXTURE_SPLITS, strict=True):
            writer.add(structure, split=split)
    return tmp_path / "own"
