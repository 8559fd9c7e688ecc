"""Learning curves on downstream tasks: every method, size and seed, one after another.

Each result is one line of results.jsonl. A run that was killed goes on where it was: lines that are
there are not computed again.
"""

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch

from hydracalc.downstream.task import Task
from hydracalc.downstream.task_data import TaskData, task_data
from hydracalc.errors import DataError
from hydracalc.finetuning.config import FinetuneConfig
from hydracalc.finetuning.finetune import grow
from hydracalc.finetuning.forgetting import errors_of
from hydracalc.finetuning.new_branch import measured_not_trusted
from hydracalc.models.hydra import HydraModel
from hydracalc.registry import full_name, load_model
from hydracalc.validation.evaluation import evaluate

logger = logging.getLogger("hydracalc.finetuning")

METHODS = ("full", "heads", "lora", "scratch")
# settings of a fine-tuning that methods, seeds and tasks decide
_OF_THE_RUN = ("method", "seed", "from_branch", "references")
RESULTS, SETTINGS = "results.jsonl", "settings.json"


@dataclass(frozen=True, kw_only=True)
class DownstreamConfig:
    """What is run on every task.

    Attributes:
        methods: of fine-tuning, "scratch" among them to compare.
        sizes: numbers of labelled structures, instead of the task's; none are the task's.
        seeds: of draws, orders and random weights; each is a run.
        threads: of torch; 0 leaves it to torch.
        finetune: how; method, seed, from_branch and references are those of the run and its task.
    """

    methods: tuple[str, ...] = METHODS
    sizes: tuple[int, ...] = ()
    seeds: tuple[int, ...] = (0,)
    threads: int = 0
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)

    def __post_init__(self) -> None:
        wrong = [method for method in self.methods if method not in METHODS]
        if wrong or not self.methods or not self.seeds:
            raise ValueError(
                f"methods are {list(self.methods)} and seeds {list(self.seeds)}; expected at least "
                f"one each, methods of {list(METHODS)}"
            )
        for name in _OF_THE_RUN:
            if getattr(self.finetune, name) != getattr(FinetuneConfig(), name):
                raise ValueError(f"finetune.{name} follows from the run and its task, leave it out")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training.

    Attributes:
        task, variant, method: names.
        size: labelled structures.
        seed: of draw, order and random weights.
    """

    task: str
    variant: str
    method: str
    size: int
    seed: int

    def __str__(self) -> str:
        variant = f"/{self.variant}" if self.variant else ""
        return f"{self.task}{variant}, {self.method}, {self.size} structures, seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What happened to a run that was wanted.

    Attributes:
        run: which.
        result: its line; None where it was skipped.
        why: it was skipped: "done before", or how many structures the pool has.
    """

    run: Run
    result: dict[str, Any] | None
    why: str = ""


def run_tasks(
    model: str | Path,
    tasks: Sequence[Task],
    folders: Sequence[Path],
    output: Path,
    config: DownstreamConfig,
) -> Iterator[Progress]:
    """Train and test everything that is not done yet, in this process.

    Smaller sizes of all methods come before larger ones, so that an early end leaves curves that
    can be compared.

    Args:
        model: name or path of what is fine-tuned.
        tasks: which.
        folders: of data; a task's own folder is looked for below each.
        output: folder of the results; made if need be.
        config: how.

    Raises:
        ValueError: data are not there, or the results are of another model or other settings.
        DataError: data are damaged, or another process writes the same results.
    """
    output.mkdir(parents=True, exist_ok=True)
    if config.threads:
        torch.set_num_threads(config.threads)
    with _alone(output):
        _check_settings(output, full_name(str(model)), config)
        old = load_model(str(model), dtype="float32")
        done = {(_run_of(line), line["digest"]) for line in read_results(output, repair=True)}
        for task in tasks:
            for variant in task.variants:
                yield from _run_variant(old, task, variant, folders, output, config, done)


