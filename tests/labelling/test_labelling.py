"""Structures to shards through a calculator: labels, failures, kills, several processes."""

import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from hydracalc.errors import DataError
from hydracalc.ingest.splitting import SplitConfig
from hydracalc.ingest.validate import validate
from hydracalc.ingest.workspace import workspace_of
from hydracalc.labelling.calculators import CalculatorSpec, Labeller
from hydracalc.labelling.generators import Rattle, Strain, dimer_parents
from hydracalc.labelling.label_tasks import run_task, task_ranges
from hydracalc.labelling.labelling import LabelConfig, label, read_parents
from hydracalc.labelling.md_snapshots import DynamicsConfig
from hydracalc.parallel.workers import Processes
from hydracalc.shards.reader import open_shards

SPLIT = SplitConfig(val=0, test=0)
EMT_LABELS = LabelConfig(
    name="metals", theory="EMT", calculator=CalculatorSpec(path="emt"), split=SPLIT
)


@pytest.fixture
def metals(tmp_path):
    """A file of three crystals."""
    path = tmp_path / "metals.extxyz"
    for symbol in ("Cu", "Al", "Ni"):
        bulk(symbol, cubic=True).write(path, append=True)
    return path


def read(out):
    with open_shards(out) as shards:
        return shards.read(range(len(shards)))


def test_labels_are_the_calculators_and_marked_as_computed(metals, tmp_path):
    config = replace(EMT_LABELS, generation=Rattle(count=3))
    report = label(read_parents([metals]), tmp_path / "out", config=config)
    assert report.num_structures == {"train": 9, "val": 0, "test": 0}
    with open_shards(tmp_path / "out") as shards:
        card = shards.card
    assert (card.theory, card.license) == ("EMT", "unstated")
    assert card.computed_by.startswith("ase.calculators.emt:EMT() of ase 3.")
    assert card.elements == ("Al", "Ni", "Cu")
    structure = read(tmp_path / "out")[4]
    assert (structure.group, structure.source) == ("metals:1", "metals:1/rattled-0001")
    atoms = bulk("Al", cubic=True)
    atoms.positions, atoms.calc = structure.positions, EMT()
    assert structure.energy == atoms.get_potential_energy()
    assert np.array_equal(structure.forces, atoms.get_forces())
    assert np.array_equal(structure.stress, atoms.get_stress(voigt=False))
    assert validate(tmp_path / "out") == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["metals.extxyz", "out"]


def test_any_number_of_processes_gives_the_same_shards(metals, tmp_path):
    dynamics = DynamicsConfig(temperatures=(300.0, 600.0), snapshots=2, interval=2, equilibration=2)
    config = replace(EMT_LABELS, generation=dynamics)
    alone = label(read_parents([metals]), tmp_path / "alone", config=config)
    two = label(read_parents([metals]), tmp_path / "two", config=config, workers=Processes(2))
    assert alone.num_structures["train"] == 12
    assert alone.sha256 == two.sha256


def test_dynamics_may_have_a_calculator_of_their_own(metals, tmp_path):
    dynamics = DynamicsConfig(temperatures=(300.0,), snapshots=2, interval=2, equilibration=2)
    config = LabelConfig(
        name="springs",
        theory="springs",
        calculator=CalculatorSpec(path="labellers:Springs"),
        generation=dynamics,
        dynamics_calculator=CalculatorSpec(path="emt"),
        split=SPLIT,
    )
    label(read_parents([metals]), tmp_path / "springs", config=config)
    emt = replace(EMT_LABELS, generation=dynamics)
    label(read_parents([metals]), tmp_path / "emt", config=emt)
    for one, other in zip(read(tmp_path / "springs"), read(tmp_path / "emt"), strict=True):
        assert np.array_equal(one.positions, other.positions)
        assert np.array_equal(one.forces, -one.positions)


def test_failures_are_left_out_and_counted_with_an_example(tmp_path):
    for name in ("N2", "CH4", "H2O", "CO", "CO2"):
        molecule(name).write(tmp_path / f"{name}.xyz")
    files = sorted(tmp_path.glob("*.xyz"))
    config = LabelConfig(
        name="stubborn",
        theory="springs",
        calculator=CalculatorSpec(path="labellers:Stubborn"),
        split=SPLIT,
    )
    report = label(read_parents(files), tmp_path / "out", config=config)
    assert report.num_structures["train"] == 1
    scf, number = "calculator failed (SCFError)", "calculator gave a number that is not finite"
    assert report.dropped == {scf: 2, number: 2}
    assert report.messages[scf] == "CH4:0: SCFError: not after 100 cycles"
    with open_shards(tmp_path / "out") as shards:
        assert shards.manifest.dropped == report.dropped


