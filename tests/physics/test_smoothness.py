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


def test_forces_have_no_jump_where_an_atom_crosses_the_cutoff(model, predict):
    """Slide one atom of a crystal so that neighbors cross the cutoff: no sudden step."""
    crystal = bulk("Al", cubic=True) * (2, 2, 2)
    steps = np.linspace(0, 0.5, 101)
    forces = []
    for step in steps:
        moved = crystal.copy()
        moved.positions[0, 0] += step
        forces.append(predict(model, moved).forces.numpy())
    jumps = np.abs(np.diff(forces, axis=0)).max(axis=(1, 2))
    assert jumps.max() < 5 * np.median(jumps)


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
