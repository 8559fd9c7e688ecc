"""What must change nothing: rotation, translation, order, the question before, company."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from hydracalc.calculator import HydraCalculator
from hydracalc.exam.bench import Bench
from hydracalc.exam.findings import Findings, Measurement
from hydracalc.exam.precision import Comparison
from hydracalc.exam.structures import Case
from hydracalc.exam.subject import Answer, Refused
from hydracalc.units import GIGAPASCAL

_ROTATIONS = 3  # every second one with a reflection
_ORDERS = 2
_SHIFT = np.array([7.1, -3.9, 5.3])  # Angstrom
_FACE = 10.0  # Angstrom^2, of an atom: what forces make of stress


@dataclass(frozen=True, kw_only=True, eq=False)
class _Change:
    """A structure that is the same to physics.

    Attributes:
        name: of the change.
        atoms: changed.
        order: atom of the original for each atom, (N,).
        turn: takes vectors of the original to those of the changed one, (3, 3).
    """

    name: str
    atoms: Atoms
    order: np.ndarray
    turn: np.ndarray


_ChangesOf = Callable[[Atoms], list[_Change]]


def examine_rotation(bench: Bench) -> Findings:
    """Rotation and reflection keep the energy and turn forces and stress."""
    return _examine_changes(bench, _rotated)


def examine_translation(bench: Bench) -> Findings:
    """A shift changes nothing, also across the faces of a cell; forces add up to zero."""
    findings = _examine_changes(bench, _translated)
    for case in bench.cases:
        with findings.testing(case.name):
            forces = bench.subject.forces(case.atoms)
            findings.add(
                Measurement(
                    quantity="net force",
                    value=float(np.linalg.norm(forces.sum(axis=0))) / len(forces),
                    mark=bench.precision.force_mark,
                    unit="eV/A/atom",
                    why=f"as of forces, {bench.precision.name}",
                    where=case.name,
                )
            )
    return findings


def examine_permutation(bench: Bench) -> Findings:
    """The order of atoms changes nothing."""
    return _examine_changes(bench, _reordered)


def examine_memory(bench: Bench) -> Findings:
    """The same question has the same answer, whatever was asked in between."""
    findings = Findings()
    for case in bench.cases:
        with findings.testing(case.name):
            before = bench.subject.answer(case.atoms)
            for other in bench.cases:
                moved = other.atoms.copy()
                moved.positions += np.random.default_rng(2).normal(0, 0.2, moved.positions.shape)
                bench.subject.answer(moved)
            after = bench.subject.answer(case.atoms)
            _compare(bench, case, (before, after), "asked again", findings)
    return findings


def examine_batching(bench: Bench) -> Findings:
    """Structures computed together have the results that they have alone."""
    findings = Findings()
    with findings.testing("all structures"):
        calculator = bench.subject.calculator(bench.cases[0].atoms)
        if not isinstance(calculator, HydraCalculator):
            raise Refused("the calculator takes one structure at a time")
        results = calculator.evaluate([case.atoms for case in bench.cases])
        for case, result in zip(bench.cases, results, strict=True):
            together = Answer(energy=result["energy"], forces=result["forces"])
            alone = bench.subject.answer(case.atoms)
            _compare(bench, case, (alone, together), "together with others", findings)
    return findings


def _examine_changes(bench: Bench, changes: _ChangesOf) -> Findings:
    findings = Findings()
    for case in bench.cases:
        with findings.testing(case.name):
            before = bench.subject.answer(case.atoms)
            for change in changes(case.atoms):
                after = _brought_back(bench.subject.answer(change.atoms), change)
                _compare(bench, case, (before, after), change.name, findings)
        if case.atoms.pbc.all():
            with findings.testing(f"{case.name}, stress"):
                _compare_stress(bench, case, changes(case.atoms), findings)
    return findings


def _compare(
    bench: Bench, case: Case, answers: tuple[Answer, Answer], what: str, findings: Findings
) -> None:
    comparison = Comparison(
        expected=answers[0],
        found=answers[1],
        num_atoms=len(case.atoms),
        where=f"{case.name}, {what}",
    )
    for measurement in comparison.measurements(bench.precision):
        findings.add(measurement)


def _compare_stress(bench: Bench, case: Case, changes: list[_Change], findings: Findings) -> None:
    before = bench.subject.stress(case.atoms)
    largest = float(np.abs(before).max()) / GIGAPASCAL
    for change in changes:
        after = change.turn.T @ bench.subject.stress(change.atoms) @ change.turn
        findings.add(
            Measurement(
                quantity="stress",
                value=float(np.abs(after - before).max()) / GIGAPASCAL / max(1.0, largest),
                mark=bench.precision.force_mark / _FACE / GIGAPASCAL,
                unit="GPa",
                why=f"as of forces, on {_FACE:g} A^2; of stress above 1 GPa, this part",
                where=f"{case.name}, {change.name}",
            )
        )


def _brought_back(answer: Answer, change: _Change) -> Answer:
    """The answer for a changed structure in the frame and order of the original."""
    if answer.forces is None:
        return answer
    forces = np.empty_like(answer.forces)
    forces[change.order] = answer.forces @ change.turn
    return Answer(energy=answer.energy, forces=forces)


def _rotated(atoms: Atoms) -> list[_Change]:
    changes = []
    for number in range(_ROTATIONS):
        turn, _ = np.linalg.qr(np.random.default_rng(number).normal(size=(3, 3)))
        turn *= np.sign(np.linalg.det(turn))
        turned = atoms.copy()
        turned.set_cell(atoms.cell.array @ turn.T)
        is_reflected = number % 2 == 1
        if is_reflected:
            # the cell's vectors are not reversed: they span the same lattice, right-handed
            turn = -turn
        turned.positions = atoms.positions @ turn.T
        name = f"{'reflection' if is_reflected else 'rotation'} {number}"
        order = np.arange(len(atoms))
        changes.append(_Change(name=name, atoms=turned, order=order, turn=turn))
    return changes


def _translated(atoms: Atoms) -> list[_Change]:
    order, turn = np.arange(len(atoms)), np.eye(3)
    shifted = atoms.copy()
    shifted.positions += _SHIFT
    changes = [_Change(name="shift", atoms=shifted, order=order, turn=turn)]
    if atoms.pbc.any():
        wrapped = shifted.copy()
        wrapped.wrap()
        changes.append(_Change(name="shift into the cell", atoms=wrapped, order=order, turn=turn))
    return changes


def _reordered(atoms: Atoms) -> list[_Change]:
    changes = []
    for number in range(_ORDERS):
        order = np.random.default_rng(number).permutation(len(atoms))
        changes.append(
            _Change(name=f"order {number}", atoms=atoms[order], order=order, turn=np.eye(3))
        )
    return changes
