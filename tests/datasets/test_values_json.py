"""Values of mlearn, JARVIS and MatPES against the raw files, with arithmetic of its own."""

import gzip
import json

import numpy as np
import pytest
from scipy import constants

from hydracalc.ingest.catalog import list_datasets, load_adapter

FOLDERS = list_datasets()
KILOBAR = 1e8 * 1e-30 / constants.e  # eV/A^3
MATPES = {"matpes_pbe": "PBE", "matpes_r2scan": "R2SCAN"}


def find(structures, source):
    (found,) = [structure for structure in structures if structure.source == source]
    return found


def near(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


def unzipped(name, file):
    return json.loads(gzip.decompress((FOLDERS[name] / file).read_bytes()))


def test_mlearn(sample):
    """A strained cell of silicon: the order of the card, xx yy zz xy yz xz."""
    records = unzipped("mlearn", "sample/mlearn_elastic.json.gz")
    index, record = next(
        (i, r) for i, r in enumerate(records) if r["element"] == "Si" and r["tag"] == "train"
    )
    structure = find(sample("mlearn"), f"mlearn_elastic/Si/{index}")
    outputs = record["outputs"]
    assert structure.energy == outputs["energy"]
    near(structure.forces, outputs["forces"])
    near(structure.cell, record["structure"]["lattice"]["matrix"])
    xx, yy, zz, xy, yz, xz = outputs["virial_stress"]
    near(structure.stress, -KILOBAR * np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]))
    assert (structure.split, structure.group) == ("train", "train: Si Elastic")
    positions = [site["xyz"] for site in record["structure"]["sites"]]
    np.testing.assert_allclose(structure.positions, positions, atol=1e-6)


def test_mlearn_where_two_components_are_exchanged(sample):
    records = unzipped("mlearn", "sample/mlearn_cut.json.gz")
    index, record = next((i, r) for i, r in enumerate(records) if r["element"] == "Cu")
    structure = find(sample("mlearn"), f"mlearn_cut/Cu/{index}")
    xx, yy, zz, xy, xz, yz = record["outputs"]["virial_stress"]
    assert abs(xz - yz) > 0.1
    near(structure.stress, -KILOBAR * np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]))
    assert structure.split == "test"


@pytest.mark.parametrize("file", ["id_prop.json", "id_prop_additional.json"])
def test_jarvis(file):
    """Total energies in both; coordinates are fractions in one and Cartesian in the other."""
    path = FOLDERS["jarvis"] / "sample" / file
    records = json.loads(path.read_text())
    structures = list(load_adapter("jarvis").read(path))
    assert len(structures) == len(records)
    for structure, record in zip(structures, records, strict=True):
        atoms = record["atoms"]
        assert structure.energy == record.get("total_energy", record.get("energy"))
        near(structure.forces, record["forces"])
        near(structure.stress, -KILOBAR * np.array(record["stresses"]))
        near(structure.cell, atoms["lattice_mat"])
        assert structure.group == record["jid"].split("_")[0]
        lengths = np.linalg.norm(structure.cell, axis=1)
        np.testing.assert_allclose(lengths, atoms["abc"], atol=1e-4)
    first = records[0]["atoms"]
    expected = np.array(first["coords"])
    if not first["cartesian"]:
        expected = expected @ np.array(first["lattice_mat"])
    near(structures[0].positions, expected)


def test_matpes_documented_entry(sample):
    """The one entry that the publishers print, with the order of stress that they state."""
    (entry,) = unzipped("matpes_pbe", "sample/MatPES-PBE-2025.1_documented.json.gz")
    structure = find(sample("matpes_pbe"), entry["matpes_id"])
    assert structure.energy == entry["energy"] == -13.19442081
    near(structure.forces, entry["forces"])
    xx, yy, zz, yz, xz, xy = entry["stress"]
    near(structure.stress, -KILOBAR * np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]))
    assert structure.group == "mp-999484"
    positions = [site["xyz"] for site in entry["structure"]["sites"]]
    np.testing.assert_allclose(structure.positions, positions, atol=1e-9)


def test_isolated_atoms_of_matpes_are_those_of_its_cohesive_energies():
    """Documented for this entry: (E - sum of atoms) / N is -4.266150985 eV."""
    (entry,) = unzipped("matpes_pbe", "sample/MatPES-PBE-2025.1_documented.json.gz")
    atoms = load_adapter("matpes_pbe").card.isolated_atoms
    cohesive = (entry["energy"] - atoms["Y"] - atoms["Ti"]) / 2
    assert cohesive == pytest.approx(entry["cohesive_energy_per_atom"], abs=1e-8)


@pytest.mark.parametrize("name", MATPES)
def test_isolated_atoms_give_the_cohesive_energies_of_all_elements(name):
    card = load_adapter(name).card
    entries = unzipped(name, f"slice/MatPES-{MATPES[name]}-2025.1_elements.json.gz")
    assert set(card.isolated_atoms) == set(card.elements)
    for entry in entries:
        per_atom = entry["energy"] / entry["nsites"]
        cohesive = per_atom - card.isolated_atoms[entry["elements"][0]]
        assert cohesive == pytest.approx(entry["cohesive_energy_per_atom"], abs=1e-8)
