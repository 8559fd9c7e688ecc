"""What mlearn, JARVIS and MatPES leave open is decided by physics; odd records of their layouts."""

import gzip
import json
import shutil
from dataclasses import replace

import ase.units
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.calculators.morse import MorsePotential
from pymatgen.core import Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from hydracalc.checks.physics import energy_against_work
from hydracalc.errors import DataError
from hydracalc.ingest.catalog import list_datasets, load_adapter

FOLDERS = list_datasets()
KILOBAR = 1e-1 * ase.units.GPa  # eV/A^3
EXCHANGES = {  # what a wrong order of the six numbers does to the axes' pairs
    "yz and xz": ((1, 2), (0, 2)),
    "yz and xy": ((1, 2), (0, 1)),
    "xz and xy": ((0, 2), (0, 1)),
}
# pymatgen still asks spglib in the old way
old_spglib = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
COPPER, NICKEL, SILICON, GERMANIUM, MOLYBDENUM = 29, 28, 14, 32, 42
BOND_LENGTHS = {SILICON: 2.35, GERMANIUM: 2.45}  # Angstrom


def read(name, raw):
    adapter = load_adapter(name)
    return list(adapter.read(raw)), adapter


def exchanged(structure, which):
    """A structure with two shear components in each other's place."""
    stress, ((a, b), (c, d)) = structure.stress.copy(), EXCHANGES[which]
    stress[a, b], stress[c, d] = structure.stress[c, d], structure.stress[a, b]
    stress[b, a], stress[d, c] = stress[a, b], stress[c, d]
    return replace(structure, stress=stress)


def broken_symmetry(structure, precision=0.01):
    """Largest change of the stress, kBar, under the point group of the crystal."""
    crystal = Structure(
        structure.cell, structure.atomic_numbers, structure.positions, coords_are_cartesian=True
    )
    group = SpacegroupAnalyzer(crystal, precision).get_point_group_operations(cartesian=True)
    rotations = [operation.rotation_matrix for operation in group]
    stress = structure.stress / KILOBAR
    return max(np.abs(r @ stress @ r.T - stress).max() for r in rotations)


@pytest.fixture(scope="module")
def mlearn():
    return read("mlearn", FOLDERS["mlearn"] / "slice")[0]


def of_kind(structures, kind, *numbers):
    return [s for s in structures if kind in s.group and s.atomic_numbers[0] in numbers]


@pytest.mark.parametrize("number", [SILICON, MOLYBDENUM])
def test_strained_crystals_of_mlearn_decide_sign_unit_and_order(sample, number):
    strained = of_kind(sample("mlearn"), "Elastic", number)
    result = energy_against_work(strained, max_displacement=1.2)
    assert result.num_points > 30
    assert result.slope == pytest.approx(1, abs=0.02)
    assert result.correlation > 0.998
    for which in EXCHANGES:
        wrong = [exchanged(structure, which) for structure in strained]
        assert energy_against_work(wrong, max_displacement=1.2).correlation < 0.99


def model_of(number):
    """Effective medium theory where it has the element, else a pair potential of its bonds."""
    if number in (COPPER, NICKEL):
        return EMT()
    length = BOND_LENGTHS[number]
    return MorsePotential(rho0=4.0, r0=length, rcut1=1.4 * length, rcut2=1.6 * length)


@pytest.mark.parametrize("number", [SILICON, NICKEL, COPPER, GERMANIUM])
def test_shear_of_mlearn_in_molecular_dynamics_is_that_of_a_model(mlearn, number):
    """Cells do not change, so energies cannot tell the order; crude models of the bonds do."""
    published, model = [], []
    for structure in of_kind(mlearn, "AIMD", number)[::3][:14]:
        atoms = Atoms(structure.atomic_numbers, structure.positions, cell=structure.cell, pbc=True)
        atoms.calc = model_of(number)
        published.append([structure.stress[i, j] for i, j in ((1, 2), (0, 2), (0, 1))])
        model.append(atoms.get_stress()[3:])
    columns = np.array(published).T, np.array(model).T
    matrix = np.corrcoef(*columns)[:3, 3:]
    assert matrix.diagonal().mean() > (0.98 if number in (COPPER, NICKEL) else 0.7)
    assert (matrix.argmax(axis=1) == np.arange(3)).all()


