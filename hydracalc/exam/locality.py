"""What is far away has no say: energies of separate parts add up, a distant atom moves nothing."""

import numpy as np
from ase import Atoms

from hydracalc.exam.bench import Bench
from hydracalc.exam.findings import Findings
from hydracalc.exam.precision import Comparison
from hydracalc.exam.structures import Case
from hydracalc.exam.subject import Answer, Refused

# two dipoles of 1 D that far apart share 6e-7 eV, below every mark
_FAR = 100.0  # Angstrom

_COPIES = 2  # along each periodic direction


def examine_extensivity(bench: Bench) -> Findings:
    """Twice the matter has twice the energy: a supercell, or two molecules far apart."""
    findings = Findings()
    for case in bench.cases:
        with findings.testing(case.name):
            copies, what = _multiplied(case)
            number = len(copies) // len(case.atoms)
            single, many = bench.subject.answer(case.atoms), bench.subject.answer(copies)
            forces = None if single.forces is None else np.tile(single.forces, (number, 1))
            comparison = Comparison(
                expected=Answer(energy=number * single.energy, forces=forces),
                found=many,
                num_atoms=len(copies),
                where=f"{case.name}, {what}",
            )
            for measurement in comparison.measurements(bench.precision):
                findings.add(measurement)
    return findings


def examine_locality(bench: Bench) -> Findings:
    """An atom far beyond any interaction adds its own energy and no force."""
    findings = Findings()
    for case in bench.cases:
        with findings.testing(case.name):
            if case.atoms.pbc.all():
                raise Refused("periodic in all directions: nothing is far away")
            _examine_far_atoms(bench, case, findings)
    return findings


def _examine_far_atoms(bench: Bench, case: Case, findings: Findings) -> None:
    """One far atom of every element of the structure."""
    own = bench.subject.answer(case.atoms)
    for symbol in sorted(set(case.atoms.symbols)):
        lone = Atoms(symbol, [_far_place(case.atoms)], cell=case.atoms.cell, pbc=case.atoms.pbc)
        both = bench.subject.answer(case.atoms + lone)
        forces = None if both.forces is None else both.forces[: len(case.atoms)]
        comparison = Comparison(
            expected=Answer(energy=own.energy + bench.subject.energy(lone), forces=own.forces),
            found=Answer(energy=both.energy, forces=forces),
            num_atoms=len(case.atoms),
            where=f"{case.name} and {symbol} {_FAR:g} A away",
        )
        for measurement in comparison.measurements(bench.precision):
            findings.add(measurement)


def _multiplied(case: Case) -> tuple[Atoms, str]:
    """Copies of a structure that do not feel each other, or that continue a crystal."""
    if case.atoms.pbc.any():
        copies = np.where(case.atoms.pbc, _COPIES, 1)
        return case.atoms.repeat(copies), f"supercell {'x'.join(map(str, copies))}"
    second = case.atoms.copy()
    second.positions += _FAR / np.sqrt(3)
    return case.atoms + second, f"two, {_FAR:g} A apart"


def _far_place(atoms: Atoms) -> np.ndarray:
    """A point far from all atoms, along the directions that are not periodic."""
    axes = atoms.cell.complete().array
    units = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    direction = units[~atoms.pbc].sum(axis=0)
    return atoms.positions.mean(axis=0) + _FAR * direction / np.linalg.norm(direction)
