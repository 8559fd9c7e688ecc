"""What an exam found: numbers against their pass marks, items, and the whole."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from hydracalc.exam.subject import Refused

PASSED = "passed"
FAILED = "failed"
NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One number against its pass mark.

    Attributes:
        quantity: what was measured.
        value: the worst found.
        mark: at most this passes; with `at_least`, more than this.
        unit: of value and mark.
        why: where the mark comes from.
        where: structure or place of the worst value.
        at_least: whether large values are good.
    """

    quantity: str
    value: float
    mark: float
    unit: str
    why: str
    where: str
    at_least: bool = False

    @property
    def passes(self) -> bool:
        """Whether the value is finite and on the right side of the mark."""
        if not math.isfinite(self.value):
            return False
        return bool(self.value > self.mark if self.at_least else self.value <= self.mark)

    @property
    def badness(self) -> float:
        """Larger for a value that is worse against its mark."""
        if not math.isfinite(self.value):
            return math.inf
        return -self.value if self.at_least else self.value / self.mark

    def to_dict(self) -> dict[str, Any]:
        """For JSON; a value that is not finite is None."""
        finite = self.value if math.isfinite(self.value) else None
        return {**asdict(self), "value": finite, "passes": self.passes}


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Energy along a path, for a picture.

    Attributes:
        kind: "dimer" or "nve".
        label: pair or structure.
        x: distance, Angstrom, or time, ps.
        y: energy of the pair beyond that of its farthest point, eV, or total energy beyond the
            first, meV/atom.
    """

    kind: str
    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ItemResult:
    """One item of an exam.

    Attributes:
        name: as `only` takes it.
        question: what is tested.
        measurements: numbers against marks; none where the item has no meaning.
        left_out: what could not be tested, and why.
        seconds: time taken.
    """

    name: str
    question: str
    measurements: tuple[Measurement, ...]
    left_out: dict[str, str]
    seconds: float

    @property
    def verdict(self) -> str:
        """Passed if every number passes; not applicable if there is none."""
        if not self.measurements:
            return NOT_APPLICABLE
        return PASSED if all(m.passes for m in self.measurements) else FAILED

    @property
    def reason(self) -> str:
        """Why something was not tested, in words; empty if all was."""
        by_reason: dict[str, list[str]] = {}
        for what, reason in self.left_out.items():
            by_reason.setdefault(reason, []).append(what)
        return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items())

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "question": self.question,
            "verdict": self.verdict,
            "measurements": [measurement.to_dict() for measurement in self.measurements],
            "not_tested": self.left_out,
            "seconds": self.seconds,
        }


@dataclass(frozen=True, kw_only=True)
class ExamResult:
    """A whole exam.

    Attributes:
        subject: calculator or model, in words.
        precision: "float64" or "float32", as measured; the marks follow from it.
        energy_noise_eV: irregularity of the energy between nearest positions, eV.
        structures: chemical formula by name.
        left_out: structures that were not used, and why.
        items: in the order of the exam.
        curves: for a picture.
    """

    subject: str
    precision: str
    energy_noise_eV: float
    structures: dict[str, str]
    left_out: dict[str, str]
    items: tuple[ItemResult, ...]
    curves: tuple[Curve, ...]

    @property
    def passed(self) -> bool:
        """Whether no item failed."""
        return not self.names(FAILED)

    def names(self, verdict: str) -> list[str]:
        """Items with a verdict."""
        return [item.name for item in self.items if item.verdict == verdict]

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without the curves."""
        return {
            "subject": self.subject,
            "passed": self.passed,
            "precision": self.precision,
            "energy_noise_eV": self.energy_noise_eV,
            "structures": self.structures,
            "left_out": self.left_out,
            "items": [item.to_dict() for item in self.items],
        }


@dataclass
class Findings:
    """What one item collects while it runs: of each quantity the worst number is kept."""

    worst: dict[str, Measurement] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    curves: list[Curve] = field(default_factory=list)

    def add(self, measurement: Measurement) -> None:
        """Keep a number if it is the worst of its quantity."""
        known = self.worst.get(measurement.quantity)
        if known is None or measurement.badness > known.badness:
            self.worst[measurement.quantity] = measurement

    @contextmanager
    def testing(self, what: str) -> Iterator[None]:
        """Leave out what the calculator refuses, with its reason."""
        try:
            yield
        except Refused as refusal:
            self.left_out[what] = str(refusal)
