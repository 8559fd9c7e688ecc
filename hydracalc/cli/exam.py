"""`hydracalc check`: whether a model, or any ASE calculator, obeys physics."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hydracalc.cli.options import calculator as hydra_calculator
from hydracalc.cli.options import json_option
from hydracalc.cli.tables import print_pairs, print_table, progress_of
from hydracalc.errors import unknown

if TYPE_CHECKING:
    from hydracalc.exam.examine import ExamConfig
    from hydracalc.exam.findings import ExamResult, ItemResult

EXAM_FAILED = 1

_PICTURES = (".png", ".svg", ".pdf")
_DRAWN = ("dimers", "nve")


@click.command("check")
@click.argument("model", required=False)
@click.option("-b", "--branch", help="Branch, auto, or weights as in a=0.7,b=0.3.")
@click.option("--device", help="auto, cpu, cuda, cuda:1, ...")
@click.option("--dtype", help="auto, float32, float64 or bfloat16.")
@click.option("-c", "--calculator", help="Instead of MODEL: package.module:Class, emt, ...")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Of the calculator.")
@click.option("--only", help="Items, such as forces,nve.")
@click.option("--structures", type=click.Path(), help="File of structures to examine with.")
@click.option("--plot", type=click.Path(path_type=Path), help="Picture of dimers and dynamics.")
@json_option
def check_command(
    model: str | None,
    only: str | None,
    structures: str | None,
    plot: Path | None,
    as_json: bool,
    **choices: Any,  # noqa: ANN401  # of the calculator
) -> int:
    """A physics exam of MODEL with pass marks, for any ASE calculator too.

    Forces and stress are held against energies, symmetries against each other, and so on; marks
    follow from the precision of the energies. Exit code 1 if an item failed. An item that has no
    meaning for the calculator is not applicable, with the reason.
    """
    from hydracalc.exam.examine import examine

    config = _config(only, structures)
    draw = None if plot is None else _drawing(plot, config)
    name, given = _subject(model, choices)
    with progress_of("items examined") as progress:
        result = examine(given, config, name=name, progress=progress)
    if draw is not None:
        draw(result, plot)
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=2))
    else:
        _show(result)
    return 0 if result.passed else EXAM_FAILED


def _config(only: str | None, structures: str | None) -> "ExamConfig":
    """Items and structures.

    Raises:
        ValueError: an item is not known, or the file has no structures.
    """
    from hydracalc.exam.examine import ExamConfig
    from hydracalc.inputs import read_atoms

    chosen: dict[str, Any] = {}
    if only is not None:
        chosen["items"] = [item.strip() for item in only.split(",")]
    if structures is not None:
        chosen["structures"] = list(read_atoms(structures))
        if not chosen["structures"]:
            raise ValueError(f"{structures}: has no structures")
    return ExamConfig(**chosen)


def _drawing(plot: Path, config: "ExamConfig") -> Callable[..., None]:
    """The function that draws, before any time is spent on numbers.

    Raises:
        ValueError: the ending is no picture's, nothing would be drawn, or matplotlib is missing.
    """
    if plot.suffix not in _PICTURES:
        raise ValueError(f"--plot: {unknown('picture format', plot.suffix, _PICTURES)}")
    if not set(_DRAWN) & set(config.items):
        raise ValueError(f"--plot has nothing to draw without {' or '.join(_DRAWN)}")
    try:
        from hydracalc.exam.plot import draw
    except ModuleNotFoundError as error:
        raise ValueError(f"--plot needs {error.name}: pip install 'hydracalc[plots]'") from None
    return draw


def _subject(model: str | None, choices: dict[str, Any]) -> tuple[str, Any]:
    """Who is examined, in words, and the calculator or what makes one.

    Raises:
        ValueError: neither MODEL nor a calculator is given, or options of one with the other.
    """
    path, settings = choices["calculator"], choices["settings"]
    if (model is None) == (path is None):
        raise ValueError("expected either MODEL, such as mtl-all, or --calculator")
    of_model = {key: choices[key] for key in ("branch", "device", "dtype")}
    if path is None:
        if settings:
            raise ValueError("--set has no meaning without --calculator")
        return _model(model, of_model)
    from hydracalc.labelling.calculators import CalculatorSpec, Labeller, parse_settings

    for option, value in of_model.items():
        if value is not None:
            raise ValueError(f"--{option} has no meaning with --calculator; use --set")
    spec = CalculatorSpec(path=path, settings=parse_settings(settings))
    return spec.describe(), Labeller(spec).calculator


def _model(model: str | None, choices: dict[str, str | None]) -> tuple[str, Any]:
    given = {
        "model": model,
        "branch": choices["branch"],
        "device": choices["device"] or "auto",
        "dtype": choices["dtype"] or "auto",
    }
    calculator = hydra_calculator(given)
    about = calculator.parameters
    branch = about["branch"]
    chosen = branch if isinstance(branch, str) else json.dumps(branch)
    return f"{about['model']}, branch {chosen}, {about['dtype']}", calculator


def _show(result: "ExamResult") -> None:
    print_pairs(
        {
            "examined": result.subject,
            "precision": f"{result.precision}, energies even to {result.energy_noise_eV:.1g} eV",
            **result.structures,
            **{name: f"left out: {reason}" for name, reason in result.left_out.items()},
        }
    )
    columns = ("item", "verdict", "measured", "", "pass mark", "unit", "worst at", "s")
    print_table(columns, [row for item in result.items for row in _rows(item)])
    for item in result.items:
        if item.measurements and item.reason:
            click.echo(f"not tested, {item.name}: {item.reason}")
    marks = {(m.quantity, m.why) for item in result.items for m in item.measurements}
    for quantity, why in sorted(marks):
        click.echo(f"pass mark, {quantity}: {why}")
    counts = (f"{len(result.names(v))} {v}" for v in ("passed", "failed", "not applicable"))
    click.echo(", ".join(counts))


def _rows(item: "ItemResult") -> list[tuple[str, ...]]:
    """A row of each number; the first names the item."""
    seconds = f"{item.seconds:.1f}"
    if not item.measurements:
        return [(item.name, item.verdict, "", "", "", "", item.reason, seconds)]
    rows: list[tuple[str, ...]] = []
    for number, measured in enumerate(item.measurements):
        is_first = number == 0
        rows.append(
            (
                item.name if is_first else "",
                item.verdict if is_first else "",
                measured.quantity,
                f"{measured.value:.2g}" + ("" if measured.passes else " !"),
                f"{'above' if measured.at_least else 'to'} {measured.mark:.2g}",
                measured.unit,
                measured.where,
                seconds if is_first else "",
            )
        )
    return rows
