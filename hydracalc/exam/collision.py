"""Whether atoms that collide push each other apart."""

import numpy as np

from hydracalc.exam.bench import Bench
from hydracalc.exam.findings import Findings, Measurement
from hydracalc.exam.pairs import Pair, pairs_of, surprises_allowed

# distances, as parts of the sum of covalent radii: the shortest known bond, of Cr2, is at 0.6
_NEAREST, _FARTHEST = 0.2, 0.5
_POINTS = 16


def examine_collision(bench: Bench) -> Findings:
    """Two atoms that collide push each other apart, the more the nearer they are."""
    findings = Findings()
    for pair in pairs_of(bench.cases):
        with surprises_allowed(), findings.testing(pair.name):
            examine_approach(bench, pair, findings)
    return findings


def examine_approach(bench: Bench, pair: Pair, findings: Findings) -> None:
    """Energy and force of one pair from half to a fifth of the sum of covalent radii."""
    distances = pair.bond * np.linspace(_FARTHEST, _NEAREST, _POINTS)
    answers = [bench.subject.answer(pair.at(distance)) for distance in distances]
    energies = np.array([answer.energy for answer in answers])
    numbers = [("energy of approach", np.diff(energies), "eV")]
    if answers[0].forces is not None:
        outward = np.array([answer.known_forces[1, 2] for answer in answers])
        numbers.append(("force apart", outward, "eV/A"))
    for quantity, values, unit in numbers:
        holes = np.flatnonzero(~(values > 0))
        place = f"{distances[np.argmin(values)]:.3f} A"
        if len(holes):
            climb = energies[: holes[0] + 1].max() - energies[0]
            place += f", first at {distances[holes[0]]:.3f} A, {climb:.3g} eV up"
        findings.add(
            Measurement(
                quantity=quantity,
                value=float(np.min(values)),
                mark=0.0,
                unit=unit,
                why=f"nuclei repel below {_FARTHEST:g} of the sum of covalent radii",
                where=f"{pair.name} at {place}",
                at_least=True,
            )
        )
