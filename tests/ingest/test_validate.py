"""A broken promise of a folder of shards is found even if no file is damaged."""

import pytest
from published import CARD, make_structure

from hydracalc import references
from hydracalc.errors import DataError
from hydracalc.ingest.validate import validate
from hydracalc.shards.manifest import Manifest, read_manifest, write_manifest
from hydracalc.shards.writer import ShardWriter


def write(path, structures, **options):
    with ShardWriter(path, card=options.pop("card", CARD), **options) as writer:
        for structure in structures:
            writer.add(structure, split=structure.split or "train")
    return path


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "own", [make_structure(1), make_structure(2, split="test")])


def restate(folder, **changes):
    manifest = read_manifest(folder)
    write_manifest(folder, Manifest.model_construct(**dict(manifest) | changes))


def test_whole_shards_have_no_problems(folder):
    assert validate(folder) == []


def test_a_group_on_two_sides_is_found(tmp_path):
    same = [make_structure(1, group="water"), make_structure(2, group="water", split="test")]
    assert validate(write(tmp_path / "own", same)) == ["group 'water' is in 'train' and in 'test'"]


def test_references_of_more_than_the_training_split_are_found(folder):
    restate(folder, references_eV={"H": -13.6, "O": -2040.0})
    assert "references are not those of the training split" in validate(folder)[0]


def test_given_references_need_not_be_a_fit(tmp_path):
    given = references.from_json({"H": -10.0, "O": -2000.0})
    assert validate(write(tmp_path / "own", [make_structure(1)], references=given)) == []


def test_elements_without_reference_are_found(folder):
    restate(folder, references_eV={"H": -13.6}, references_from="given")
    assert validate(folder) == ["elements without a reference energy: ['O']"]


def test_counts_that_are_wrong_are_found(folder):
    restate(folder, num_structures={"train": 2, "val": 0, "test": 0})
    assert "the manifest states {'train': 2}" in validate(folder)[0]


def test_elements_that_the_card_lacks_are_found(tmp_path):
    card = CARD.model_copy(update={"elements": ("H",)})
    problems = validate(write(tmp_path / "own", [make_structure(1)], card=card))
    assert problems == ["elements that the card does not name: ['O']"]


def test_a_structure_without_energy_is_found(tmp_path):
    structures = [make_structure(1), make_structure(2, energy=None)]
    assert validate(write(tmp_path / "own", structures)) == ["structure structure 2 has no energy"]


def test_damage_is_a_data_error(folder):
    (folder / "shard-00000.bp" / "md.0").write_bytes(b"")
    with pytest.raises(DataError, match="md.0"):
        validate(folder)
