"""Files of a compressed archive, streamed."""

import bz2
import gzip
import io
import tarfile

import pytest

from hydracalc.errors import DataError
from hydracalc.readers.tar_texts import stream_texts

TEXTS = {f"folder/{number}.xyz": f"{number} é\n" * 50 * number for number in range(30)}
COMPRESS = {".bz2": bz2.compress, ".gz": gzip.compress}


def archive(texts):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as writer:
        writer.addfile(tarfile.TarInfo("folder"))
        folder = tarfile.TarInfo("folder/inner")
        folder.type = tarfile.DIRTYPE
        writer.addfile(folder)
        for name, text in texts.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            writer.addfile(info, io.BytesIO(text.encode()))
    return content.getvalue()


@pytest.fixture(params=COMPRESS)
def file(request, tmp_path):
    path = tmp_path / f"some.tar{request.param}"
    path.write_bytes(COMPRESS[request.param](archive(TEXTS)))
    return path


def test_files_are_read_in_order_and_folders_are_none(file):
    read = dict(stream_texts(file))
    assert read.pop("folder") == ""
    assert read == TEXTS
    assert list(read) == list(TEXTS)


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_archive_is_damaged_data(file, kept):
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match=r"some\.tar"):
        list(stream_texts(file))


def test_a_changed_byte_anywhere_is_damaged_data(file):
    content = file.read_bytes()
    for position in range(10, len(content), 97):
        changed = bytearray(content)
        changed[position] ^= 4
        file.write_bytes(bytes(changed))
        with pytest.raises(DataError, match=r"some\.tar"):
            list(stream_texts(file))


@pytest.mark.parametrize("content", [b"", b"no archive at all" * 1000])
def test_what_is_no_archive_is_damaged_data(file, content):
    file.write_bytes(COMPRESS[file.suffix](content))
    with pytest.raises(DataError, match=r"some\.tar"):
        list(stream_texts(file))
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"some\.tar"):
        list(stream_texts(file))


def test_bytes_that_are_no_text_are_damaged_data(tmp_path):
    path = tmp_path / "some.tar.gz"
    path.write_bytes(gzip.compress(archive({"a": "é"}).replace("é".encode(), b"\xff\xfe")))
    with pytest.raises(DataError, match="some.tar.gz"):
        list(stream_texts(path))
