"""What is stated about a dataset: level of theory, units, licence, where it comes from."""

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from hydracalc import elements as element_table
from hydracalc import units


class SourceFile(BaseModel):
    """One published file.

    Attributes:
        name: file name below the raw folder; may hold a pattern such as "*.hdf5".
        url: where it is published.
        sha256, md5: checksum of what is at the URL where the publisher or we know it, else None.
        size: bytes at the URL, where known.
        unpack: what is at the URL is an archive of this kind, and `name` is inside it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    url: str | None = None
    sha256: str | None = None
    md5: str | None = None
    size: int | None = None
    unpack: Literal["gz", "bz2", "xz", "zip", "tar"] | None = None


class Labels(BaseModel):
    """Units and signs of the published labels; None where the dataset has none.

    Attributes:
        length, energy, forces, stress: units.
        forces_sign: whether forces are published, or gradients, their negatives.
        stress_sign: whether a stretched crystal has positive or negative stress.
        stress_order: components of a stress published as six numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    length: str = "Angstrom"
    energy: str
    forces: str | None = None
    forces_sign: Literal["force", "gradient"] = "force"
    stress: str | None = None
    stress_sign: Literal["tension positive", "compression positive"] | None = None
    stress_order: Literal["xx yy zz yz xz xy", "xx yy zz xy yz xz"] | None = None

    @field_validator("length", "energy", "forces", "stress")
    @classmethod
    def _is_known(cls, unit: str | None, info: ValidationInfo) -> str | None:
        name = "force" if info.field_name == "forces" else str(info.field_name)
        if unit is not None:
            units.factor(unit, name)
        return unit


_PLACE = r"(calculator|info|arrays|data|npy):.+"


class Keys(BaseModel):
    """Under which names the files of a dataset without adapter.py hold what is read.

    A name is written "place:name". Places are `calculator` (results of a calculator, which is
    where ASE puts a plain energy, forces and stress of extended XYZ, trajectories, databases and
    outputs of programs), `info` and `arrays` (of ASE's Atoms; key-value pairs of a database are
    info), `data` (of a database's row) and `npy` (arrays of a DeePMD set). Nothing is looked up
    elsewhere: "info:energy" is not "calculator:energy".

    Attributes:
        energy: of the structure.
        forces: on the atoms; None where none are read.
        stress: six or nine numbers; six of a calculator are in ASE's order, others in the card's.
        virial: instead of the stress, nine numbers in eV; the stress is -virial / volume, and the
            card's `stress_sign` is that of this quotient.
        charge: total charge, e; None is 0 everywhere.
        spin: multiplicity 2S + 1; None is 1 everywhere.
        group: what never sits on both sides of a split: "formula", "reduced formula", "file", or
            a name.
        split: published split, a name; or "file" where a word of the file's path says train, val
            or test. None where there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    energy: str = Field(pattern=f"^{_PLACE}$")
    forces: str | None = Field(default=None, pattern=f"^{_PLACE}$")
    stress: str | None = Field(default=None, pattern=f"^{_PLACE}$")
    virial: str | None = Field(default=None, pattern=f"^{_PLACE}$")
    charge: str | None = Field(default=None, pattern=f"^{_PLACE}$")
    spin: str | None = Field(default=None, pattern=f"^{_PLACE}$")
    group: str = Field(pattern=f"^(formula|reduced formula|file|{_PLACE})$")
    split: str | None = Field(default=None, pattern=f"^(file|{_PLACE})$")

    @model_validator(mode="after")
    def _has_one_stress(self) -> "Keys":
        if self.stress is not None and self.virial is not None:
            raise ValueError("keys name a stress and a virial; the one follows from the other")
        return self


class Card(BaseModel):
    """Everything a reader should know of a dataset before trusting a branch trained on it.

    Attributes:
        branch: identifier, the folder's name below datasets/.
        title: one line.
        theory: functional, basis or plane waves, code where stated.
        energy_kind: what the published energy is.
        reference: what the published energies are relative to, in words.
        labels: units as published.
        charge, spin: where total charge and spin multiplicity come from, in words.
        group: what never sits on both sides of a split, in words.
        elements: symbols that occur.
        license: SPDX identifier of the data.
        doi: of the publication that describes the data.
        citation: one line.
        num_structures: in the full published dataset.
        files: published files.
        isolated_atoms: energy of free atoms at the dataset's level of theory, on the scale of its
            energies, eV, by symbol; empty where none is published.
        isolated_atoms_from: where those are published.
        keys: names in files that hydracalc reads without an adapter.py; None where there is one.
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
    reference: str = "none, total energies"
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
    isolated_atoms: dict[str, float] = Field(default_factory=dict)
    isolated_atoms_from: str = ""
    keys: Keys | None = None
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
