"""What the folder of a published file says: its split, and its place in the dataset."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path


def published_split(path: Path, folders: Mapping[str, str]) -> str | None:
    """Split of a published file by the innermost folder that the publishers name after one.

    Args:
        path: of the file.
        folders: name or glob of a folder to "train", "val" or "test".
    """
    for folder in path.parents:
        for name, split in folders.items():
            if fnmatch(folder.name, name):
                return split
    return None


def place(path: Path, folders: Mapping[str, str]) -> str:
    """Path of a file from its split's folder on, without suffixes: the same on every machine.

    Args:
        path: of the file.
        folders: as for `published_split`; without such a folder it is the file's name alone.
    """
    name = path.name.partition(".")[0]
    for depth, folder in enumerate(path.parents, start=1):
        if any(fnmatch(folder.name, pattern) for pattern in folders):
            return "/".join([*path.parts[-depth - 1 : -1], name])
    return name


def sided(group: str, split: str | None) -> str:
    """Name of a group that publishers may have dealt to several splits: one for each.

    Args:
        group: what belongs together, such as a composition.
        split: published one, or None.
    """
    return group if split is None else f"{split}: {group}"


def refuse_nested(files: Sequence[Path], sets: Sequence[str]) -> None:
    """Refuse files of several published sets that contain each other.

    Args:
        files: what would be read.
        sets: names or globs of the sets' folders.

    Raises:
        ValueError: files of more than one set are there; the message names the sets.
    """
    found = set()
    for path in files:
        names = (f.name for f in path.parents if any(fnmatch(f.name, name) for name in sets))
        found.add(next(names, None))
    found.discard(None)
    if len(found) > 1:
        listed = ", ".join(sorted(str(name) for name in found))
        raise ValueError(f"{listed} contain each other: read only one of them")
