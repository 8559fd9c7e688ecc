"""Labels structures with an ASE calculator and writes them as shards, marked as computed by it."""

import hashlib
import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Literal, get_args

from hydracalc import elements
from hydracalc.card import Card, Labels
from hydracalc.errors import DataError
from hydracalc.ingest.splitting import SplitConfig, Splitter
from hydracalc.ingest.workspace import refuse_existing, workspace
from hydracalc.inputs import as_structure, read_atoms
from hydracalc.labelling.calculators import CalculatorSpec
from hydracalc.labelling.generators import AsGiven
from hydracalc.labelling.label_records import encode_record, structure_to_record
from hydracalc.labelling.label_tasks import (
    PARENTS,
    Generation,
    LabelTask,
    clear_calculators,
    finished,
    num_children,
    read_task,
    run_task,
    task_ranges,
)
from hydracalc.labelling.md_snapshots import Dynamics, DynamicsConfig
from hydracalc.parallel.workers import Alone, Workers
from hydracalc.references import References
from hydracalc.shards.writer import ShardWriter
from hydracalc.structure import AtomicStructure

Grouping = Literal["parent", "formula", "reduced formula", "file"]

_NAME = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """What is labelled by what.

    Attributes:
        name: of the branch.
        theory: level of theory of the labels, in words.
        calculator: that makes them.
        license: SPDX identifier of the labelled data, or "unstated".
        generation: what is made of the given structures before it is labelled.
        dynamics_calculator: of dynamics that make structures; None is that of the labels.
        split: how sides are dealt.

    Raises:
        ValueError: the name has other characters than letters, digits, "_", "-" and ".", or the
            theory is empty.
    """

    name: str
    theory: str
    calculator: CalculatorSpec
    license: str = "unstated"
    generation: Generation = field(default_factory=AsGiven)
    dynamics_calculator: CalculatorSpec | None = None
    split: SplitConfig = field(default_factory=SplitConfig)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name is {self.name!r}, expected letters, digits, '_', '-' or '.'")
        if not self.theory.strip():
            raise ValueError("theory is empty; say at which level of theory the labels are")

    @property
    def kind(self) -> str:
        """Of the generation."""
        generation = self.generation
        return Dynamics.kind if isinstance(generation, DynamicsConfig) else generation.kind

    def labels_depend_on(self) -> dict[str, Any]:
        """As JSON, with the structures all that they depend on; split and card may change later."""
        dynamics = self.dynamics_calculator or self.calculator
        everything = {
            "version": version("hydracalc"),
            "calculator": asdict(self.calculator),
            "generation": {"kind": self.kind, **asdict(self.generation)},
            "dynamics": asdict(dynamics) if self.kind == Dynamics.kind else None,
        }
        as_json: dict[str, Any] = json.loads(json.dumps(everything))
        return as_json


@dataclass(frozen=True, kw_only=True)
class LabelReport:
    """What became of the structures.

    Attributes:
        branch: name.
        path: folder of shards.
        computed_by: calculator, settings and versions.
        num_structures: labelled, by split.
        dropped: left out, by reason.
        messages: of the first failure of the calculator for each reason.
        references: energy of each element, eV.
        sha256: identity of the shards.
    """

    branch: str
    path: Path
    computed_by: str
    num_structures: dict[str, int]
    dropped: dict[str, int]
    messages: dict[str, str]
    references: References
    sha256: str


def read_parents(
    paths: Sequence[Path | str], *, grouping: Grouping = "parent"
) -> Iterator[AtomicStructure]:
    """Structures of files that ASE reads, named by file and number, their labels left out.

    Args:
        paths: files, with ASE's "@" selection where only some structures are meant.
        grouping: what must not be on two sides of a split.

    Raises:
        ValueError: a file cannot be read, or there is no such grouping.
    """
    if grouping not in get_args(Grouping):
        raise ValueError(f"group is {grouping!r}, expected one of {', '.join(get_args(Grouping))}")
    stems = Counter(Path(path).stem for path in paths)
    for path in dict.fromkeys(map(str, paths)):
        file = Path(path).stem if stems[Path(path).stem] == 1 else path
        for number, atoms in enumerate(read_atoms(path)):
            structure = as_structure(atoms, source=f"{file}:{number}")
            groups = {
                "parent": structure.source,
                "formula": structure.formula,
                "reduced formula": elements.reduced_formula(structure.atomic_numbers),
                "file": file,
            }
            yield replace(structure, group=groups[grouping])


def label(
    parents: Iterable[AtomicStructure],
    out: Path | str,
    *,
    config: LabelConfig,
    workers: Workers | None = None,
    progress: Callable[[int], None] | None = None,
) -> LabelReport:
    """Label structures, or what is generated from them, and publish them as a folder of shards.

    Labels are written down one by one in a hidden folder beside the output, and the same call after
    a kill goes on behind the last. Shards are the same for any number of workers. Structures for
    which the calculator fails are left out and counted by the kind of error.

    Args:
        parents: with a group and a source, each source once; gone through once.
        out: folder to make.
        config: what is labelled by what.
        workers: who labels; None is this process alone.
        progress: called in the root with how many structures were labelled so far.

    Raises:
        ValueError: the output exists, the calculator cannot be built, there is no structure, all
            groups are dealt to validation and test, or a hidden folder beside the output holds
            the beginning of something else.
        OSError: the output cannot be written.
        DataError: no structure could be labelled.
    """
    out, workers = Path(out), workers or Alone()
    refuse_existing(out)
    with ExitStack() as stack:

        def reserve() -> _Reserved:
            spooled = stack.enter_context(_Spool(parents, out, config.split))
            card = _card(config, spooled.symbols)
            plan = config.labels_depend_on() | {"structures": spooled.sha256}
            folder = stack.enter_context(workspace(out, plan))
            spooled.save(folder / PARENTS)
            return _Reserved(folder, tuple(spooled.first_bytes), card, plan)

        reserved = workers.on_root(reserve)
        tasks = _tasks(reserved, config)
        try:
            _run(tasks, workers, progress)
        except BaseException:
            if workers.is_root and not any(task.has_labels for task in tasks):
                shutil.rmtree(reserved.folder, ignore_errors=True)
            raise
        finally:
            clear_calculators()
        return workers.on_root(lambda: _publish(tasks, reserved, out, config))


