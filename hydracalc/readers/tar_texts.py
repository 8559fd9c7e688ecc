"""Text files inside a compressed tar archive, one at a time, without unpacking it."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

from hydracalc.readers.damage import reading
from hydracalc.readers.json_stream import open_bytes


def stream_texts(path: Path) -> Iterator[tuple[str, str]]:
    """Names and contents of the files of an archive in their order.

    Args:
        path: .tar.bz2, .tar.gz or .tar.xz; a plain .tar has no checksum that would show damage.

    Raises:
        DataError: the archive is truncated, damaged, or has no file.
    """
    found = False
    with reading(path), open_bytes(path) as content:
        try:
            with tarfile.open(fileobj=content, mode="r|") as archive:
                for member in archive:
                    file = archive.extractfile(member)
                    if file is not None:
                        found = True
                        yield member.name, file.read().decode()
            while content.read(2**16):  # to the end of the compressed stream and its checksum
                pass
        except tarfile.TarError as error:
            raise ValueError(str(error)) from error
        if not found:
            raise ValueError("there is no file in it")
