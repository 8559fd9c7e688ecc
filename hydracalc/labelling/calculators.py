"""Any ASE calculator by its name: built in every process that labels structures with it."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module, metadata
from inspect import signature
from typing import Any

import numpy as np
from ase.calculators.calculator import Calculator

from hydracalc.labelling.md_snapshots import as_atoms
from hydracalc.structure import AtomicStructure

# names that stand for a module and class
SHORT_NAMES = {
    "emt": "ase.calculators.emt:EMT",
    "hydracalc": "hydracalc.calculator:HydraCalculator",
    "pyscf": "hydracalc.labelling.pyscf_calculator:PySCF",
}

NOT_FINITE = "calculator gave a number that is not finite"
FAILED = "calculator failed"

# settings that calculators have for what each structure states itself; "spin" is not among them,
# because it is 2S, 2S + 1 or a switch, depending on the program
_CHARGE = ("charge",)
_MULTIPLICITY = ("multiplicity", "mult")


class LabelFailure(Exception):
    """A structure could not be labelled.

    Attributes:
        reason: short, the same for failures of a kind.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class CalculatorSpec:
    """Which calculator, with which settings.

    Attributes:
        path: "package.module:Class", or a name of SHORT_NAMES.
        settings: keyword arguments of the class.

    Raises:
        ValueError: the path is not written like that, or the charge or multiplicity, which each
            structure states, is among the settings.
    """

    path: str
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", SHORT_NAMES.get(self.path, self.path))
        module, colon, name = self.path.partition(":")
        if not (colon and name.isidentifier() and all(p.isidentifier() for p in module.split("."))):
            raise ValueError(
                f"calculator is {self.path!r}, expected package.module:Class such as "
                f"'ase.calculators.emt:EMT', or one of {', '.join(SHORT_NAMES)}"
            )
        for key in (*_CHARGE, *_MULTIPLICITY):
            if key in self.settings:
                raise ValueError(
                    f"{key} of the calculator is set, but every structure states its own; put it "
                    'into atoms.info["charge"] and atoms.info["spin"] (2S + 1) of the structures'
                )

    def load_class(self) -> type:
        """Import the class.

        Raises:
            ValueError: the module cannot be imported, or has no such class.
        """
        module, _, name = self.path.partition(":")
        try:
            found = getattr(import_module(module), name, None)
        except ImportError as error:
            raise ValueError(f"calculator {self.path}: cannot import {module}: {error}") from error
        if not isinstance(found, type):
            raise ValueError(f"calculator {self.path}: {module} has no class {name}")
        return found

    @property
    def taken(self) -> dict[str, str]:
        """Settings of the class that a structure states: name to "charge" or "multiplicity"."""
        made = self.load_class()
        arguments = signature(made.__init__).parameters  # type: ignore[misc]  # of this very class
        known = {*arguments, *getattr(made, "default_parameters", {})}
        names = dict.fromkeys(_CHARGE, "charge") | dict.fromkeys(_MULTIPLICITY, "multiplicity")
        return {name: meaning for name, meaning in names.items() if name in known}

    def describe(self) -> str:
        """Class, settings and versions in words, for the card."""
        made = self.load_class()
        packages = (made.__module__.partition(".")[0], *getattr(made, "packages", ()))
        versions = [f"{name} {_version(name)}" for name in packages if _version(name)]
        settings = ", ".join(f"{key}={value!r}" for key, value in self.settings.items())
        return f"{self.path}({settings})" + (f" of {', '.join(versions)}" if versions else "")


class Labeller:
    """Labels structures one after another with a calculator of its own."""

    def __init__(self, spec: CalculatorSpec) -> None:
        """Import the class; it is built when it is known for which charge.

        Raises:
            ValueError: there is no such class.
        """
        self._spec = spec
        self._class = spec.load_class()
        self._taken = spec.taken
        self._stated: dict[str, int] = {}
        self._calculator: Calculator | None = None

    def calculator(self, structure: AtomicStructure) -> Calculator:
        """The calculator, fit for the charge and multiplicity of a structure, remembering nothing.

        Raises:
            ValueError: it cannot be built with these settings.
        """
        values = {
            "charge": structure.total_charge,
            "multiplicity": structure.spin_multiplicity,
        }
        stated = {name: values[meaning] for name, meaning in self._taken.items()}
        if self._calculator is None or stated != self._stated:
            self._calculator, self._stated = self._build(stated), stated
        elif hasattr(self._calculator, "reset"):
            self._calculator.reset()  # no density of the structure before: any order, same bits
        return self._calculator

    def _build(self, stated: Mapping[str, int]) -> Calculator:
        try:
            made = self._class(**self._spec.settings, **stated)
        except Exception as error:
            raise ValueError(
                f"calculator {self._spec.path} cannot be made with "
                f"{dict(self._spec.settings) | dict(stated)}: {type(error).__name__}: {error}"
            ) from error
        if "energy" not in getattr(made, "implemented_properties", ()):
            raise ValueError(f"calculator {self._spec.path} has no energy; is it of ASE's kind?")
        return made

    def label(self, structure: AtomicStructure) -> AtomicStructure:
        """The structure with energy, forces and, for a crystal, stress, as far as there are any.

        Raises:
            ValueError: the calculator cannot be built.
            LabelFailure: it fails for this structure.
        """
        atoms = as_atoms(structure)
        atoms.calc = self.calculator(structure)
        has = set(atoms.calc.implemented_properties)
        try:
            # forces before energy: programs then need not be asked twice
            forces = np.array(atoms.get_forces()) if "forces" in has else None
            energy = float(atoms.get_potential_energy())
            is_crystal = bool(structure.pbc.all()) and "stress" in has
            stress = np.array(atoms.get_stress(voigt=False)) if is_crystal else None
        except Exception as error:
            kind = type(error).__name__
            raise LabelFailure(f"{FAILED} ({kind})", f"{kind}: {error}") from error
        for value in (energy, forces, stress):
            if value is not None and not np.isfinite(value).all():
                raise LabelFailure(NOT_FINITE, NOT_FINITE)
        return replace(structure, energy=energy, forces=forces, stress=stress)


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Settings written key=value; a value that TOML does not read as another kind is a text.

    Raises:
        ValueError: there is no equals sign, no name before it, or a name comes twice.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not key.isidentifier():
            raise ValueError(f"setting {text!r}: expected key=value, such as xc=wb97x")
        if key in settings:
            raise ValueError(f"setting {key!r} is given twice")
        try:
            settings[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            settings[key] = value.strip()
    return settings


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
