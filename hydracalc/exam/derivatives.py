"""Forces and stress against the slopes of the energy, and whether forces have an energy at all."""

from collections.abc import Callable, Sequence

import numpy as np
from ase import Atoms

from hydracalc.exam.bench import Bench
from hydracalc.exam.findings import Findings, Measurement
from hydracalc.exam.precision import force_scale
from hydracalc.exam.structures import Case
from hydracalc.units import GIGAPASCAL

# central difference of sixth order: multiples of the step, and weights
_STENCIL = ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))

_MOVED_ATOMS = 5  # moved one at a time
_COLLECTIVE = 3  # directions along which all atoms move
_STRAINS = 4
_STRAIN_PER_STEP = 0.1  # 1/Angstrom: a strain that moves atoms of a cell of 10 A by one step
_JACOBIAN_DIRECTIONS = 6

Values = float | np.ndarray


def slope(function: Callable[[float], Values], step: float) -> Values:
    """Derivative at zero by the central difference of sixth order."""
    return sum(w * (function(k * step) - function(-k * step)) for k, w in _STENCIL) / step


def _slope_error(
    expected: float, function: Callable[[float], float], steps: Sequence[float], *, enough: float
) -> float:
    """How far a slope is from what it should be: the least over steps, tried until it is enough.

    An error of the model is there at every step. That of a difference is not: where a neighbor
    crosses a cutoff, the curvature of a sound energy may change within a step.
    """
    errors = []
    for step in steps:
        errors.append(abs(float(slope(function, step)) - expected))
        if errors[-1] <= enough:
            break
    return min(errors)


def examine_forces(bench: Bench) -> Findings:
    """Forces are minus the slope of the energy, along single atoms and all together."""
    findings = Findings()
    for case in bench.cases:
        with findings.testing(case.name):
            _examine_forces(bench, case, findings)
    return findings


def _examine_forces(bench: Bench, case: Case, findings: Findings) -> None:
    answer, steps = bench.subject.answer(case.atoms), bench.precision.steps
    forces = answer.known_forces
    mark, scale = bench.precision.slope_mark(answer.energy), force_scale(forces)
    for name, direction in _directions(len(case.atoms)):
        error = _slope_error(
            -float(np.sum(forces * direction)),
            lambda x, u=direction: bench.subject.energy(_moved(case.atoms, x * u)),  # type: ignore[misc]
            steps,
            enough=mark * scale,
        )
        findings.add(
            Measurement(
                quantity="forces",
                value=error / scale,
                mark=mark,
                unit="eV/A",
                why=f"energies of {bench.precision.name} over steps of {steps[0]:g} A; of forces "
                "above 1 eV/A, this part",
                where=f"{case.name}, {name}",
            )
        )


def examine_stress(bench: Bench) -> Findings:
    """Stress is the slope of the energy over strain, per volume."""
    findings = Findings()
    for case in bench.cases:
        with findings.testing(case.name):
            _examine_stress(bench, case, findings)
    return findings


def _examine_stress(bench: Bench, case: Case, findings: Findings) -> None:
    stress = bench.subject.stress(case.atoms) / GIGAPASCAL
    unit = case.atoms.get_volume() * GIGAPASCAL  # eV per GPa
    steps = [step * _STRAIN_PER_STEP for step in bench.precision.steps]
    slope_mark = bench.precision.slope_mark(bench.subject.energy(case.atoms))
    mark, scale = slope_mark / _STRAIN_PER_STEP / unit, max(1.0, float(np.abs(stress).max()))
    for number in range(_STRAINS):
        strain = np.random.default_rng(number).normal(size=(3, 3))
        strain = (strain + strain.T) / 2
        strain /= np.linalg.norm(strain)
        error = _slope_error(
            float(np.sum(stress * strain)) * unit,
            lambda x, s=strain: bench.subject.energy(strained(case.atoms, x * s)),  # type: ignore[misc]
            steps,
            enough=mark * scale * unit,
        )
        findings.add(
            Measurement(
                quantity="stress",
                value=error / unit / scale,
                mark=mark,
                unit="GPa",
                why=f"energies of {bench.precision.name} over strains of {steps[0]:g}; of stress "
                "above 1 GPa, this part",
                where=case.name,
            )
        )


def examine_jacobian(bench: Bench) -> Findings:
    """The matrix of dF/dr is symmetric, as only forces that have an energy make it.

    It is taken between random directions of all atoms, which costs the same for any size.
    """
    findings, mark = Findings(), bench.precision.jacobian_mark
    for case in bench.cases:
        with findings.testing(case.name):
            antisymmetries = []
            for step in bench.precision.steps:  # the least counts, as of slopes
                antisymmetries.append(_antisymmetry(_jacobian(bench, case.atoms, step)))
                if antisymmetries[-1] <= mark:
                    break
            findings.add(
                Measurement(
                    quantity="antisymmetric part",
                    value=min(antisymmetries),
                    mark=mark,
                    unit="of symmetric",
                    why=f"forces of {bench.precision.name} over steps of "
                    f"{bench.precision.steps[0]:g} A; of a symmetric part below 1 eV/A^2, of 1",
                    where=case.name,
                )
            )
    return findings


def _antisymmetry(jacobian: np.ndarray) -> float:
    symmetric = float(np.linalg.norm(jacobian + jacobian.T)) / 2
    return float(np.linalg.norm(jacobian - jacobian.T)) / 2 / max(symmetric, 1.0)


def _jacobian(bench: Bench, atoms: Atoms, step: float) -> np.ndarray:
    """-dF/dr between random directions of length one, eV/Angstrom^2."""
    rng = np.random.default_rng(1)
    directions = rng.normal(size=(_JACOBIAN_DIRECTIONS, len(atoms), 3))
    directions /= np.linalg.norm(directions, axis=(1, 2), keepdims=True)
    columns = [
        slope(lambda x, u=u: bench.subject.forces(_moved(atoms, x * u)), step)  # type: ignore[misc]
        for u in directions
    ]
    return -np.einsum("iax,jax->ij", directions, np.array(columns))


def _moved(atoms: Atoms, displacement: np.ndarray) -> Atoms:
    moved = atoms.copy()
    moved.positions += displacement
    return moved


def strained(atoms: Atoms, strain: np.ndarray) -> Atoms:
    """A structure under a small symmetric strain, (3, 3)."""
    changed = atoms.copy()
    changed.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return changed


def _directions(num_atoms: int) -> list[tuple[str, np.ndarray]]:
    """Displacements of length one with names, (N, 3): of single atoms, and of all."""
    rng = np.random.default_rng(0)
    made = []
    for atom in np.unique(np.linspace(0, num_atoms - 1, _MOVED_ATOMS).astype(int)):
        direction = np.zeros((num_atoms, 3))
        direction[atom] = rng.normal(size=3)
        made.append((f"atom {atom}", direction))
    made += [("all atoms", rng.normal(size=(num_atoms, 3))) for _ in range(_COLLECTIVE)]
    return [(name, direction / np.linalg.norm(direction)) for name, direction in made]
