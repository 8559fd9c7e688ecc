"""What a downstream task trains on and what it is tested on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from hydracalc.downstream.task import HeldOut, Part, Task
from hydracalc.downstream.task_readers import read_file, without_split
from hydracalc.errors import DataError
from hydracalc.finetuning.data import TuningData, drawn
from hydracalc.ingest.adapter import find_files
from hydracalc.structure import AtomicStructure

# the same parts in every run, whatever its seed
_SPLIT_SEED = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskData:
    """Structures of one variant of a task.

    Attributes:
        pool: training structures are drawn from these.
        test: errors are measured on these.
        second_test: and on these; may be empty.
        left_out: structures that are in none, by reason.
    """

    pool: list[AtomicStructure]
    test: list[AtomicStructure]
    second_test: list[AtomicStructure]
    left_out: dict[str, int]

    def drawn(self, size: int, *, seed: int, val_fraction: float) -> TuningData:
        """So many structures of the pool, some of them to choose the weights by, and the test part.

        With the same seed, a smaller draw is contained in a larger one.

        Args:
            size: structures in all.
            seed: of the draw.
            val_fraction: of them for validation; at least one.
        """
        order = np.random.default_rng(seed).permutation(len(self.pool))[:size]
        train, val = drawn([self.pool[index] for index in order], val_fraction, seed)
        return TuningData(train=train, val=val, test=self.test, isolated={}, left_out=self.left_out)


def task_data(task: Task, variant: str, folders: Sequence[Path], *, branch: str) -> TaskData:
    """Read and split the data of a variant of a task.

    Args:
        task: that says how.
        variant: one of its variants.
        folders: of data; the first that has the task's folder counts.
        branch: that the structures get.

    Raises:
        ValueError: no folder has the files.
        DataError: a file is damaged, or a part is empty.
    """
    folder = _folder(task, variant, folders)
    pool = _read(task, task.pool, variant, folder)
    if task.test.files:
        test = _read(task, task.test, variant, folder)
    else:
        pool, test = held_out(pool, task.held_out)
    second = _read(task, task.second_test, variant, folder) if task.second_test.files else []
    left_out: Counter[str] = Counter()
    kept = _not_again(pool, [*test, *second], left_out)
    where = f"task {task.name!r}{f', {variant}' if variant else ''}"
    for name, part in (("pool", kept), ("test", test)):
        if not part:
            raise DataError(
                f"{where}: no structure is left for the {name}; left out: {dict(left_out)}"
            )
    return TaskData(
        pool=[without_split(s, branch) for s in kept],
        test=[without_split(s, branch) for s in spread(test, task.most_tested)],
        second_test=[without_split(s, branch) for s in spread(second, task.most_tested)],
        left_out=dict(left_out),
    )


def _not_again(
    pool: Sequence[AtomicStructure], tested: Sequence[AtomicStructure], left_out: Counter[str]
) -> list[AtomicStructure]:
    """Each structure of the pool once, and none that is tested; files of one paper may overlap."""
    in_test, seen, kept = {_geometry(structure) for structure in tested}, set(), []
    for structure in pool:
        geometry = _geometry(structure)
        if geometry in in_test:
            left_out["of the pool, tested too"] += 1
        elif geometry in seen:
            left_out["of the pool, there twice"] += 1
        else:
            kept.append(structure)
        seen.add(geometry)
    return kept


def _geometry(structure: AtomicStructure) -> tuple[bytes, ...]:
    """Equal for copies of a structure; digits beyond 0.001 Angstrom and its place do not matter."""
    relative = structure.positions - structure.positions[0]
    lengths = (np.round(array, 3) + 0.0 for array in (relative, structure.cell))
    return (structure.atomic_numbers.tobytes(), *(array.tobytes() for array in lengths))


def held_out(
    structures: Sequence[AtomicStructure], rule: HeldOut
) -> tuple[list[AtomicStructure], list[AtomicStructure]]:
    """Pool and test part of structures.

    Raises:
        DataError: there are fewer than two groups to draw from, or nothing says the split.
    """
    if rule.by == "end":
        first = len(structures) - max(1, round(rule.fraction * len(structures)))
        return list(structures[: max(0, first - rule.gap)]), list(structures[first:])
    if rule.by == "published":
        if any(structure.split is None for structure in structures):
            raise DataError("the data come with no split, so held_out.by cannot be published")
        return (
            [s for s in structures if s.split != "test"],
            [s for s in structures if s.split == "test"],
        )
    groups = sorted({structure.group for structure in structures})
    if len(groups) < 2:
        raise DataError(f"{len(groups)} groups, at least two are needed to hold one out")
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(groups))
    count = min(len(groups) - 1, max(1, round(rule.fraction * len(groups))))
    chosen = {groups[index] for index in order[:count]}
    return (
        [s for s in structures if s.group not in chosen],
        [s for s in structures if s.group in chosen],
    )


def spread(structures: Sequence[AtomicStructure], most: int) -> list[AtomicStructure]:
    """At most so many structures, evenly spread."""
    if len(structures) <= most:
        return list(structures)
    return [structures[index] for index in np.linspace(0, len(structures) - 1, most).astype(int)]


def _folder(task: Task, variant: str, folders: Sequence[Path]) -> Path:
    """The first folder of the task that has files of its pool."""
    for folder in folders:
        for pattern in task.pool.files:
            if next((folder / task.folder).glob(_of(pattern, variant)), None) is not None:
                return folder / task.folder
    looked = ", ".join(str(folder / task.folder) for folder in folders) or "no folder of data"
    wanted = ", ".join(_of(pattern, variant) for pattern in task.pool.files)
    raise ValueError(
        f"task {task.name!r}: no {wanted} in {looked}; the data come from {task.origin}"
    )


def _of(pattern: str, variant: str) -> str:
    return pattern.replace("{variant}", variant)


def _read(task: Task, part: Part, variant: str, folder: Path) -> list[AtomicStructure]:
    patterns = [_of(pattern, variant) for pattern in part.files]
    groups = [_of(pattern, variant) for pattern in part.groups]
    found: list[AtomicStructure] = []
    for path in find_files(folder, patterns):
        found += list(read_file(path, task.reader))[part.chosen_rows()]
    if not groups:
        return found
    return [s for s in found if any(fnmatchcase(s.group, pattern) for pattern in groups)]
