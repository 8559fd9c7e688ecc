"""Pickled LMDB files are refused with the reason and what to download; nothing is unpickled."""

import lmdb
import pytest

from hydracalc.errors import DataError
from hydracalc.ingest.catalog import load_adapter

BOOBY_TRAP = (
    b"cbuiltins\nopen\n(S'touched'\nS'w'\ntR."  # a pickle that makes a file when it is read
)
SETS = ("oc20", "oc22", "odac23")


@pytest.fixture
def pickled(tmp_path):
    path = tmp_path / "s2ef_val_id" / "data.0000.lmdb"
    path.parent.mkdir()
    with (
        lmdb.open(str(path), subdir=False, lock=False, map_size=2**20) as environment,
        environment.begin(write=True) as transaction,
    ):
        transaction.put(b"0", BOOBY_TRAP)
        transaction.put(b"length", b"\x80\x04K\x01.")
    return path


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("as_folder", [True, False])
def test_the_message_says_why_and_what_to_download(name, as_folder, pickled, monkeypatch):
    monkeypatch.chdir(pickled.parent)
    raw = pickled.parents[1] if as_folder else pickled
    adapter = load_adapter(name)
    with pytest.raises(DataError, match=r"data\.0000\.lmdb: an LMDB of pickled") as caught:
        list(adapter.read(raw))
    assert adapter.instead in str(caught.value)
    assert not (pickled.parent / "touched").exists()


@pytest.mark.parametrize("name", SETS)
def test_a_folder_without_any_file_is_not_called_pickled(name, tmp_path):
    with pytest.raises(ValueError, match="none of the expected files"):
        list(load_adapter(name).read(tmp_path))
