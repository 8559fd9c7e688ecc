"""`hydracalc data label`: energies and forces of structures by any ASE calculator, as shards."""

import json
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hydracalc.cli.messages import root_speaks
from hydracalc.cli.options import json_option
from hydracalc.cli.tables import counts, energies, print_pairs, progress_of

if TYPE_CHECKING:
    from hydracalc.labelling.labelling import LabelConfig, LabelReport
    from hydracalc.structure import AtomicStructure

_KINDS = ("rattled", "strained", "md", "dimers")
_REPEATED = {"temperatures"}  # options that may be given several times


@click.command("label")
@click.argument("structures", nargs=-1, required=True)
@click.option("-c", "--calculator", required=True, help="package.module:Class, emt, pyscf, ...")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Of the calculator.")
@click.option("--theory", required=True, help="Level of theory of the labels, in words.")
@click.option("--name", required=True, help="Of the branch.")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder to make.")
@click.option("--license", default="unstated", help="SPDX identifier.", show_default=True)
@click.option("--generate", type=click.Choice(_KINDS), help="Label what is made of STRUCTURES.")
@click.option("--count", type=int, help="Children of each structure; distances; snapshots.")
@click.option("--seed", type=int, help="Of what is generated.")
@click.option("--sigma", type=float, help="rattled: displacement per covalent radius.")
@click.option("--max-strain", type=float, help="strained: largest component.")
@click.option("--volumes", type=int, help="strained: steps of volume beside the random strains.")
@click.option("--temperature", "temperatures", type=float, multiple=True, help="md: K; repeatable.")
@click.option("--interval", type=int, help="md: steps between snapshots.")
@click.option("--equilibration", type=int, help="md: steps before the first snapshot.")
@click.option("--timestep", type=float, help="md: fs.")
@click.option("--friction", type=float, help="md: 1/fs.")
@click.option("--shortest", type=float, help="dimers: distance per sum of covalent radii.")
@click.option("--longest", type=float, help="dimers: distance per sum of covalent radii.")
@click.option("--min-distance", type=float, help="Of atoms, per sum of covalent radii.")
@click.option("--md-calculator", help="md: that moves the atoms; else that of the labels.")
@click.option("--md-set", "md_settings", multiple=True, metavar="KEY=VALUE", help="Of it.")
@click.option("--group", "grouping", help="parent, formula, reduced formula or file: split unit.")
@click.option("--val", type=float, help="Fraction of the groups for choosing a model.")
@click.option("--test", type=float, help="Fraction of the groups for its errors.")
@click.option("--split-seed", type=int, help="Of the split into train, val and test.")
@click.option("--ranks", type=int, help="Processes on this machine; under mpiexec, all its ranks.")
@json_option
def label_command(
    structures: tuple[str, ...],
    out: Path,
    *,
    ranks: int | None,
    as_json: bool,
    **choices: Any,  # noqa: ANN401  # what the options above say
) -> None:
    """Label STRUCTURES with any ASE calculator and write shards, marked as computed by it.

    STRUCTURES are files that ASE reads, or element symbols for dimers. Charge and spin multiplicity
    are info["charge"] and info["spin"] of each. Structures for which the calculator fails are left
    out and counted. A run that was killed is continued by the same command.
    """
    from hydracalc.labelling.labelling import label
    from hydracalc.parallel.workers import find_workers

    workers, config = find_workers(ranks), _config(choices)
    parents = _parents(structures, choices)
    with root_speaks(workers):
        if not workers.is_root:
            label(parents, out, config=config, workers=workers)
            return
        with progress_of("structures labelled") as progress:
            report = label(parents, out, config=config, workers=workers, progress=progress)
    if as_json:
        click.echo(json.dumps(_report_to_json(report), indent=2))
        return
    _print_report(report)


