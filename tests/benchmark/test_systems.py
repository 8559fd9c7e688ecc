"""Structures of the benchmark have the size that was asked for, and elements the model knows."""

import numpy as np
import pytest

from hydracalc.benchmark import systems

EVERY = range(1, 119)


@pytest.mark.parametrize("size", [12, 8, 16, 64, 216, 512, 1000])
def test_a_structure_has_as_many_atoms_as_asked(size):
    (system,) = systems.series([size], EVERY).systems
    assert system.num_atoms == size
    assert system.name == ("C6H6" if size == 12 else f"Si{size}")
    assert system.atoms.pbc.all() == (size != 12)


def test_supercells_are_as_near_to_a_cube_as_their_number_allows():
    assert systems.repeats(125) == (5, 5, 5)
    assert systems.repeats(1250) == (5, 10, 25)
    assert systems.repeats(7) == (1, 1, 7)


def test_atoms_are_off_rest_and_move_and_no_two_touch():
    system = systems.supercell("Si", 64)
    ideal = systems._CRYSTALS["Si"]() * (2, 2, 2)
    moved = system.atoms.positions - ideal.positions
    assert moved.std() == pytest.approx(0.05, rel=0.2)
    assert system.atoms.get_temperature() == pytest.approx(300, rel=0.3)
    distances = system.atoms.get_all_distances(mic=True)[np.triu_indices(64, 1)]
    assert distances.min() > 1.8


def test_the_number_of_neighbors_is_the_same_at_every_size():
    """Else cost over size would mix up atoms and density."""
    from hydracalc.graphs.neighbors import neighbor_list

    for name in systems._CRYSTALS:
        per_atom = []
        for size in (64, 216):
            atoms = systems.supercell(name, size).atoms
            edges = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, 5.0)
            per_atom.append(len(edges) / size)
        assert per_atom[0] == pytest.approx(per_atom[1], rel=0.1), name


def test_elements_adapt_to_the_model_and_what_is_left_out_is_said():
    series = systems.series([12, 64], {11, 17})
    assert [system.name for system in series.systems] == ["(NaCl)32"]
    assert series.left_out["C6H6"] == "the model does not know C, H"
    assert "NaCl instead" in series.left_out["Si"]
    series = systems.series([12, 64], {1, 6})
    assert [system.name for system in series.systems] == ["C6H6", "C64"]
    series = systems.series([8], {29})
    assert [system.name for system in series.systems] == ["Cu8"]


def test_a_model_that_knows_none_of_the_structures_is_an_error():
    with pytest.raises(ValueError, match="no structure to measure on.*does not know C, H"):
        systems.series([12], {2})
    with pytest.raises(ValueError, match="knows none of Si, Ge"):
        systems.series([64], {2})


def test_sizes_as_written():
    assert systems.parse_sizes("64, 12,64") == (12, 64)
    assert systems.parse_sizes("10000") == (10000,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("13", "size 13: expected 12 .benzene. or a multiple of 8"),
        ("0", "size 0"),
        ("-8", "size -8"),
        ("8,,16", "size '' is no number of atoms"),
        ("many", "size 'many' is no number of atoms, expected e.g. 12,64,216"),
        ("800000", "up to 100000 atoms"),
    ],
)
def test_bad_sizes_are_one_message(text, message):
    with pytest.raises(ValueError, match=message):
        systems.parse_sizes(text)
