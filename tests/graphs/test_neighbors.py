"""Neighbor lists are right for every kind of periodicity, by brute force and by matscipy."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from matscipy.neighbours import neighbour_list as matscipy_list
from pairs import CUTOFF, as_set, brute_force

from hydracalc.graphs import neighbors
from hydracalc.graphs.neighbors import Edges, neighbor_list

OPEN = np.zeros(3, dtype=bool)
NO_CELL = np.zeros((3, 3))


def edges_of(atoms, cutoff=CUTOFF):
    return neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)


def matscipy_edges(atoms, cutoff=CUTOFF):
    """matscipy's list; it needs three lattice vectors, so open directions get wide ones."""
    cell = atoms.cell.array.copy()
    spread = np.ptp(atoms.positions) + 3 * cutoff
    for direction in np.nonzero(~atoms.pbc)[0]:
        normal = np.linalg.svd(cell[atoms.pbc])[2][-1] if atoms.pbc.any() else np.eye(3)[direction]
        cell[direction] = 0
        if atoms.pbc.sum() == 1:  # the second of two normals must not repeat the first
            normal = np.linalg.svd(cell[np.linalg.norm(cell, axis=1) > 0])[2][-1]
        cell[direction] = normal * spread
    receivers, senders, shifts = matscipy_list(
        "ijS", cutoff=cutoff, positions=atoms.positions, cell=cell, pbc=atoms.pbc
    )
    return as_set(Edges(receivers=receivers, senders=senders, cell_shifts=shifts))


def test_every_pair_is_found_once(atoms):
    edges = edges_of(atoms)
    found = as_set(edges)
    assert len(found) == len(edges)
    assert found == brute_force(atoms.positions, atoms.cell.array, atoms.pbc, CUTOFF)


def test_matscipy_finds_the_same_pairs(atoms):
    assert as_set(edges_of(atoms)) == matscipy_edges(atoms)


def test_vectors_are_as_short_as_the_cutoff(atoms):
    lengths = np.linalg.norm(edges_of(atoms).vectors(atoms.positions, atoms.cell.array), axis=1)
    assert (lengths < CUTOFF).all()
    assert (lengths > 0.1).all()


def test_edges_are_sorted_by_receiver_sender_and_image(atoms):
    edges = edges_of(atoms)
    rows = np.column_stack([edges.receivers, edges.senders, edges.cell_shifts]).tolist()
    assert rows == sorted(rows)
    assert edges.senders.dtype == edges.receivers.dtype == edges.cell_shifts.dtype == np.int64


def test_every_edge_has_its_opposite(atoms):
    edges = as_set(edges_of(atoms))
    assert {(s, r, -x, -y, -z) for r, s, x, y, z in edges} == edges


def test_lattice_vectors_of_open_directions_do_not_matter(atoms):
    other = atoms.copy()
    other.cell[~atoms.pbc] = [[1.0, 2.0, 3.0]]
    assert as_set(edges_of(other)) == as_set(edges_of(atoms))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**31),
    num_atoms=st.integers(0, 6),
    pbc=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    cutoff=st.floats(0.5, 6.0),
)
def test_random_cells_agree_with_brute_force(seed, num_atoms, pbc, cutoff):
    """Cells of every shape and handedness, atoms anywhere."""
    rng = np.random.default_rng(seed)
    cell = rng.normal(0, 4.0, (3, 3))
    if abs(np.linalg.det(cell)) < 20:
        cell += 5.0 * np.eye(3)
    if abs(np.linalg.det(cell)) < 10:
        return
    positions = rng.normal(0, 6.0, (num_atoms, 3))
    edges = neighbor_list(positions, cell, np.array(pbc), cutoff)
    assert as_set(edges) == brute_force(positions, cell, pbc, cutoff)


def test_a_pair_exactly_at_the_cutoff_is_no_edge():
    pair = np.array([[0.0, 0, 0], [0, 0, CUTOFF]])
    assert len(neighbor_list(pair, NO_CELL, OPEN, CUTOFF)) == 0
    assert len(neighbor_list(pair, np.eye(3) * 30, ~OPEN, CUTOFF)) == 0


def test_an_atom_neighbors_itself_only_through_a_lattice_vector():
    edges = neighbor_list(np.zeros((1, 3)), np.eye(3) * 3.0, ~OPEN, 3.1)
    assert len(edges) == 6
    assert (np.abs(edges.cell_shifts).sum(axis=1) == 1).all()


def test_no_atoms_have_no_edges():
    edges = neighbor_list(np.zeros((0, 3)), np.eye(3), ~OPEN, CUTOFF)
    assert len(edges) == 0
    assert edges.cell_shifts.shape == (0, 3)


