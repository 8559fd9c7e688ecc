"""A few of the structures to be labelled: generated and labelled by one process, written down.

Tasks follow from the structures and settings alone, so labels do not depend on how many processes
there are.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from hydracalc.labelling.calculators import CalculatorSpec, LabelFailure, Labeller
from hydracalc.labelling.generators import AsGiven, Dimers, Generator, Rattle, Strain
from hydracalc.labelling.label_records import (
    append_record,
    decode_record,
    open_for_append,
    read_records,
    structure_from_record,
    structure_to_record,
)
from hydracalc.labelling.md_snapshots import Dynamics, DynamicsConfig
from hydracalc.structure import AtomicStructure

Generation = AsGiven | Rattle | Strain | Dimers | DynamicsConfig

PARENTS = "parents.jsonl"

_MOST_TASKS = 1024  # until tasks grow
_LARGEST_TASK = 256  # children

# keys of a record
_NUMBER, _STRUCTURE, _FAILED, _MESSAGE, _DONE, _DROPPED = (
    "number",
    "structure",
    "failed",
    "message",
    "done",
    "dropped",
)


@dataclass(frozen=True, kw_only=True)
class LabelTask:
    """All that a process needs to know.

    Attributes:
        number: of the task.
        folder: where parents are read and labels are written down.
        first_byte: of the first parent in the file of parents.
        first, stop: children that are wanted, numbered through all parents.
        generation: how children are made.
        calculator: of the labels.
        dynamics_calculator: of the dynamics.
    """

    number: int
    folder: Path
    first_byte: int
    first: int
    stop: int
    generation: Generation
    calculator: CalculatorSpec
    dynamics_calculator: CalculatorSpec

    @property
    def path(self) -> Path:
        """File of its labels."""
        return self.folder / f"labels-{self.number:05d}.jsonl"

    @property
    def has_labels(self) -> bool:
        """Whether anything is written down."""
        return self.path.exists() and self.path.stat().st_size > 0


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """What a finished task holds.

    Attributes:
        structures: labelled, in order.
        dropped: left out, by reason.
        messages: of the first failure for each reason, with the structure's name.
    """

    structures: tuple[AtomicStructure, ...]
    dropped: Counter[str]
    messages: dict[str, str]


def num_children(generation: Generation) -> int:
    """What one parent is divided into."""
    if isinstance(generation, DynamicsConfig):
        return len(generation.temperatures)
    return generation.num_children


def task_ranges(num_parents: int, generation: Generation) -> list[range]:
    """Children of each task, numbered through all parents."""
    total = num_parents * num_children(generation)
    size = min(max(-(-total // _MOST_TASKS), 1), _LARGEST_TASK)
    return [range(start, min(start + size, total)) for start in range(0, total, size)]


def run_task(task: LabelTask, progress: Callable[[int], None] | None = None) -> int:
    """Label what is not labelled yet; returns how many structures the task has.

    Args:
        task: what to do.
        progress: called after every structure with how many are done.

    Raises:
        ValueError: the calculator cannot be built, or a parent does not suit the generation.
    """
    known = _read(task.path)
    dropped: Counter[str] = Counter()
    labeller = _labeller(task.calculator.path, _settings_text(task.calculator))
    count = 0
    with open_for_append(task.path) as file:
        for child in _children(task, dropped):
            if not _is_of(known.get(count), child):
                append_record(file, {_NUMBER: count} | _labelled(labeller, child))
            count += 1
            if progress is not None:
                progress(count)
        append_record(file, {_DONE: count, _DROPPED: dict(dropped)})
    return count


def finished(task: LabelTask) -> int | None:
    """How many structures a task has; None if it is not finished or a label of it is damaged."""
    records = _read(task.path)
    done = records.get(None)
    if done is None or any(number not in records for number in range(done[_DONE])):
        return None
    return int(done[_DONE])


def read_task(task: LabelTask) -> TaskResult:
    """The labels of a finished task."""
    records = _read(task.path)
    dropped = Counter(records[None][_DROPPED])
    structures: list[AtomicStructure] = []
    messages: dict[str, str] = {}
    for number in range(records[None][_DONE]):
        record = records[number]
        if _FAILED in record:
            reason, name = record[_FAILED], record[_STRUCTURE]["source"]
            dropped[reason] += 1
            messages.setdefault(reason, f"{name}: {record[_MESSAGE]}")
        else:
            structures.append(structure_from_record(record[_STRUCTURE]))
    return TaskResult(structures=tuple(structures), dropped=dropped, messages=messages)


def clear_calculators() -> None:
    """Let go of the calculators that this process keeps for its next task."""
    _labeller.cache_clear()


def _read(path: Path) -> dict[int | None, dict[str, Any]]:
    """Records by number; that of the end has none. The last of several holds."""
    return {record.get(_NUMBER): record for record in read_records(path)}


def _labelled(labeller: Labeller, child: AtomicStructure) -> dict[str, Any]:
    """Record of a structure that is labelled now, or of its failure."""
    try:
        return {_STRUCTURE: structure_to_record(labeller.label(child))}
    except LabelFailure as failure:
        record = {_STRUCTURE: structure_to_record(child)}
        return record | {_FAILED: failure.reason, _MESSAGE: str(failure)}


def _is_of(record: dict[str, Any] | None, child: AtomicStructure) -> bool:
    """Whether a record is of this structure, bit for bit."""
    if record is None:
        return False
    stored = structure_from_record(record[_STRUCTURE])
    return stored.source == child.source and all(
        getattr(stored, name).tobytes() == getattr(child, name).tobytes()
        for name in ("atomic_numbers", "positions", "cell", "pbc")
    )


def _children(task: LabelTask, dropped: Counter[str]) -> Iterator[AtomicStructure]:
    generator, each = _generator(task), num_children(task.generation)
    last_parent = (task.stop - 1) // each
    with (task.folder / PARENTS).open("rb") as file:
        file.seek(task.first_byte)
        for parent in range(task.first // each, last_parent + 1):
            record = decode_record(file.readline())
            if record is None:
                raise ValueError(f"{file.name}: parent {parent} is damaged; begin again")
            start = max(task.first - parent * each, 0)
            stop = min(task.stop - parent * each, each)
            structure = structure_from_record(record)
            yield from generator.children(structure, range(start, stop), dropped)


def _generator(task: LabelTask) -> Generator:
    if not isinstance(task.generation, DynamicsConfig):
        return task.generation
    spec = task.dynamics_calculator
    # of its own: that of the labels is used between the steps
    return Dynamics(task.generation, Labeller(spec).calculator)


def _settings_text(spec: CalculatorSpec) -> bytes:
    return orjson.dumps(spec.settings)


@lru_cache(maxsize=1)
def _labeller(path: str, settings: bytes) -> Labeller:
    """Kept between tasks: some calculators take long to build."""
    return Labeller(CalculatorSpec(path=path, settings=orjson.loads(settings)))
