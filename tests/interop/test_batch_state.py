"""Batches of tensors become structures, and predictions become tensors, atom by atom."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from builders import rattled, structure_zoo

from hydracalc.inputs import as_structure
from hydracalc.interop.batch_state import structures_of, tensors_of
from hydracalc.predictor import Predictor
from hydracalc.registry import load_model


@dataclass
class Batch:
    """Fields as torch-sim's SimState documents them: cells have their vectors as columns."""

    positions: torch.Tensor
    cell: torch.Tensor
    pbc: torch.Tensor
    atomic_numbers: torch.Tensor
    system_idx: torch.Tensor
    system_extras: dict = field(default_factory=dict)


def batch_of(*several, dtype=torch.float64, **extras):
    counts = torch.tensor([len(atoms) for atoms in several])
    return Batch(
        positions=torch.tensor(np.concatenate([a.positions for a in several]), dtype=dtype),
        cell=torch.tensor(np.stack([a.cell.array.T for a in several]), dtype=dtype),
        pbc=torch.tensor(several[0].pbc),
        atomic_numbers=torch.tensor(np.concatenate([a.numbers for a in several])),
        system_idx=torch.repeat_interleave(torch.arange(len(several)), counts),
        system_extras={name: torch.tensor(values) for name, values in extras.items()},
    )


@pytest.fixture(scope="module")
def predictor(random_model):
    return Predictor(load_model(random_model, dtype="float64"))


@pytest.mark.parametrize("name", structure_zoo())
def test_a_structure_comes_through_unchanged(name):
    atoms = structure_zoo()[name]
    (found,), expected = structures_of(batch_of(atoms)), as_structure(atoms)
    for each in ("atomic_numbers", "positions", "cell", "pbc"):
        np.testing.assert_array_equal(getattr(found, each), getattr(expected, each))
    assert (found.total_charge, found.spin_multiplicity) == (0, 1)


@pytest.mark.parametrize("charge", ["charge", "total_charge"])
def test_charge_and_multiplicity_come_from_the_extras(charge):
    batch = batch_of(molecule("H2O"), molecule("CH4"), **{charge: [-1.0, 0.0]}, spin=[2, 1])
    first, second = structures_of(batch)
    assert (first.total_charge, first.spin_multiplicity) == (-1, 2)
    assert (second.total_charge, second.spin_multiplicity) == (0, 1)


def test_half_a_charge_is_refused():
    with pytest.raises(ValueError, match=r"charge of the batch is \[0.5\], expected whole"):
        structures_of(batch_of(molecule("H2O"), charge=[0.5]))


def test_an_empty_structure_is_refused():
    batch = batch_of(molecule("H2O"), molecule("CH4"))
    batch.system_idx[:] = 0
    with pytest.raises(ValueError, match="structure 1 of the batch has no atoms"):
        structures_of(batch)


def test_predictions_are_those_of_each_structure_alone(predictor):
    several = [rattled(bulk("Cu", cubic=True)), rattled(bulk("NaCl", "rocksalt", a=5.6), 1)]
    batch = batch_of(*several)
    before = batch.positions.clone()
    found = tensors_of(predictor.predict_batch(structures_of(batch)), batch)
    assert {name: tuple(v.shape) for name, v in found.items()} == {
        "energy": (2,),
        "forces": (6, 3),
        "stress": (2, 3, 3),
    }
    assert torch.equal(batch.positions, before)
    for index, atoms in enumerate(several):
        (alone,) = predictor.predict([as_structure(atoms)])
        own = batch.system_idx == index
        assert found["energy"][index].item() == pytest.approx(alone.energy, abs=1e-9)
        np.testing.assert_allclose(found["forces"][own].numpy(), alone.forces, atol=1e-10)
        np.testing.assert_allclose(found["stress"][index].numpy(), alone.stress, atol=1e-10)


def test_atoms_of_a_batch_may_be_mixed(predictor):
    """Forces go to the atoms that they belong to, in whatever order these are."""
    batch = batch_of(rattled(molecule("CH4")), rattled(molecule("H2O"), 2))
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    mixed = batch_of(rattled(molecule("CH4")), rattled(molecule("H2O"), 2))
    for name in ("positions", "atomic_numbers", "system_idx"):
        setattr(mixed, name, getattr(batch, name)[order])
    straight, shuffled = (
        tensors_of(predictor.predict_batch(structures_of(each)), each) for each in (batch, mixed)
    )
    torch.testing.assert_close(shuffled["forces"], straight["forces"][order], rtol=0, atol=1e-9)


def test_molecules_have_no_stress_and_types_are_those_of_the_batch(predictor):
    batch = batch_of(molecule("H2O"), dtype=torch.float32)
    found = tensors_of(predictor.predict_batch(structures_of(batch)), batch)
    assert torch.isnan(found["stress"]).all()
    assert {value.dtype for value in found.values()} == {torch.float32}
    assert not any(value.requires_grad for value in found.values())
