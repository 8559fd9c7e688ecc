"""Errors as lines of text."""

from collections.abc import Iterator

import numpy as np

from hydracalc import units
from hydracalc.errors import unknown
from hydracalc.validation.branch_errors import PROPERTIES, SHARES, BranchErrors
from hydracalc.validation.evaluation import Evaluation

UNITS = {"energy": "meV/atom", "forces": "meV/Angstrom", "stress": "meV/Angstrom^3"}
MEV = units.ENERGY["meV"]
BREAKDOWNS = ("element", "size", "force")

_OF_GROUP = {
    "element": "forces on {:2s}",
    "size": "structures of {} atoms",
    "force": "forces of {} eV/Angstrom",
}


def breakdowns(text: str) -> tuple[str, ...]:
    """Breakdowns that a list such as "element,size" names; none of an empty text.

    Raises:
        ValueError: there is no such breakdown.
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in BREAKDOWNS:
            raise ValueError(unknown("breakdown", name, BREAKDOWNS))
    return names


def table(report: Evaluation, by: tuple[str, ...] = ("element",)) -> Iterator[str]:
    """The report as lines of text, energies in meV.

    Args:
        report: of `evaluate`.
        by: breakdowns that are told.
    """
    for name, errors in report.branches.items():
        yield f"branch {name}: {errors.num_structures} structures, {errors.num_atoms} atoms"
        yield from _totals(errors)
        for kind in by:
            yield from _groups(errors, kind)
    for reason, count in report.left_out.most_common():
        yield f"left out {count}: {reason}"


def _totals(errors: BranchErrors) -> Iterator[str]:
    for name in PROPERTIES:
        if name not in errors.spread:
            continue
        sums = errors.total.errors[name]
        shares = errors.spread[name].quantiles(tuple(SHARES.values()))
        told = "  ".join(f"{s} {q / MEV:.3f}" for s, q in zip(SHARES, shares, strict=True))
        mae, rmse, bias = (float(each[0]) / MEV for each in (sums.mae, sums.rmse, sums.bias))
        tail = f"   bias {bias:.3f}" if name == "energy" else ""
        yield f"  {name:8s} MAE {mae:10.3f}   RMSE {rmse:10.3f} {UNITS[name]}   {told}{tail}"
    cosine = errors.cosine_json()
    if cosine is not None:
        yield f"  force cosine {cosine['mean']:.4f} over {cosine['num_atoms']} atoms"


def _groups(errors: BranchErrors, kind: str) -> Iterator[str]:
    """One line for each group of a breakdown that has anything."""
    groups = {"element": errors.by_element, "size": errors.by_size, "force": errors.by_force}[kind]
    atoms, structures = groups.count("forces"), groups.count("energy")
    forces, energies = groups.mae("forces"), groups.mae("energy")
    for place in np.flatnonzero(atoms + structures):
        told = []
        if atoms[place]:
            told.append(f"({atoms[place]:.0f} atoms)  MAE {forces[place] / MEV:.3f} meV/Angstrom")
        if structures[place]:
            told.append(
                f"energy MAE {energies[place] / MEV:.3f} meV/atom ({structures[place]:.0f})"
            )
        yield f"  {_OF_GROUP[kind].format(groups.names[place])} {'   '.join(told)}"
