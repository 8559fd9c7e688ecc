"""`hydracalc screen`: many structures through a model, and what came of them."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hydracalc.cli.messages import root_speaks
from hydracalc.cli.options import branch_choice, json_option, model_options
from hydracalc.cli.tables import counts, print_pairs, print_table, progress_of

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms

    from hydracalc.screening.piece_work import ScreenConfig
    from hydracalc.screening.results import Results
    from hydracalc.screening.screen import ScreenReport
    from hydracalc.screening.selection import Selection

Command = Callable[..., Any]

_SCREEN, _READ = "structures", "read"
_MOST_NAMED = 5  # structures without numbers that are named on the screen
_SHOWN = ("interaction_energy_per_atom", "energy_per_atom", "uncertainty", "max_force", "pressure")


class ScreenGroup(click.Group):
    """`screen STRUCTURES...`, and `screen read RESULTS`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take everything for structures that does not begin with `read`."""
        if args[:1] != [_READ]:
            args = [_SCREEN, *args]
        return super().parse_args(ctx, args)


class StructuresCommand(click.Command):
    """What `screen` does without a word; its usage line has none either."""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The usage line."""
        program = ctx.parent.command_path if ctx.parent is not None else ctx.command_path
        formatter.write_usage(program, " ".join(self.collect_usage_pieces(ctx)))


def selection_options(command: Command) -> Command:
    """Add --where, --top, --by and --order; they arrive as one `selected` mapping."""

    def run(
        *,
        where: tuple[str, ...],
        top: int | None,
        by: str | None,
        order: str | None,
        **others: object,
    ) -> object:
        given = {"where": where, "top": top, "by": by, "order": order}
        selected = {name: value for name, value in given.items() if value not in (None, ())}
        return command(selected=selected, **others)

    run.__doc__, run.__name__ = command.__doc__, command.__name__
    run.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    for option in (
        click.option(
            "--order", help="lowest or highest values of --by first; else what is usual for it."
        ),
        click.option("--by", help="Column that --top goes by, energy_per_atom if not given."),
        click.option("--top", "--top-k", "top", type=int, help="Only so many, the best."),
        click.option(
            "--where",
            "--filter",
            "where",
            multiple=True,
            help="Only where this holds, as in 'energy_per_atom<-3 and max_force<=0.5'.",
        ),
    ):
        run = option(run)
    return run


@click.group("screen", cls=ScreenGroup)
def screen() -> None:
    """Evaluate or relax many structures; `screen read RESULTS` reads what came of it."""


@screen.command(_SCREEN, cls=StructuresCommand, hidden=True)
@click.argument("structures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder to make.")
@model_options
@selection_options
@click.option("--forces", is_flag=True, help="Also keep the forces of what is selected.")
@click.option("--relax", is_flag=True, help="Relax every structure first, many at once (FIRE).")
@click.option("--fmax", type=float, help="With --relax: at rest below this force, eV/Angstrom.")
@click.option("--steps", type=int, help="With --relax: at most so many.")
@click.option("--cell", help="With --relax: none, or frechet to relax cells along with atoms.")
@click.option("--ranks", type=int, help="Processes on this machine; under mpiexec, all its ranks.")
@click.option("--workers", type=int, help="Threads of each rank that make neighbor lists.")
@click.option("--max-atoms", type=int, help="Atoms evaluated at a time.")
@click.option("--block", type=int, help="Structures written at a time.")
@click.option("--table", is_flag=True, help="Show what is selected, at most 20 if --top is not.")
@json_option
def screen_command(  # noqa: PLR0913  # options that need a word of their own here
    structures: tuple[Path, ...],
    out: Path,
    *,
    settings: Mapping[str, Any],
    selected: dict[str, Any],
    ranks: int | None,
    table: bool,
    as_json: bool,
    **choices: Any,  # noqa: ANN401  # options of a screening
) -> None:
    """Evaluate STRUCTURES and write columns of numbers for all of them to a folder.

    STRUCTURES are files in any format, folders of shards, or folders of files. Energies of every
    branch, weights, the spread between branches, the largest force and the pressure are kept of
    all; atoms of those that --where and --top select. What cannot be predicted is counted by
    reason and named. A screening that was killed is continued by the same command.

    `hydracalc screen read OUT` shows results, as table, CSV or structures.
    """
    from hydracalc.parallel.workers import find_workers
    from hydracalc.screening.piece_work import ModelChoice
    from hydracalc.screening.screen import screen_files

    config, workers = _config(selected, choices), find_workers(ranks)
    choice = ModelChoice(
        model=settings["model"],
        branch=branch_choice(settings["branch"]),
        device=settings["device"],
        dtype=settings["dtype"],
        threads=_threads(ranks),
    )
    with root_speaks(workers):
        if not workers.is_root:
            screen_files(structures, out, choice, config=config, workers=workers)
            return
        with progress_of("structures finished") as progress:
            report = screen_files(
                structures, out, choice, config=config, workers=workers, progress=progress
            )
    _tell(report, config.selection, as_json=as_json, table=table)


