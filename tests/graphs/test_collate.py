"""Structures side by side keep their own atoms, edges and labels."""

import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from pairs import CUTOFF, STRUCTURES

from hydracalc.graphs.collate import collate
from hydracalc.graphs.neighbors import neighbor_list
from hydracalc.structure import AtomicStructure, from_atoms


def all_structures():
    return [from_atoms(atoms, source=name) for name, atoms in STRUCTURES.items()]


def labelled(num_atoms=2, **labels):
    return AtomicStructure(
        atomic_numbers=np.full(num_atoms, 6),
        positions=np.arange(3.0 * num_atoms).reshape(num_atoms, 3),
        **labels,
    )


def test_a_batch_is_its_structures_one_after_the_other():
    structures = all_structures()
    graph = collate(structures, CUTOFF)
    first_atom = first_edge = 0
    for index, structure in enumerate(structures):
        single = collate([structure], CUTOFF)
        atoms = slice(first_atom, first_atom + single.num_atoms)
        edges = slice(first_edge, first_edge + single.num_edges)
        for name in ("atomic_numbers", "positions"):
            assert torch.equal(getattr(graph, name)[atoms], getattr(single, name))
        assert (graph.structure_index[atoms] == index).all()
        assert torch.equal(graph.senders[edges], single.senders + first_atom)
        assert torch.equal(graph.receivers[edges], single.receivers + first_atom)
        assert torch.equal(graph.cell_shifts[edges], single.cell_shifts)
        assert torch.equal(graph.cell[index], single.cell[0])
        assert torch.equal(graph.pbc[index], single.pbc[0])
        first_atom, first_edge = atoms.stop, edges.stop
    assert (first_atom, first_edge) == (graph.num_atoms, graph.num_edges)
    assert graph.names == tuple(STRUCTURES)


def test_displacements_of_the_graph_are_the_edges_vectors():
    structures = all_structures()
    graph = collate(structures, CUTOFF)
    expected = [
        neighbor_list(s.positions, s.cell, s.pbc, CUTOFF).vectors(s.positions, s.cell)
        for s in structures
    ]
    np.testing.assert_allclose(graph.displacements(), np.concatenate(expected), atol=1e-12)
    assert graph.displacements().norm(dim=1).max() < CUTOFF


def test_edges_may_be_given():
    silicon = from_atoms(bulk("Si"))
    edges = neighbor_list(silicon.positions, silicon.cell, silicon.pbc, 3.0)
    graph = collate([silicon, silicon], 3.0, edges=[edges, edges])
    assert graph.num_edges == 2 * len(edges)
    with pytest.raises(ValueError, match="1 edge lists for 2 structures"):
        collate([silicon, silicon], 3.0, edges=[edges])


def test_labels_that_are_missing_are_nan():
    forces, stress = np.ones((2, 3)), np.eye(3)
    structures = [labelled(energy=-1.5, forces=forces), labelled(3), labelled(stress=stress)]
    graph = collate(structures, CUTOFF)
    np.testing.assert_array_equal(graph.energy, [-1.5, np.nan, np.nan])
    np.testing.assert_array_equal(graph.forces[:2], forces)
    assert graph.forces.shape == (7, 3)
    assert graph.forces[2:].isnan().all()
    np.testing.assert_array_equal(graph.stress[2], stress)
    assert graph.stress[:2].isnan().all()


def test_geometry_and_labels_are_float64():
    graph = collate([labelled(energy=-1e5)], CUTOFF)
    for name in ("positions", "cell", "cell_shifts", "energy", "forces", "stress"):
        assert getattr(graph, name).dtype == torch.float64


def test_charge_and_spin_come_along():
    graph = collate([labelled(total_charge=-1, spin_multiplicity=2), labelled()], CUTOFF)
    assert graph.total_charge.tolist() == [-1, 0]
    assert graph.spin_multiplicity.tolist() == [2, 1]


def test_the_graph_shares_no_memory_with_the_structures():
    structure = from_atoms(molecule("H2O"))
    graph = collate([structure], CUTOFF)
    graph.positions.add_(1.0)
    np.testing.assert_array_equal(structure.positions, molecule("H2O").positions)


def test_branches_are_looked_up_by_name():
    structures = [labelled(branch="mptrj"), labelled(branch="ani1x")]
    graph = collate(structures, CUTOFF, branches={"ani1x": 0, "mptrj": 1})
    assert graph.branch_index.tolist() == [1, 0]
    assert collate(structures, CUTOFF).branch_index.tolist() == [-1, -1]
    with pytest.raises(ValueError, match="unknown branch 'ani1x'; did you mean 'ani2x'"):
        collate(structures, CUTOFF, branches={"mptrj": 0, "ani2x": 1})


def test_a_bad_structure_is_named():
    broken = labelled(source="ani1x/C2/7")
    broken.positions[1] = np.nan
    with pytest.raises(ValueError, match="structure ani1x/C2/7: positions of atom 1"):
        collate([labelled(), broken], CUTOFF)
    with pytest.raises(ValueError, match="structure void has no atoms"):
        collate([labelled(0, source="void")], CUTOFF)
    with pytest.raises(ValueError, match="at least one structure"):
        collate([], CUTOFF)
