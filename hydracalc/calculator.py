"""The model as an ASE calculator: `atoms.calc = HydraCalculator("mtl-all")`."""

import copy
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.calculators.calculator import (
    Calculator,
    PropertyNotImplementedError,
    all_changes,
    register_calculator_class,
)
from ase.calculators.calculator import external_calculators as _registered

from hydracalc.card import Card
from hydracalc.devices import device_of
from hydracalc.ensemble.judgement import Judge
from hydracalc.ensemble.members import Members, full_name, load_members
from hydracalc.errors import unknown
from hydracalc.inputs import StructureLike, as_structure
from hydracalc.mixture import BranchChoice
from hydracalc.moving import MovingStructure
from hydracalc.predictor import InferenceConfig, StructurePrediction, has_stress
from hydracalc.structure import AtomicStructure

# what of atoms.info a prediction depends on, and what holds where it is not stated
_STATE_KEYS = {"charge": 0, "spin": 1}

_EXACT = 1e-15  # Angstrom, ASE's own tolerance for "unchanged"

_UNCERTAINTIES = ("branches", "ensemble")


class HydraCalculator(Calculator):
    """Energy, forces and stress of a structure from a multi-branch model.

    Total charge and spin multiplicity are `atoms.info["charge"]` and `atoms.info["spin"]`
    (2S + 1), where they are not 0 and 1. What goes beyond ASE's properties is in `extras`, renewed
    by every calculation: `branch_weights`, `branch_energies` (eV; all branches with "auto" or a
    mixture), `interaction_energy` (eV) and, if asked for, `uncertainty`.

    Args:
        model: name ("mtl-all"), name with revision, or path of a model file; or the folder or file
            of an ensemble, whose mean is the result.
        branch: None is the model's default: composition decides where the model has a trained
            weighting. Else "auto", a branch's name, or weights by name with sum 1.
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", ...
        dtype: "auto" (as stored), "float32", "float64" or "bfloat16"; energies of elements are
            added in float64 in any case.
        reference: "total" is the energy on the branch's published scale, "interaction" the energy
            beyond that of isolated atoms.
        forces: "conservative" are derivatives of the energy. "direct" come from a head of their
            own where the model has one: faster, but energy is not conserved in dynamics, and there
            is no stress.
        skin: extra reach of the neighbor list that lets it serve several steps, Angstrom.
        compile: let torch compile energy and forces into one function at the first calculation, in
            about half a minute; later processes find it on disk. Needs a C++ compiler.
        uncertainty: "branches" adds the spread between branches that know all elements, "ensemble"
            that between members, both with intervals where they are calibrated.
        sha256: identity that the model must have, as `todict()` states it; None takes any.

    Raises:
        ValueError: an argument names something that does not exist; the message lists what does.
        DataError: the model file is damaged, or another one than `sha256` says.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]
    ignored_changes = {"initial_charges", "initial_magmoms"}

    def __init__(  # noqa: PLR0913  # the contract of what users type
        self,
        model: str | Path = "mtl-all",
        *,
        branch: BranchChoice = None,
        device: str = "auto",
        dtype: str = "auto",
        reference: Literal["total", "interaction"] = "total",
        forces: Literal["conservative", "direct"] = "conservative",
        skin: float = 0.5,
        compile: bool = False,
        uncertainty: Literal["branches", "ensemble"] | None = None,
        sha256: str | None = None,
    ) -> None:
        loaded = load_members(model, dtype=dtype, device=device_of(device), sha256=sha256)
        settings = {
            "model": full_name(model),
            "branch": branch,
            "device": device,
            "dtype": loaded.model.precision,
            "reference": reference,
            "forces": forces,
            "skin": float(skin),
            "compile": bool(compile),
            "uncertainty": uncertainty,
            "sha256": loaded.sha256,
        }
        self._start(loaded, settings)

    def _start(self, loaded: Members, settings: dict[str, Any]) -> None:
        """Set everything up around a model that is in memory already."""
        _check_uncertainty(settings["uncertainty"], loaded)
        config = InferenceConfig(
            branch=settings["branch"],
            reference=settings["reference"],
            forces=settings["forces"],
            every_branch=settings["uncertainty"] == "branches",
            compile=settings["compile"],
        )
        if config.forces is None:
            raise ValueError("forces is None, expected 'conservative' or 'direct'")
        self._loaded = loaded
        self._predictor = loaded.predictor(config)
        self._moving = MovingStructure(self._predictor, settings["skin"])
        self._judge = Judge(
            loaded.calibrations,
            self._predictor.mixture.branch,
            of_members=loaded.is_ensemble and settings["uncertainty"] != "branches",
        )
        self.extras: dict[str, Any] = {}
        if config.forces == "direct":
            self.implemented_properties = [p for p in self.implemented_properties if p != "stress"]
        self._is_set_up = False
        super().__init__(**(settings | {"branch": self._predictor.mixture.branch}))
        self._is_set_up = True

    # --- what ASE asks for ------------------------------------------------------------------

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Energy, forces and, where the structure is periodic, stress in one pass.

        Raises:
            ValueError: the structure is empty, has positions that are not finite, a zero cell
                along a periodic direction, or elements the branch does not know.
            PropertyNotImplementedError: stress is asked for and has no meaning.
        """
        self.results, self.extras = {}, {}
        super().calculate(atoms, list(properties), list(system_changes))
        structure = as_structure(self._given(None))
        if "stress" in properties:
            self._check_stress(structure)
        prediction = self._moving.predict(structure)
        self.results = prediction.properties
        self.extras = self._extras(structure, prediction)

    def check_state(self, atoms: Atoms, tol: float = _EXACT) -> list[str]:
        """What changed since the last calculation, charge and spin in `atoms.info` included."""
        last = self.atoms
        if last is None:
            return list(all_changes)
        if tol > _EXACT:
            changes = list(super().check_state(atoms, tol=tol))
        else:
            # ASE compares with a tolerance, ten times slower, in every step of a simulation
            changes = [
                name
                for name, before, now in (
                    ("positions", last.positions, atoms.positions),
                    ("numbers", last.numbers, atoms.numbers),
                    ("cell", last.cell.array, atoms.cell.array),
                    ("pbc", last.pbc, atoms.pbc),
                )
                if not np.array_equal(before, now)
            ]
        if not all(
            np.array_equal(last.info.get(key, default), atoms.info.get(key, default))
            for key, default in _STATE_KEYS.items()
        ):
            changes.append("info")
        return changes

    def set_atoms(self, atoms: Atoms) -> None:
        """Refuse elements that the branch does not know; ASE calls it on `atoms.calc = ...`."""
        if len(atoms):
            self._predictor.mixture.check(atoms.numbers)

    def set(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401  # ASE's own signature
        """Settings are fixed when a calculator is made.

        Raises:
            ValueError: a setting would change.
        """
        if self._is_set_up and kwargs:
            raise ValueError(
                f"settings of a HydraCalculator are fixed, {sorted(kwargs)} cannot be set; "
                "make a new one, or use with_branch(...)"
            )
        return super().set(**kwargs)

    def reset(self) -> None:
        """Forget the last calculation."""
        super().reset()
        self.extras = {}

    def _get_name(self) -> str:
        return "hydracalc"

    # --- what only this calculator has ------------------------------------------------------

    @property
    def branches(self) -> list[str]:
        """Names of the model's branches."""
        return list(self._loaded.model.branch_names)

    @property
    def cutoff(self) -> float:
        """Distance that one round of messages sees, Angstrom."""
        return self._predictor.model.config.cutoff

    @property
    def allowed_atomic_numbers(self) -> list[int]:
        """Elements that the chosen branch describes; with "auto" those that any branch does."""
        return self._predictor.mixture.allowed_atomic_numbers

    def branch_card(self, name: str) -> Card:
        """What is stated about a branch: level of theory, elements, licence, source.

        Raises:
            ValueError: the model has no such branch.
        """
        for spec in self._loaded.model.branch_specs:
            if spec.name == name:
                return spec.card
        raise ValueError(unknown("branch", name, self.branches))

    def with_branch(self, branch: BranchChoice) -> "HydraCalculator":
        """A calculator for another branch or mixture that shares this one's weights.

        Raises:
            ValueError: the model has no such branch.
        """
        return self._twin(branch=branch)

    def get_branch_weights(self, atoms: StructureLike = None) -> dict[str, float]:
        """Weight of every branch for a structure, or for that of the last calculation."""
        structure = as_structure(self._given(atoms))
        return self._predictor.branch_weights(structure)

    def get_branch_energies(self, atoms: StructureLike = None) -> dict[str, float]:
        """Energy of every branch that knows all elements, eV."""
        structure = as_structure(self._given(atoms))
        return self._predictor.survey(structure).branch_energies

    def get_descriptors(self, atoms: StructureLike = None) -> np.ndarray:
        """What the encoder says of each atom's surroundings, unchanged by rotation, (N, C)."""
        return self._predictor.descriptors(as_structure(self._given(atoms)))

    def get_uncertainty(self, atoms: StructureLike = None) -> dict[str, Any]:
        """Spread between members of an ensemble, or between the branches that know all elements.

        Returns:
            of energies beyond references the standard deviation "energy", eV, and
            "energy_per_atom", eV/atom; "num_branches" or "num_members" that it is taken over; of
            members also that of "forces", eV/Angstrom, (N, 3), and "stress". Where the branch is
            calibrated, "intervals" and "atoms_outside" as `Judge.uncertainty` gives them.

        Raises:
            ValueError: fewer than two branches know all elements.
        """
        structure = as_structure(self._given(atoms))
        if self._judge.of_members:
            prediction = self._predictor.predict([structure])[0]
        else:
            prediction = self._predictor.survey(structure)
        return self._judge.uncertainty(structure, prediction, warn=False)

    def evaluate(
        self,
        structures: Iterable[StructureLike],
        *,
        max_atoms: int | None = None,
        progress: bool = False,
    ) -> list[dict[str, Any]]:
        """Results of many structures, computed together; the same as one by one.

        Args:
            structures: ASE Atoms, pymatgen Structures or Molecules; they are not changed.
            max_atoms: atoms evaluated at a time; None leaves it to the predictor.
            progress: show a bar on standard error.

        Returns:
            for each structure what `results` would hold after a calculation of it.
        """
        given = [as_structure(each, source=str(i)) for i, each in enumerate(structures)]
        batches = self._predictor.batches(given, max_atoms=max_atoms)
        show: Callable[..., Iterable[np.ndarray]] = _shown if progress else _unshown
        results: list[dict[str, Any]] = []
        for batch in show(batches):
            predictions = self._predictor.predict_batch([given[i] for i in batch])
            results += [prediction.properties for prediction in predictions]
        return results

    # --- copies -----------------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        state = {"atoms": self.atoms, "results": self.results, "extras": self.extras}
        return _rebuild, (type(self), dict(self.parameters)), state

    def __deepcopy__(self, memo: dict[int, Any]) -> "HydraCalculator":
        twin = self._twin()
        memo[id(self)] = twin
        for name in ("atoms", "results", "extras"):
            setattr(twin, name, copy.deepcopy(getattr(self, name), memo))
        return twin

    def _twin(self, **changes: Any) -> "HydraCalculator":  # noqa: ANN401
        """Another calculator around the same model."""
        twin = type(self).__new__(type(self))
        twin._start(self._loaded, dict(self.parameters) | changes)
        return twin

    def _given(self, atoms: StructureLike) -> StructureLike:
        given = self.atoms if atoms is None else atoms
        if given is None:
            raise ValueError("no structure given and none calculated before")
        return given

    def _check_stress(self, structure: AtomicStructure) -> None:
        if "stress" not in self.implemented_properties:
            raise PropertyNotImplementedError("stress needs forces='conservative'")
        if not has_stress(structure):
            raise PropertyNotImplementedError(
                "stress has a meaning only where the structure is periodic and its cell has a "
                f"volume; pbc is {structure.pbc.tolist()}, volume "
                f"{abs(np.linalg.det(structure.cell)):g} Angstrom^3"
            )

    def _extras(
        self, structure: AtomicStructure, prediction: StructurePrediction
    ) -> dict[str, Any]:
        extras: dict[str, Any] = {
            "branch_weights": prediction.branch_weights,
            "branch_energies": prediction.branch_energies,
            "interaction_energy": prediction.interaction_energy,
        }
        if self.parameters["uncertainty"] is not None:
            extras["uncertainty"] = self._judge.uncertainty(structure, prediction)
        return extras


def _check_uncertainty(kind: str | None, loaded: Members) -> None:
    if kind is not None and kind not in _UNCERTAINTIES:
        raise ValueError(unknown("uncertainty", str(kind), _UNCERTAINTIES))
    if kind == "ensemble" and not loaded.is_ensemble:
        raise ValueError(
            "uncertainty='ensemble' needs an ensemble, this is a single model; use "
            "'branches' for the spread between its branches"
        )


def _rebuild(kind: type[HydraCalculator], settings: dict[str, Any]) -> HydraCalculator:
    """A calculator of its settings, in the process that unpickles it."""
    return kind(**settings)


def _unshown(batches: Iterable[np.ndarray]) -> Iterable[np.ndarray]:
    return batches


def _shown(batches: Sequence[np.ndarray]) -> Iterable[np.ndarray]:
    from rich.console import Console
    from rich.progress import track

    return track(batches, description="structures", console=Console(stderr=True))


if "hydracalc" not in _registered:
    register_calculator_class("hydracalc", HydraCalculator)
