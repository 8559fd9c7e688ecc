"""Details of the published layouts of molecules: masks, outliers, splits, other levels."""

import bz2
import io
import json
import shutil
import sqlite3
import tarfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from tfrecords import example, packed, record

from hydracalc.card import Labels
from hydracalc.errors import DataError
from hydracalc.ingest.catalog import list_datasets, load_adapter
from hydracalc.readers.tfrecord import stream_examples

FOLDERS = list_datasets()


def read(name, raw):
    adapter = load_adapter(name)
    return list(adapter.read(Path(raw))), adapter


def sample_file(name, pattern="*"):
    (path,) = (p for p in (FOLDERS[name] / "sample").glob(pattern) if p.suffix not in {".txt"})
    return path


@pytest.mark.parametrize(
    "other",
    ["ANI-2x-B973c-def2mTZVP.h5", "ANI-2x-wB97MV-def2TZVPP.h5", "ANI-2x-wB97X-def2TZVPP.h5"],
)
def test_other_levels_of_theory_of_ani2x_are_refused(tmp_path, other):
    shutil.copy(sample_file("ani2x"), tmp_path / other)
    with pytest.raises(ValueError, match=f"{other} holds another level.*6-31G"):
        read("ani2x", tmp_path / other)


def test_ani2x_is_found_where_its_archive_unpacks_to(tmp_path):
    (tmp_path / "final_h5").mkdir()
    shutil.copy(sample_file("ani2x"), tmp_path / "final_h5" / "ANI-2x-wB97X-631Gd.h5")
    structures, _ = read("ani2x", tmp_path)
    assert len(structures) == 381


def test_a_group_of_ani2x_without_forces_is_named(tmp_path):
    path = shutil.copy(sample_file("ani2x"), tmp_path / "ani2x.hdf5")
    with h5py.File(path, "r+") as file:
        del file["002/forces"]
    with pytest.raises(DataError, match=r"ani2x\.hdf5, 002: .*'forces'"):
        read("ani2x", path)


def test_rows_without_coupled_cluster_energies_are_counted(sample):
    counts = {}
    for path in (FOLDERS["ani1ccx"] / "sample").glob("*.h5"):
        with h5py.File(path) as file:
            masks = [np.isnan(group["ccsd(t)_cbs.energy"][:]) for group in file.values()]
            counts[path.name] = (~np.concatenate(masks)).sum(), np.concatenate(masks).sum()
    labelled, absent = np.sum(list(counts.values()), axis=0)
    structures, adapter = read("ani1ccx", FOLDERS["ani1ccx"] / "sample")
    assert len(structures) == labelled > 30
    assert adapter.dropped == {"no ccsd(t)_cbs.energy": absent}
    assert counts["ani1x_physicsml_cut.h5"] == (3, 93)


def test_ani1x_without_coupled_cluster_energies_is_damaged_data(tmp_path):
    path = shutil.copy(sample_file("ani1ccx", "*n5.h5"), tmp_path / "ani1x.h5")
    with h5py.File(path, "r+") as file:
        del file["C1H6N2O5/ccsd(t)_cbs.energy"]
    with pytest.raises(DataError, match=r"ani1x\.h5, C1H6N2O5: .*ccsd\(t\)_cbs\.energy"):
        read("ani1ccx", path)


@pytest.mark.parametrize(
    ("smiles", "charge"),
    [
        ("[H:1][O:2][H:3]", 0),
        ("[O-:1][C@@H:3]([N+:4])[O-:5]", -1),
        ("[Ca+2:1].[Cl-:2]", 1),
        ("[Mg++:1]", 2),
        ("[O--]", -2),
        ("C=C-C.CCN-C", 0),  # bonds, not charges
        ("[Na+]", 1),
        ("[13C-:12]", -1),
    ],
)
def test_charges_of_spice_are_those_of_the_smiles_string(tmp_path, smiles, charge):
    path = tmp_path / "SPICE-2.0.1.hdf5"
    with h5py.File(path, "w") as file:
        file["m/smiles"] = [smiles]
        file["m/atomic_numbers"] = np.array([2, 10 - charge % 2])
        file["m/conformations"] = np.zeros((2, 2, 3))
        file["m/dft_total_energy"] = np.zeros(2)
        file["m/dft_total_gradient"] = np.zeros((2, 2, 3))
    structures, _ = read("spice", tmp_path)
    assert [s.total_charge for s in structures] == [charge, charge]