@old_spglib
def test_surfaces_of_mlearn_have_stresses_of_their_point_group(mlearn):
    """In 41 of 68 the other order of yz and xz would break it."""
    told = 0
    for structure in of_kind(mlearn, "Surface", 3, 14, 28, 29, 32, 42):
        right = broken_symmetry(structure, 0.02)
        wrong = broken_symmetry(exchanged(structure, "yz and xz"), 0.02)
        told += wrong > right + 0.15
        assert right < wrong + 0.01
    assert told == 41


@old_spglib
@pytest.mark.parametrize("name", ["matpes_pbe", "matpes_r2scan"])
def test_real_stresses_of_matpes_have_the_point_group_of_their_crystal(name):
    """As documented: xx yy zz yz xz xy. Of strained trigonal and monoclinic cells no other fits."""
    structures, _ = read(name, FOLDERS[name] / "slice")
    assert len(structures) == 89
    told = dict.fromkeys(EXCHANGES, 0)
    for structure in structures:
        if np.abs(structure.stress[np.triu_indices(3, 1)]).max() < 0.3 * KILOBAR:
            continue
        right = broken_symmetry(structure)
        for which in EXCHANGES:
            told[which] += broken_symmetry(exchanged(structure, which)) > right + 0.25
    assert min(told.values()) >= 4
    boron = next(s for s in structures if s.atomic_numbers[0] == 5)
    assert broken_symmetry(boron) < 0.02
    assert all(broken_symmetry(exchanged(boron, which)) > 0.4 for which in EXCHANGES)


@pytest.mark.parametrize("name", ["matpes_pbe", "matpes_r2scan"])
def test_the_sample_of_matpes_catches_every_wrong_order(name, sample):
    structures = [s for s in sample(name) if s.source.startswith("emt")]
    result = energy_against_work(structures, max_displacement=0.2)
    assert result.slope == pytest.approx(1, abs=0.01)
    for which in EXCHANGES:
        wrong = [exchanged(structure, which) for structure in structures]
        assert energy_against_work(wrong, max_displacement=0.2).correlation < 0.9


def matpes_entry():
    path = FOLDERS["matpes_pbe"] / "sample" / "MatPES-PBE-2025.1_documented.json.gz"
    return json.loads(gzip.decompress(path.read_bytes()))[0]


def test_entries_of_matpes_without_labels_order_or_of_another_functional_are_counted(tmp_path):
    good, unlabelled, disordered, other = (matpes_entry() for _ in range(4))
    unlabelled["forces"] = None
    disordered["structure"]["sites"][0]["species"][0]["occu"] = 0.5
    other["functional"] = "r2SCAN"
    path = tmp_path / "MatPES-PBE-2025.1.json"
    path.write_text(json.dumps([good, unlabelled, disordered, other]))
    structures, adapter = read("matpes_pbe", tmp_path)
    assert len(structures) == 1
    assert adapter.dropped == {
        "no energy or no forces": 1,
        "disordered": 1,
        "functional r2SCAN": 1,
    }


def test_lines_of_matpes_are_read_as_the_list_is(tmp_path):
    path = tmp_path / "MatPES-PBE-2025.2.jsonl"
    path.write_text((json.dumps(matpes_entry()) + "\n") * 2)
    first, second = read("matpes_pbe", tmp_path)[0]
    assert first.energy == second.energy == -13.19442081
    path.write_text(path.read_text()[:-9])
    with pytest.raises(DataError, match="2025.2.jsonl"):
        read("matpes_pbe", tmp_path)


