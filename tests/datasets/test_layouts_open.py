"""Layouts of the large open datasets: splits, groups, refusals, malformed rows, pieces, physics."""

import lzma
import shutil
from dataclasses import replace

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from hydracalc.checks.physics import energy_against_work
from hydracalc.errors import DataError
from hydracalc.ingest.catalog import list_datasets, load_adapter
from hydracalc.ingest.splitting import SplitConfig, Splitter
from hydracalc.readers.aselmdb import row_parts, rows_of
from hydracalc.readers.aselmdb_writer import row_of, write_rows
from hydracalc.readers.parts import Part

FOLDERS = list_datasets()
DATABASES = ("omat24", "salex", "omol25", "omol25_neutral", "omol25_charged", "opoly26", "oc25")
OPEN = (*DATABASES, "oc20", "oc22", "odac23")
ABOUT = {"charge": 0, "spin": 1, "source": "a"}


def read(name, raw):
    adapter = load_adapter(name)
    return list(adapter.read(raw)), adapter


def labelled(symbols="CuO", *, stress=None, **options):
    atoms = Atoms(symbols, np.arange(3 * len(Atoms(symbols))).reshape(-1, 3) * 1.1, **options)
    labels = {"energy": -1.5, "forces": np.full((len(atoms), 3), 0.25)}
    labels |= {} if stress is None else {"stress": stress}
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


def row(data=ABOUT, **changes):
    made = row_of(labelled(cell=[9, 9, 9], pbc=True, stress=np.arange(6.0)), data) | changes
    return {key: value for key, value in made.items() if value is not None}


def database(folder, rows):
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "data.aselmdb", rows)
    return folder


# splits and groups


@pytest.mark.parametrize("name", OPEN)
def test_a_splitter_accepts_every_sample(name, sample):
    """No group is on two sides of the published split."""
    splitter = Splitter(SplitConfig())
    for structure in sample(name):
        split = splitter.split_of(structure)
        assert structure.split in (None, split)


@pytest.mark.parametrize("name", ["omat24", "salex", "oc25"])
def test_the_published_split_is_kept_though_it_divides_materials(name, tmp_path):
    for split in ("train", "val"):
        database(tmp_path / split / "rattled-300", [row()])
    structures, _ = read(name, tmp_path)
    assert [s.split for s in structures] == ["train", "val"]
    splitter = Splitter(SplitConfig())
    assert [splitter.split_of(s) for s in structures] == ["train", "val"]


@pytest.mark.parametrize("name", DATABASES)
def test_files_outside_the_published_folders_are_split_by_whole_groups(name, tmp_path):
    charge = int(name == "omol25_charged")
    rows = [row({"charge": charge, "spin": 2, "source": f"x{n}", "sid": "x"}) for n in range(2)]
    for folder in ("a", "training"):
        database(tmp_path / folder, rows)
    structures, _ = read(name, tmp_path / "a")
    others, _ = read(name, tmp_path / "training")
    assert {s.split for s in structures + others} == {None}
    if name != "oc25":  # there it is the calculation
        assert len({s.group for s in structures + others}) == 1
    assert len({s.source for s in structures}) == 2


@pytest.mark.parametrize(
    ("folder", "split"),
    [("train_4M", "train"), ("neutral_train", "train"), ("neutral_val", "val"), ("test", None)],
)
def test_cuts_of_omol25_have_the_split_of_their_folder(folder, split, tmp_path):
    structures, _ = read("omol25", database(tmp_path / folder, [row()]))
    assert [s.split for s in structures] == [split]


def test_crystals_of_omat24_are_grouped_with_what_was_made_from_them(tmp_path):
    rows = [
        row({"parent_id": "agm1", "sid": "agm1_rattled"}),
        row({"parent_id": "agm1", "sid": "agm1_aimd"}),
        row({"parent_id": None}),
        row({}),
    ]
    structures, _ = read("omat24", database(tmp_path, rows))
    assert [s.group for s in structures] == ["agm1", "agm1", "OCu", "OCu"]


@pytest.mark.parametrize(
    ("data", "group"),
    [
        (
            {"source": "ml-relax/solvent6/6/bulk18088/surface_3:1:1/ads_56/clean/randsh0"},
            "bulk18088",
        ),
        ({"source": "md/solvent2/9/bulk18088/surface_1:0:0/ads_1/ions/randsh3"}, "bulk18088"),
        ({"source": "other/kind"}, "other/kind"),
        ({"sid": "s17"}, "s17"),
        ({}, "OCu"),
    ],
)
def test_surfaces_of_one_bulk_of_oc25_share_a_group(data, group, tmp_path):
    structures, _ = read("oc25", database(tmp_path, [row(data)]))
    assert [s.group for s in structures] == [group]