def test_molecules_of_spice_that_cannot_be_singlets_are_counted(tmp_path):
    path = tmp_path / "SPICE-2.0.1.hdf5"
    shutil.copy(sample_file("spice"), path)
    with h5py.File(path, "r+") as file:
        file["C#C.[Na+]/smiles"][0] = "[H:3][C:1]#[C:2][H:4].[Na:5]"
    structures, adapter = read("spice", tmp_path)
    assert len(structures) == 50
    assert adapter.dropped == {"odd number of electrons, but labelled as a singlet": 5}


def test_two_releases_of_spice_are_refused(tmp_path):
    for release in ("SPICE-1.1.4.hdf5", "SPICE-2.0.1.hdf5"):
        shutil.copy(sample_file("spice"), tmp_path / release)
    with pytest.raises(ValueError, match=r"keep one of: SPICE-1\.1\.4\.hdf5, SPICE-2\.0\.1\.hdf5"):
        read("spice", tmp_path)
    assert len(read("spice", tmp_path / "SPICE-1.1.4.hdf5")[0]) == 55


def test_aimnet2_without_multiplicities_is_singlets(tmp_path):
    path = shutil.copy(sample_file("aimnet2"), tmp_path / "aimnet2_wb97m.h5")
    with h5py.File(path, "r+") as file:
        for group in file.values():
            del group["mult"]
    structures, _ = read("aimnet2", tmp_path)
    assert {s.spin_multiplicity for s in structures} == {1}
    assert {s.total_charge for s in structures} == {-3, -2, -1, 0, 1, 2}


@pytest.mark.parametrize("other", ["aimnet2_b973c.h5", "aimnet2_B97-3c.h5"])
def test_the_other_level_of_theory_of_aimnet2_is_refused(tmp_path, other):
    path = shutil.copy(sample_file("aimnet2"), tmp_path / other)
    with pytest.raises(ValueError, match="is B97-3c; this dataset is wB97M-D3"):
        read("aimnet2", path)


@pytest.fixture
def nabla(tmp_path):
    """Function that copies the sample under a published name and runs SQL on it."""

    def write(name, sql=None, *values):
        path = shutil.copy(sample_file("nabla2dft"), tmp_path / name)
        if sql:
            with sqlite3.connect(path) as database:
                database.execute(sql, values)
        return path

    return write


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train_2k_v2_formation_energy_w_forces.db", "train"),
        ("test_full_structures_v2_formation_energy_forces.db", "test"),
        ("test_database_cut.db", None),
    ],
)
def test_the_published_split_of_nabla2dft_is_in_its_names(nabla, name, split):
    structures, _ = read("nabla2dft", nabla(name))
    assert {s.split for s in structures} == {split}
    assert structures[0].group == ("331314" if split is None else f"{split}: 331314")


def test_nested_training_sets_of_nabla2dft_are_refused(nabla, tmp_path):
    for size in ("2k", "100k"):
        nabla(f"train_{size}_v2_formation_energy_w_forces.db")
    with pytest.raises(ValueError, match="nested training sets, keep one of"):
        read("nabla2dft", tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_distance_unit": "Bohr"}, "units in its metadata are not those"),
        ({"_property_unit_dict": {"energy": "eV"}}, "units in its metadata are not those"),
        ({"atomrefs": {"energy": [0.0] * 55}}, "row 1: .*atomrefs lack an element"),
        ({"atomrefs": {"energy": [0.0, -0.5]}}, "row 1: .*out of bounds"),
        ({"atomrefs": {}}, "'energy' is missing"),
    ],
)
def test_other_metadata_of_nabla2dft_are_damaged_data(nabla, change, message):
    path = FOLDERS["nabla2dft"] / "sample" / "test_database_cut.db"
    query = "SELECT value FROM information WHERE name = 'metadata'"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        (metadata,) = database.execute(query).fetchone()
    changed = json.dumps(json.loads(metadata) | change)
    sql = "UPDATE information SET value = ? WHERE name = 'metadata'"
    with pytest.raises(DataError, match=message):
        read("nabla2dft", nabla("train_2k_v2_formation_energy_w_forces.db", sql, changed))


