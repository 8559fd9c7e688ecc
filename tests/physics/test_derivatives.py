"""Forces and stress are the derivatives of the energy that a user can take by hand."""

import numpy as np
import pytest
from builders import make_model, structure_zoo


@pytest.mark.parametrize("name", structure_zoo())
def test_forces_are_minus_the_energy_gradient(model, predict, zoo, name):
    """Central differences in float64 along a random direction of all atoms."""
    atoms = zoo[name]
    direction = np.random.default_rng(7).normal(size=atoms.positions.shape)
    forces = predict(model, atoms).forces.numpy()
    step, energies = 1e-5, []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions += sign * step * direction
        energies.append(predict(model, moved, forces=None).interaction_energy.item())
    slope = (energies[0] - energies[1]) / (2 * step)
    assert -np.sum(forces * direction) == pytest.approx(slope, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", [n for n, a in structure_zoo().items() if a.cell.rank == 3])
def test_stress_is_the_strain_derivative(model, predict, zoo, name):
    """Central differences in float64 along a random symmetric strain of cell and atoms."""
    atoms = zoo[name]
    strain = np.random.default_rng(8).normal(size=(3, 3))
    strain = (strain + strain.T) / 2
    stress = predict(model, atoms, stress=True).stress[0].numpy()
    step, energies = 1e-5, []
    for sign in (1, -1):
        strained = atoms.copy()
        strained.set_cell(atoms.cell @ (np.eye(3) + sign * step * strain))
        strained.positions = atoms.positions @ (np.eye(3) + sign * step * strain)
        energies.append(predict(model, strained, forces=None).interaction_energy.item())
    slope = (energies[0] - energies[1]) / (2 * step) / abs(np.linalg.det(atoms.cell))
    assert np.sum(stress * strain) == pytest.approx(slope, rel=1e-5, abs=1e-8)
    assert np.allclose(stress, stress.T)


def test_the_force_jacobian_is_symmetric_for_conservative_forces_only(predict, zoo):
    """A force field with a potential has a symmetric Jacobian; direct forces do not."""
    model = make_model("painn", direct_forces=True)

    def asymmetry(kind):
        atoms, rows = zoo["molecule"][:6], []
        for i in range(3 * len(atoms)):
            pair = []
            for sign in (1, -1):
                moved = atoms.copy()
                moved.positions[i // 3, i % 3] += sign * 1e-4
                pair.append(predict(model, moved, forces=kind).forces.detach().numpy().ravel())
            rows.append((pair[0] - pair[1]) / 2e-4)
        jacobian = np.array(rows)
        return np.linalg.norm(jacobian - jacobian.T) / np.linalg.norm(jacobian)

    assert asymmetry("conservative") < 1e-6
    assert asymmetry("direct") > 1e-3
