"""Whether dynamics without a thermostat keeps its energy."""

import numpy as np
from ase import Atoms, units

from hydracalc.exam.bench import Bench
from hydracalc.exam.findings import Curve, Findings, Measurement
from hydracalc.exam.structures import Case
from hydracalc.exam.subject import Refused
from hydracalc.simulation import MDConfig, RelaxConfig, relax, run_md

_STEPS = 1000
_LOG_EVERY = 4
_TEMPERATURE = 300.0  # K
_LONGEST_STEP = 1.0  # fs
_STEPS_PER_PERIOD = 20  # of the fastest vibration
_ITERATIONS = 12  # towards the fastest vibration
_NUDGE = 0.01  # Angstrom
_DRIFT = 0.1  # meV/atom/ps


def examine_nve(bench: Bench) -> Findings:
    """Energy has no slope in time: a molecule and a crystal, relaxed, then at 300 K."""
    findings = Findings()
    moving = _one_of_each_kind(bench.cases)
    for case in bench.cases:
        with findings.testing(case.name):
            if len(case.atoms) < 2:
                raise Refused("a single atom")
            if case not in moving:
                raise Refused("only the first molecule and the first crystal move")
            _examine_case(bench, case, findings)
    return findings


def _one_of_each_kind(cases: tuple[Case, ...]) -> list[Case]:
    """The first with open boundaries and the first crystal; any where there is neither."""
    several = [case for case in cases if len(case.atoms) > 1]
    kinds = (
        next((case for case in several if not case.atoms.pbc.any()), None),
        next((case for case in several if case.atoms.pbc.all()), None),
    )
    return [case for case in kinds if case is not None] or several[:1]


def _examine_case(bench: Bench, case: Case, findings: Findings) -> None:
    bench.subject.forces(case.atoms)  # refused here where there are none
    atoms = case.atoms.copy()
    atoms.calc = bench.subject.calculator(atoms)
    try:
        relax(atoms, RelaxConfig())
        timestep = min(_LONGEST_STEP, shortest_period(atoms) / _STEPS_PER_PERIOD)
        drift, curve = _run(case, atoms, timestep=timestep, steps=_STEPS)
        if drift > _DRIFT:
            # that of the integrator falls to a quarter, that of the forces stays
            timestep /= 2
            drift, curve = _run(case, atoms, timestep=timestep, steps=2 * _STEPS)
    except Exception as error:  # it answered at rest, so what stops it is the dynamics
        drift, what = float("nan"), f"broken off: {type(error).__name__}: {error}"
    else:
        what = f"{len(curve.x) * _LOG_EVERY} steps of {timestep:.2g} fs"
        findings.curves.append(curve)
    findings.add(
        Measurement(
            quantity="drift",
            value=drift,
            mark=_DRIFT,
            unit="meV/atom/ps",
            why="heats by less than 0.4 K in a ps; rounding walks, it does not drift",
            where=f"{case.name}, {what}",
        )
    )


def _run(case: Case, relaxed: Atoms, *, timestep: float, steps: int) -> tuple[float, Curve]:
    """Dynamics from a relaxed structure: drift, meV/atom/ps, and total energy over time."""
    atoms = relaxed.copy()
    atoms.calc = relaxed.calc
    config = MDConfig(
        ensemble="nve",
        temperature=_TEMPERATURE,
        timestep=timestep,
        steps=steps,
        log_every=_LOG_EVERY,
    )
    energies: list[float] = []
    report = run_md(atoms, config, show=lambda _: energies.append(float(atoms.get_total_energy())))
    energies = energies[2:]  # the heading's and the start's
    per_point = timestep * _LOG_EVERY / 1000
    curve = Curve(
        kind="nve",
        label=case.name,
        x=tuple(per_point * (i + 1) for i in range(len(energies))),
        y=tuple(1000 * (energy - energies[0]) / len(atoms) for energy in energies),
    )
    return abs(report.drift_meV_per_atom_per_ps), curve


def shortest_period(atoms: Atoms) -> float:
    """Period of the fastest vibration, fs: power iteration on the mass-weighted curvature."""
    roots = np.sqrt(atoms.get_masses())[:, None]  # u^(1/2)
    start, forces = atoms.positions.copy(), atoms.get_forces()
    direction, curvature = np.random.default_rng(4).normal(size=start.shape), 0.0
    for _ in range(_ITERATIONS):
        direction /= np.linalg.norm(direction)
        nudge = _NUDGE / np.abs(direction / roots).max()
        atoms.positions = start + nudge * direction / roots
        response = (forces - atoms.get_forces()) / roots / nudge
        curvature, direction = float(np.linalg.norm(response)), response
    atoms.positions = start
    return 2 * np.pi / np.sqrt(curvature) / units.fs if curvature > 0 else np.inf
