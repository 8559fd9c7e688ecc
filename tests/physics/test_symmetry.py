"""What must not change an energy does not: rotation, reflection, translation, order, company."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from builders import make_model, structure_zoo

from hydracalc.graphs.collate import collate
from hydracalc.structure import from_atoms


def random_rotation(seed):
    matrix, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return matrix * np.sign(np.linalg.det(matrix))


def turned(atoms, rotation):
    result = atoms.copy()
    result.set_cell(atoms.cell @ rotation.T)
    result.positions = atoms.positions @ rotation.T
    return result


@pytest.mark.parametrize("name", structure_zoo())
@pytest.mark.parametrize("improper", [False, True])
def test_a_rotation_turns_forces_and_stress_and_keeps_the_energy(
    model, predict, zoo, name, improper
):
    rotation = random_rotation(3) * (-1 if improper else 1)
    before = predict(model, zoo[name], stress=True)
    after = predict(model, turned(zoo[name], rotation), stress=True)
    rotation = torch.from_numpy(rotation)
    assert abs(after.energy - before.energy).item() < 1e-10
    torch.testing.assert_close(after.forces, before.forces @ rotation.T, atol=1e-10, rtol=1e-10)
    expected = rotation @ before.stress @ rotation.T
    torch.testing.assert_close(after.stress, expected, atol=1e-10, rtol=1e-10, equal_nan=True)


def test_direct_forces_turn_with_the_structure_and_sum_to_zero(encoder, predict, zoo):
    model = make_model(encoder, direct_forces=True)
    rotation = random_rotation(5)
    before = predict(model, zoo["molecule"], forces="direct").forces
    after = predict(model, turned(zoo["molecule"], rotation), forces="direct").forces
    torch.testing.assert_close(after, before @ torch.from_numpy(rotation).T, atol=1e-10, rtol=1e-10)
    assert before.sum(dim=0).abs().max() < 1e-10
    assert before.abs().max() > 1e-3


@pytest.mark.parametrize("distance", [1.0, 40.0, 1000.0])
def test_a_translation_changes_nothing(model, predict, zoo, distance):
    for atoms in zoo.values():
        moved = atoms.copy()
        moved.positions += distance * np.array([0.6, -0.48, 0.64])
        a, b = predict(model, atoms), predict(model, moved)
        assert abs(a.energy - b.energy).item() < 1e-9
        torch.testing.assert_close(a.forces, b.forces, atol=1e-9, rtol=0)


def test_the_order_of_atoms_changes_nothing(model, predict, zoo):
    for atoms in zoo.values():
        order = np.random.default_rng(1).permutation(len(atoms))
        a, b = predict(model, atoms), predict(model, atoms[order])
        assert abs(a.energy - b.energy).item() < 1e-10
        torch.testing.assert_close(a.forces[order], b.forces, atol=1e-10, rtol=0)


def test_a_batch_equals_its_structures_one_by_one(model, predict, zoo):
    every = list(zoo.values())
    batch = predict(model, *every, stress=True)
    singles = [predict(model, atoms, stress=True) for atoms in every]
    for name in ("energy", "energies", "forces", "stress"):
        expected = torch.cat([getattr(single, name) for single in singles])
        got = getattr(batch, name)
        torch.testing.assert_close(got, expected, atol=1e-10, rtol=1e-12, equal_nan=True)


def test_a_supercell_has_the_energy_of_its_cells(model, predict):
    """For every branch and for the weights that composition gives."""
    for cell in (bulk("NaCl", "rocksalt", a=5.6), bulk("Si"), bulk("Cu", cubic=True)):
        for weights in (None, torch.tensor([[0.0, 1.0]])):
            energies = []
            for atoms in (cell, cell * (2, 2, 2)):
                own = weights
                if own is None:
                    own = model.branch_weights(collate([from_atoms(atoms)], 5.0)).detach()
                energies.append(predict(model, atoms, weights=own).energy.item() / len(atoms))
            assert energies[0] == pytest.approx(energies[1], abs=1e-6)


def test_distant_molecules_have_the_sum_of_their_energies(model, predict):
    water, ethanol = molecule("H2O"), molecule("CH3CH2OH")
    apart = ethanol.copy()
    apart.positions += 100
    together = predict(model, water + apart)
    single = predict(model, water).energy + predict(model, ethanol).energy
    assert together.energy.item() == pytest.approx(single.item(), abs=1e-9)


def test_an_isolated_atom_has_its_reference_energy(model, predict):
    for symbol in ("H", "Cu"):
        energies = model.branch_specs[1].references.energies
        got = predict(model, Atoms(symbol))
        assert got.energy.item() == energies[Atoms(symbol).numbers[0]]
        assert got.forces.abs().max() == 0


def test_symmetric_sites_feel_no_force(model, predict):
    """Truncated neighbor lists break the symmetry of fcc copper; complete ones keep it."""
    got = predict(model, bulk("Cu", cubic=True), stress=True)
    assert got.forces.abs().max() < 1e-10
    pressure = got.stress[0].diagonal().mean()
    torch.testing.assert_close(got.stress[0], pressure * torch.eye(3).double(), atol=1e-10, rtol=0)