def _run_variant(  # noqa: PLR0913  # what a run is made of
    old: HydraModel,
    task: Task,
    variant: str,
    folders: Sequence[Path],
    output: Path,
    config: DownstreamConfig,
    done: set[tuple[Run, str]],
) -> Iterator[Progress]:
    """All runs of a variant; its data are read if something is to be done."""
    data: TaskData | None = None
    for run in runs_of(task, variant, config):
        if (run, digest(task)) in done:
            yield Progress(run=run, result=None, why="done before")
            continue
        data = data or task_data(task, variant, folders, branch=config.finetune.new_branch)
        if run.size > len(data.pool):
            yield Progress(run=run, result=None, why=f"the pool has {len(data.pool)} structures")
            continue
        result = measured(old, task, data, run, config)
        _append(output / RESULTS, result)
        yield Progress(run=run, result=result)


def runs_of(task: Task, variant: str, config: DownstreamConfig) -> list[Run]:
    """Every wanted training on a variant of a task, small ones first."""
    sizes = config.sizes or task.sizes
    return [
        Run(task=task.name, variant=variant, method=method, size=size, seed=seed)
        for size, seed, method in product(sizes, config.seeds, config.methods)
    ]


def measured(
    old: HydraModel, task: Task, data: TaskData, run: Run, config: DownstreamConfig
) -> dict[str, Any]:
    """One training, and its errors: a line of the results."""
    settings = replace(
        config.finetune,
        method=run.method,  # type: ignore[arg-type]  # checked with the configuration
        seed=run.seed,
        from_branch=task.from_branch,
        references=task.references,
    )
    drawn = data.drawn(run.size, seed=run.seed, val_fraction=settings.val_fraction)
    with measured_not_trusted():
        tuned, report = grow(old, drawn, settings)
    errors = {
        "before": report.errors["before"]["test"],
        "step 0": report.errors["step 0"]["test"],
        "test": report.errors["after"]["test"],
        "val": report.errors["after"]["val"],
    }
    if data.second_test:
        found = evaluate(tuned, data.second_test, branch=settings.new_branch)
        errors["second test"] = errors_of(found.branches[settings.new_branch].to_json())
    return asdict(run) | {
        "digest": digest(task),
        "from_branch": report.from_branch,
        "structures": report.structures | {"pool": len(data.pool)},
        "left_out": report.left_out,
        "trained": report.trained,
        "steps": report.steps,
        "seconds": round(report.seconds, 2),
        "errors": errors,
    }


def digest(task: Task) -> str:
    """What changes with every setting of a task that decides a result.

    More sizes, variants or words about a task leave the results that are there valid.
    """
    free = ("title", "shows", "origin", "doi", "notes", "sizes", "variants", "metric")
    kept = {key: value for key, value in task.to_json().items() if key not in free}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def read_results(output: Path, *, repair: bool = False) -> list[dict[str, Any]]:
    """Lines of the results; one that a killed process left half written is not among them.

    Args:
        output: folder of the results.
        repair: also take such a line out of the file.

    Raises:
        DataError: another line is damaged.
    """
    path = output / RESULTS
    if not path.is_file():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if repair and whole != text:
        os.truncate(path, len(whole.encode()))
    lines = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise DataError(f"{path}, line {number}: no JSON: {error}") from None
    return lines


def _append(path: Path, result: Mapping[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(result) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _run_of(line: Mapping[str, Any]) -> Run:
    return Run(**{name: line[name] for name in ("task", "variant", "method", "size", "seed")})


@contextmanager
def _alone(output: Path) -> Iterator[None]:
    """Let no other process write the same results meanwhile."""
    with (output / "writer.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"{output}: another process writes results there") from None
        except OSError:
            logger.warning("%s: a file system without locks; start no second process", output)
        yield


def _check_settings(output: Path, model: str, config: DownstreamConfig) -> None:
    """Results of one folder are of one model and of the same settings of fine-tuning."""
    finetune = {
        key: value for key, value in asdict(config.finetune).items() if key not in _OF_THE_RUN
    }
    now = json.loads(json.dumps({"model": model, "threads": config.threads, "finetune": finetune}))
    path = output / SETTINGS
    if not path.is_file():
        path.write_text(json.dumps(now, indent=2) + "\n")
        return
    begun = json.loads(path.read_text())
    changed = [key for key in now if begun.get(key) != now[key] and key != "threads"]
    if changed:
        told = ", ".join(f"{key} was {begun.get(key)!r}, is {now[key]!r}" for key in changed)
        raise ValueError(f"{output}: begun with other settings, take another folder: {told}")
