"""One structure of each further dataset of molecules against the raw file, by own arithmetic."""

import bz2
import io
import json
import sqlite3
import struct
import tarfile

import h5py
import numpy as np
import pytest
from scipy import constants

from hydracalc.ingest.catalog import list_datasets

FOLDERS = list_datasets()
HARTREE = constants.value("Hartree energy") / constants.e  # eV
BOHR = constants.value("Bohr radius") * 1e10  # Angstrom
KCAL_PER_MOL = 4184 / constants.N_A / constants.e  # eV
exactly = pytest.approx


def find(structures, source):
    (found,) = [structure for structure in structures if structure.source == source]
    return found


def near(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


def test_ani2x(sample):
    with h5py.File(FOLDERS["ani2x"] / "sample" / "ani2x_cut.hdf5") as file:
        raw = file["002"]
        structure = find(sample("ani2x"), "002/123")
        assert structure.energy == exactly(raw["energies"][123] * HARTREE, rel=1e-13)
        near(structure.forces, raw["forces"][123] * HARTREE)
        near(structure.positions, raw["coordinates"][123].astype(float))
        assert structure.atomic_numbers.tolist() == raw["species"][123].tolist()
    assert {s.group for s in sample("ani2x")} >= {"CO", "O2", "HCl", "FCl"}
    assert {s.total_charge for s in sample("ani2x")} == {0}


def test_ani1ccx(sample):
    with h5py.File(FOLDERS["ani1ccx"] / "sample" / "ani1x_modelforge_n5.h5") as file:
        raw = file["C2H10N4O3"]
        structure = find(sample("ani1ccx"), "C2H10N4O3/0")
        assert structure.energy == exactly(raw["ccsd(t)_cbs.energy"][0] * HARTREE, rel=1e-13)
        assert abs(structure.energy - raw["wb97x_dz.energy"][0] * HARTREE) > 5  # another level
        near(structure.positions, raw["coordinates"][0].astype(float))
    assert structure.forces is None
    assert structure.group == "H10C2N4O3"


def test_spice(sample):
    with h5py.File(FOLDERS["spice"] / "sample" / "SPICE-1.1.4_cut.hdf5") as file:
        raw = file["103147721"]
        structure = find(sample("spice"), "103147721/41")
        assert structure.energy == exactly(raw["dft_total_energy"][41] * HARTREE, rel=1e-13)
        near(structure.forces, raw["dft_total_gradient"][41].astype(float) * (-HARTREE / BOHR))
        near(structure.positions, raw["conformations"][41].astype(float) * BOHR)
    assert structure.total_charge == 1  # one [N+:9] in its SMILES string
    assert structure.spin_multiplicity == 1
    assert structure.group == "103147721"
    assert find(sample("spice"), "C#C.[Na+]/0").total_charge == 1


def test_aimnet2(sample):
    with h5py.File(FOLDERS["aimnet2"] / "sample" / "aimnet2_dataset.h5") as file:
        raw = file["008"]
        (row,) = np.flatnonzero(raw["charge"][:] == -3)
        structure = find(sample("aimnet2"), f"008/{row}")
        assert structure.energy == raw["energy"][row]
        near(structure.forces, raw["forces"][row].astype(float))
        near(structure.positions, raw["coord"][row].astype(float))
        assert structure.atomic_numbers.tolist() == raw["numbers"][row].tolist()
        assert structure.spin_multiplicity == raw["mult"][row]
    assert structure.total_charge == -3


def test_nabla2dft(sample):
    """The published energy is a formation energy; bytes are taken apart by hand."""
    path = FOLDERS["nabla2dft"] / "sample" / "test_database_cut.db"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        query = "SELECT numbers, positions, key_value_pairs, data FROM systems WHERE id = 7"
        numbers, positions, pairs, data = database.execute(query).fetchone()
        (metadata,) = database.execute(
            "SELECT value FROM information WHERE name = 'metadata'"
        ).fetchone()
    pairs, (offset,) = json.loads(pairs), struct.unpack("<q", data[:8])
    entries = json.loads(data[offset:])
    numbers = np.frombuffer(numbers, "<i4")
    (formation,) = entries["energy"]
    shape, dtype, start = entries["forces"]["__ndarray__"]
    forces = np.frombuffer(data, dtype, int(np.prod(shape)), start).reshape(shape)
    atoms = json.loads(metadata)["atomrefs"]["energy"]
    total = formation + sum(atoms[z] for z in numbers)
    structure = find(sample("nabla2dft"), f"{pairs['moses_id']}/{pairs['conformation_id']}")
    assert structure.energy == exactly(total * HARTREE, rel=1e-13)
    assert formation > -20  # Hartree
    near(structure.forces, forces * HARTREE)
    near(structure.positions.ravel(), np.frombuffer(positions, "<f8"))
    assert structure.group == str(pairs["moses_id"])
    assert structure.split is None


def test_md17(sample):
    with np.load(FOLDERS["md17"] / "sample" / "md17_ethanol.npz") as raw:
        structure = find(sample("md17"), "ethanol/33")
        assert structure.energy == exactly(raw["E"][33, 0] * KCAL_PER_MOL, rel=1e-13)
        near(structure.forces, raw["F"][33] * KCAL_PER_MOL)
        near(structure.positions, raw["R"][33])
        assert structure.atomic_numbers.tolist() == raw["z"].tolist()
    assert structure.group == "ethanol/0"


def test_qm9(sample):
    content = (FOLDERS["qm9"] / "sample" / "dsgdb9nsd_cut.xyz.tar.bz2").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(bz2.decompress(content))) as archive:
        lines = archive.extractfile("dsgdb9nsd_000002.xyz").read().decode().splitlines()
    number, properties, *rest = lines
    u0, zero_point = float(properties.split()[12]), float(properties.split()[11])
    assert (u0, zero_point) == (-56.525887, 0.034358)  # ammonia
    structure = find(sample("qm9"), "gdb_2")
    assert structure.energy == exactly((u0 - zero_point) * HARTREE, rel=1e-13)
    rows = [line.split() for line in rest[: int(number)]]
    near(structure.positions, [[float(value) for value in row[1:4]] for row in rows])
    assert structure.atomic_numbers.tolist() == [7, 1, 1, 1]
    assert structure.forces is None
    assert structure.group == "InChI=1S/H3N/h1H3"


def test_qcml(sample):
    """Numbers of the first ammonium record, found in the bytes of the file behind their names."""
    content = (FOLDERS["qcml"] / "sample" / "qcml-full.tfrecord-00001-of-00002").read_bytes()
    structure = next(s for s in sample("qcml") if s.group == "H4N")
    start = content.index(structure.source.encode())
    end = content.index(b"positions", start) + 80
    record = content[start:end]

    def floats(name, count):
        # behind the name: a feature, a list and its packed values, each with a length of one byte
        first = record.index(name) + len(name) + 6
        return np.frombuffer(record, "<f4", count, first).astype(float)

    (energy,) = floats(b"pbe0_formation_energy", 1)
    assert structure.energy == exactly(energy * HARTREE, rel=1e-13)
    near(structure.forces.ravel(), floats(b"pbe0_forces", 15) * (HARTREE / BOHR))
    near(structure.positions.ravel(), floats(b"positions", 15) * BOHR)
    assert structure.total_charge == 1
    assert structure.spin_multiplicity == 1
    assert {s.spin_multiplicity for s in sample("qcml")} == {1, 2, 3}
    assert {s.total_charge for s in sample("qcml")} == {-1, 0, 1}
