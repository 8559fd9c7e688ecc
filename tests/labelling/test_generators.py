"""Generated structures: where the atoms go, and that equal seeds give equal bits."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk, fcc111, molecule
from ase.data import covalent_radii
from published import make_structure, same_bits

from hydracalc.labelling.generators import (
    OVERLAP,
    AsGiven,
    Dimers,
    Rattle,
    Strain,
    dimer_parents,
    overlaps,
)
from hydracalc.structure import from_atoms


def parent(atoms, source="parent"):
    return replace(from_atoms(atoms, source=source), group="family")


def children(config, structure, numbers=None, dropped=None):
    numbers = range(config.num_children) if numbers is None else numbers
    dropped = Counter() if dropped is None else dropped
    return list(config.children(structure, numbers, dropped))


ETHANOL = parent(molecule("CH3CH2OH"))
COPPER = parent(bulk("Cu", cubic=True))
CONFIGS = {
    "rattled": (Rattle(count=6), ETHANOL),
    "strained": (Strain(count=4, volumes=3), COPPER),
    "dimers": (Dimers(count=6), dimer_parents(["H", "O"])[1]),
    "as given": (AsGiven(), ETHANOL),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_children_are_the_same_bits_whoever_makes_them(kind):
    config, structure = CONFIGS[kind]
    together = children(config, structure)
    apart = [children(config, structure, range(n, n + 1))[0] for n in range(config.num_children)]
    assert len(together) == config.num_children
    assert all(same_bits(a, b) for a, b in zip(together, apart, strict=True))


@pytest.mark.parametrize("kind", CONFIGS)
def test_children_keep_the_group_and_have_names_of_their_own(kind):
    config, structure = CONFIGS[kind]
    made = children(config, structure)
    assert {child.group for child in made} == {structure.group}
    assert len({child.source for child in made}) == len(made)
    assert all(child.source.startswith(structure.source) for child in made)


@pytest.mark.parametrize("make", [Rattle, Strain])
def test_another_seed_or_parent_gives_others(make):
    one = children(make(count=2), COPPER)[0]
    assert not np.allclose(one.positions, children(make(count=2, seed=1), COPPER)[0].positions)
    other = children(make(count=2), replace(COPPER, source="another"))[0]
    assert not np.allclose(one.positions, other.positions)


def test_a_larger_count_adds_to_a_smaller():
    few, many = children(Rattle(count=3), ETHANOL), children(Rattle(count=5), ETHANOL)
    assert all(same_bits(a, b) for a, b in zip(few, many[:3], strict=True))


def test_a_displacement_is_a_fraction_of_the_covalent_radius():
    config = Rattle(sigma=0.1, count=400, min_distance=0)
    moves = np.array([c.positions for c in children(config, ETHANOL)]) - ETHANOL.positions
    widths = moves.std(axis=(0, 2)) / covalent_radii[ETHANOL.atomic_numbers]
    assert widths == pytest.approx(0.1, rel=0.1)


def test_overlapping_atoms_are_avoided_and_what_cannot_be_is_counted():
    dropped = Counter()
    made = children(Rattle(sigma=0.4, count=30, min_distance=0.85), ETHANOL, dropped=dropped)
    assert not any(overlaps(child, 0.85) for child in made)
    assert dropped[OVERLAP] == 30 - len(made) > 0


def test_atoms_overlap_through_the_cell_too():
    chain = from_atoms(bulk("Cu", "sc", a=1.0))
    assert overlaps(chain, 0.6)
    assert not overlaps(replace(chain, pbc=[False] * 3), 0.6)


def test_labels_of_a_parent_are_not_those_of_its_children():
    child = children(Rattle(count=1, min_distance=0), make_structure(1))[0]
    assert (child.energy, child.forces, child.stress) == (None, None, None)


def test_random_strains_are_symmetric_with_shear():
    config = Strain(max_strain=0.04, count=200, volumes=0)
    made = children(config, COPPER)
    strains = np.array([np.linalg.solve(COPPER.cell, child.cell) - np.eye(3) for child in made])
    assert np.allclose(strains, strains.transpose(0, 2, 1), atol=1e-12)
    assert np.abs(strains).max() <= 0.04
    assert strains.std(axis=0) == pytest.approx(np.full((3, 3), 0.04 / np.sqrt(3)), rel=0.2)
    fractional = made[7].positions @ np.linalg.inv(made[7].cell)
    assert np.allclose(fractional, COPPER.positions @ np.linalg.inv(COPPER.cell))


def test_volume_steps_are_even_and_isotropic():
    made = children(Strain(max_strain=0.1, count=0, volumes=5), COPPER)
    lengths = [child.cell[0, 0] / COPPER.cell[0, 0] for child in made]
    assert lengths == pytest.approx([0.9, 0.95, 1.0, 1.05, 1.1])
    assert [child.source for child in made][0] == "parent/volume-0000"


def test_a_slab_is_strained_in_its_plane_alone():
    slab = parent(fcc111("Al", (2, 2, 3), vacuum=5.0))
    assert slab.pbc.tolist() == [True, True, False]
    for child in children(Strain(), slab):
        assert np.array_equal(child.positions[:, 2], slab.positions[:, 2])
        assert not np.allclose(child.cell[:2, :2], slab.cell[:2, :2]) or "volume" in child.source
        assert np.allclose(child.cell[2], slab.cell[2])


def test_a_molecule_cannot_be_strained():
    with pytest.raises(ValueError, match="parent is not periodic"):
        children(Strain(), ETHANOL)


def test_dimers_are_all_pairs_over_distances_in_equal_ratios():
    parents = dimer_parents(["O", "H", "C", "H"])
    names = [p.source for p in parents]
    assert names == ["H-H", "H-C", "H-O", "C-C", "C-O", "O-O"]
    made = children(Dimers(count=5, shortest=0.7, longest=2.8), parents[2])
    distances = [np.linalg.norm(c.positions[1] - c.positions[0]) for c in made]
    bond = covalent_radii[1] + covalent_radii[8]
    assert np.array(distances) / bond == pytest.approx(0.7 * 4 ** (np.arange(5) / 4))


def test_dimers_have_a_multiplicity_that_their_electrons_allow():
    assert {p.source: p.spin_multiplicity for p in dimer_parents(["H", "C"])} == {
        "H-H": 1,
        "H-C": 2,
        "C-C": 1,
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rattle(sigma=0), "sigma is 0"),
        (lambda: Rattle(min_distance=1.5), "min_distance is 1.5"),
        (lambda: Strain(max_strain=2), "max_strain is 2"),
        (lambda: Strain(count=0, volumes=0), "children is 0"),
        (lambda: Strain(count=-1), "count is -1"),
        (lambda: Dimers(longest=0.5), "longest is 0.5"),
        (lambda: dimer_parents(["Xx"]), "unknown element 'Xx'"),
        (lambda: dimer_parents([]), "at least one element"),
    ],
)
def test_settings_without_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
