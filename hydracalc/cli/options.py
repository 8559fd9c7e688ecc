"""Options that several commands share: which model, which branch, where and how it runs."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

    from hydracalc.calculator import HydraCalculator

Command = Callable[..., Any]

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def model_options(command: Command) -> Command:
    """Add -m, -b, --device and --dtype; they arrive as one `settings` mapping of the command."""

    def run(*, model: str, branch: str | None, device: str, dtype: str, **others: object) -> object:
        settings = {"model": model, "branch": branch, "device": device, "dtype": dtype}
        return command(settings=settings, **others)

    run.__doc__, run.__name__ = command.__doc__, command.__name__
    run.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    for option in (
        click.option("--dtype", default="auto", help="auto, float32, float64 or bfloat16."),
        click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1, ..."),
        click.option("-b", "--branch", help="Branch, auto, or weights as in a=0.7,b=0.3."),
        click.option("-m", "--model", default="mtl-all", help="Name or path.", show_default=True),
    ):
        run = option(run)
    return run


def branch_choice(text: str | None) -> "str | dict[str, float] | None":
    """What `-b` stands for: a name, or weights by name where it has an equals sign.

    Raises:
        ValueError: a weight is no number.
    """
    if text is None or "=" not in text:
        return text
    weights = {}
    for part in text.split(","):
        name, _, weight = part.partition("=")
        try:
            weights[name.strip()] = float(weight)
        except ValueError:
            raise ValueError(
                f"weight of branch {name!r} is {weight!r}, expected a number"
            ) from None
    return weights


def calculator(settings: Mapping[str, Any]) -> "HydraCalculator":
    """The calculator that the options ask for."""
    from hydracalc.calculator import HydraCalculator

    return HydraCalculator(
        settings["model"],
        branch=branch_choice(settings["branch"]),
        device=settings["device"],
        dtype=settings["dtype"],
    )


def only_structure(path: "Path | str") -> "Atoms":
    """The one structure of a file.

    Raises:
        ValueError: there are none or several; one is chosen with FILE@INDEX.
    """
    from hydracalc.inputs import read_atoms

    found = list(read_atoms(path))
    if len(found) != 1:
        raise ValueError(
            f"{path}: has {len(found)} structures, expected one; choose with FILE@INDEX"
        )
    return found[0]
