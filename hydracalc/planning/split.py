"""Where the time of a step goes, as a model says, a simulation, or a measurement: one table."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Literal

Source = Literal["model", "simulated", "measured"]
Scaling = Literal["weak", "strong"]


@dataclass(frozen=True, kw_only=True)
class StepSplit:
    """One step on R ranks, averages over them; the four parts add up to its time.

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

    @property
    def step_s(self) -> float:
        """Time of the step."""
        return self.compute_s + self.collective_s + self.data_s + self.idle_s

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
