"""Damage of any file is found before ADIOS2 sees it, and named."""

import json
import shutil

import numpy as np
import pytest

from hydracalc.errors import DataError
from hydracalc.shards import manifest as manifests
from hydracalc.shards import reader
from hydracalc.shards.manifest import Manifest, read_manifest, write_manifest
from hydracalc.shards.reader import open_shards

FILES = ("manifest.json", *(f"shard-00001.bp/{n}" for n in ("data.0", "md.0", "md.idx", "mmd.0")))


def flip(where):
    """Change one bit of the byte at a fraction of the file."""

    def change(path):
        content = bytearray(path.read_bytes())
        content[int(where * (len(content) - 1))] ^= 0x10
        path.write_bytes(content)

    change.__name__ = f"flip at {where}"
    return change


def cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def cut_to_a_third(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])


def empty(path):
    path.write_bytes(b"")


def lengthen(path):
    path.write_bytes(path.read_bytes() + b"\0")


def delete(path):
    path.unlink()


def replace_by_a_folder(path):
    path.unlink()
    path.mkdir()


DAMAGES = (
    cut,
    cut_to_a_third,
    empty,
    lengthen,
    delete,
    replace_by_a_folder,
    *(flip(where) for where in np.linspace(0, 1, 20).round(2).tolist()),
)


@pytest.fixture
def no_adios(monkeypatch):
    """ADIOS2 must not be asked: on damaged files it may hang or end the process."""

    def refuse(path):
        raise AssertionError(f"ADIOS2 opened {path}")

    monkeypatch.setattr(reader, "ArrayFile", refuse)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("name", FILES)
def test_damage_is_found_and_the_file_named(folder, no_adios, name, damage):
    damage(folder / name)
    with pytest.raises(DataError, match=name.split("/")[-1]):
        open_shards(folder)


def test_files_of_two_shards_swapped_are_found(folder, no_adios):
    one, other = folder / "shard-00001.bp" / "data.0", folder / "shard-00002.bp" / "data.0"
    one.rename(folder / "kept")
    other.rename(one)
    (folder / "kept").rename(other)
    with pytest.raises(DataError, match="shard-00001.bp/data.0"):
        open_shards(folder)


def test_whole_shards_swapped_are_found(folder, no_adios):
    one, other = folder / "shard-00000.bp", folder / "shard-00001.bp"
    one.rename(folder / "kept")
    other.rename(one)
    (folder / "kept").rename(other)
    with pytest.raises(DataError, match=r"shard-00000.bp/.*manifest states"):
        open_shards(folder)


def test_a_missing_shard_is_found(folder, no_adios):
    shutil.rmtree(folder / "shard-00002.bp")
    with pytest.raises(DataError, match="shard-00002.bp/data.0: the file is missing"):
        open_shards(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_atoms", 15),
        ("references_eV", {"H": -13.0}),
        ("shards", []),
        ("sha256", "0" * 64),
        ("sha256", None),
    ],
)
def test_an_edited_manifest_is_found(folder, key, value):
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {key: value}))
    with pytest.raises(DataError, match="it was changed"):
        open_shards(folder)


@pytest.mark.parametrize("text", ["[]", "null", '{"sha256": ', "\x00", '"manifest"'])
def test_a_manifest_that_is_something_else_is_found(folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json: (not JSON|holds)"):
        open_shards(folder)


def rewritten(folder, **changes):
    """A manifest with other values and the hash that fits them, as another program may write."""
    manifest = read_manifest(folder)
    write_manifest(folder, Manifest.model_construct(**dict(manifest) | changes))


def test_a_layout_of_the_future_is_refused(folder):
    rewritten(folder, schema_version=manifests.SCHEMA_VERSION + 1)
    with pytest.raises(DataError, match="schema version 2, expected 1"):
        open_shards(folder)


def test_other_fields_are_refused(folder):
    rewritten(folder, fields={"energy": {"unit": "Hartree"}})
    with pytest.raises(DataError, match="Hartree"):
        open_shards(folder)


def test_names_that_leave_the_folder_are_refused(folder):
    shard = read_manifest(folder).shards[0]
    rewritten(folder, shards=(shard.model_copy(update={"name": "../../elsewhere.bp"}),))
    with pytest.raises(DataError, match="not a manifest"):
        open_shards(folder)


def test_counts_that_are_not_those_of_the_shards_are_refused(folder):
    rewritten(folder, num_atoms=15)
    with pytest.raises(DataError, match="14 atoms, the manifest states 6 with 15"):
        open_shards(folder)


def test_a_folder_without_manifest_is_not_finished(folder, no_adios):
    (folder / "manifest.json").unlink()
    with pytest.raises(DataError, match="not a finished folder"):
        open_shards(folder)
