"""What a description leaves open, settled by physics: which units, signs and orders fit."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import get_args

from hydracalc import errors, units
from hydracalc.card import Card, Labels
from hydracalc.checks.label_check import LabelReport, check_labels
from hydracalc.errors import DataError
from hydracalc.structure import AtomicStructure

_UNITS = {
    "length": units.LENGTH,
    "energy": units.ENERGY,
    "forces": units.FORCE,
    "stress": units.PRESSURE,
}
_SIGNS = {"forces_sign": "forces", "stress_sign": "stress", "stress_order": "stress"}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One way to read a dataset, and what physics says of it.

    Attributes:
        labels: entries of the card's `labels` that were chosen.
        report: findings on the structures read in this way; None where they could not be read.
    """

    labels: dict[str, str]
    report: LabelReport | None

    @property
    def fits(self) -> bool:
        """Whether it can be read and nothing is wrong."""
        return self.report is not None and self.report.holds


def alternatives(labels: Labels, name: str) -> tuple[str, ...]:
    """Values that an entry of a card's labels can have, the stated one first if there is one.

    Empty where the dataset has no such label: a sign of forces needs forces.

    Raises:
        ValueError: there is no such entry.
    """
    if name not in Labels.model_fields:
        raise ValueError(errors.unknown("entry of labels", name, Labels.model_fields))
    stated = getattr(labels, name)
    if getattr(labels, _SIGNS.get(name, name)) is None or (name == "stress_order" and not stated):
        return ()
    values = tuple(_UNITS[name]) if name in _UNITS else _values(name)
    return (stated, *(value for value in values if value != stated))


def _values(name: str) -> tuple[str, ...]:
    """Those of a literal type, which may be an optional one."""
    annotation = Labels.model_fields[name].annotation
    arguments = get_args(annotation)
    nested = [get_args(argument) or (argument,) for argument in arguments]
    return tuple(value for group in nested for value in group if isinstance(value, str))


def fitting_choices(
    read_with: Callable[[Card], Iterable[AtomicStructure]], card: Card, *, unknown: Sequence[str]
) -> list[Choice]:
    """Read structures in every way that is open, and check each against physics.

    Args:
        read_with: reads the structures by the units, signs and orders of a card.
        card: states everything else; its entries for what is unknown are tried first.
        unknown: entries of `card.labels`, for example "length" or "stress_order"; several are
            tried in all combinations.

    Returns:
        All choices, those that fit first. Where several fit, the structures cannot tell them
        apart, and the findings that are not applicable say why.

    Raises:
        ValueError: nothing is unknown, there is no such entry, or the dataset has no such label.
    """
    if not unknown:
        raise ValueError("nothing is unknown; name entries of the card's labels")
    open_to = {name: alternatives(card.labels, name) for name in unknown}
    for name, values in open_to.items():
        if not values:
            raise ValueError(f"the card of {card.branch!r} states no labels that have a {name}")
    choices = list(_choices(read_with, card, open_to))
    return sorted(choices, key=lambda choice: not choice.fits)


def _choices(
    read_with: Callable[[Card], Iterable[AtomicStructure]],
    card: Card,
    open_to: dict[str, tuple[str, ...]],
) -> Iterator[Choice]:
    for values in product(*open_to.values()):
        chosen = dict(zip(open_to, values, strict=True))
        trial = changed(card, chosen)
        try:
            report = check_labels(read_with(trial), trial)
        except DataError:  # an adapter that looks at its own labels has refused them
            report = None
        yield Choice(labels=chosen, report=report)


def changed(card: Card, labels: dict[str, str]) -> Card:
    """The card with other entries of its labels.

    Raises:
        ValueError: an entry has no such value.
    """
    entries = card.labels.model_dump() | labels
    return card.model_copy(update={"labels": Labels.model_validate(entries)})
