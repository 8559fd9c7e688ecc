"""One rank of a measured run: real training of some recipes, a row of where a step's time went.

    mpiexec -n 2 python benchmarks/scaling_rank.py ROWS weak=recipe.toml strong=other.toml

Started by `scaling.py measure`. What runs is what `hydracalc pretrain` runs; it is watched where
its loop asks for a batch and where it counts the time of its work and of its sums.
"""

import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch.distributed as dist

from hydracalc.graphs.graph import AtomicGraph
from hydracalc.parallel.ending import joined
from hydracalc.planning.split import Scaling, StepSplit, to_lines
from hydracalc.recipe import Recipe, load_recipe
from hydracalc.run.pretrain import pretrain
from hydracalc.training import loop
from hydracalc.training.idle import IdleTime, idle_report
from hydracalc.training.sampler import Prefetch
from hydracalc.training.structure_set import StructureSet


class Notes:
    """What is noted of a run.

    Attributes:
        batches: of each batch: seconds when it was asked for and when it came, seconds of the
            processor when it was asked for, structures; the last may be of no step.
        steps: of each step: seconds of work and of waiting in sums.
    """

    def __init__(self) -> None:
        self.batches: list[tuple[float, float, float, int]] = []
        self.steps: list[tuple[float, float]] = []


class Batches(Prefetch):
    """The library's own, noted."""

    def __init__(self, data: StructureSet, batches: Iterable[np.ndarray], *, notes: Notes) -> None:
        super().__init__(data, batches)
        self._notes = notes

    def __next__(self) -> AtomicGraph | None:
        """The next graph."""
        asked, processor = time.perf_counter(), time.process_time()
        graph = super().__next__()
        count = 0 if graph is None else graph.num_structures
        self._notes.batches.append((asked, time.perf_counter(), processor, count))
        return graph


class Steps(IdleTime):
    """The library's own, noted."""

    def __init__(self, notes: Notes) -> None:
        super().__init__()
        self._notes = notes

    def add(self, compute_seconds: float, wait_seconds: float) -> None:
        """Count a step."""
        super().add(compute_seconds, wait_seconds)
        self._notes.steps.append((compute_seconds, wait_seconds))


def measure(
    recipe: Recipe, folder: Path, *, scaling: Scaling, warm_up: int, steps: int
) -> StepSplit:
    """Train some steps; the row of those after the first. Collective over the world.

    Raises:
        ValueError: an epoch has too few steps.
    """
    notes, last = Notes(), warm_up + steps
    loop.Prefetch = partial(Batches, notes=notes)  # type: ignore[assignment,misc]
    loop.IdleTime = partial(Steps, notes)  # type: ignore[assignment,misc]
    # one step more than is counted: when it begins the last one has ended
    pretrain(recipe, folder, is_ending=lambda: len(notes.batches) > last)
    if len(notes.batches) <= last:
        raise ValueError(
            f"an epoch has {len(notes.batches)} steps, expected more than {warm_up} to warm up and "
            f"{steps} to measure; take more data or smaller batches"
        )
    return split(recipe, scaling, notes, slice(warm_up, last))


def split(recipe: Recipe, scaling: Scaling, notes: Notes, chosen: slice) -> StepSplit:
    """Means over ranks and steps. Collective over the world.

    Args:
        recipe: that was trained.
        scaling: what the row is part of.
        notes: of this rank.
        chosen: steps that count.
    """
    asked, got, processor, structures = np.array(notes.batches).T
    after = slice(chosen.start + 1, chosen.stop + 1)
    compute, wait = np.array(notes.steps)[chosen].T
    data = (got - asked)[chosen]
    rest = asked[after] - got[chosen] - compute - wait
    used = (processor[after] - processor[chosen]).mean()
    # whatever a rank did before its sums may have made others wait
    waits = idle_report(gathered(np.column_stack([compute + data + rest, wait])))
    own = [compute.mean(), data.mean(), rest.mean(), structures[chosen].mean(), used]
    means = np.array(gathered(own))  # (R, 5)
    each = waits.steps * len(means)
    return StepSplit(
        source="measured",
        run=recipe.name,
        layout=recipe.mesh.layout,
        scaling=scaling,
        ranks=len(means),
        structures=float(means[:, 3].sum()),
        compute_s=float(means[:, 0].mean()),
        collective_s=float((waits.wait - waits.imbalance).sum() / each),
        data_s=float(means[:, 1].mean()),
        idle_s=float(waits.imbalance.sum() / each),
        rest_s=float(means[:, 2].mean()),
        cpu_s=float(means[:, 4].sum()),
    )


def gathered(value: Any) -> list[Any]:  # noqa: ANN401  # any object
    """Values of all ranks on all ranks. Collective over the world."""
    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


@click.command(help=__doc__)
@click.argument("rows", type=click.Path(path_type=Path))
@click.argument("cases", nargs=-1, required=True)
@click.option("--warm-up", default=5, show_default=True)
@click.option("--steps", default=20, show_default=True)
def main(rows: Path, cases: tuple[str, ...], warm_up: int, steps: int) -> None:
    """One case after the other; runs and rows are in one folder."""
    with joined("gloo", timeout_s=300) as launch:
        found = []
        for number, case in enumerate(cases):
            word, _, path = case.partition("=")
            scaling: Scaling = "strong" if word == "strong" else "weak"
            recipe, folder = load_recipe(path), rows.parent / f"run-{number}"
            found.append(measure(recipe, folder, scaling=scaling, warm_up=warm_up, steps=steps))
        if launch.is_root:
            rows.write_text(to_lines(found))


if __name__ == "__main__":
    main()