def test_rows_of_nabla2dft_without_forces_have_an_energy_only(nabla):
    data = json.dumps({"energy": {"__ndarray__": [[1], "float64", [-6.0]]}})
    sql = "UPDATE systems SET data = ? WHERE id = 3"
    structures, _ = read("nabla2dft", nabla("train_full_v2_formation_energy.db", sql, data))
    assert [s.forces is None for s in structures].count(True) == 1


@pytest.mark.parametrize(
    "name", ["md17_ethanol.npz", "ethanol_dft.npz", "ethanol.npz", "MD17_Ethanol.npz"]
)
def test_names_of_md17_are_those_of_its_releases(tmp_path, name):
    shutil.copy(sample_file("md17"), tmp_path / name)
    structures, _ = read("md17", tmp_path)
    assert structures[0].source == "ethanol/0"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ethanol_ccsd_t-train.npz", "is coupled cluster"),
        ("aspirin_ccsd-test.npz", "is coupled cluster"),
        ("benzene2018_dft.npz", "is no molecule of MD17"),
        ("rmd17_ethanol.npz", "is no molecule of MD17"),
    ],
)
def test_other_levels_of_theory_of_md17_are_refused_by_name(tmp_path, name, reason):
    shutil.copy(sample_file("md17"), tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name} {reason}; this dataset is PBE\+TS"):
        read("md17", tmp_path)


@pytest.mark.parametrize(
    ("theory", "is_read"),
    [
        (np.array("Psi4: CCSD(T), cc-pVTZ"), False),
        (np.array(b"unknown"), False),
        (np.array("DFT (aims, PBE+TS, light tier 1)"), True),
    ],
)
def test_other_levels_of_theory_of_md17_are_refused_by_their_field(tmp_path, theory, is_read):
    path = tmp_path / "md17_ethanol.npz"
    with np.load(sample_file("md17")) as arrays:
        np.savez_compressed(path, **arrays, theory=theory)
    if is_read:
        assert len(read("md17", path)[0]) == 80
        return
    with pytest.raises(DataError, match=r"md17_ethanol\.npz: .*this dataset is PBE\+TS"):
        read("md17", path)


def test_groups_of_md17_are_stretches_of_time(tmp_path):
    path = tmp_path / "md17_uracil.npz"
    frames = 20_001
    np.savez(
        path,
        R=np.zeros((frames, 1, 3), np.float32),
        F=np.zeros((frames, 1, 3), np.float32),
        E=np.arange(frames, dtype=float)[:, None],
        z=[8],
    )
    structures, adapter = read("md17", path)
    assert [s.group for s in structures[9_999:10_001]] == ["uracil/0", "uracil/1"]
    assert structures[-1].group == "uracil/2"
    assert [s.energy for s in structures] == sorted(s.energy for s in structures)
    blocks = [len(block) for block in adapter.conformers(adapter.parts(path)[0])]
    assert blocks == [5_000] * 4 + [1]


def qm9_archive(path, old, new):
    """The sample with a text replaced in its second file."""
    content = io.BytesIO(bz2.decompress(sample_file("qm9", "*.bz2").read_bytes()))
    target = io.BytesIO()
    with tarfile.open(fileobj=content) as source, tarfile.open(fileobj=target, mode="w") as writer:
        for member in source:
            text = source.extractfile(member).read().decode()
            if member.name == "dsgdb9nsd_000002.xyz":
                assert old in text
                text = text.replace(old, new)
            member.size = len(text)
            writer.addfile(member, io.BytesIO(text.encode()))
    path.write_bytes(bz2.compress(target.getvalue()))
    return path


UNCHARACTERIZED = """\
========================================
   3054 molecules of the 133885 that failed
========================================
Index  SMILES_1  SMILES_2
========================================
    3  O         C
    8  CO        CCO
========================================
"""


