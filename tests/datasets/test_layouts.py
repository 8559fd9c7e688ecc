"""Details of the published layouts: splits, masks, repeated and malformed rows, other levels."""

import bz2
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from hydracalc.errors import DataError
from hydracalc.ingest.catalog import list_datasets, load_adapter

FOLDERS = list_datasets()
THEORY = "wB97x_6-31G(d)"


def read(name, raw):
    adapter = load_adapter(name)
    return list(adapter.read(Path(raw))), adapter


def test_masked_rows_of_ani1x_are_counted(tmp_path):
    path = tmp_path / "ani1x-release.h5"
    shutil.copy(FOLDERS["ani1x"] / "sample" / "ani1x_modelforge_n5.h5", path)
    with h5py.File(path, "r+") as file:
        file["C2H10N4O3/wb97x_dz.energy"][0] = np.nan
        file["C1H6N2O5/wb97x_dz.forces"][0, 2, 1] = np.nan
        file["C1H6N2O5/ccsd(t)_cbs.energy"][...] = np.nan  # not read, so not missed
    structures, adapter = read("ani1x", tmp_path)
    assert len(structures) == 8 - 2
    assert adapter.dropped == {"no wb97x_dz energy": 1, "no wb97x_dz forces": 1}


def test_a_formula_of_ani1x_without_forces_is_damaged_data(tmp_path):
    path = tmp_path / "ani1x-release.h5"
    shutil.copy(FOLDERS["ani1x"] / "sample" / "ani1x_modelforge_n5.h5", path)
    with h5py.File(path, "r+") as file:
        del file["C1H6N2O5/wb97x_dz.forces"]
    with pytest.raises(DataError, match=r"release\.h5, C1H6N2O5: .*wb97x_dz\.forces"):
        read("ani1x", path)


def write_reaction(group, rng, num_images=3):
    """A path and, inside it, its end points and transition state as the publishers repeat them."""
    positions = rng.normal(size=(num_images, 4, 3))
    rows = {".": slice(None), "reactant": [0], "transition_state": [1], "product": [2]}
    for name, images in rows.items():
        target = group.require_group(name)
        target["atomic_numbers"] = [6, 1, 1, 8]
        target["positions"] = positions[images]
        target[f"{THEORY}.energy"] = np.arange(num_images, dtype=float)[images]
        target[f"{THEORY}.forces"] = np.zeros_like(positions)[images]


@pytest.fixture
def transition1x_file(tmp_path):
    path = tmp_path / "Transition1x.h5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for number, split in enumerate(("train", "train", "val", "test")):
            name = f"CH2O/rxn{number:04d}"
            write_reaction(file.create_group(f"data/{name}"), rng)
            file[f"{split}/{name}"] = file[f"data/{name}"]  # a hard link, as published
    return path


def test_the_published_split_of_transition1x_is_kept_and_nothing_read_twice(transition1x_file):
    structures, _ = read("transition1x", transition1x_file.parent)
    assert len(structures) == 4 * 3
    assert [s.split for s in structures[::3]] == ["train", "train", "val", "test"]
    assert len({s.positions.tobytes() for s in structures}) == 4 * 3
    assert {s.group for s in structures} == {f"CH2O/rxn{i:04d}" for i in range(4)}


def test_transition1x_without_splits_is_read_from_data(transition1x_file):
    with h5py.File(transition1x_file, "r+") as file:
        for split in ("train", "val", "test"):
            del file[split]
    structures, _ = read("transition1x", transition1x_file)
    assert len(structures) == 4 * 3
    assert {s.split for s in structures} == {None}


def test_published_duplicates_of_qm7x_are_left_out(tmp_path):
    shutil.copy(FOLDERS["qm7x"] / "sample" / "1000.hdf5", tmp_path)
    everything, _ = read("qm7x", tmp_path)
    (tmp_path / "DupMols.dat").write_text("Geom-m2-i1-c1-opt\n")
    structures, adapter = read("qm7x", tmp_path)
    assert len(everything) - len(structures) == 4
    assert adapter.dropped == {"listed in DupMols.dat": 4}
    assert "2" not in {s.group for s in structures}


def mptrj_frame():
    path = FOLDERS["mptrj"] / "sample" / "MPtrj_11frames_full_schema.json"
    return next(iter(json.loads(path.read_text())["mp-1205402"].values()))


def test_frames_of_mptrj_without_labels_or_order_are_counted(tmp_path):
    good, unlabelled, disordered = mptrj_frame(), mptrj_frame(), mptrj_frame()
    unlabelled["force"] = None
    disordered["structure"]["sites"][0]["species"][0]["occu"] = 0.5
    frames = {"a-0-0": good, "a-0-1": unlabelled, "a-0-2": disordered}
    path = tmp_path / "MPtrj_2022.9_full.json"
    path.write_text(json.dumps({"mp-1": frames}))
    structures, adapter = read("mptrj", tmp_path)
    assert [s.source for s in structures] == ["mp-1/a-0-0"]
    assert adapter.dropped == {"no energy or no forces": 1, "disordered": 1}


