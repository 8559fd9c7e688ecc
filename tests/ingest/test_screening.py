"""Each reason to leave a structure out is found, and only for structures that deserve it."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk, molecule
from builders import structure_zoo
from published import make_structure

from hydracalc.ingest import screening
from hydracalc.ingest.screening import Screen, ScreenConfig
from hydracalc.structure import from_atoms


def reason(structure, **config):
    return Screen(ScreenConfig(**config)).reason_to_drop(structure)


def labelled(atoms):
    return replace(from_atoms(atoms), energy=-1.0)


@pytest.mark.parametrize("name", structure_zoo())
def test_sensible_structures_are_kept(name):
    assert reason(labelled(structure_zoo()[name])) is None


@pytest.mark.parametrize("name", ["H2", "N2", "LiF", "C2H2", "P2", "Na2"])
def test_the_shortest_bonds_are_kept(name):
    assert reason(labelled(molecule(name))) is None


def test_compressed_crystals_are_kept():
    """Half the volume is above a megabar for silicon."""
    assert reason(labelled(bulk("Si", a=5.43 * 0.5 ** (1 / 3)))) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"energy": float("nan")}, screening.NO_ENERGY),
        ({"energy": float("inf")}, screening.NOT_FINITE),
        ({"positions": np.array([[0, 0, 0], [2, 0, np.nan], [4, 0, 0]])}, screening.NOT_FINITE),
        ({"forces": np.array([[0, 0, 0], [2, 0, np.inf], [4, 0, 0]])}, screening.NOT_FINITE),
        ({"stress": np.diag([np.nan, 0, 0])}, screening.NOT_FINITE),
        ({"cell": np.full((3, 3), np.nan)}, screening.NOT_FINITE),
        ({"energy": None}, screening.NO_ENERGY),
        ({"pbc": [True, True, True]}, screening.FLAT_CELL),
        ({"cell": np.ones((3, 3)), "pbc": [True, True, True]}, screening.FLAT_CELL),
        ({"positions": np.zeros((3, 3))}, screening.OVERLAP),
    ],
)
def test_a_defect_is_found(changes, expected):
    assert reason(make_structure(1, **changes)) == expected


def test_a_structure_without_atoms_is_found():
    empty = make_structure(1, (), positions=np.zeros((0, 3)), forces=None)
    assert reason(empty) == screening.NO_ATOMS


def test_the_norm_of_the_force_counts_not_its_components():
    forces = np.zeros((3, 3))
    forces[1] = [60.0, 60.0, 60.0]  # norm 103.9
    structure = make_structure(1, forces=forces)
    assert reason(structure, max_force=100.0) == screening.LARGE_FORCE
    assert reason(structure, max_force=104.0) is None
    assert reason(structure, max_force=None) is None


def test_atoms_overlap_across_the_boundary():
    """0.3 Angstrom apart through the cell, 4.7 inside it."""
    positions = np.array([[0.1, 0, 0], [4.8, 0, 0]])
    changes = {"positions": positions, "cell": 5 * np.eye(3)}
    assert reason(make_structure(1, (1, 8), **changes)) is None
    assert reason(make_structure(1, (1, 8), **changes, pbc=[True] * 3)) == screening.OVERLAP


def test_the_limit_is_a_fraction_of_the_covalent_radii():
    """H 0.31 and O 0.66 Angstrom [doi:10.1039/b801115j]."""
    near = make_structure(1, (1, 8), positions=np.array([[0, 0, 0], [0.5, 0, 0]]))
    assert reason(near, min_distance=0.5 / 0.97 + 0.01) == screening.OVERLAP
    assert reason(near, min_distance=0.5 / 0.97 - 0.01) is None


def test_no_limit_keeps_everything_apart_from_defects():
    assert reason(make_structure(1, positions=np.zeros((3, 3))), min_distance=0.0) is None


def test_only_the_first_of_equal_structures_is_kept():
    screen = Screen(ScreenConfig())
    first = make_structure(1)
    assert screen.reason_to_drop(first) is None
    assert screen.reason_to_drop(first) == screening.DUPLICATE
    assert screen.reason_to_drop(make_structure(1, source="other")) == screening.DUPLICATE
    assert screen.reason_to_drop(make_structure(2)) is None


def test_negative_zero_is_zero():
    screen = Screen(ScreenConfig())
    positions = np.array([[0.0, 0, 0], [2, 0, 0], [4, 0, 0]])
    energy = -1.0
    assert screen.reason_to_drop(make_structure(1, positions=positions, energy=energy)) is None
    assert (
        screen.reason_to_drop(make_structure(1, positions=positions * [1, -1, 1], energy=energy))
        == screening.DUPLICATE
    )


def test_equal_atoms_with_another_energy_are_told_apart_from_copies():
    screen = Screen(ScreenConfig())
    screen.reason_to_drop(make_structure(1))
    assert screen.reason_to_drop(make_structure(1, energy=-1.0)) == screening.RELABELLED


@pytest.mark.parametrize(
    "changes", [{"total_charge": 1}, {"spin_multiplicity": 3}, {"cell": 9 * np.eye(3)}], ids=str
)
def test_what_a_model_can_tell_apart_is_no_duplicate(changes):
    screen = Screen(ScreenConfig())
    screen.reason_to_drop(make_structure(1))
    assert screen.reason_to_drop(make_structure(1, **changes)) is None


def test_duplicates_may_be_kept():
    screen = Screen(ScreenConfig(duplicates=False))
    assert [screen.reason_to_drop(make_structure(1)) for _ in range(2)] == [None, None]


@pytest.mark.parametrize(
    "config",
    [{"max_force": 0.0}, {"max_force": float("nan")}, {"min_distance": 1.0}, {"min_distance": -1}],
    ids=str,
)
def test_a_limit_without_sense_is_refused(config):
    with pytest.raises(ValueError, match=next(iter(config))):
        ScreenConfig(**config)
