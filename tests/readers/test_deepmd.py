"""Folders of DeePMD-kit: periodic and not, mixed types, ranges, and what is wrong with them."""

import re

import numpy as np
import pytest

from hydracalc.errors import DataError
from hydracalc.readers.deepmd import frames_of, set_parts
from hydracalc.readers.parts import Part

COUNT = 7


@pytest.fixture
def system(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "water"
    (folder / "set.000").mkdir(parents=True)
    (folder / "type.raw").write_text("0\n1\n1\n")
    (folder / "type_map.raw").write_text("O\nH\n")
    for name, size in (("coord", 9), ("box", 9), ("force", 9), ("virial", 9)):
        values = rng.normal(size=(COUNT, size)).astype(np.float32)
        np.save(folder / "set.000" / f"{name}.npy", values)
    np.save(folder / "set.000" / "energy.npy", rng.normal(size=COUNT))
    return folder


def read(system, **options):
    parts = set_parts(system / "set.000" / "coord.npy", **options)
    return [frame for part in parts for frame in frames_of(part)]


def test_frames_have_the_shapes_of_atoms(system):
    coordinates = np.load(system / "set.000" / "coord.npy")
    boxes = np.load(system / "set.000" / "box.npy")
    frames = read(system)
    assert [frame.number for frame in frames] == list(range(COUNT))
    third = frames[3]
    assert third.atomic_numbers.tolist() == [8, 1, 1]
    assert np.array_equal(third.positions, coordinates[3].reshape(3, 3))
    assert np.array_equal(third.cell, boxes[3].reshape(3, 3))
    assert third.pbc.all()
    assert set(third.arrays) == {"energy", "force", "virial"}
    assert third.arrays["force"].shape == (3, 3)
    assert third.arrays["energy"] == np.load(system / "set.000" / "energy.npy")[3]


@pytest.mark.parametrize("frames_per_part", [1, 2, 3, COUNT, 100])
def test_ranges_cover_every_frame_once(system, frames_per_part):
    frames = read(system, frames_per_part=frames_per_part)
    assert [frame.number for frame in frames] == list(range(COUNT))
    assert frames[-1].arrays["energy"] == read(system)[-1].arrays["energy"]


def test_a_file_nopbc_makes_molecules(system):
    (system / "nopbc").touch()
    (system / "set.000" / "box.npy").unlink()
    frame = read(system)[0]
    assert not frame.pbc.any()
    assert not frame.cell.any()


def test_atoms_of_the_mixed_layout_are_those_of_each_frame(system):
    types = np.tile([0, 1, -1], (COUNT, 1))
    types[1] = [1, 1, 0]
    np.save(system / "set.000" / "real_atom_types.npy", types)
    first, second, *_ = read(system)
    assert first.atomic_numbers.tolist() == [8, 1]
    assert second.atomic_numbers.tolist() == [1, 1, 8]
    forces = np.load(system / "set.000" / "force.npy")
    assert np.array_equal(first.arrays["force"], forces[0].reshape(3, 3)[:2])
    assert first.positions.shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("type_map.raw", "names the element of each type"),
        ("type.raw", "type.raw"),
        ("set.000/box.npy", "box.npy"),
    ],
)
def test_a_missing_file_is_named(system, name, message):
    (system / name).unlink()
    with pytest.raises((DataError, FileNotFoundError), match=message) as caught:
        read(system)
    assert "water" in str(caught.value)


@pytest.mark.parametrize("name", ["coord", "energy", "force", "box"])
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_truncated_array_is_named(system, name, kept):
    path = system / "set.000" / f"{name}.npy"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match=re.escape(path.name)):
        read(system)


def test_arrays_of_another_length_are_refused(system):
    np.save(system / "set.000" / "energy.npy", np.zeros(COUNT - 1))
    with pytest.raises(DataError, match="energy.npy: .*has 6 frames, coord.npy has 7"):
        read(system)


def test_pickled_arrays_are_never_loaded(system):
    np.save(system / "set.000" / "energy.npy", np.array([{}] * COUNT, dtype=object))
    with pytest.raises(DataError, match=re.escape("energy.npy")):
        read(system)


def test_an_unknown_element_and_an_empty_set_are_refused(system):
    (system / "type_map.raw").write_text("O\nQ\n")
    with pytest.raises(DataError, match="type_map.raw.*unknown element 'Q'"):
        read(system)
    np.save(system / "set.000" / "coord.npy", np.zeros((0, 9)))
    with pytest.raises(DataError, match="holds no frame"):
        set_parts(system / "set.000" / "coord.npy")


def test_a_part_without_an_end_reads_on(system):
    part = Part(path=system / "set.000" / "coord.npy", start=5)
    assert [frame.number for frame in frames_of(part)] == [5, 6]
