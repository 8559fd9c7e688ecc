"""A batch of structures as tensors, in the layout of torch-sim, and the records of hydracalc."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from hydracalc.predictor import StructurePrediction
from hydracalc.structure import AtomicStructure

# names that torch-sim prefers for the state of a whole structure
_CHARGES = ("charge", "total_charge")
_MULTIPLICITY = "spin"


class BatchState(Protocol):
    """What is read of torch-sim's SimState [10.1088/3050-287X/ae1799]; N atoms, S structures.

    Attributes:
        positions: Angstrom, (N, 3).
        cell: lattice vectors as columns, Angstrom, (S, 3, 3).
        pbc: periodic directions of all structures, bool, (3,).
        atomic_numbers: Z, (N,).
        system_idx: structure of each atom, from 0 without gaps, (N,).
        system_extras: numbers of each structure by name, (S, ...).
    """

    positions: Tensor
    cell: Tensor
    pbc: Tensor
    atomic_numbers: Tensor
    system_idx: Tensor

    @property
    def system_extras(self) -> Mapping[str, Tensor]:
        """Numbers of each structure by name, (S, ...)."""
        ...


def structures_of(state: BatchState) -> list[AtomicStructure]:
    """The structures of a batch in order, without labels; the batch is not changed.

    Charge is "charge" or "total_charge", spin multiplicity (2S + 1) "spin" of its extras, where
    they are not 0 and 1.

    Raises:
        ValueError: a charge or a multiplicity is no whole number, or a structure has no atoms.
    """
    cells = _array(state.cell).transpose(0, 2, 1)
    positions, numbers = _array(state.positions), _array(state.atomic_numbers)
    of_atom, pbc = _array(state.system_idx), _array(state.pbc).astype(bool)
    charges = _state_of(state, _CHARGES, len(cells), default=0)
    spins = _state_of(state, (_MULTIPLICITY,), len(cells), default=1)
    structures = []
    for index, cell in enumerate(cells):
        own = of_atom == index
        if not own.any():
            raise ValueError(f"structure {index} of the batch has no atoms")
        structures.append(
            AtomicStructure(
                atomic_numbers=numbers[own].astype(np.int64),
                positions=positions[own].astype(np.float64),
                cell=cell.astype(np.float64),
                pbc=np.broadcast_to(pbc, 3).copy(),
                total_charge=int(charges[index]),
                spin_multiplicity=int(spins[index]),
                source=str(index),
            )
        )
    return structures


def tensors_of(predictions: Sequence[StructurePrediction], state: BatchState) -> dict[str, Tensor]:
    """Predictions of the structures of a batch as torch-sim takes them.

    Returns:
        "energy", eV, (S,); "forces", eV/Angstrom, (N, 3), of the atoms in the order of the batch;
        "stress", tension positive, eV/Angstrom^3, (S, 3, 3), NaN where it has no meaning. They
        have dtype and device of the batch's positions.
    """
    like, of_atom = state.positions, _array(state.system_idx)
    forces = np.empty((len(of_atom), 3))
    stress = np.full((len(predictions), 3, 3), np.nan)
    for index, prediction in enumerate(predictions):
        forces[of_atom == index] = prediction.forces
        if prediction.stress is not None:
            stress[index] = prediction.stress
    energy = np.array([prediction.energy for prediction in predictions])
    given = {"energy": energy, "forces": forces, "stress": stress}
    return {name: torch.as_tensor(value).to(like) for name, value in given.items()}


def _state_of(
    state: BatchState, keys: Sequence[str], num_structures: int, *, default: int
) -> np.ndarray:
    """A whole number of each structure, (S,)."""
    for key in keys:
        if key in state.system_extras:
            values = _array(state.system_extras[key]).reshape(num_structures, -1)[:, 0]
            if not np.array_equal(values, np.round(values)):
                raise ValueError(f"{key} of the batch is {values.tolist()}, expected whole numbers")
            return values
    return np.full(num_structures, default)


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy()
