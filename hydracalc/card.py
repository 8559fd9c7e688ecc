"""What is stated about a dataset: level of theory, units, licence, where it comes from."""

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from hydracalc import elements as element_table
from hydracalc import units


class SourceFile(BaseModel):
    """One published file.

    Attributes:
        name: file name below the raw folder; may hold a pattern such as "*.hdf5".
        url: where it is published.
        sha256, md5: checksum where the publisher or we know it, else None.
        size: bytes, where known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    url: str | None = None
    sha256: str | None = None
    md5: str | None = None
    size: int | None = None


class Labels(BaseModel):
    """Units of the published labels; None where the dataset has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    length: str = "Angstrom"
    energy: str
    forces: str | None = None
    stress: str | None = None
    stress_sign: Literal["tension positive", "compression positive"] | None = None

    @field_validator("length", "energy", "forces", "stress")
    @classmethod
    def _is_known(cls, unit: str | None, info: ValidationInfo) -> str | None:
        name = "force" if info.field_name == "forces" else str(info.field_name)
        if unit is not None:
            units.factor(unit, name)
        return unit


class Card(BaseModel):
    """Everything a reader should know of a dataset before trusting a branch trained on it.

    Attributes:
        branch: identifier, the folder's name below datasets/.
        title: one line.
        theory: functional, basis or plane waves, code where stated.
        energy_kind: what the published energy is.
        labels: units as published.
        charge, spin: where total charge and spin multiplicity come from, in words.
        group: what never sits on both sides of a split, in words.
        elements: symbols that occur.
        license: SPDX identifier of the data.
        doi: of the publication that describes the data.
        citation: one line.
        num_structures: in the full published dataset.
        files: published files.
        computed_by: program and model where the labels are not the published ones but computed for
            hydracalc; None where they are as published.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    branch: str
    title: str
    theory: str
    energy_kind: Literal[
        "total", "corrected", "formation", "atomization", "adsorption", "interaction"
    ] = "total"
    labels: Labels
    charge: str = "0"
    spin: str = "not stated, taken as 1"
    group: str
    elements: tuple[str, ...]
    license: str
    doi: str | None = None
    citation: str = ""
    num_structures: int | None = None
    files: tuple[SourceFile, ...] = ()
    computed_by: str | None = None
    notes: str = ""

    @field_validator("elements")
    @classmethod
    def _are_elements(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(symbols, key=element_table.number))


def read_card(path: Path) -> Card:
    """The card of a `card.toml`.

    Raises:
        ValueError: the file is no valid card; the message names the file and the key.
    """
    try:
        return Card.model_validate(tomllib.loads(path.read_text()))
    except (ValueError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: {error}") from None
