"""Fetches the published files of a dataset: continued after a break, compared with the checksum."""

import bz2
import gzip
import hashlib
import itertools
import lzma
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from fnmatch import fnmatch
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, cast
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from hydracalc.card import Card, SourceFile
from hydracalc.errors import DataError
from hydracalc.readers.damage import reading

Progress = Callable[[int], None]

_BLOCK = 2**20
_TIMEOUT = 60.0  # seconds without a byte
_ATTEMPTS = 5  # each continues where the one before broke off
_OPENERS: dict[str | None, Callable[..., object]] = {
    "gz": gzip.open,
    "bz2": bz2.open,
    "xz": lzma.open,
}


def download(card: Card, raw: Path, *, progress: Progress | None = None) -> dict[str, str]:
    """Bring the published files of a dataset into a folder.

    Files that are there already are compared with their checksum and not fetched again.

    Args:
        card: of the dataset.
        raw: folder; made where it is missing.
        progress: called with how many bytes were fetched so far.

    Returns:
        What was done for each file, by name.

    Raises:
        ValueError: the card has no address to fetch from, or the disk has no room.
        OSError: an address cannot be reached.
        DataError: what came has another checksum or size than published.
    """
    single = [file for file in card.files if file.url and _address(file) is not None]
    if not single:
        pages = sorted({file.url for file in card.files if file.url})
        raise ValueError(
            f"dataset {card.branch}: no file can be fetched by itself; see {', '.join(pages)}"
            if pages
            else f"dataset {card.branch}: its card states no address"
        )
    raw.mkdir(parents=True, exist_ok=True)
    done, fetched = {}, 0
    for file in card.files:
        url = _address(file)
        if url is None:
            done[file.name] = f"not fetched: no single file, see {file.url or 'the card'}"
            continue
        path = raw / _stored_name(file, url)
        if path.is_file() and _problem(path, file) is None:
            done[file.name] = "already there"
        else:
            show = partial(_show, progress, fetched)
            fetched += _fetch(url, path, file, show)
            done[file.name] = "fetched"
        if file.unpack is not None:
            done[file.name] += f", {_unpack(path, file, raw)} unpacked"
    return done


def _show(progress: Progress | None, before: int, count: int) -> None:
    if progress is not None:
        progress(before + count)


def _address(file: SourceFile) -> str | None:
    """Where a file can be fetched; None if the address is a page about many files."""
    if file.url is None or ("*" in file.name and file.unpack not in ("zip", "tar")):
        return None
    return file.url


def _stored_name(file: SourceFile, url: str) -> str:
    """Name of what is at the address: the file's own, or that of the archive it is in."""
    if file.unpack is None:
        return file.name
    name = PurePosixPath(url.split("?")[0]).name
    if "." not in name:
        name = f"{PurePosixPath(file.name).name.replace('*', 'all')}.{file.unpack}"
    return str(_literal_folder(file.name) / name)


def _literal_folder(pattern: str) -> PurePosixPath:
    """The folders that a name or pattern begins with: "train" of "train/*/data.h5"."""
    folders = PurePosixPath(pattern).parts[:-1]
    literal = itertools.takewhile(lambda part: not set(part) & set("*?["), folders)
    return PurePosixPath(*literal)


def _fetch(url: str, path: Path, file: SourceFile, progress: Progress) -> int:
    """Fetch one file under its name once it is whole; returns its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    if file.size is not None:
        missing = file.size - (part.stat().st_size if part.exists() else 0)
        free = shutil.disk_usage(path.parent).free
        if missing > free:
            raise ValueError(f"{path}: {missing} bytes are missing, the disk has {free} free")
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _continue(url, part, progress)
            break
        except HTTPError as error:
            raise OSError(f"{url}: {error.code} {error.reason}") from None
        except (URLError, OSError) as error:
            if attempt == _ATTEMPTS:
                size = part.stat().st_size if part.exists() else 0
                raise OSError(
                    f"{url}: broke off after {size} bytes ({error}); "
                    "the same command continues there"
                ) from None
    problem = _problem(part, file)
    if problem is not None:
        part.unlink()
        raise DataError(f"{url}: {problem}; it was removed")
    part.rename(path)
    return path.stat().st_size


def _continue(url: str, part: Path, progress: Progress) -> None:
    """Append what is missing; from the start if the server cannot continue."""
    there = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={there}-"} if there else {})
    try:
        answer = urlopen(request, timeout=_TIMEOUT)
    except HTTPError as error:
        if error.code == 416 and there:  # nothing is missing
            return
        raise
    with answer:
        mode = "ab" if answer.status == 206 else "wb"
        there = there if mode == "ab" else 0
        expected = answer.headers.get("Content-Length")
        with part.open(mode) as file:
            while block := answer.read(_BLOCK):
                file.write(block)
                there += len(block)
                progress(there)
        if expected is not None and answer.length:
            raise OSError(f"{answer.length} bytes did not come")


def _problem(path: Path, file: SourceFile) -> str | None:
    """How a file differs from what was published; None if it does not, as far as is known."""
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return f"has {size} bytes, published are {file.size}"
    for name in ("sha256", "md5"):
        stated = getattr(file, name)
        if stated is not None:
            with path.open("rb") as opened:
                found = hashlib.file_digest(opened, name).hexdigest()
            if found != stated:
                return f"{name} is {found}, published is {stated}"
    return None


def _unpack(path: Path, file: SourceFile, raw: Path) -> int:
    """Take out of an archive what the card names; returns how many files that are."""
    with reading(path):
        if file.unpack in _OPENERS:
            target = raw / file.name
            with cast(IO[bytes], _OPENERS[file.unpack](path, "rb")) as packed:
                _write(packed, target)
            return 1
        take = _from_zip if file.unpack == "zip" else _from_tar
        count = take(path, file.name, raw)
        if not count:
            raise ValueError(f"nothing in it is named {file.name}")
        return count


def _from_zip(path: Path, pattern: str, raw: Path) -> int:
    count = 0
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            target = _inside(raw, name, pattern)
            if target is not None:
                with archive.open(name) as packed:
                    _write(packed, target)
                count += 1
    return count


def _from_tar(path: Path, pattern: str, raw: Path) -> int:
    count = 0
    with tarfile.open(path) as archive:
        for member in archive:
            target = _inside(raw, member.name, pattern) if member.isfile() else None
            if target is not None:
                _write(cast(IO[bytes], archive.extractfile(member)), target)
                count += 1
    return count


def _inside(raw: Path, name: str, pattern: str) -> Path | None:
    """Where a member of an archive goes; None if the card does not name it, or it would escape.

    Folders that the card's pattern begins with are added where the archive lacks them: archives of
    a train and a val folder may have equal names inside.
    """
    inner = PurePosixPath(name)
    if inner.is_absolute() or ".." in inner.parts or name.endswith("/"):
        return None
    if not fnmatch(inner.name, PurePosixPath(pattern).name):
        return None
    folders = _literal_folder(pattern).parts
    for count in range(len(folders) + 1):  # of them outside the archive
        inside = folders[count:]
        if inner.parts[: len(inside)] == inside:
            return raw.joinpath(*folders[:count], *inner.parts)
    return raw / inner


def _write(packed: IO[bytes], target: Path) -> None:
    """Write a file that is whole or absent."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with part.open("wb") as file:
        shutil.copyfileobj(packed, file, _BLOCK)
    part.rename(target)
