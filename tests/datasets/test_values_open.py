"""One structure of each of the large open datasets against the raw file, by arithmetic of its own.

Databases are read here with the lmdb package and the json module, which the adapters do without.
"""

import json
import lzma
import zlib

import ase.io
import lmdb
import numpy as np
import pytest

from hydracalc.ingest.catalog import list_datasets, load_card

FOLDERS = list_datasets()
HARTREE = 27.211386  # eV


def find(structures, source):
    (found,) = [structure for structure in structures if structure.source == source]
    return found


def near(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


def raw_row(path, number):
    with (
        lmdb.open(str(path), subdir=False, readonly=True, lock=False) as environment,
        environment.begin() as transaction,
    ):
        return json.loads(zlib.decompress(transaction.get(str(number).encode())))


def plain(value):
    shape, _, flat = value["__ndarray__"]
    return np.reshape(flat, shape)


def check_row(structure, row):
    assert structure.energy == row["energy"]
    near(structure.forces, plain(row["forces"]))
    near(structure.positions, plain(row["positions"]))
    near(structure.cell, plain(row["cell"]))
    assert structure.atomic_numbers.tolist() == plain(row["numbers"]).tolist()
    assert structure.pbc.tolist() == plain(row["pbc"]).tolist()


def voigt(stress):
    return [stress[i, j] for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))]


@pytest.mark.parametrize(
    ("name", "file", "number"),
    [
        ("omat24", "train/rattled-300-subsampled/data", 6),
        ("omat24", "val/rattled-300-subsampled/data", 2),
        ("salex", "train/data", 7),
    ],
)
def test_crystals(name, file, number, sample):
    row = raw_row(FOLDERS[name] / "sample" / f"{file}.aselmdb", number)
    structure = find(sample(name), f"{file}/{number}")
    check_row(structure, row)
    near(voigt(structure.stress), plain(row["stress"]))
    assert structure.split == file.partition("/")[0]
    assert np.abs(structure.stress).max() > 1e-4


def test_the_energy_of_omat24_is_the_one_without_corrections(sample):
    row = raw_row(FOLDERS["omat24"] / "sample" / "val" / "rattled-300-subsampled/data.aselmdb", 1)
    structure = find(sample("omat24"), "val/rattled-300-subsampled/data/1")
    assert structure.energy - row["data"]["energy_corrected_mp2020"] == pytest.approx(1)
    assert structure.group == f"val: {row['data']['parent_id']}"


@pytest.mark.parametrize(
    ("name", "file", "number"),
    [
        ("omol25", "omol25_sample_23", 15),
        ("omol25", "omol25_sample_23", 2),
        ("omol25_neutral", "omol25_neutral", 9),
        ("omol25_charged", "omol25_charged", 3),
        ("opoly26", "train/data0000", 5),
        ("opoly26", "val/data0000", 1),
    ],
)
def test_molecules(name, file, number, sample):
    row = raw_row(FOLDERS[name] / "sample" / f"{file}.aselmdb", number)
    structure = find(sample(name), row["data"]["source"])
    check_row(structure, row)
    assert structure.total_charge == row["data"]["charge"]
    assert structure.spin_multiplicity == row["data"]["spin"]
    assert not structure.pbc.any()
    assert structure.stress is None


def test_charge_and_spin_of_omol25_fit_its_electrons(sample):
    """An even number of electrons has an odd multiplicity: wrong keys would not."""
    structures = sample("omol25") + sample("opoly26")
    assert {s.total_charge for s in structures} == {-1, 0, 1}
    assert {s.spin_multiplicity for s in structures} == {1, 2}
    for structure in structures:
        electrons = int(structure.atomic_numbers.sum()) - structure.total_charge
        assert electrons % 2 == (structure.spin_multiplicity - 1) % 2


def test_isolated_atoms_of_omol25_are_of_its_level_of_theory(sample):
    """Real molecules are bound by some eV an atom, over C, H, F, Cl, Si, S, N, O, Kr and Xe alike.

    A hydrogen atom has -0.5 Hartree but for the functional's error; the Hartree is ASE's.
    """
    atoms = load_card("omol25").isolated_atoms
    assert atoms["H"] / HARTREE == pytest.approx(-0.5, abs=0.008)
    for structure in sample("omol25"):
        free = sum(atoms[symbol] for symbol in symbols_of(structure))
        assert -6 < (structure.energy - free) / structure.num_atoms < 0