def test_the_published_split_of_matpes_is_kept_where_its_list_is(tmp_path):
    entries = [matpes_entry() | {"matpes_id": str(number)} for number in range(4)]
    (tmp_path / "MatPES-PBE-2025.1.json").write_text(json.dumps(entries))
    listed = {"train": [0, 2], "valid": [3]}
    path = tmp_path / "MatPES-PBE-split.json.gz"
    path.write_bytes(gzip.compress(json.dumps(listed).encode()))
    structures, _ = read("matpes_pbe", tmp_path)
    assert [s.split for s in structures] == ["train", "test", "train", "val"]
    assert structures[3].group == "val: mp-999484"


def per_atom_copy(tmp_path):
    """JARVIS frames with the energies that ALIGNN-FF's full set is said to have."""
    records = json.loads((FOLDERS["jarvis"] / "sample" / "id_prop.json").read_text())
    for record in records:
        record["total_energy"] /= len(record["atoms"]["elements"])
    path = tmp_path / "id_prop.json"
    path.write_text(json.dumps(records))
    return path


def test_energies_per_atom_of_jarvis_are_told_from_totals(tmp_path, sample):
    totals = sample("jarvis")[:50]
    structures, _ = read("jarvis", per_atom_copy(tmp_path))
    for structure, total in zip(structures, totals, strict=True):
        assert structure.energy == pytest.approx(total.energy, rel=1e-12)


def test_energies_of_jarvis_that_decide_nothing_must_be_stated(tmp_path):
    path = per_atom_copy(tmp_path)
    records = json.loads(path.read_text())[:1]
    path.write_text(json.dumps(records))
    with pytest.raises(DataError, match=r"id_prop.json, no ENERGY.txt beside it: .*pairs"):
        read("jarvis", path)
    (tmp_path / "ENERGY.txt").write_text("per atom\n")
    (structure,) = read("jarvis", path)[0]
    assert structure.energy == pytest.approx(10 * records[0]["total_energy"], rel=1e-14)
    (tmp_path / "ENERGY.txt").write_text("atoms\n")
    with pytest.raises(ValueError, match="says 'atoms', expected one of"):
        read("jarvis", path)


def test_the_stress_of_jarvis_has_the_sign_that_energies_demand(sample):
    right = energy_against_work(sample("jarvis"), max_displacement=0.2)
    assert right.slope == pytest.approx(1, abs=0.1)
    wrong = [replace(s, stress=-s.stress) for s in sample("jarvis")]
    assert energy_against_work(wrong, max_displacement=0.2).slope < -0.5


def test_copies_of_mlearn_in_the_layout_of_jarvis_are_refused(tmp_path):
    path = per_atom_copy(tmp_path)
    records = json.loads(path.read_text())
    records[0]["stresses"] = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    path.write_text(json.dumps(records))
    with pytest.raises(DataError, match="six numbers of stress: a copy of mlearn"):
        read("jarvis", path)


def test_files_of_mlearn_are_read_as_they_are_published(tmp_path):
    records = json.loads(
        gzip.decompress((FOLDERS["mlearn"] / "sample" / "mlearn_cut.json.gz").read_bytes())
    )
    for element, file in (("Si", "training.json"), ("Cu", "test.json")):
        (tmp_path / element).mkdir()
        chosen = [record for record in records if record["element"] == element]
        (tmp_path / element / file).write_text(json.dumps(chosen))
    structures, _ = read("mlearn", tmp_path)
    assert {s.split for s in structures} == {"train", "test"}
    assert {s.source for s in structures} == {
        f"{file}/{element}/{number}"
        for element, file in (("Si", "training"), ("Cu", "test"))
        for number in range(3)
    }
    shutil.rmtree(tmp_path / "Cu")
    assert len(read("mlearn", tmp_path)[0]) == 3
