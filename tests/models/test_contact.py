import numpy as np
import pytest
import torch
from ase import Atoms
from ase.data import covalent_radii
from builders import make_model

from hydracalc.graphs.collate import collate
from hydracalc.inputs import as_structure
from hydracalc.models.contact import Contact
from hydracalc.models.hydra import HydraConfig
from hydracalc.predictor import InferenceConfig, Predictor

STEP = 1e-5

# the warning is what users should see here
pytestmark = pytest.mark.filterwarnings("ignore:atoms .* Angstrom apart")


def squeezed(part, symbols=("O", "H", "C"), shear=0.0):
    """Two atoms at a part of the sum of their covalent radii, and a third one."""
    radii = [covalent_radii[Atoms(symbol).numbers[0]] for symbol in symbols]
    length = part * (radii[0] + radii[1])
    return Atoms(symbols, [[0, 0, 0], [length, shear, 0], [0.3, 1.4, 0.2]][: len(symbols)])


def answer(model, atoms):
    predictor = Predictor(model, InferenceConfig(branch="organic"))
    found = predictor.predict([as_structure(atoms)])[0]
    return found.energy, found.forces


def graph_of(model, atoms):
    branches = {name: index for index, name in enumerate(model.branch_names)}
    structure = as_structure(atoms)
    object.__setattr__(structure, "branch", "organic")
    graph = collate([structure], model.config.cutoff, branches=branches)
    return graph.with_edge_vectors(graph.displacements())


@pytest.mark.parametrize("part", [0.3, 0.47, 0.55, 0.64])
def test_forces_are_slopes_of_the_energy_where_atoms_touch(encoder, part):
    model = make_model(encoder)
    atoms = squeezed(part, shear=0.1)
    _, forces = answer(model, atoms)
    for atom, axis in ((0, 0), (1, 1), (2, 2)):
        energies = []
        for shift in (-2, -1, 1, 2):
            moved = atoms.copy()
            moved.positions[atom, axis] += shift * STEP
            energies.append(answer(model, moved)[0])
        slope = (energies[0] - 8 * energies[1] + 8 * energies[2] - energies[3]) / (12 * STEP)
        assert -slope == pytest.approx(forces[atom, axis], rel=1e-5, abs=1e-5)


def test_training_sees_the_same_energy_and_forces(encoder):
    model = make_model(encoder, weighting=False)
    atoms = squeezed(0.5)
    energy, forces = answer(model, atoms)
    model.train()
    prediction = model(graph_of(model, atoms))
    assert float(prediction.energy.detach()) == pytest.approx(energy, rel=1e-10)
    assert np.abs(prediction.forces.detach().numpy() - forces).max() < 1e-8 * np.abs(forces).max()


def test_at_bond_lengths_nothing_changes(encoder):
    plain, model = make_model(encoder, contact=0.0), make_model(encoder)
    energy, forces = answer(plain, squeezed(0.7))
    assert answer(model, squeezed(0.7))[0] == energy
    assert (answer(model, squeezed(0.7))[1] == forces).all()
    assert answer(model, squeezed(0.5))[0] != answer(plain, squeezed(0.5))[0]


def test_the_encoder_sees_no_more_of_atoms_that_fall_into_each_other(encoder):
    """Below 0.7 of where it begins only the direction is left, and the repulsion."""
    model = make_model(encoder, repulsion=False)
    near, nearer = (answer(model, squeezed(part, symbols=("O", "H")))[0] for part in (0.4, 0.2))
    assert nearer == pytest.approx(near, rel=1e-12)


def test_random_weights_do_not_pull_atoms_into_each_other():
    model = make_model()
    parts = np.linspace(0.1, 0.45, 15)
    energies = [answer(model, squeezed(part, symbols=("O", "H")))[0] for part in parts]
    assert (np.diff(energies) < 0).all()


def test_the_seen_length_is_smooth_and_never_falls_below_its_end():
    contact = Contact(0.65)
    model = make_model()
    lengths, seen = np.linspace(0.1, 1.0, 901), []
    for length in lengths:
        graph = graph_of(model, Atoms("OH", [[0, 0, 0], [length, 0, 0]]))
        seen.append(float(contact.seen(graph).edge_lengths[0]))
    begin = 0.65 * (covalent_radii[8] + covalent_radii[1])
    seen = np.array(seen)
    assert seen[lengths >= begin] == pytest.approx(lengths[lengths >= begin])
    assert seen[lengths <= 0.7 * begin] == pytest.approx(0.85 * begin, rel=1e-6)
    assert np.abs(np.diff(seen, 3)).max() < 1e-6  # third differences of 1 mA: no kink


def test_the_pullback_is_the_derivative_of_what_is_seen():
    model = make_model()
    graph = graph_of(model, squeezed(0.55))
    torch.manual_seed(0)
    contact = Contact(0.65).double()
    weights = torch.randn_like(graph.edge_vectors)
    leaf = graph.edge_vectors.clone().requires_grad_()
    vectors = contact.seen(graph.with_edge_vectors(leaf)).edge_vectors
    (expected,) = torch.autograd.grad((vectors * weights).sum(), leaf)
    _, pullback = contact.with_pullback(graph)
    assert torch.allclose(pullback(weights), expected, rtol=1e-12)


def test_a_part_above_one_is_refused():
    with pytest.raises(ValueError, match="contact is 1.2, expected at least 0 and below 1"):
        HydraConfig(contact=1.2)