@dataclass(frozen=True)
class _Reserved:
    """Where labels are written down, where each parent begins, what the shards will say."""

    folder: Path
    first_bytes: tuple[int, ...]
    card: Card
    plan: dict[str, Any]


class _Spool:
    """Parents on disk in a file without a name, checked before anything is computed."""

    def __init__(self, parents: Iterable[AtomicStructure], out: Path, split: SplitConfig) -> None:
        out.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=out.parent)  # noqa: SIM115
        self.first_bytes: list[int] = []
        self.symbols: set[str] = set()
        try:
            self.sha256 = self._fill(parents, split)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "_Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _fill(self, parents: Iterable[AtomicStructure], split: SplitConfig) -> str:
        digest, splitter = hashlib.sha256(), Splitter(split)
        sides: Counter[str] = Counter()
        sources: set[bytes] = set()
        for parent in parents:
            self.first_bytes.append(self._file.tell())
            line = encode_record(structure_to_record(parent))
            digest.update(line)
            self._file.write(line)
            self.symbols |= set(elements.symbols(parent.atomic_numbers))
            sides[splitter.split_of(parent)] += 1
            sources.add(hashlib.blake2b(parent.source.encode(), digest_size=8).digest())
            if len(sources) < len(self.first_bytes):
                raise ValueError(f"two structures are named {parent.source!r}")
        if not self.first_bytes:
            raise ValueError("there is no structure to label")
        if not sides["train"]:
            raise ValueError(
                f"no group of structures trains: all are dealt to {', '.join(sides)}; choose "
                "another split seed, or fractions of 0 for val and test"
            )
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write the parents to a named file."""
        self._file.seek(0)
        with path.open("wb") as file:
            shutil.copyfileobj(self._file, file)


def _card(config: LabelConfig, symbols: set[str]) -> Card:
    computed_by = config.calculator.describe()
    return Card(
        branch=config.name,
        title=f"Labels computed with {config.calculator.path}",
        theory=config.theory,
        reference="the calculator's own zero of energy",
        labels=Labels(
            energy="eV",
            forces="eV/Angstrom",
            stress="eV/Angstrom^3",
            stress_sign="tension positive",
        ),
        charge='atoms.info["charge"] of the structures, else 0',
        spin='atoms.info["spin"] of the structures, else 1',
        group="structures made of one given structure, or as chosen",
        elements=tuple(symbols),
        license=config.license,
        computed_by=computed_by,
    )


def _tasks(reserved: _Reserved, config: LabelConfig) -> list[LabelTask]:
    each = num_children(config.generation)
    return [
        LabelTask(
            number=number,
            folder=reserved.folder,
            first_byte=reserved.first_bytes[wanted.start // each],
            first=wanted.start,
            stop=wanted.stop,
            generation=config.generation,
            calculator=config.calculator,
            dynamics_calculator=config.dynamics_calculator or config.calculator,
        )
        for number, wanted in enumerate(task_ranges(len(reserved.first_bytes), config.generation))
    ]


def _run(tasks: list[LabelTask], workers: Workers, progress: Callable[[int], None] | None) -> None:
    """Do the tasks that are not finished."""
    counts = workers.on_root(lambda: [finished(task) for task in tasks])
    done = sum(count for count in counts if count is not None)

    def within(count: int) -> None:
        if progress is not None:
            progress(done + count)

    def after(count: int) -> None:
        nonlocal done
        done += count
        within(0)

    function = partial(run_task, progress=within) if workers.is_here else run_task
    within(0)
    left = [task for task, count in zip(tasks, counts, strict=True) if count is None]
    workers.run(function, left, after)


def _publish(
    tasks: list[LabelTask], reserved: _Reserved, out: Path, config: LabelConfig
) -> LabelReport:
    settings = reserved.plan | {"split": asdict(config.split)}
    splitter, messages = Splitter(config.split), dict[str, str]()
    failures: Counter[str] = Counter()
    writer = ShardWriter(out, card=reserved.card, settings=settings)
    with writer:
        for task in tasks:
            result = read_task(task)
            for structure in result.structures:
                labelled = replace(structure, branch=config.name)
                writer.add(labelled, split=splitter.split_of(labelled))
            failures += result.dropped
            messages = result.messages | messages
        writer.dropped += failures
        if not sum(writer.num_structures.values()):
            reasons = "; ".join(messages.values()) or dict(failures)
            shutil.rmtree(reserved.folder)
            raise DataError(f"{out}: no structure could be labelled: {reasons}")
    shutil.rmtree(reserved.folder)
    assert writer.references is not None  # known once the block has ended
    assert writer.sha256 is not None
    return LabelReport(
        branch=config.name,
        path=out,
        computed_by=str(reserved.card.computed_by),
        num_structures=dict(writer.num_structures),
        dropped={reason: n for reason, n in sorted(writer.dropped.items()) if n},
        messages=messages,
        references=writer.references,
        sha256=writer.sha256,
    )
