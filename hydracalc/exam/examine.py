"""The exam of a calculator: `examine(HydraCalculator("mtl-all"))`, and the list of its items."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ase import Atoms
from ase.calculators.calculator import Calculator

from hydracalc.errors import unknown
from hydracalc.exam.bench import Bench
from hydracalc.exam.collision import examine_collision
from hydracalc.exam.derivatives import examine_forces, examine_jacobian, examine_stress
from hydracalc.exam.drift import examine_nve
from hydracalc.exam.findings import Curve, ExamResult, Findings, ItemResult
from hydracalc.exam.invariance import (
    examine_batching,
    examine_memory,
    examine_permutation,
    examine_rotation,
    examine_translation,
)
from hydracalc.exam.locality import examine_extensivity, examine_locality
from hydracalc.exam.paths import examine_cutoff, examine_dimers
from hydracalc.exam.precision import measure_precision
from hydracalc.exam.structures import built_in_cases, own_cases
from hydracalc.exam.subject import MakeCalculator, Subject

ITEMS: dict[str, Callable[[Bench], Findings]] = {
    "forces": examine_forces,
    "stress": examine_stress,
    "jacobian": examine_jacobian,
    "rotation": examine_rotation,
    "translation": examine_translation,
    "permutation": examine_permutation,
    "memory": examine_memory,
    "batching": examine_batching,
    "extensivity": examine_extensivity,
    "locality": examine_locality,
    "dimers": examine_dimers,
    "cutoff": examine_cutoff,
    "nve": examine_nve,
    "collision": examine_collision,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class ExamConfig:
    """What is examined.

    Attributes:
        items: names of ITEMS.
        structures: to examine with; none takes the built-in molecule, crystal and slab.

    Raises:
        ValueError: an item is not known, or there are none.
    """

    items: Sequence[str] = tuple(ITEMS)
    structures: Sequence[Atoms] = ()

    def __post_init__(self) -> None:
        if not self.items:
            raise ValueError(f"items are empty, expected some of {', '.join(ITEMS)}")
        for item in self.items:
            if item not in ITEMS:
                raise ValueError(unknown("item", item, ITEMS))


def examine(
    given: Calculator | MakeCalculator,
    config: ExamConfig | None = None,
    *,
    name: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> ExamResult:
    """Hold a calculator against physics.

    Args:
        given: an ASE calculator, or what makes one for the charge and spin of a structure.
        config: items and structures; None takes all.
        name: of the calculator in the result.
        progress: hears how many items are done.

    Raises:
        ValueError: the calculator answers for none of the structures.
    """
    config = ExamConfig() if config is None else config
    subject = Subject(given)
    chosen = own_cases(config.structures, subject) if config.structures else built_in_cases(subject)
    precision = measure_precision(subject, chosen.cases[0].atoms)
    bench = Bench(subject=subject, precision=precision, cases=chosen.cases)
    items, curves = [], []
    for item in ITEMS:
        if item in config.items:
            result, drawn = _run(item, bench)
            items.append(result)
            curves += drawn
            if progress is not None:
                progress(len(items))
    return ExamResult(
        subject=type(given).__name__ if name is None else name,
        precision=precision.name,
        energy_noise_eV=precision.noise,
        structures={case.name: case.formula for case in chosen.cases},
        left_out=chosen.left_out,
        items=tuple(items),
        curves=tuple(curves),
    )


def _run(item: str, bench: Bench) -> tuple[ItemResult, list[Curve]]:
    began = time.perf_counter()
    findings = ITEMS[item](bench)
    result = ItemResult(
        name=item,
        question=(ITEMS[item].__doc__ or "").splitlines()[0],
        measurements=tuple(findings.worst.values()),
        left_out=findings.left_out,
        seconds=time.perf_counter() - began,
    )
    return result, findings.curves