def test_a_framework_of_odac23_is_one_group_with_every_gas_and_in_both_forms(tmp_path):
    tags = {"CO2": [0, 0, 1, 1, 1], "H2O": [0, 0, 2, 2, 2]}
    structures = []
    for gas in tags:
        atoms = labelled(f"CuO{gas}" if gas == "CO2" else "CuOOH2", tags=tags[gas])
        ase.io.write(
            tmp_path / f"{gas}.extxyz", atoms, columns=["symbols", "positions", "tags", "forces"]
        )
        write_rows(tmp_path / f"{gas}.aselmdb", [row_of(atoms, {})])
    structures, _ = read("odac23", tmp_path)
    assert [s.group for s in structures] == ["OCu"] * 4
    assert len({s.source for s in structures}) == 4


def test_lists_of_oc22_state_the_split_of_trajectories(tmp_path):
    shutil.copytree(FOLDERS["oc22"] / "sample" / "oc22_trajectories", tmp_path / "oc22")
    folder = tmp_path / "oc22" / "trajectories" / "oc22"
    (folder / "val_ood_s2ef_t.txt").unlink()
    structures, _ = read("oc22", tmp_path)
    splits = {s.group: s.split for s in structures}
    assert splits == {
        "CuO_made-1_a": "train",
        "CuO_made-1_c": "val",
        "NiO_made-2_b": "train",
        "NiO_made-3_d": None,
    }


def test_a_repack_of_oc22_is_split_by_folders(tmp_path):
    for folder in ("train_s2ef", "val_id_s2ef", "more"):
        (tmp_path / folder).mkdir()
        ase.io.write(tmp_path / folder / "0.extxyz", [labelled(pbc=True, cell=[9, 9, 9])] * 2)
    structures, _ = read("oc22", tmp_path)
    found = {(s.split, s.group) for s in structures}
    assert found == {("train", "train: OCu"), ("val", "val: OCu"), (None, "OCu")}
    assert len({s.source for s in structures}) == 6


# charge and labels


def test_neutral_and_charged_rows_of_omol25_are_its_rows(tmp_path):
    charges = [0, 1, -2, 0, 0]
    rows = [row({"charge": c, "spin": 1, "source": f"{n}"}) for n, c in enumerate(charges)]
    database(tmp_path, [*rows, row(forces=None), row(energy=None)])
    found = {name: read(name, tmp_path) for name in ("omol25", "omol25_neutral", "omol25_charged")}
    sources = {name: {s.source for s in structures} for name, (structures, _) in found.items()}
    assert sources["omol25_neutral"] == {"0", "3", "4"}
    assert sources["omol25_charged"] == {"1", "2"}
    assert sources["omol25"] == {"0", "1", "2", "3", "4"}
    missing = {"no energy or no forces": 2}
    assert found["omol25"][1].dropped == missing
    assert found["omol25_neutral"][1].dropped == missing | {"charged": 2}
    assert found["omol25_charged"][1].dropped == missing | {"neutral": 3}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"spin": 1}}, "'charge' is missing"),
        ({"data": {"charge": 0}}, "'spin' is missing"),
        ({"data": {"charge": 0.5, "spin": 1}}, "charge is 0.5, expected a whole number"),
        ({"data": {"charge": "two", "spin": 1}}, "damaged"),
        ({"positions": None}, "'positions' is missing"),
        ({"numbers": {"__ndarray__": [[2], "float64", [1.0, 6.0]]}}, "expected whole numbers"),
        ({"numbers": [1, 0]}, "no elements"),
        ({"forces": [[0.0, 0.0, 0.0]]}, "forces has shape"),
        ({"cell": [[1.0, 0.0], [0.0, 1.0]]}, "cell has shape"),
    ],
)
def test_a_malformed_row_is_named(changes, message, tmp_path):
    database(tmp_path, [row(), row(**changes)])
    with pytest.raises(DataError, match=rf"data\.aselmdb, row 2: .*{message}"):
        read("omol25", tmp_path)


@pytest.mark.parametrize("encode", [np.asarray, lambda s: np.asarray(s).tolist()])
def test_a_stress_of_omat24_may_have_six_or_nine_numbers(encode, tmp_path):
    six = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    nine = [[1.0, 6.0, 5.0], [6.0, 2.0, 4.0], [5.0, 4.0, 3.0]]
    rows = [row() | {"stress": encode(value)} for value in (six, nine)]
    (first, second), _ = read("omat24", database(tmp_path, rows))
    assert first.stress.tolist() == nine
    assert second.stress.tolist() == nine


