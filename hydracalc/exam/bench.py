"""What every item of an exam gets: who is examined, on what, and how precise it is."""

from dataclasses import dataclass

from hydracalc.exam.precision import Precision
from hydracalc.exam.structures import Case
from hydracalc.exam.subject import Subject


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """The setting of an exam."""

    subject: Subject
    precision: Precision
    cases: tuple[Case, ...]
