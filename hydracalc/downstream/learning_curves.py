"""Results of downstream tasks as learning curves: means over variants and seeds, and a table."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hydracalc.downstream.task import Task
from hydracalc.training.metrics import MAE_KEYS

SCRATCH = "scratch"
# training structures at which methods are compared; the largest size of a task up to it
COMPARED_AT = 100
# errors by part and metric, of method, size, seed and variant
Results = Mapping[tuple[str, int, int, str], Mapping[str, Mapping[str, float]]]
_UNITS = {"energy": "meV/atom", "force": "meV/Å", "stress": "meV/Å³"}


@dataclass(frozen=True, kw_only=True)
class Point:
    """Error after training on so many structures, eV and Angstrom.

    Attributes:
        size: labelled structures.
        mean: over variants and seeds.
        low, high: least and largest mean over variants among seeds.
        num_seeds: seeds that have all the variants.
    """

    size: int
    mean: float
    low: float
    high: float
    num_seeds: int


@dataclass(frozen=True, kw_only=True)
class TaskCurves:
    """Curves of one task.

    Attributes:
        name, title: of the task.
        unit: of the errors, in thousandths.
        untrained: error of the fine-tuned branch at step 0, references fitted to the least number
            of structures; None if no fine-tuning was run.
        by_method: points of growing size.
        second: the same on the second test part, whose energies are measured where it has no
            forces; None if there is none.
    """

    name: str
    title: str
    unit: str
    untrained: float | None
    by_method: Mapping[str, Sequence[Point]]
    second: "TaskCurves | None" = None

    def compared(self) -> dict[str, Point]:
        """Every method at the largest common size up to `COMPARED_AT`."""
        sizes = [{p.size for p in points} for points in self.by_method.values()]
        common = [size for size in set.intersection(*sizes) if size <= COMPARED_AT] if sizes else []
        if not common:
            return {}
        return {
            method: next(p for p in points if p.size == max(common))
            for method, points in self.by_method.items()
        }


def curves_of(task: Task, lines: Iterable[Mapping[str, Any]]) -> TaskCurves | None:
    """Curves of a task; None where no size of any method has all its variants.

    Of a run that is there twice, the last counts.

    Args:
        task: whose metric and variants count.
        lines: results of all tasks.
    """
    last = {
        (line["method"], line["size"], line["seed"], line["variant"]): line["errors"]
        for line in lines
        if line["task"] == task.name
    }
    curves = _of_part(last, task, "test", task.metric, title=task.title)
    if curves is None:
        return None
    begun = [
        points[0].mean
        for method, points in _by_method(last, task, "step 0", task.metric).items()
        if method != SCRATCH
    ]
    title = f"{task.name}: {task.second_test.title}"
    second = _of_part(last, task, "second test", task.metric, title=title)
    if second is None:
        second = _of_part(last, task, "second test", MAE_KEYS["energy"], title=title)
    return replace(curves, untrained=begun[0] if begun else None, second=second)


def _of_part(last: Results, task: Task, part: str, metric: str, *, title: str) -> TaskCurves | None:
    """Curves of one part; None where nothing of it was measured."""
    by_method = _by_method(last, task, part, metric)
    if not by_method:
        return None
    unit = _UNITS[metric.split("_")[0]]
    return TaskCurves(name=task.name, title=title, unit=unit, untrained=None, by_method=by_method)


def _by_method(last: Results, task: Task, part: str, metric: str) -> dict[str, list[Point]]:
    """Points of each method; a seed counts where it has all variants."""
    found: dict[tuple[str, int, int], list[float]] = defaultdict(list)
    for (method, size, seed, variant), errors in last.items():
        if variant in task.variants and metric in errors.get(part, {}):
            found[method, size, seed].append(errors[part][metric])
    means: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (method, size, _), values in found.items():
        if len(values) == len(task.variants):
            means[method][size].append(sum(values) / len(values))
    return {
        method: [
            Point(
                size=size,
                mean=sum(values) / len(values),
                low=min(values),
                high=max(values),
                num_seeds=len(values),
            )
            for size, values in sorted(sizes.items())
        ]
        for method, sizes in means.items()
    }


def table(curves: Sequence[TaskCurves], methods: Sequence[str]) -> str:
    """A Markdown table of all tasks at their largest size up to 100, the best method bold.

    Args:
        curves: of the tasks.
        methods: columns, in order.
    """
    head = ["task", "unit", "structures", "before", *methods, "scratch / best fine-tuned"]
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(["---"] * len(head)) + "|"]
    for task in curves:
        parts = [task] if task.second is None else [task, task.second]
        lines += [row for part in parts if (row := _row(part, methods))]
    return "\n".join(lines)


def _row(task: TaskCurves, methods: Sequence[str]) -> str:
    at = task.compared()
    if not at:
        return ""
    best = min(at.values(), key=lambda point: point.mean)
    cells = [task.title, task.unit, str(best.size)]
    cells.append("" if task.untrained is None else f"{1e3 * task.untrained:.1f}")
    for method in methods:
        point = at.get(method)
        text = "" if point is None else f"{1e3 * point.mean:.1f}"
        cells.append(f"**{text}**" if point is best else text)
    tuned = [point.mean for method, point in at.items() if method != SCRATCH]
    ratio = at[SCRATCH].mean / min(tuned) if SCRATCH in at and tuned else None
    cells.append("" if ratio is None else f"{ratio:.2f}")
    return "| " + " | ".join(cells) + " |"


def verdicts(curves: Sequence[TaskCurves]) -> list[str]:
    """For each method of fine-tuning, on how many tasks it beats training from scratch."""
    compared = [at for task in curves if SCRATCH in (at := task.compared())]
    methods = dict.fromkeys(method for at in compared for method in at if method != SCRATCH)
    lines = []
    for method in methods:
        both = [at for at in compared if method in at]
        wins = sum(at[method].mean < at[SCRATCH].mean for at in both)
        lines.append(f"{method} beats scratch on {wins} of {len(both)} tasks")
    return lines
