"""Paths without corners: pairs of atoms from contact to far apart, an atom sliding in a crystal."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from hydracalc.exam.bench import Bench
from hydracalc.exam.findings import Curve, Findings, Measurement
from hydracalc.exam.jumps import Samples, worst_jump
from hydracalc.exam.pairs import Pair, pairs_of, surprises_allowed
from hydracalc.exam.precision import Precision
from hydracalc.exam.structures import Case
from hydracalc.exam.subject import Refused

_CONTACT = 0.6  # of the sum of covalent radii: the shortest bond, that of Cr2
_FAR = 12.0  # Angstrom, beyond the cutoffs of models
_PAIR_POINTS = 200
_MAX_PAIRS = 10

_SLIDE = 0.6  # Angstrom
_SWELLING = 0.06  # strain along the way: neighbors at all distances cross the cutoff
_SLIDE_POINTS = 150

# a jump at each crossing makes the energy of dynamics walk: 1e-5 eV a thousand times is 0.3 meV
_ENERGY_JUMP = 1e-5  # eV
_FORCE_JUMP = 1e-3  # eV/Angstrom: a tenth of where relaxations end

_ENERGY, _FORCES = "jump of energy", "jump of forces"


class _Path(ABC):
    """Structures along one coordinate."""

    points: np.ndarray  # evenly spaced, (M,)

    @abstractmethod
    def structure(self, point: float) -> Atoms:
        """The structure at a point."""

    @abstractmethod
    def where(self, point: float) -> str:
        """The point in words."""


@dataclass(frozen=True, eq=False)
class _Parting(_Path):
    """Two atoms from contact to far apart; the coordinate is the logarithm of their distance.

    Points are then dense where energies are steep.
    """

    pair: Pair

    @property
    def points(self) -> np.ndarray:  # type: ignore[override]  # computed here
        return np.linspace(np.log(_CONTACT * self.pair.bond), np.log(_FAR), _PAIR_POINTS)

    def structure(self, point: float) -> Atoms:
        return self.pair.at(float(np.exp(point)))

    def where(self, point: float) -> str:
        return f"{self.pair.name} at {np.exp(point):.4f} A"


@dataclass(frozen=True, eq=False)
class _Slide(_Path):
    """The first atom on its way through a structure that swells; the coordinate is from 0 to 1."""

    case: Case

    @property
    def points(self) -> np.ndarray:  # type: ignore[override]  # computed here
        return np.linspace(0, 1, _SLIDE_POINTS)

    def structure(self, point: float) -> Atoms:
        direction = np.random.default_rng(3).normal(size=3)
        moved = self.case.atoms.copy()
        moved.positions[0] += point * _SLIDE * direction / np.linalg.norm(direction)
        if moved.cell.rank == 3:
            swollen = 1 + point * np.where(moved.pbc, _SWELLING, 0.0)
            moved.set_cell(moved.cell.array * swollen[:, None], scale_atoms=True)
        return moved

    def where(self, point: float) -> str:
        return f"{self.case.name}, {_SLIDE * point:.4f} A on the way"


def examine_dimers(bench: Bench) -> Findings:
    """Energy and forces of two atoms have no jump from contact to 12 Angstrom."""
    findings = Findings()
    pairs = pairs_of(bench.cases)
    for pair in pairs[_MAX_PAIRS:]:
        findings.left_out[pair.name] = f"beyond the first {_MAX_PAIRS} pairs"
    for pair in pairs[:_MAX_PAIRS]:
        with surprises_allowed(), findings.testing(pair.name):
            examine_parting(bench, pair, findings)
    return findings


def examine_parting(bench: Bench, pair: Pair, findings: Findings) -> None:
    """Jumps of one pair from contact to 12 Angstrom, and its curve of energy."""
    path = _Parting(pair)
    energies = _examine_path(bench, path, findings)[:, 0]
    findings.curves.append(
        Curve(
            kind="dimer",
            label=pair.name,
            x=tuple(np.exp(path.points).tolist()),
            y=tuple((energies - energies[-1]).tolist()),
        )
    )


def examine_cutoff(bench: Bench) -> Findings:
    """Energy and forces of a crystal have no jump while an atom slides and the cell swells."""
    findings = Findings()
    for case in bench.cases:
        with findings.testing(case.name):
            if not case.atoms.pbc.any():
                raise Refused("not periodic: few neighbors come and go")
            _examine_path(bench, _Slide(case), findings)
    return findings


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """Energy or forces: their columns in the values of a path, and what may jump."""

    quantity: str
    columns: slice
    physics: float
    rounding: float
    unit: str

    def samples(self, points: np.ndarray, values: np.ndarray) -> Samples:
        """Values with their marks: rounding is a part of forces, or of energies beyond the last."""
        own = values[:, self.columns]
        sizes = np.abs(own - own[-1] if self.quantity == _ENERGY else own).max(axis=1)
        rounding = self.rounding * np.maximum(1.0, sizes)
        return Samples(points=points, values=own, rounding=rounding, marks=self.physics + rounding)


def _kinds(precision: Precision, first: np.ndarray, num_atoms: int) -> list[_Kind]:
    energy = _Kind(
        quantity=_ENERGY,
        columns=slice(0, 1),
        physics=_ENERGY_JUMP,
        rounding=num_atoms * precision.energy_rounding + 2 * precision.last_digit(first[0]),
        unit="eV",
    )
    forces = _Kind(
        quantity=_FORCES,
        columns=slice(1, None),
        physics=_FORCE_JUMP,
        rounding=precision.force_rounding,
        unit="eV/A",
    )
    return [energy, forces] if len(first) > 1 else [energy]


def _examine_path(bench: Bench, path: _Path, findings: Findings) -> np.ndarray:
    """Look for jumps along a path; energy, eV, and forces of all points, (M, 1 + 3N)."""

    def values_at(point: float) -> np.ndarray:
        answer = bench.subject.answer(path.structure(point))
        forces = () if answer.forces is None else answer.forces.ravel()
        return np.array([answer.energy, *forces])

    points = path.points
    values = np.array([values_at(point) for point in points])
    num_atoms = len(path.structure(points[0]))
    for kind in _kinds(bench.precision, values[0], num_atoms):
        jump = worst_jump(
            lambda x, columns=kind.columns: values_at(x)[columns],  # type: ignore[misc]
            kind.samples(points, values),
        )
        findings.add(
            Measurement(
                quantity=kind.quantity,
                value=jump.size,
                mark=jump.mark,
                unit=kind.unit,
                why=f"{kind.physics:g} for dynamics and relaxations, and rounding of "
                f"{bench.precision.name}",
                where=path.where(jump.place),
            )
        )
    return values
