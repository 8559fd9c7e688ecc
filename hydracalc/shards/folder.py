"""The files of a folder of shards: written one by one, changed, and given their name at the end."""

import shutil
from pathlib import Path

import numpy as np

from hydracalc.shards.arrays import write_arrays
from hydracalc.shards.manifest import Manifest, StoredShard, describe_shard, write_manifest
from hydracalc.shards.table import StructureTable


def write_shard(folder: Path, name: str, table: StructureTable) -> StoredShard:
    """Write structures as one shard.

    Args:
        folder: not published yet.
        name: of the shard, "shard-00000.bp".
        table: at least one structure.

    Raises:
        OSError: the folder cannot be written.
    """
    write_arrays(folder / name, table.arrays)
    return describe_shard(
        folder / name, num_structures=len(table), num_atoms=int(table.num_atoms.sum())
    )


def amend_shard(
    folder: Path,
    shard: StoredShard,
    table: StructureTable,
    *,
    keep: np.ndarray,
    splits: np.ndarray,
) -> StoredShard | None:
    """Leave structures out of a shard that is not published yet, or put them on other sides.

    Args:
        folder: that holds the shard.
        shard: as it was written.
        table: its structures.
        keep: which of them stay, bool, (S,).
        splits: index into SPLITS of each, int8, (S,).

    Returns:
        The shard as it is now; None if nothing is left, then it is gone.
    """
    if keep.all() and np.array_equal(splits, table.splits):
        return shard
    shutil.rmtree(folder / shard.name)
    if not keep.any():
        return None
    return write_shard(folder, shard.name, table.with_splits(splits).rows(keep))


def publish(folder: Path, path: Path, manifest: Manifest) -> str:
    """Write the manifest and give the folder its name: from then on it is whole.

    Args:
        folder: holds the shards of the manifest, on the file system of `path`.
        path: its name from now on.
        manifest: describes all of it.

    Returns:
        Identity of the shards.

    Raises:
        ValueError: the path exists.
    """
    write_manifest(folder, manifest)
    folder.chmod(0o755)
    if path.exists():
        raise ValueError(f"{path}: was made by someone else in the meantime")
    folder.rename(path)
    return manifest.sha256
