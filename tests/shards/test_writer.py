"""A folder of shards is whole or absent, and the same for the same structures."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from published import CARD, ENERGIES, make_mixture, make_structure

from hydracalc import references
from hydracalc.shards.manifest import read_manifest
from hydracalc.shards.reader import open_shards
from hydracalc.shards.writer import NO_REFERENCE, ShardWriter

ROOT = Path(__file__).parents[2]


def write(path, structures, split="train", **options):
    with ShardWriter(path, card=CARD, **options) as writer:
        for structure in structures:
            writer.add(structure, split=split)
    return writer


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_manifest_states_what_is_there(folder):
    manifest = read_manifest(folder)
    assert manifest.num_structures == {"train": 4, "val": 1, "test": 1}
    assert manifest.num_atoms == 3 + 2 + 1 + 2 + 2 + 4
    assert [shard.num_structures for shard in manifest.shards] == [2, 2, 2]
    assert manifest.card == CARD
    assert manifest.fields["forces"]["unit"] == "eV/Angstrom"
    files = {f"{shard.name}/{file.name}" for shard in manifest.shards for file in shard.files}
    assert files | {"manifest.json"} == set(contents(folder))


def test_equal_structures_give_equal_bytes(folder, tmp_path, mixture):
    splits = ("train", "train", "train", "val", "test", "train")
    with ShardWriter(tmp_path / "again", card=CARD, max_shard_bytes=600) as writer:
        for structure, split in zip(mixture, splits, strict=True):
            writer.add(structure, split=split)
    assert contents(tmp_path / "again") == contents(folder)
    assert writer.sha256 == read_manifest(folder).sha256


def test_another_energy_gives_another_identity(tmp_path):
    one = write(tmp_path / "one", [make_structure(1), make_structure(2)])
    other = write(tmp_path / "other", [make_structure(1), make_structure(2, energy=-2070.0)])
    assert one.sha256 != other.sha256


def test_references_are_of_the_training_split(tmp_path):
    with ShardWriter(tmp_path / "own", card=CARD) as writer:
        for seed in range(20):
            writer.add(make_structure(seed, (8, 1, 1) if seed % 2 else (8, 1)), split="train")
        writer.add(make_structure(30, energy=1e6), split="test")
        writer.add(make_structure(31, energy=-1e6), split="val")
    found = open_shards(tmp_path / "own").references
    assert found.energies[1] == pytest.approx(ENERGIES[1], abs=0.3)
    assert found.energies[8] == pytest.approx(ENERGIES[8], abs=0.3)


def test_references_of_repeated_compositions_are_those_of_all_structures(tmp_path):
    train = [make_structure(s, [(8, 1, 1), (8, 1), (6, 1)][s % 3]) for s in range(31)]
    writer = write(tmp_path / "own", train)
    compositions = np.array([np.bincount(s.atomic_numbers, minlength=119) for s in train])
    expected = references.fit(compositions, np.array([s.energy for s in train]))
    np.testing.assert_allclose(writer.references.energies, expected.energies, rtol=1e-10)


def test_given_references_are_kept(tmp_path):
    given = references.from_json({"H": -13.0, "O": -2000.0})
    write(tmp_path / "own", [make_structure(1)], references=given)
    shards = open_shards(tmp_path / "own")
    assert shards.references.to_json() == given.to_json()
    assert shards.manifest.references_from == "given"


def test_structures_with_an_element_that_never_trains_are_left_out_and_counted(tmp_path):
    with ShardWriter(tmp_path / "own", card=CARD, max_shard_bytes=600) as writer:
        for seed in range(4):
            writer.add(make_structure(seed), split="train")
        writer.add(make_structure(10, (14, 1)), split="val")
        writer.add(make_structure(11, (14,)), split="test")
        writer.add(make_structure(12, (8,)), split="test")
    shards = open_shards(tmp_path / "own")
    assert shards.manifest.dropped == {NO_REFERENCE: 2}
    assert shards.manifest.num_structures == {"train": 4, "val": 0, "test": 1}
    found = [structure.source for structure in shards.read(range(len(shards)))]
    assert found == [f"structure {n}" for n in (0, 1, 2, 3, 12)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"branch": "other"}, "branch is 'other', the card's is 'own'"),
        ({"energy": float("nan")}, "structure 1: energy is not finite"),
        ({"forces": np.full((3, 3), np.inf)}, "structure 1: forces is not finite"),
    ],
)
def test_what_cannot_be_stored_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "own", [make_structure(1, **changes)])
    assert list(tmp_path.iterdir()) == []


def test_a_structure_without_atoms_is_refused(tmp_path):
    empty = make_structure(1, (), positions=np.zeros((0, 3)), forces=None)
    with pytest.raises(ValueError, match="has no atoms"):
        write(tmp_path / "own", [empty])


def test_an_unknown_split_offers_the_nearest(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'train'"):
        write(tmp_path / "own", [make_structure(1)], split="training")


def test_nothing_to_write_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="there is no structure"):
        write(tmp_path / "own", [])
    with pytest.raises(ValueError, match="no structure in the training split, only .*'test': 1"):
        write(tmp_path / "own", [make_structure(1)], split="test")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_output_is_not_touched(folder, tmp_path):
    before = contents(folder)
    with pytest.raises(ValueError, match="own: exists"):
        write(folder, make_mixture())
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["own"]


def test_an_output_made_in_the_meantime_is_not_replaced(tmp_path):
    def structures():
        yield make_structure(1)
        (tmp_path / "own").mkdir()

    with pytest.raises(ValueError, match="someone else"):
        write(tmp_path / "own", structures())
    assert [path.name for path in tmp_path.iterdir()] == ["own"]


def test_an_unwritable_output_is_an_os_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        ShardWriter(tmp_path / "file" / "own", card=CARD)


def test_an_error_in_the_block_leaves_nothing(tmp_path):
    def structures():
        yield make_structure(1)
        raise RuntimeError("reader broke")

    with pytest.raises(RuntimeError, match="reader broke"):
        write(tmp_path / "own", structures(), max_shard_bytes=1)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(path, arrays):
        path.mkdir()
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("hydracalc.shards.folder.write_arrays", full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "own", [make_structure(1)])
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_leaves_nothing_that_looks_finished(tmp_path):
    code = f"""
import itertools, sys
sys.path.insert(0, "tests")
from published import CARD, make_structure
from hydracalc.shards.writer import ShardWriter
with ShardWriter({str(tmp_path / "own")!r}, card=CARD, max_shard_bytes=2000) as writer:
    for seed in itertools.count():
        writer.add(make_structure(seed), split="train")
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".own.*.part/shard-00003.bp")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(process.pid, 9)
        process.wait()
    assert not (tmp_path / "own").exists()
    assert not list(tmp_path.rglob("manifest.json"))
    with pytest.raises(ValueError, match="no manifest.json; not a finished"):
        open_shards(next(tmp_path.iterdir()))
    write(tmp_path / "own", [make_structure(1)])  # the name is free
    assert len(open_shards(tmp_path / "own")) == 1
