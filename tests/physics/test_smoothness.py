"""Energy and forces change smoothly while a neighbor comes and goes."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.data import covalent_radii
from builders import make_model

from hydracalc.graphs.collate import collate
from hydracalc.models.radial import envelope
from hydracalc.models.repulsion import Repulsion
from hydracalc.structure import from_atoms


def test_a_pair_force_vanishes_at_the_cutoff(model, predict):
    cutoff = model.config.cutoff
    for distance, limit in ((cutoff - 1e-3, 1e-6), (cutoff, 0.0), (cutoff + 0.1, 0.0)):
        pair = Atoms("H2", [[0, 0, 0], [0, 0, distance]])
        assert predict(model, pair).forces.abs().max().item() <= limit


def roughness(forces):
    """How much the largest second difference shrinks where the step is halved.

    4 for forces with a continuous slope, 2 where the slope jumps, 1 where the forces themselves
    do, however small the jump is beside the change of the forces.
    """
    second = [np.abs(np.diff(forces[::every], n=2, axis=0)).max() for every in (2, 1)]
    return second[0] / second[1]


def forces_of_a_slide(model, predict):
    """Forces while an atom of a crystal slides, on whose way 24 neighbors cross the cutoff."""
    crystal = bulk("Al", cubic=True) * (2, 2, 2)
    shell = np.sqrt(1.5) * 4.05
    assert model.config.cutoff - 0.1 < shell < model.config.cutoff
    forces = []
    for step in np.linspace(0, 0.12, 25):
        moved = crystal.copy()
        moved.positions[0, 0] += step
        forces.append(predict(model, moved).forces.numpy())
    return np.array(forces)


def test_forces_and_their_slope_have_no_jump_where_an_atom_crosses_the_cutoff(model, predict):
    """The energy is twice continuously differentiable while neighbors come and go."""
    assert roughness(forces_of_a_slide(model, predict)) > 3


def test_a_jump_of_forces_or_of_their_slope_would_be_noticed(predict, monkeypatch):
    """The test of the test: envelopes that end at the cutoff without their slope or curvature."""
    for power, expected in ((1, 1), (2, 2)):

        def ends(lengths, cutoff, power=power):
            return (1 - lengths / cutoff).clamp(min=0) ** power

        for module in ("radial", "schnet"):
            monkeypatch.setattr(f"hydracalc.models.{module}.envelope", ends)
        # two factors of the filters of SchNet have the envelope: its network's bias has one
        found = roughness(forces_of_a_slide(make_model("schnet"), predict))
        assert found == pytest.approx(expected, abs=0.5)


@pytest.mark.parametrize("symbol", ["H", "Cu"])
def test_atoms_that_come_close_repel(predict, symbol):
    """The nuclei's repulsion wins over any network, also one that has never seen data."""
    model = make_model("painn")
    number = Atoms(symbol).numbers[0]
    bond = 2 * covalent_radii[number]
    energies = [
        predict(model, Atoms([number] * 2, [[0, 0, 0], [0, 0, d]]), forces=None).energy.item()
        for d in (0.15 * bond, 0.25 * bond, 0.4 * bond)
    ]
    assert energies[0] > energies[1] > energies[2]


def test_the_repulsion_is_the_published_one():
    """Two carbon atoms at 0.5 Angstrom, against the ZBL formula written out with its constants."""
    graph = collate([from_atoms(Atoms("C2", [[0, 0, 0], [0, 0, 0.5]]))], 5.0)
    graph = graph.with_edge_vectors(graph.displacements())
    a = 0.46850 / (2 * 6**0.23)
    terms = [(0.18175, 3.1998), (0.50986, 0.94229), (0.28022, 0.4029), (0.02817, 0.20162)]
    screening = sum(c * np.exp(-k * 0.5 / a) for c, k in terms)
    bare = 14.399645 * 36 / 0.5 * screening
    damped = bare * envelope(torch.tensor([0.5]), 2 * 0.76).item()
    got = Repulsion().double()(graph).sum().item()
    assert got == pytest.approx(damped, rel=1e-5)