def test_where_nothing_can_be_labelled_the_reason_is_told_and_nothing_is_left(tmp_path):
    molecule("CH4").write(tmp_path / "methane.xyz")
    config = replace(EMT_LABELS, calculator=CalculatorSpec(path="labellers:Stubborn"))
    with pytest.raises(DataError, match="methane:0: SCFError: not after 100 cycles"):
        label(read_parents([tmp_path / "methane.xyz"]), tmp_path / "out", config=config)
    assert [p.name for p in tmp_path.iterdir()] == ["methane.xyz"]


def test_charges_of_structures_are_labels_and_reach_the_calculator(tmp_path):
    atoms = molecule("OH")
    atoms.info = {"charge": -1, "spin": 1}
    atoms.write(tmp_path / "ion.extxyz")
    config = replace(EMT_LABELS, calculator=CalculatorSpec(path="labellers:Springs"))
    label(read_parents([tmp_path / "ion.extxyz"]), tmp_path / "out", config=config)
    (ion,) = read(tmp_path / "out")
    assert (ion.total_charge, ion.spin_multiplicity) == (-1, 1)
    spring = 0.5 * np.square(ion.positions).sum()
    assert ion.energy - spring == pytest.approx(-1000 + 100 - 10 + 1)


@pytest.fixture
def counted(monkeypatch):
    """How many structures this process labels."""
    names = []
    original = Labeller.label

    def counting(self, structure):
        names.append(structure.source)
        return original(self, structure)

    monkeypatch.setattr(Labeller, "label", counting)
    return names


def stop_after(names, count):
    def progress(done):
        if len(names) >= count:
            raise KeyboardInterrupt

    return progress


def test_a_stopped_run_goes_on_behind_its_last_label(metals, tmp_path, counted):
    config = replace(EMT_LABELS, generation=Strain(count=4, volumes=3))
    whole = label(read_parents([metals]), tmp_path / "whole", config=config)
    counted.clear()
    with pytest.raises(KeyboardInterrupt):
        label(
            read_parents([metals]), tmp_path / "out", config=config, progress=stop_after(counted, 9)
        )
    assert not (tmp_path / "out").exists()
    resumed = label(read_parents([metals]), tmp_path / "out", config=config)
    assert resumed.sha256 == whole.sha256
    assert len(counted) == len(set(counted)) == 21


def test_a_damaged_label_is_computed_again(metals, tmp_path, counted):
    config = replace(EMT_LABELS, generation=Strain(count=4, volumes=3))
    whole = label(read_parents([metals]), tmp_path / "whole", config=config)
    with pytest.raises(KeyboardInterrupt):
        label(
            read_parents([metals]),
            tmp_path / "out",
            config=config,
            progress=stop_after(counted, 30),
        )
    records = sorted(workspace_of(tmp_path / "out").glob("labels-*.jsonl"))
    damaged = bytearray(records[3].read_bytes())
    damaged[60] ^= 1
    records[3].write_bytes(damaged)
    records[5].write_bytes(records[5].read_bytes()[:-5])
    counted.clear()
    resumed = label(read_parents([metals]), tmp_path / "out", config=config)
    assert resumed.sha256 == whole.sha256
    assert len(counted) == 21 - 9 + 1  # the cut one lost its end mark alone


