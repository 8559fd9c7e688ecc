"""`hydracalc predict`, `relax`, `md`: energies of structures, minima, dynamics."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hydracalc.cli.options import (
    calculator,
    json_option,
    model_options,
    only_structure,
)

if TYPE_CHECKING:
    from ase import Atoms

ALL = "all"
NOT_CONVERGED = 1


@click.command()
@click.argument("structures", nargs=-1, required=True)
@model_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Also write structures with results here: .extxyz, .xyz, .traj, .db or .json (ASE).",
)
@click.option("--max-atoms", type=int, default=None, help="Atoms evaluated at a time.")
@json_option
def predict(
    structures: tuple[str, ...],
    settings: Mapping[str, Any],
    output: Path | None,
    max_atoms: int | None,
    as_json: bool,
) -> None:
    """Energy, largest force and pressure of every structure of the files.

    STRUCTURES are files that ASE reads; FILE@INDEX takes some of a file's structures. `-b all` asks
    every branch that knows the elements.
    """
    from hydracalc.inputs import read_atoms
    from hydracalc.outputs import check_ending, write_atoms

    check_ending(output)
    named = [(f"{p}:{i}", a) for p in structures for i, a in enumerate(read_atoms(p))]
    if not named:
        raise ValueError(f"no structures in {', '.join(structures)}")
    rows, frames = [], []
    for branch, calc in _calculators(settings):
        chosen = [(n, a) for n, a in named if branch != ALL or _knows(calc, a)]
        results = calc.evaluate([a for _, a in chosen], max_atoms=max_atoms)
        for (name, atoms), result in zip(chosen, results, strict=True):
            rows.append(_row(name, atoms, calc, result))
            frames.append(_labelled(atoms, result, rows[-1]["branch"]))
    if settings["branch"] == ALL:
        _check_all_known(named, rows)
        order = {name: position for position, (name, _) in enumerate(named)}
        rows.sort(key=lambda row: order[row["structure"]])
    if output is not None:
        write_atoms(output, frames)
    if as_json:
        click.echo(json.dumps({"predictions": rows}, indent=2))
        return
    for row in rows:
        click.echo(_text(row))


@click.command()
@click.argument("structure")
@model_options
@click.option("--fmax", type=float, default=None, help="Largest force at the end, eV/Angstrom.")
@click.option("--steps", type=int, default=None, help="At most.")
@click.option("--cell", default=None, help="none (keep it) or frechet (relax it).")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File, format by its ending.")
@json_option
def relax(
    structure: str,
    settings: Mapping[str, Any],
    output: Path | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401  # fields of RelaxConfig, None where the default holds
) -> None:
    """Move atoms, and the cell if asked to, to a minimum of the energy.

    Exits with 1 if the forces are still too large after all steps.
    """
    from ase.io import write

    from hydracalc.simulation import RelaxConfig
    from hydracalc.simulation import relax as run_relax

    config = RelaxConfig(**_given(options))
    atoms = only_structure(structure)
    atoms.calc = calculator(settings)
    report = run_relax(atoms, config)
    if output is not None:
        write(output, atoms)
    files = [] if output is None else [str(output)]
    _report({**asdict(report), "branch": _branch(atoms.calc), "files": files}, as_json)
    if not report.converged:
        click.echo(f"not converged after {report.steps} steps", err=True)
        click.get_current_context().exit(NOT_CONVERGED)


@click.command()
@click.argument("structure")
@model_options
@click.option("--ensemble", default=None, help="nve, nvt or npt.")
@click.option("--temperature", type=float, default=None, help="K.")
@click.option("--pressure", type=float, default=None, help="GPa, for npt.")
@click.option("--timestep", type=float, default=None, help="fs.")
@click.option("--steps", type=int, default=None, help="Number of time steps.")
@click.option("--log-every", type=int, default=None, help="Steps between lines and frames.")
@click.option("--seed", type=int, default=None, help="Of velocities and thermostat.")
@click.option(
    "--traj", type=click.Path(path_type=Path), help=".traj or .extxyz; else named by STRUCTURE."
)
@json_option
def md(
    structure: str,
    settings: Mapping[str, Any],
    traj: Path | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401  # fields of MDConfig, None where the default holds
) -> None:
    """Let the atoms of a structure move, and write a trajectory and a log beside it."""
    from hydracalc.simulation import MDConfig, run_md

    config = MDConfig(**_given(options))
    atoms = only_structure(structure)
    atoms.calc = calculator(settings)
    if traj is None:
        traj = Path(f"{Path(structure.partition('@')[0]).stem}-md.traj")
    show = None if as_json else click.echo
    report = run_md(atoms, config, trajectory=traj, log=traj.with_suffix(".log"), show=show)
    _report({**asdict(report), "branch": _branch(atoms.calc)}, as_json)


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _calculators(settings: Mapping[str, Any]) -> "list[tuple[str | None, Any]]":
    """One calculator, or one for each branch with `-b all`."""
    if settings["branch"] != ALL:
        return [(None, calculator(settings))]
    from hydracalc.checkpoint import read_header
    from hydracalc.registry import resolve

    names = [branch["name"] for branch in read_header(resolve(settings["model"]))["branches"]]
    first = calculator({**settings, "branch": names[0]})
    return [(ALL, first.with_branch(name)) for name in names]


def _knows(calc: Any, atoms: "Atoms") -> bool:  # noqa: ANN401
    return set(atoms.numbers.tolist()) <= set(calc.allowed_atomic_numbers)


def _check_all_known(named: "list[tuple[str, Atoms]]", rows: list[dict[str, Any]]) -> None:
    known = {row["structure"] for row in rows}
    for name, atoms in named:
        if name not in known:
            raise ValueError(f"structure {name}: no branch knows {atoms.get_chemical_formula()}")


def _branch(calc: Any) -> str:  # noqa: ANN401
    chosen = calc.parameters["branch"]
    return chosen if isinstance(chosen, str) else json.dumps(chosen)


def _row(name: str, atoms: "Atoms", calc: Any, result: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    from hydracalc.units import GIGAPASCAL

    stress = result.get("stress")
    return {
        "structure": name,
        "formula": atoms.get_chemical_formula(),
        "branch": _branch(calc),
        "energy_eV": result["energy"],
        "energy_eV_per_atom": result["energy"] / len(atoms),
        "fmax_eV_per_A": float((result["forces"] ** 2).sum(axis=1).max() ** 0.5),
        "pressure_GPa": None if stress is None else float(-stress[:3].mean() / GIGAPASCAL),
    }


def _text(row: Mapping[str, Any]) -> str:
    pressure = row["pressure_GPa"]
    return (
        f"{row['structure']}  {row['formula']}  {row['branch']}  E {row['energy_eV']:.6f} eV  "
        f"fmax {row['fmax_eV_per_A']:.4f} eV/A"
        + ("" if pressure is None else f"  pressure {pressure:.3f} GPa")
    )


def _labelled(atoms: "Atoms", result: Mapping[str, Any], branch: str) -> "Atoms":
    """A copy of the structure with the results, as ASE's writers want them."""
    from ase.calculators.singlepoint import SinglePointCalculator

    frame = atoms.copy()
    frame.info["branch"] = branch
    frame.calc = SinglePointCalculator(frame, **result)
    return frame


def _report(values: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(values, indent=2))
        return
    for name, value in values.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
        click.echo(f"{name:28s}{shown:.6g}" if isinstance(value, float) else f"{name:28s}{shown}")