def test_all_pairs_and_the_engine_agree(monkeypatch):
    """The size at which the engine takes over changes nothing but the time."""
    gas = np.random.default_rng(2).uniform(0, 12, (40, 3))
    by_pairs = neighbor_list(gas, NO_CELL, OPEN, CUTOFF)
    monkeypatch.setattr(neighbors, "_FEW_ATOMS", 0)
    by_engine = neighbor_list(gas, NO_CELL, OPEN, CUTOFF)
    assert as_set(by_pairs) == as_set(by_engine)
    np.testing.assert_array_equal(by_pairs.senders, by_engine.senders)


def test_images_too_many_for_one_sorting_key_are_sorted_all_the_same(monkeypatch):
    crystal = bulk("Cu", cubic=True)
    usual = edges_of(crystal)
    monkeypatch.setattr(neighbors, "_LARGEST_KEY", 0)
    other = edges_of(crystal)
    np.testing.assert_array_equal(usual.senders, other.senders)
    np.testing.assert_array_equal(usual.cell_shifts, other.cell_shifts)


def test_two_fragments_far_apart_have_their_own_edges():
    water = np.array([[0, 0, 0.12], [0, 0.76, -0.47], [0, -0.76, -0.47]])
    far = neighbor_list(np.concatenate([water, water + 1e7]), NO_CELL, OPEN, CUTOFF)
    assert len(far) == 12


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("pbc", [OPEN, ~OPEN])
def test_a_position_that_is_not_finite_is_named(value, pbc):
    positions = np.zeros((3, 3))
    positions[1] = [0, value, 0]
    with pytest.raises(ValueError, match=r"positions of atom 1 are \[0.0, (nan|inf), 0.0\]"):
        neighbor_list(positions, np.eye(3), pbc, CUTOFF)


def test_a_zero_lattice_vector_is_named():
    with pytest.raises(ValueError, match="lattice vector 2 is zero but the structure is periodic"):
        neighbor_list(np.zeros((1, 3)), np.diag([3.0, 3.0, 0.0]), ~OPEN, CUTOFF)
    along_z = np.array([False, False, True])
    with pytest.raises(ValueError, match="lattice vector 2 is zero"):
        neighbor_list(np.zeros((1, 3)), np.diag([3.0, 3.0, 0.0]), along_z, CUTOFF)


def test_linearly_dependent_lattice_vectors_are_refused():
    flat = np.array([[3.0, 0, 0], [0, 3.0, 0], [3.0, 3.0, 0]])
    with pytest.raises(ValueError, match=r"lattice vectors \[0, 1, 2\] are linearly dependent"):
        neighbor_list(np.zeros((1, 3)), flat, ~OPEN, CUTOFF)
    parallel = np.array([[3.0, 0, 0], [0, 0, 0], [-6.0, 0, 0]])
    with pytest.raises(ValueError, match=r"lattice vectors \[0, 2\] are linearly dependent"):
        neighbor_list(np.zeros((1, 3)), parallel, np.array([True, False, True]), CUTOFF)


def test_a_cell_that_is_not_finite_is_refused():
    cell = np.diag([3.0, np.nan, 3.0])
    with pytest.raises(ValueError, match="are not finite"):
        neighbor_list(np.zeros((1, 3)), cell, ~OPEN, CUTOFF)


@pytest.mark.parametrize("cutoff", [0.0, -1.0, np.nan, np.inf])
def test_a_cutoff_must_be_positive(cutoff):
    with pytest.raises(ValueError, match="cutoff is"):
        neighbor_list(np.zeros((2, 3)), NO_CELL, OPEN, cutoff)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"positions have shape \(4,\)"):
        neighbor_list(np.zeros(4), NO_CELL, OPEN, CUTOFF)
    with pytest.raises(ValueError, match=r"cell and pbc have shapes \(3,\) and \(3,\)"):
        neighbor_list(np.zeros((1, 3)), np.zeros(3), OPEN, CUTOFF)


def test_a_large_structure_that_has_flown_apart_is_refused():
    """The engine would end the process: its count of bins overflows."""
    gas = np.random.default_rng(2).uniform(0, 20, (100, 3))
    gas[7] = [1e7, 0, 0]
    with pytest.raises(ValueError, match="has the structure come apart"):
        neighbor_list(gas, NO_CELL, OPEN, CUTOFF)
    slab = Atoms("Cu2", [[0, 0, 0], [0, 0, 1e7]], cell=[3, 3, 0], pbc=(True, True, False))
    with pytest.raises(ValueError, match="has the structure come apart"):
        edges_of(slab)
    slab.positions[1] = [1e9, 0, 0]
    with pytest.raises(ValueError, match="lattice vectors away from the cell"):
        edges_of(slab)
