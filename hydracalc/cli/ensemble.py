"""`hydracalc ensemble`: choose members among runs, and find out what their spread is worth."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hydracalc.cli.options import branch_choice, json_option
from hydracalc.cli.tables import counts, print_table

if TYPE_CHECKING:
    from hydracalc.ensemble.calibration import BranchCalibration
    from hydracalc.ensemble.coverage import Coverage
    from hydracalc.ensemble.members import Members
    from hydracalc.ensemble.runs import Run
    from hydracalc.ensemble.scores import Scores
    from hydracalc.structure import AtomicStructure

_RULE = (
    "those that no other run beats in every key come first, then the smallest weighted mean of "
    "log(value / best value)"
)


@click.group("ensemble")
def ensemble() -> None:
    """Several models that answer together, with calibrated uncertainty."""


@ensemble.command("select")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--by", default="val_force_mae", show_default=True, help="Keys, e.g. with energy_joule."
)
@click.option("--trade-off", default="", help="Weights of keys, as in val_force_mae=2.")
@click.option("--count", "-n", default=4, show_default=True, help="Members.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Folder of the ensemble.")
@json_option
def select(  # noqa: PLR0913  # one argument for each option
    runs: tuple[Path, ...],
    *,
    by: str,
    trade_off: str,
    count: int,
    output: Path | None,
    as_json: bool,
) -> None:
    """Rank the folders of finished runs by what they hold, and make an ensemble of the best.

    Keys are val_force_mae, val_energy_mae, val_stress_mae (means over branches), train_seconds and
    energy_joule; less is better. Runs that no other beats in every key come first, and among those
    the smallest weighted mean of log(value / best value): with equal weights one percent of error
    is worth one percent of energy. Members are copied into OUTPUT, named with their SHA-256 in
    ensemble.json; without -o runs are only ranked.
    """
    from hydracalc.ensemble.files import write_ensemble
    from hydracalc.hpo.pareto import select_by

    keys = [key.strip() for key in by.split(",")]
    weights = branch_choice(trade_off) if trade_off else {}
    if not isinstance(weights, dict):
        raise ValueError(f"--trade-off {trade_off!r}: expected weights as in val_force_mae=2")
    found = _read(runs)
    order = select_by([run.row() for run in found], keys, trade_off=weights)
    chosen = [found[index] for index in order[:count]]
    rule = {"by": keys, "trade_off": dict.fromkeys(keys, 1.0) | weights, "rule": _RULE}
    path = None
    if output is not None:
        members = [(run.name, run.model) for run in chosen]
        ranked = [{**found[index].row(), "is_chosen": found[index] in chosen} for index in order]
        path = write_ensemble(output, members, selection={**rule, "runs": ranked})
    if as_json:
        names = [run.name for run in chosen]
        each = [_told(found[index]) for index in order]
        file = None if path is None else str(path)
        click.echo(json.dumps({**rule, "chosen": names, "runs": each, "file": file}, indent=2))
        return
    _show_runs([found[index] for index in order], keys, len(chosen))
    click.echo(f"rule: {_RULE}")
    click.echo("no ensemble written, -o FOLDER does" if path is None else f"written: {path}")


@ensemble.command("calibrate")
@click.argument("model")
@click.argument("data", nargs=-1, required=True)
@click.option("-b", "--branch", help="Who answers; by default each branch for its own shards.")
@click.option("--val", help="Split of shards to calibrate with; without it half of --test.")
@click.option("--test", default="test", show_default=True, help="Split to check coverage on.")
@click.option("--limit", type=int, help="Structures of each DATA and split at most, by chance.")
@click.option("--seed", default=0, show_default=True, help="Of halves and choices.")
@click.option("--plot", type=click.Path(path_type=Path), help="Picture of promised and found.")
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
@json_option
def calibrate(  # noqa: PLR0913  # one argument for each option
    model: str,
    data: tuple[str, ...],
    *,
    branch: str | None,
    val: str | None,
    test: str,
    limit: int | None,
    seed: int,
    plot: Path | None,
    device: str,
    as_json: bool,
) -> None:
    """Turn spreads into intervals with held-out labels of DATA, shards or files that ASE reads.

    MODEL is an ensemble's folder or file, or a single model. Half of the structures, or those of
    --val, make the intervals; the others say how many labels are inside. All atoms of a structure
    are on one side. The result is stored in the ensemble's file, or beside the model's.
    """
    from hydracalc.devices import device_of
    from hydracalc.ensemble.calibration import to_json
    from hydracalc.ensemble.members import load_members

    _check_drawing(plot)
    loaded = load_members(model, dtype="auto", device=device_of(device))
    chances = _Chances(val=val, test=test, limit=limit, seed=seed)
    left_out: Counter[str] = Counter()
    found: dict[str, tuple[BranchCalibration, Coverage]] = {}
    for path in data:
        name, scores = _scores(loaded, path, branch_choice(branch), chances, left_out)
        if name in found:
            raise ValueError(f"{path}: {name} is calibrated with other data already")
        found[name] = _calibrated(scores, seed)
    stored = {
        name: {**to_json(made), **coverage.to_json()} for name, (made, coverage) in found.items()
    }
    file = _store(model, loaded, stored)
    if plot is not None:
        from hydracalc.ensemble.reliability_plot import draw

        draw({name: coverage for name, (_, coverage) in found.items()}, plot)
    if as_json:
        told = {"file": str(file), "branches": stored, "left_out": dict(left_out)}
        click.echo(json.dumps(told, indent=2))
        return
    _show_coverage({name: coverage for name, (_, coverage) in found.items()})
    if left_out:
        click.echo(f"left out: {counts(dict(left_out))}")
    click.echo(f"written: {file}")


@dataclass(frozen=True, kw_only=True)
class _Chances:
    """Which structures are taken for what."""

    val: str | None
    test: str
    limit: int | None
    seed: int


def _read(folders: Iterable[Path]) -> "list[Run]":
    """What the folders hold, with the energy that a search counted where that is known.

    Raises:
        ValueError: one is no finished run, or is given twice.
    """
    from dataclasses import replace

    from hydracalc.ensemble.runs import read_run
    from hydracalc.hpo.energy import of_trial

    runs: list[Run] = []
    for folder in folders:
        run = read_run(folder)
        if any(run.model.samefile(other.model) for other in runs):
            raise ValueError(f"{folder} is given twice")
        counted = of_trial(folder)
        if run.energy_is_estimate is None and counted.source:
            values = run.values | {"energy_joule": counted.joules}
            run = replace(run, values=values, energy_is_estimate=counted.is_estimate)
        runs.append(run)
    return runs


def _told(run: "Run") -> dict[str, Any]:
    return {**run.row(), "energy_is_estimate": run.energy_is_estimate}


def _show_runs(runs: "list[Run]", keys: list[str], num_chosen: int) -> None:
    rows = [
        (
            place + 1,
            run.name,
            *(f"{run.values[key]:.4g}" for key in keys),
            "estimate" if run.energy_is_estimate and "energy_joule" in keys else "",
            "member" if place < num_chosen else "",
        )
        for place, run in enumerate(runs)
    ]
    print_table(("", "run", *keys, "joules", "chosen"), rows)


def _scores(
    loaded: "Members",
    path: str,
    branch: "str | dict[str, float] | None",
    chances: _Chances,
    left_out: Counter[str],
) -> "tuple[str, tuple[Scores, Scores | None]]":
    """Key of who answers, and scores to calibrate with and to check on, if they are apart."""
    from hydracalc.ensemble.calibration import key_of
    from hydracalc.ensemble.scores import collect
    from hydracalc.predictor import InferenceConfig

    parts = [
        _structures(path, split, chances)
        for split in (chances.val, chances.test)
        if split is not None
    ]
    if branch is None:
        names = {structure.branch for part in parts for structure in part}
        branch = names.pop() if len(names) == 1 and names != {""} else None
    config = InferenceConfig(branch=branch, every_branch=not loaded.is_ensemble)
    predictor = loaded.predictor(config)
    scores = [collect(predictor, part, left_out=left_out) for part in parts]
    first, second = scores[0], scores[1] if len(scores) > 1 else None
    return key_of(predictor.mixture.branch), (first, second)


def _structures(path: str, split: str, chances: _Chances) -> "list[AtomicStructure]":
    """Labelled structures of shards or of a file; some of them by chance where a limit is given."""
    import numpy as np

    from hydracalc.errors import DataError
    from hydracalc.validation.labelled_data import open_labelled

    opened = open_labelled(path, split=split)
    if not opened.is_shards and chances.val is not None:
        raise ValueError(f"{path}: a file has no splits, leave --val out")
    found = [structure for _, structure in opened.structures]
    if not found:
        raise DataError(f"{path}: no structure in split {split}")
    if chances.limit is None or len(found) <= chances.limit:
        return found
    generator = np.random.default_rng(chances.seed)
    return [found[k] for k in np.sort(generator.choice(len(found), chances.limit, replace=False))]


def _calibrated(
    scores: "tuple[Scores, Scores | None]", seed: int
) -> "tuple[BranchCalibration, Coverage]":
    """Intervals, and what they hold of structures that they were not made with."""
    from hydracalc.ensemble.calibration import calibrate, halves
    from hydracalc.ensemble.coverage import measure

    first, second = scores
    if second is None:
        own, others = halves(first.num_structures, seed)
        first, second = first.of(own), first.of(others)
    made = calibrate(first, seed=seed + 1)
    return made, measure(made, second)


def _store(model: str, loaded: "Members", stored: Mapping[str, Any]) -> Path:
    """Put calibrations where they are found again; those of other branches stay."""
    from hydracalc import registry
    from hydracalc.ensemble.files import (
        find_ensemble,
        read_beside,
        read_ensemble,
        store_calibration,
    )

    listed = find_ensemble(model)
    if listed is not None:
        before = read_ensemble(listed).calibration
        return store_calibration(listed, {**(before or {}), **stored})
    path = registry.resolve(model)
    return store_calibration(path, {**(read_beside(path, loaded.sha256) or {}), **stored})


def _show_coverage(found: "Mapping[str, Coverage]") -> None:
    units = {"energy": "eV/atom", "component": "eV/A", "force": "eV/A"}
    names = {"energy": "energy per atom", "component": "force component", "force": "|force error|"}
    rows = []
    for branch, coverage in found.items():
        for name, shares in coverage.shares.items():
            rank = coverage.rank_correlation.get(name)
            rows.append(
                (
                    branch,
                    names[name],
                    *(f"{100 * share:.1f}" for share in shares.values()),
                    f"{coverage.widths[name][0.9]:.3g} {units[name]}",
                    "" if rank is None else f"{rank:.2f}",
                )
            )
    levels = (f"{100 * level:g} %" for level in next(iter(found.values())).shares["energy"])
    print_table(("branch", "quantity", *levels, "+- at 90 %", "Spearman"), rows)
    for branch, coverage in found.items():
        click.echo(
            f"{branch}: found on {coverage.num_structures} structures with "
            f"{coverage.num_atoms} atoms that the intervals were not made with"
        )


def _check_drawing(path: Path | None) -> None:
    """Make sure that a picture can be drawn before any time is spent on numbers.

    Raises:
        ValueError: matplotlib is not installed.
    """
    from importlib.util import find_spec

    if path is not None and find_spec("matplotlib") is None:
        raise ValueError("--plot needs matplotlib: pip install 'hydracalc[plots]'")