def _config(choices: dict[str, Any]) -> "LabelConfig":
    """What the options say; the rest as the configurations have it."""
    from hydracalc.ingest.splitting import SplitConfig
    from hydracalc.labelling.calculators import CalculatorSpec, parse_settings
    from hydracalc.labelling.labelling import LabelConfig

    split = {"val": choices["val"], "test": choices["test"], "seed": choices["split_seed"]}
    spec = CalculatorSpec(path=choices["calculator"], settings=parse_settings(choices["settings"]))
    moving = None
    if choices["md_calculator"] is not None:
        moving = CalculatorSpec(
            path=choices["md_calculator"], settings=parse_settings(choices["md_settings"])
        )
    return LabelConfig(
        name=choices["name"],
        theory=choices["theory"],
        license=choices["license"],
        calculator=spec,
        generation=_generation(choices),
        dynamics_calculator=moving,
        split=SplitConfig(**{key: value for key, value in split.items() if value is not None}),
    )


def _generation(choices: dict[str, Any]) -> Any:  # noqa: ANN401  # one of several configurations
    """How structures are made.

    Raises:
        ValueError: an option does not belong to what is generated.
    """
    from hydracalc.labelling.generators import AsGiven, Dimers, Rattle, Strain
    from hydracalc.labelling.md_snapshots import DynamicsConfig

    kinds = dict(zip(_KINDS, (Rattle, Strain, DynamicsConfig, Dimers), strict=True))
    kind = choices["generate"]
    config = kinds.get(kind, AsGiven)
    counted = "snapshots" if config is DynamicsConfig else "count"
    known = {field.name for made in kinds.values() for field in fields(made)} - {"snapshots"}
    given = {key: choices[key] for key in known if choices[key] not in (None, ())}
    if choices["md_calculator"] and config is not DynamicsConfig:
        raise ValueError("--md-calculator has no meaning without --generate md")
    if choices["md_settings"] and not choices["md_calculator"]:
        raise ValueError("--md-set has no meaning without --md-calculator")
    values = {counted if key == "count" else key: value for key, value in given.items()}
    allowed = {field.name for field in fields(config)}
    foreign = sorted(set(values) - allowed)
    if foreign:
        option = foreign[0].removesuffix("s") if foreign[0] in _REPEATED else foreign[0]
        what = f"--generate {kind}" if kind else "structures as they are given"
        raise ValueError(f"--{option.replace('_', '-')} has no meaning for {what}")
    return config(**values)


def _parents(structures: tuple[str, ...], choices: dict[str, Any]) -> "Iterable[AtomicStructure]":
    """What is labelled, or generated from.

    Raises:
        ValueError: dimers are to have a grouping of other structures.
    """
    from ase.data import atomic_numbers

    from hydracalc import elements
    from hydracalc.labelling.generators import dimer_parents
    from hydracalc.labelling.labelling import read_parents

    grouping = choices["grouping"]
    if choices["generate"] != "dimers":
        return read_parents(structures, **({} if grouping is None else {"grouping": grouping}))
    if grouping is not None:
        raise ValueError("--group has no meaning for --generate dimers: each pair is a group")
    symbols = [text for text in structures if text in atomic_numbers]
    files = [text for text in structures if text not in atomic_numbers]
    for parent in read_parents(files):
        symbols += elements.symbols(parent.atomic_numbers)
    return dimer_parents(symbols)


def _report_to_json(report: "LabelReport") -> dict[str, Any]:
    return {
        "branch": report.branch,
        "path": str(report.path),
        "computed_by": report.computed_by,
        "num_structures": report.num_structures,
        "dropped": report.dropped,
        "first_failures": report.messages,
        "references_eV": report.references.to_json(),
        "sha256": report.sha256,
    }


def _print_report(report: "LabelReport") -> None:
    print_pairs(
        {
            "branch": report.branch,
            "written to": report.path,
            "computed by": report.computed_by,
            "structures": counts(report.num_structures),
            "left out": counts(report.dropped) or "none",
            **{f"first {reason}": text for reason, text in report.messages.items()},
            "references, eV": energies(report.references.to_json()),
            "sha256": report.sha256,
        }
    )
