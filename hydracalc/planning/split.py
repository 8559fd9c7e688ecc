"""Where the time of a step goes, as a model says, a simulation, or a measurement: one table."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Literal

Source = Literal["model", "simulated", "measured"]
Scaling = Literal["weak", "strong"]
Pick = Literal["median", "fastest"]


@dataclass(frozen=True, kw_only=True)
class StepSplit:
    """One step on R ranks, averages over them; the five parts add up to its time.

    Attributes:
        source: where the numbers come from.
        run: what is trained.
        layout: "base", "multitask" or "hybrid".
        scaling: "weak": a rank's part of the batch stays the same; "strong": the whole batch does.
        ranks: R.
        structures: in the whole batch.
        compute_s: forward, backward, update.
        collective_s: sums over ranks, without waiting for the slowest.
        data_s: waiting for the batch.
        idle_s: waiting for the slowest rank.
        rest_s: between steps, beside the data: progress, the decision whether to save.
        cpu_s: processor time of all ranks together; None where nothing was run.
        cores: of the machine that ran them; with fewer than R, ranks take turns.
    """

    source: Source
    run: str
    layout: str
    scaling: Scaling
    ranks: int
    structures: float
    compute_s: float
    collective_s: float
    data_s: float
    idle_s: float
    rest_s: float = 0.0
    cpu_s: float | None = None
    cores: int | None = None

    @property
    def step_s(self) -> float:
        """Time of the step."""
        return self.compute_s + self.collective_s + self.data_s + self.idle_s + self.rest_s

    @property
    def structures_per_s(self) -> float:
        """Of all ranks together."""
        return self.structures / self.step_s


def efficiencies(
    rows: Sequence[StepSplit], *, among: Sequence[StepSplit] | None = None
) -> list[float]:
    """Structures a second and rank, in units of those on the fewest ranks.

    Args:
        rows: of one run, layout and scaling, over numbers of ranks; at least one.
        among: rows whose fewest ranks are the unit, of the same source, run and scaling only; a
            layout that needs many ranks is so compared with the base layout on one. None: `rows`.
    """
    kind = (rows[0].source, rows[0].run, rows[0].scaling)
    alike = [row for row in among or rows if (row.source, row.run, row.scaling) == kind]
    first = min(alike, key=lambda row: row.ranks)
    alone = first.structures_per_s / first.ranks
    return [row.structures_per_s / row.ranks / alone for row in rows]


def chosen_runs(rows: Iterable[StepSplit], pick: Pick = "median") -> list[StepSplit]:
    """One of repeated runs, whose parts are those of one real run.

    Args:
        rows: any, repeated or not.
        pick: "median" speed, of an even number the slower of the two in the middle; or "fastest",
            for a machine that others use too: what they do can only add.
    """
    found: dict[tuple[str, str, str, str, int], list[StepSplit]] = {}
    for row in rows:
        kind = (row.source, row.run, row.layout, row.scaling, row.ranks)
        found.setdefault(kind, []).append(row)
    by_speed = (sorted(own, key=lambda row: row.structures_per_s) for own in found.values())
    return [own[-1 if pick == "fastest" else (len(own) - 1) // 2] for own in by_speed]


def series(rows: Iterable[StepSplit]) -> dict[tuple[str, str, str, str], list[StepSplit]]:
    """Rows by source, run, layout and scaling, each in the order of ranks."""
    found: dict[tuple[str, str, str, str], list[StepSplit]] = {}
    for row in sorted(rows, key=lambda row: row.ranks):
        found.setdefault((row.source, row.run, row.layout, row.scaling), []).append(row)
    return found


def to_lines(rows: Iterable[StepSplit]) -> str:
    """One JSON object a line."""
    return "".join(json.dumps(asdict(row)) + "\n" for row in rows)


def from_lines(text: str) -> list[StepSplit]:
    """Rows that `to_lines` wrote, also of several files one after the other.

    Raises:
        ValueError: a line has other keys; the message names them.
    """
    names = {field.name for field in fields(StepSplit)}
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        table = json.loads(line)
        if set(table) != names:
            raise ValueError(f"line {number}: keys differ in {sorted(set(table) ^ names)}")
        rows.append(StepSplit(**table))
    return rows
