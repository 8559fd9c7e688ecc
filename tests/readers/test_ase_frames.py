"""Frames of compressed text and of trajectories: forces of fixed atoms kept, damage named."""

import lzma

import ase.io
import numpy as np
import pytest
from ase.build import fcc111
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from hydracalc.errors import DataError
from hydracalc.readers.ase_frames import labelled, read_frames


@pytest.fixture
def frames():
    made = []
    for seed in range(3):
        atoms = fcc111("Cu", (1, 1, 3), vacuum=5.0)
        atoms.rattle(0.1, seed=seed)
        atoms.pbc = True
        atoms.info.clear()  # notes of the builder
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **results)
        atoms.set_constraint(FixAtoms([0, 1]))
        made.append(atoms)
    return made


@pytest.fixture(params=["a.traj", "a.extxyz", "a.extxyz.xz"])
def path(request, frames, tmp_path):
    path = tmp_path / request.param
    if path.suffix == ".traj":
        ase.io.write(path, frames)
        return path
    columns = ["symbols", "positions", "move_mask", "forces"]
    ase.io.write(tmp_path / "plain", frames, format="extxyz", columns=columns)
    content = (tmp_path / "plain").read_bytes()
    path.write_bytes(lzma.compress(content) if path.suffix == ".xz" else content)
    return path


def test_frames_keep_their_labels_on_fixed_atoms_too(path, frames):
    read = [labelled(atoms, source="x") for atoms in read_frames(path)]
    assert len(read) == 3
    for structure, atoms in zip(read, frames, strict=True):
        assert structure.energy == pytest.approx(atoms.calc.results["energy"], abs=1e-7)
        assert np.abs(atoms.calc.results["forces"][0]).max() > 0.1
        np.testing.assert_allclose(structure.forces, atoms.calc.results["forces"], atol=1e-7)
        assert structure.pbc.all()


def test_atoms_without_forces_are_none(frames):
    del frames[0].calc.results["forces"]
    assert labelled(frames[0], source="x") is None
    frames[0].calc = None
    assert labelled(frames[0], source="x") is None


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_damaged(path, kept):
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match=path.name):
        list(read_frames(path))


def test_a_file_of_another_kind_is_damaged(path):
    path.write_bytes(b"<html>404 not found</html>\n" * 100)
    with pytest.raises(DataError, match=path.name):
        list(read_frames(path))