@pytest.mark.parametrize("text", [UNCHARACTERIZED, "3\n8\n"])
def test_molecules_of_qm9_that_are_listed_as_inconsistent_are_counted(tmp_path, text):
    shutil.copy(sample_file("qm9", "*.bz2"), tmp_path / "dsgdb9nsd.xyz.tar.bz2")
    (tmp_path / "uncharacterized.txt").write_text(text)
    structures, adapter = read("qm9", tmp_path)
    assert [s.source for s in structures] == [f"gdb_{i}" for i in (1, 2, 4, 5, 6, 7, 9, 10)]
    assert adapter.dropped == {"listed in uncharacterized.txt": 2}


def test_exponents_of_qm9_are_read(tmp_path):
    path = qm9_archive(tmp_path / "dsgdb9nsd.tar.bz2", "0.0125452063", "1.25452063*^-2")
    structures, _ = read("qm9", path)
    assert structures[1].positions[1, 1] == 0.0125452063


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("4\ngdb 2", "5\ngdb 2"),
        ("gdb 2\t293", "gdb\t293"),
        ("N\t", "Xx\t"),
        ("-56.525887", "none"),
    ],
)
def test_a_malformed_file_of_qm9_is_named(tmp_path, old, new):
    path = qm9_archive(tmp_path / "dsgdb9nsd.tar.bz2", old, new)
    with pytest.raises(DataError, match=r"dsgdb9nsd\.tar\.bz2, dsgdb9nsd_000002\.xyz: "):
        read("qm9", path)


def test_outliers_of_qcml_are_counted():
    path = FOLDERS["qcml"] / "sample"
    structures, adapter = read("qcml", path)
    flags = [
        entry["is_outlier"].item()
        for file in sorted(path.glob("*tfrecord*"))
        for entry in stream_examples(file)
    ]
    assert len(structures) == flags.count(0)
    assert adapter.dropped == {"is_outlier": flags.count(1)}
    assert flags.count(1) == 1


@pytest.mark.parametrize("unit", ["Angstrom", "nm"])
def test_another_unit_of_length_of_qcml_is_refused(unit):
    adapter = load_adapter("qcml")
    labels = Labels(**adapter.card.labels.model_dump() | {"length": unit})
    adapter.card = adapter.card.model_copy(update={"labels": labels})
    with pytest.raises(DataError, match=f"hydrogens are .* A .*positions are not in {unit}"):
        list(adapter.read(FOLDERS["qcml"] / "sample"))


@pytest.fixture
def qcml_file(tmp_path):
    """Function that writes the first two records of the sample, the second with changes."""
    source = FOLDERS["qcml"] / "sample" / "qcml-full.tfrecord-00001-of-00002"
    first, second, *_ = stream_examples(source)

    def write(**changes):
        path = tmp_path / "qcml-full.tfrecord-00000-of-00001"
        changed = {k: v for k, v in {**second, **changes}.items() if v is not None}
        features = [{k: packed(v) for k, v in record.items()} for record in (first, changed)]
        path.write_bytes(b"".join(record(example(**entry)) for entry in features))
        return path

    return write


@pytest.mark.parametrize(
    "name",
    [
        "atomic_numbers",
        "charge",
        "is_outlier",
        "key_hash",
        "multiplicity",
        "pbe0_formation_energy",
        "pbe0_forces",
        "positions",
    ],
)
def test_a_record_of_qcml_without_a_feature_is_named(qcml_file, name):
    with pytest.raises(DataError, match=rf"00000-of-00001, record 1: '{name}' is missing"):
        read("qcml", qcml_file(**{name: None}))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("charge", np.array([1, 2]), "too many values"),
        ("charge", np.array([], dtype=int), "not enough values"),
        ("positions", np.ones(7), "cannot reshape"),
        ("pbe0_forces", np.ones(9), "forces has shape"),
        ("atomic_numbers", np.array([8, 0]), "no elements"),
    ],
)
def test_a_malformed_record_of_qcml_is_named(qcml_file, name, value, reason):
    with pytest.raises(DataError, match=f"record 1: .*{reason}"):
        read("qcml", qcml_file(**{name: value}))


def test_what_else_a_record_of_qcml_holds_does_not_matter(qcml_file):
    structures, _ = read("qcml", qcml_file(pbe0_energy=None, smiles=[b"C"]))
    assert len(structures) == 2