@screen.command(_READ)
@click.argument("results", type=click.Path(path_type=Path))
@selection_options
@click.option("--all", "everything", is_flag=True, help="Not only what the screening selected.")
@click.option("--failed", is_flag=True, help="What has no numbers instead, and why.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="File to write: .csv, .extxyz, .traj, ..."
)
@json_option
def read_command(
    results: Path,
    *,
    selected: dict[str, Any],
    everything: bool,
    failed: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Show RESULTS of a screening, or write them to a file.

    Without --all it is what the screening selected; --where, --top, --by and --order take the place
    of what was given to it. A .csv file has all columns; other formats are written by ASE and have
    the atoms of structures that were kept.
    """
    from hydracalc.screening.results import open_results
    from hydracalc.screening.selection import Selection

    found = open_results(results)
    if failed:
        _show_failed(found, as_json=as_json)
        return
    own = {} if everything else found.selected
    indices = found.chosen(Selection(**(own | selected)))
    if out is None:
        _show(found, indices, as_json=as_json)
    elif out.suffix == ".csv":
        _write_csv(found, indices, out)
    else:
        _write_structures(found, indices, out)


def _config(selected: dict[str, Any], choices: dict[str, Any]) -> "ScreenConfig":
    """What the options say; the rest as the configurations have it.

    Raises:
        ValueError: an option of relaxations is given without --relax.
    """
    from hydracalc.screening.piece_work import ScreenConfig
    from hydracalc.screening.selection import Selection
    from hydracalc.simulation import RelaxConfig

    given = {name: value for name, value in choices.items() if value is not None}
    forces, relax = given.pop("forces"), given.pop("relax")
    steps = {name: given.pop(name) for name in ("fmax", "steps", "cell") if name in given}
    if steps and not relax:
        raise ValueError(f"--{', --'.join(steps)}: only with --relax")
    return ScreenConfig(
        selection=Selection(**selected, forces=forces),
        relax=RelaxConfig(**steps) if relax else None,
        **given,
    )


def _threads(ranks: int | None) -> int | None:
    """Threads of each rank; None alone, where torch decides."""
    from hydracalc.parallel.launch import detect
    from hydracalc.screening.piece_work import share_of_cores

    here = max(detect().local_size, ranks or 1)
    return None if here == 1 else share_of_cores(here)


def _tell(report: "ScreenReport", selection: "Selection", *, as_json: bool, table: bool) -> None:
    from hydracalc.screening.results import open_results

    found = open_results(report.path)
    failed = found.failed()[:_MOST_NAMED]
    names, messages = _texts(found, failed, "name"), _texts(found, failed, "message")
    if as_json:
        content = {
            "path": str(report.path),
            "counts": report.counts,
            "num_doubtful": report.num_doubtful,
            "first_left_out": dict(zip(names, messages, strict=True)),
            "computed": report.computed,
            "seconds": report.seconds,
            "structures_per_second": report.structures_per_second,
            "sha256": report.sha256,
        }
        click.echo(json.dumps(content, indent=2))
        return
    print_pairs(
        {
            "written to": report.path,
            "structures": f"{report.num_structures:,}, {report.computed:,} of them now",
            "left out": counts(report.left_out) or "none",
            "doubtful": f"{report.num_doubtful:,}",
            "speed": f"{report.structures_per_second:,.1f} structures/s, from start to end",
            "sha256": report.sha256,
        }
    )
    for name, message in zip(names, messages, strict=True):
        click.echo(f"  {name}: {message}")
    if table:
        _show(found, found.chosen(selection)[: selection.top or 20], as_json=False)


def _show(found: "Results", indices: "np.ndarray", *, as_json: bool) -> None:
    """A table of the columns that most people look at, or all of them as JSON."""
    names, formulas = _texts(found, indices, "name"), _texts(found, indices, "formula")
    if as_json:
        columns = {name: found[name][indices] for name in found.columns}
        rows = [
            {"name": name, "formula": formulas[row]}
            | {key: _plain(values[row]) for key, values in columns.items()}
            for row, name in enumerate(names)
        ]
        click.echo(json.dumps(rows, indent=1))
        return
    shown = [*_SHOWN, *(["steps", "converged"] if found.is_relaxed else [])]
    heads = [f"{name}, {found.unit(name)}" if found.unit(name) else name for name in shown]
    values = [found[name][indices] for name in shown]
    print_table(
        ("structure", "formula", *heads),
        [
            (name, formulas[row], *(f"{column[row]:.5g}" for column in values))
            for row, name in enumerate(names)
        ],
    )


def _show_failed(found: "Results", *, as_json: bool) -> None:
    from hydracalc.screening.columns import REASONS

    indices = found.failed()
    reasons = [REASONS[status] for status in found["status"][indices].tolist()]
    names, messages = _texts(found, indices, "name"), _texts(found, indices, "message")
    rows = list(zip(names, reasons, messages, strict=True))
    if as_json:
        keys = ("name", "reason", "message")
        click.echo(json.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=1))
        return
    print_table(("structure", "reason", "message"), rows)


def _write_csv(found: "Results", indices: "np.ndarray", out: Path) -> None:
    """All columns, one line for each structure; the names of columns have their units."""
    import csv

    names, formulas = _texts(found, indices, "name"), _texts(found, indices, "formula")
    columns = {name: found[name][indices] for name in found.columns}
    with out.open("w", newline="") as file:
        lines = csv.writer(file)
        units = {name: f" ({found.unit(name)})" if found.unit(name) else "" for name in columns}
        lines.writerow(["name", "formula", *(name + units[name] for name in columns)])
        for row, name in enumerate(names):
            values = [_plain(column[row]) for column in columns.values()]
            lines.writerow([name, formulas[row], *("" if v is None else v for v in values)])
    click.echo(f"{len(names):,} structures written to {out}")


def _write_structures(found: "Results", indices: "np.ndarray", out: Path) -> None:
    import ase.io

    frames = list(_frames(found, indices))
    if not frames:
        raise ValueError(
            f"{out}: nothing to write; none of {len(indices)} structures was kept with its atoms"
        )
    ase.io.write(out, frames)
    left = len(indices) - len(frames)
    click.echo(
        f"{len(frames):,} structures written to {out}"
        + (f"; {left:,} were not kept with their atoms" if left else "")
    )


def _frames(found: "Results", indices: "np.ndarray") -> "Iterator[Atoms]":
    """Structures as ASE has them, with energy and, where kept, forces."""
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator

    for structure in found.structures(indices):
        if structure is None:
            continue
        state = {"charge": structure.total_charge, "spin": structure.spin_multiplicity}
        atoms = Atoms(
            numbers=structure.atomic_numbers,
            positions=structure.positions,
            cell=structure.cell,
            pbc=structure.pbc,
            info={"name": structure.source} | state,
        )
        atoms.calc = SinglePointCalculator(atoms, energy=structure.energy, forces=structure.forces)
        yield atoms


def _texts(found: "Results", indices: "Sequence[int] | np.ndarray", name: str) -> list[str]:
    every = found.text(name) if len(indices) else []
    return [every[index] for index in indices]


def _plain(value: Any) -> float | int | None:  # noqa: ANN401  # a number of NumPy's
    """A number for JSON and CSV, which have no NaN."""
    number = value.item()
    return None if number != number else number