def test_a_killed_process_leaves_what_the_next_run_continues(metals, tmp_path, counted):
    """kill -9 of another process, at whatever it was doing."""
    config = replace(EMT_LABELS, generation=Rattle(count=150))
    code = f"""
from dataclasses import replace
from hydracalc.labelling.labelling import *
from hydracalc.labelling.generators import Rattle
split = SplitConfig(val=0, test=0)
calculator = CalculatorSpec(path="emt")
config = LabelConfig(name="metals", theory="EMT", calculator=calculator, split=split,
                     generation=Rattle(count=150))
label(read_parents([{str(metals)!r}]), {str(tmp_path / "out")!r}, config=config)
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    folder = workspace_of(tmp_path / "out")
    while process.poll() is None and len(list(folder.glob("labels-*.jsonl"))) < 20:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    resumed = label(read_parents([metals]), tmp_path / "out", config=config)
    assert resumed.num_structures["train"] == 450
    assert 0 < len(counted) <= 450 - 19
    whole = label(read_parents([metals]), tmp_path / "whole", config=config)
    assert resumed.sha256 == whole.sha256


def test_a_run_begun_with_another_calculator_is_not_continued(metals, tmp_path, counted):
    with pytest.raises(KeyboardInterrupt):
        label(
            read_parents([metals]),
            tmp_path / "out",
            config=EMT_LABELS,
            progress=stop_after(counted, 1),
        )
    other = replace(EMT_LABELS, calculator=CalculatorSpec(path="labellers:Springs"))
    with pytest.raises(ValueError, match="other calculator"):
        label(read_parents([metals]), tmp_path / "out", config=other)
    shutil.rmtree(workspace_of(tmp_path / "out"))
    assert label(read_parents([metals]), tmp_path / "out", config=other).num_structures["train"]


def test_a_split_that_trains_nothing_is_refused_before_anything_is_computed(tmp_path, counted):
    config = replace(EMT_LABELS, split=SplitConfig(val=0.49, test=0.5))
    with pytest.raises(ValueError, match="no group of structures trains: all are dealt to"):
        label(dimer_parents(["Cu"]), tmp_path / "out", config=config)
    assert counted == []
    assert list(tmp_path.iterdir()) == []


def test_bad_input_leaves_nothing_behind(metals, tmp_path):
    molecule("CO").write(tmp_path / "co.xyz")
    config = replace(EMT_LABELS, generation=Strain())
    with pytest.raises(ValueError, match="co:0 is not periodic"):
        label(read_parents([tmp_path / "co.xyz"]), tmp_path / "out", config=config)
    with pytest.raises(ValueError, match="there is no structure to label"):
        label([], tmp_path / "out", config=EMT_LABELS)
    with pytest.raises(ValueError, match="two structures are named 'Cu-Cu'"):
        label(dimer_parents(["Cu"]) * 2, tmp_path / "out", config=EMT_LABELS)
    wrong = replace(EMT_LABELS, calculator=CalculatorSpec(path="ase.calculators.emt:Emt"))
    with pytest.raises(ValueError, match="has no class Emt"):
        label(read_parents([metals]), tmp_path / "out", config=wrong)
    with pytest.raises(ValueError, match="name is 'a/b'"):
        replace(EMT_LABELS, name="a/b")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["co.xyz", "metals.extxyz"]


@pytest.mark.parametrize(
    ("grouping", "groups"),
    [
        ("parent", ["one:0", "one:1", "two:0"]),
        ("file", ["one", "one", "two"]),
        ("formula", ["Cu4", "Cu4", "Cu"]),
        ("reduced formula", ["Cu", "Cu", "Cu"]),
    ],
)
def test_groups_are_as_chosen(tmp_path, grouping, groups):
    bulk("Cu", cubic=True).write(tmp_path / "one.extxyz")
    bulk("Cu", cubic=True).write(tmp_path / "one.extxyz", append=True)
    bulk("Cu").write(tmp_path / "two.extxyz")
    files = [tmp_path / "one.extxyz", tmp_path / "two.extxyz"]
    assert [p.group for p in read_parents(files, grouping=grouping)] == groups
    with pytest.raises(ValueError, match="group is 'colour', expected one of parent, formula"):
        next(read_parents(files, grouping="colour"))


def test_files_of_equal_names_keep_their_structures_apart(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        bulk("Cu").write(tmp_path / folder / "x.cif")
    names = [p.source for p in read_parents([tmp_path / "a" / "x.cif", tmp_path / "b" / "x.cif"])]
    assert names == [f"{tmp_path}/a/x.cif:0", f"{tmp_path}/b/x.cif:0"]


def test_tasks_cover_every_child_once_and_stay_few():
    for parents, generation in ((3, Rattle(count=7)), (5000, Rattle(count=100)), (1, Rattle())):
        ranges = task_ranges(parents, generation)
        covered = [number for wanted in ranges for number in wanted]
        assert covered == list(range(parents * generation.count))
    assert len(task_ranges(2000, Rattle(count=10))) <= 1024


def test_a_task_says_how_many_structures_it_has(metals, tmp_path, monkeypatch):
    counts = []
    monkeypatch.setattr(
        "hydracalc.labelling.labelling.run_task",
        lambda task, progress=None: counts.append(run_task(task, progress)) or counts[-1],
    )
    label(read_parents([metals]), tmp_path / "out", config=EMT_LABELS)
    assert counts == [1, 1, 1]
