"""Extended XYZ is cut into frames without reading ahead, and damage is named."""

import gzip

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from hydracalc.errors import DataError
from hydracalc.readers.extxyz_parts import stream_extxyz


@pytest.fixture
def path(tmp_path):
    frames = []
    for repeat in (1, 2, 3):
        atoms = bulk("Cu", cubic=True) * (1, 1, repeat)
        atoms.rattle(0.05, seed=repeat)
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    path = tmp_path / "frames.xyz"
    ase.io.write(path, frames, format="extxyz")
    return path


@pytest.mark.parametrize("is_compressed", [False, True])
def test_frames_are_those_that_ase_reads(path, is_compressed):
    expected = ase.io.read(path, ":")
    if is_compressed:
        path = path.with_name("frames.xyz.gz")
        path.write_bytes(gzip.compress(path.with_suffix("").read_bytes()))
    frames = list(stream_extxyz(path))
    assert len(frames) == 3
    for frame, same in zip(frames, expected, strict=True):
        assert frame == same
        assert frame.get_potential_energy() == same.get_potential_energy()
        assert np.array_equal(frame.get_forces(), same.get_forces())


def test_the_first_frame_does_not_wait_for_the_last(path):
    with path.open("a") as file:
        file.write("garbage\n")
    frames = stream_extxyz(path)
    for _ in range(3):
        next(frames)
    with pytest.raises(DataError, match="frames.xyz, frame 3"):
        next(frames)


@pytest.mark.parametrize("removed", [1, 30, 200])
def test_a_truncated_frame_is_named(path, removed):
    path.write_bytes(path.read_bytes()[:-removed])
    with pytest.raises(DataError, match="frames.xyz, frame 2"):
        list(stream_extxyz(path))


def test_an_empty_file_is_damaged(tmp_path):
    (tmp_path / "empty.xyz").touch()
    with pytest.raises(DataError, match="holds no frame"):
        list(stream_extxyz(tmp_path / "empty.xyz"))
