"""One structure of every dataset against the raw file, with arithmetic of its own."""

import bz2
import gzip
import json

import h5py
import numpy as np
import pytest
from scipy import constants

from hydracalc.ingest.catalog import list_datasets

FOLDERS = list_datasets()
HARTREE = constants.value("Hartree energy") / constants.e  # eV
KCAL_PER_MOL = 4184 / constants.N_A / constants.e  # eV
KILOBAR = 1e8 * 1e-30 / constants.e  # eV/A^3
exactly = pytest.approx


def find(structures, source):
    (found,) = [structure for structure in structures if structure.source == source]
    return found


def near(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


def test_ani1x(sample):
    with h5py.File(FOLDERS["ani1x"] / "sample" / "ani1x_modelforge_n5.h5") as file:
        raw = file["C2H10N4O3"]
        last = len(raw["coordinates"]) - 1
        structure = find(sample("ani1x"), f"C2H10N4O3/{last}")
        assert structure.energy == exactly(raw["wb97x_dz.energy"][last] * HARTREE, rel=1e-13)
        near(structure.forces, raw["wb97x_dz.forces"][last].astype(float) * HARTREE)
        near(structure.positions, raw["coordinates"][last].astype(float))
        assert structure.group == "H10C2N4O3"
        assert structure.total_charge == 0


def test_qm7x(sample):
    with h5py.File(FOLDERS["qm7x"] / "sample" / "1000.hdf5") as file:
        raw = file["3/Geom-m3-i1-c1-2"]
        structure = find(sample("qm7x"), "Geom-m3-i1-c1-2")
        assert structure.energy == raw["ePBE0"][0] + raw["eMBD"][0]
        near(structure.forces, raw["pbe0FOR"][:] + raw["vdwFOR"][:])
        assert abs(raw["eMBD"][0]) > 0.1
        assert structure.atomic_numbers.tolist() == raw["atNUM"][:].tolist()
        assert structure.group == "3"


def test_transition1x(sample):
    structure = sample("transition1x")[0]
    name = structure.source.removesuffix("/0")
    with h5py.File(FOLDERS["transition1x"] / "sample" / "transition1x_cut.h5") as file:
        raw = file[f"data/{name}"]
        assert structure.energy == raw["wB97x_6-31G(d).energy"][0]
        near(structure.forces, raw["wB97x_6-31G(d).forces"][0])
        near(structure.positions, raw["positions"][0])
    assert structure.group == name
    assert structure.split is None


def test_mptrj(sample):
    path = FOLDERS["mptrj"] / "sample" / "MPtrj_11frames_full_schema.json"
    frames = json.loads(path.read_text())["mp-1205402"]
    (name, frame), *_ = frames.items()
    structure = find(sample("mptrj"), f"mp-1205402/{name}")
    assert structure.energy == frame["uncorrected_total_energy"]
    assert abs(structure.energy - frame["corrected_total_energy"]) > 1  # another zero
    near(structure.forces, frame["force"])
    near(structure.stress, [[-KILOBAR * value for value in row] for row in frame["stress"]])
    near(structure.cell, frame["structure"]["lattice"]["matrix"])
    near(structure.positions, [site["xyz"] for site in frame["structure"]["sites"]])
    assert structure.group == "mp-1205402"


def test_alexandria_entries(sample):
    path = FOLDERS["alexandria"] / "sample" / "alexandria_0_cut.json.bz2"
    entry = json.loads(bz2.decompress(path.read_bytes()))["entries"][3]
    structure = find(sample("alexandria"), entry["data"]["mat_id"])
    assert structure.energy == entry["data"]["energy_total"]
    sites = entry["structure"]["sites"]
    near(structure.forces, [site["properties"]["forces"] for site in sites])
    np.testing.assert_allclose(structure.positions, [site["xyz"] for site in sites], atol=1e-6)
    assert structure.stress is None


def test_alexandria_steps(sample):
    path = FOLDERS["alexandria"] / "sample" / "alex_go_cut.json.bz2"
    (material, calculations), *_ = json.loads(bz2.decompress(path.read_bytes())).items()
    step = calculations[0]["steps"][0]
    structure = find(sample("alexandria"), f"{material}/0/0")
    assert structure.energy == step["energy"]
    near(structure.forces, step["forces"])
    near(structure.stress, -KILOBAR * np.array(step["stress"]))


def test_rmd17(sample):
    with np.load(FOLDERS["rmd17"] / "sample" / "rmd17_ethanol.npz") as raw:
        step = raw["old_indices"][7]
        structure = find(sample("rmd17"), f"ethanol/{step}")
        assert structure.energy == exactly(raw["energies"][7] * KCAL_PER_MOL, rel=1e-13)
        near(structure.forces, raw["forces"][7] * KCAL_PER_MOL)
        near(structure.positions, raw["coords"][7])
        assert structure.group == f"ethanol/{step // 10_000}"


def test_mattersim(sample):
    text = gzip.decompress((FOLDERS["mattersim"] / "sample" / "mpf-TP.xyz.gz").read_bytes())
    number, comment, *atoms = text.decode().splitlines()
    values = dict(
        part.split("=", 1) for part in comment.split() if "_id=" in part or "energy=" in part
    )
    structure = find(sample("mattersim"), values["internal_id"])
    assert structure.energy == float(values["energy"])
    stress = comment.partition('stress="')[2].partition('"')[0].split()
    near(structure.stress.ravel(), [float(value) for value in stress])
    columns = [line.split() for line in atoms[: int(number)]]
    near(structure.positions, [[float(v) for v in column[1:4]] for column in columns])
    near(structure.forces, [[float(v) for v in column[4:7]] for column in columns])