def test_a_stress_of_another_length_is_damaged_data(tmp_path):
    with pytest.raises(DataError, match="row 1: .*stress has shape"):
        read("omat24", database(tmp_path, [row(stress=[1.0, 2.0])]))


# pieces


@pytest.mark.parametrize("name", OPEN)
def test_pieces_hold_every_structure_once_in_the_same_order(name, sample, monkeypatch):
    monkeypatch.setitem(row_parts.__kwdefaults__, "rows_per_part", 3)
    adapter = load_adapter(name)
    parts = adapter.parts(FOLDERS[name] / "sample")
    assert len(parts) >= 2
    apart = [s.source for part in parts for s in load_adapter(name).structures(part)]
    assert apart == [s.source for s in sample(name)]


def test_a_database_is_cut_by_rows_however_large(tmp_path):
    path = tmp_path / "data.aselmdb"
    write_rows(path, [{"numbers": [1]}] * 20_001)
    parts = row_parts([path])
    assert [(part.start, part.stop) for part in parts] == [(1, 20_001), (20_001, 20_002)]
    assert [n for n, _ in rows_of(parts[1])] == [20_001]
    assert [n for n, _ in rows_of(Part(path=path, start=19_999))] == [19_999, 20_000, 20_001]


# files of OC20


@pytest.fixture
def oc20(tmp_path):
    folder = tmp_path / "s2ef_train_200K"
    shutil.copytree(FOLDERS["oc20"] / "sample" / "s2ef_train_200K", folder)
    return folder


def test_uncompressed_files_of_oc20_are_read_the_same(oc20, sample):
    for path in sorted(oc20.glob("*.xz")):
        path.with_suffix("").write_bytes(lzma.decompress(path.read_bytes()))
        path.unlink()
    structures, _ = read("oc20", oc20.parent)
    assert [s.source for s in structures] == [s.source for s in sample("oc20")]
    assert structures[30].energy == sample("oc20")[30].energy


def test_frames_of_oc20_without_names_are_damaged_data(oc20):
    (oc20 / "1.txt.xz").unlink()
    with pytest.raises(DataError, match=r"1\.extxyz\.xz: .*1\.txt, which names the systems"):
        read("oc20", oc20)


@pytest.mark.parametrize(
    "lines", ["random1,frame0,0.0\n", "random1,frame0,0.0\n" * 100, "x\n" * 24]
)
def test_names_of_oc20_that_do_not_fit_its_frames_are_damaged_data(oc20, lines):
    (oc20 / "0.txt.xz").write_bytes(lzma.compress(lines.encode()))
    with pytest.raises(DataError, match=r"0\.extxyz\.xz"):
        read("oc20", oc20)


def test_training_sets_of_oc20_that_contain_each_other_are_refused(oc20):
    shutil.copytree(oc20, oc20.parent / "s2ef_train_2M")
    with pytest.raises(ValueError, match="s2ef_train_200K, s2ef_train_2M contain each other"):
        read("oc20", oc20.parent)


def test_training_sets_of_omol25_that_contain_each_other_are_refused(tmp_path):
    for folder in ("train_4M", "train", "val"):
        database(tmp_path / folder, [row()])
    with pytest.raises(ValueError, match="^train, train_4M contain each other"):
        read("omol25", tmp_path)


# labels obey physics; largest displacement in A

PAIRS = {"omat24": 0.15, "salex": 0.25, "oc20": 0.1, "oc22": 0.15, "oc25": 0.15, "odac23": 0.15}


@pytest.mark.parametrize("name", PAIRS)
def test_forces_and_stress_are_the_derivative_of_the_energy(name, sample):
    result = energy_against_work(sample(name), max_displacement=PAIRS[name])
    assert result.num_points >= 8
    assert result.slope == pytest.approx(1, abs=0.02)
    assert result.correlation > 0.99


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("wrong", [{"forces": -1}, {"forces": 1 / 0.529177}, {"stress": -1}])
def test_a_wrong_sign_or_unit_is_caught(name, wrong, sample):
    ((label, factor),) = wrong.items()
    if sample(name)[0].stress is None and label == "stress":
        return
    spoiled = [replace(s, **{label: factor * getattr(s, label)}) for s in sample(name)]
    result = energy_against_work(spoiled, max_displacement=PAIRS[name])
    assert not (abs(result.slope - 1) < 0.02 and result.correlation > 0.99)