@pytest.mark.parametrize("key", ["uncorrected_total_energy", "force", "stress", "structure"])
def test_a_frame_of_mptrj_that_lacks_a_key_is_damaged_data(tmp_path, key):
    frame = mptrj_frame()
    del frame[key]
    path = tmp_path / "MPtrj_2022.9_full.json"
    path.write_text(json.dumps({"mp-1": {"a-0-0": frame}}))
    with pytest.raises(DataError, match=f"full.json, mp-1: '{key}' is missing"):
        read("mptrj", path)


def test_a_frame_of_mptrj_with_too_few_forces_is_damaged_data(tmp_path):
    frame = mptrj_frame()
    frame["force"] = frame["force"][1:]
    path = tmp_path / "MPtrj.json"
    path.write_text(json.dumps({"mp-1": {"a-0-0": frame}}))
    with pytest.raises(DataError, match="mp-1/a-0-0: forces has shape"):
        read("mptrj", path)


def test_malformed_steps_of_alexandria_are_counted(tmp_path):
    path = FOLDERS["alexandria"] / "sample" / "alex_go_cut.json.bz2"
    content = json.loads(bz2.decompress(path.read_bytes()))
    first, second, *_ = content.values()
    first[0]["steps"][0]["forces"][0] = [0.0, 0.0]
    second[0]["steps"][0]["energy"] = None
    (tmp_path / "alex_go_aaa_000.json.bz2").write_bytes(bz2.compress(json.dumps(content).encode()))
    structures, adapter = read("alexandria", tmp_path)
    assert len(structures) == len(content) - 2
    assert adapter.dropped == {"no energy, or forces absent or malformed": 2}


def test_other_levels_of_theory_of_alexandria_are_not_read(tmp_path):
    source = FOLDERS["alexandria"] / "sample" / "alexandria_0_cut.json.bz2"
    folder = tmp_path / "pbe"
    folder.mkdir()
    shutil.copy(source, folder / "alexandria_000.json.bz2")
    shutil.copy(source, tmp_path / "alexandria_scan_000.json.bz2")
    structures, _ = read("alexandria", tmp_path)
    assert len(structures) == 25
    with pytest.raises(ValueError, match="is PBEsol or SCAN"):
        read("alexandria", tmp_path / "alexandria_scan_000.json.bz2")


def test_polymorphs_and_supercells_of_alexandria_share_a_group(tmp_path):
    source = FOLDERS["alexandria"] / "sample" / "alex_go_cut.json.bz2"
    steps = next(iter(json.loads(bz2.decompress(source.read_bytes())).values()))
    doubled = json.loads(json.dumps(steps))
    step = doubled[0]["steps"][0]
    step["structure"]["sites"] *= 2
    step["forces"] *= 2
    path = tmp_path / "alex_go_aaa_000.json.bz2"
    path.write_bytes(bz2.compress(json.dumps({"agm1": steps, "agm2": doubled}).encode()))
    (small, large), _ = read("alexandria", path)
    assert large.num_atoms == 2 * small.num_atoms
    assert large.group == small.group


def test_frames_that_mattersim_copied_from_other_datasets_are_counted(tmp_path):
    path = tmp_path / "mpf-TP.xyz"
    frame = 'Lattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3:forces:R:3 source={} {} '
    labels = 'energy=-1.0 stress="0 0 0 0 0 0 0 0 0" pbc="T T T"\nCu 0 0 0 0 0 0\n'
    ours = frame.format("Internal", "internal_id=a") + labels
    theirs = frame.format("MPtrj", "mptrj_traj_id=mp-1") + labels
    path.write_text(f"1\n{ours}1\n{theirs}")
    structures, adapter = read("mattersim", tmp_path)
    assert [s.source for s in structures] == ["a"]
    assert adapter.dropped == {"source MPtrj": 1}


def test_a_truncated_plain_extxyz_is_damaged_data(tmp_path):
    path = tmp_path / "random-TP.xyz"
    frame = (
        'Lattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3:forces:R:3 source=Internal '
        'internal_id=a energy=-1.0 stress="0 0 0 0 0 0 0 0 0" pbc="T T T"\n'
    )
    path.write_text(f"2\n{frame}Cu 0 0 0 0 0 0\n")
    with pytest.raises(DataError, match="random-TP.xyz"):
        read("mattersim", path)


def test_blocks_of_rmd17_keep_neighbors_together(sample):
    for structure in sample("rmd17"):
        molecule, step = structure.source.split("/")
        assert structure.group == f"{molecule}/{int(step) // 10_000}"
    assert len({s.group for s in sample("rmd17")}) > 30