def symbols_of(structure):
    return ase.Atoms(structure.atomic_numbers).get_chemical_symbols()


def test_oc20(sample):
    folder = FOLDERS["oc20"] / "sample" / "s2ef_train_200K"
    lines = lzma.decompress((folder / "1.extxyz.xz").read_bytes()).decode().splitlines()
    system, frame, _ = lzma.decompress((folder / "1.txt.xz").read_bytes()).decode().split(",", 2)
    number, comment, *atoms = lines
    structure = find(sample("oc20"), f"{system}/{frame}")
    values = dict(part.split("=") for part in comment.split() if "nergy=" in part)
    assert structure.energy == float(values["energy"])
    assert structure.energy != float(values["free_energy"])
    lattice = comment.partition('Lattice="')[2].partition('"')[0].split()
    near(structure.cell.ravel(), [float(value) for value in lattice])
    columns = [line.split() for line in atoms[: int(number)]]
    near(structure.positions, [[float(v) for v in column[1:4]] for column in columns])
    near(structure.forces, [[float(v) for v in column[6:9]] for column in columns])
    fixed = [column[4] == "F" for column in columns]
    assert np.abs(structure.forces[fixed]).max() > 0.001
    assert structure.pbc.all()
    assert (structure.group, structure.split) == ("random1447590", "train")


def test_isolated_atoms_of_oc20_are_of_its_level_of_theory(sample):
    """Oxygen on rubidium: a metal's cohesion an atom, which other codes' atoms would not give."""
    atoms = load_card("oc20").isolated_atoms
    for structure in sample("oc20"):
        free = sum(atoms[symbol] for symbol in symbols_of(structure))
        assert -1.3 < (structure.energy - free) / structure.num_atoms < -0.8


def test_oc22(sample):
    folder = FOLDERS["oc22"] / "sample" / "oc22_trajectories" / "trajectories" / "oc22"
    frames = ase.io.read(folder / "raw_trajs" / "NiO_made-2_b.traj", ":")
    structure = find(sample("oc22"), "NiO_made-2_b/2")
    assert structure.energy == frames[2].get_potential_energy()
    near(structure.forces, frames[2].get_forces(apply_constraint=False))
    near(structure.positions, frames[2].positions)
    fixed = frames[2].constraints[0].index
    assert np.abs(frames[2].get_forces()[fixed]).max() == 0
    assert np.abs(structure.forces[fixed]).max() > 0.01
    assert (structure.group, structure.split) == ("NiO_made-2_b", "train")


def test_oc25(sample):
    row = raw_row(FOLDERS["oc25"] / "sample" / "train" / "data0000.aselmdb", 6)
    structure = find(sample("oc25"), "train/data0000/6")
    check_row(structure, row)
    assert row["constraints"][0]["name"] == "FixAtoms"
    fixed = row["constraints"][0]["kwargs"]["indices"]
    assert np.abs(structure.forces[fixed]).max() > 0.001
    near(structure.forces.sum(axis=0), row["data"]["force_sum"])
    assert structure.group == "train: bulk1"
    assert structure.stress is None


def test_odac23(sample):
    row = raw_row(FOLDERS["odac23"] / "sample" / "val" / "made.aselmdb", 3)
    structure = find(sample("odac23"), "val/made/3")
    check_row(structure, row)
    assert structure.group == "val: C6O6Ni"
    path = FOLDERS["odac23"] / "sample" / "extxyz_train" / "made1_w_CO2_1.extxyz"
    number, comment, *atoms = path.read_text().splitlines()
    structure = find(sample("odac23"), "extxyz_train/made1_w_CO2_1/0")
    assert structure.energy == float(comment.partition(" energy=")[2].split()[0])
    columns = [line.split() for line in atoms[: int(number)]]
    near(structure.positions, [[float(v) for v in column[1:4]] for column in columns])
    near(structure.forces, [[float(v) for v in column[5:8]] for column in columns])
