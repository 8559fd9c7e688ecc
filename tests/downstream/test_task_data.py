"""Every task that comes with hydracalc, on its own data or on small files in their layout."""

import io
import json
import tarfile
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from builders import make_card

from hydracalc import units
from hydracalc.downstream.task import HeldOut, load_task, shipped_tasks
from hydracalc.downstream.task_data import held_out, spread, task_data
from hydracalc.errors import DataError
from hydracalc.readers.crystals import write_crystal
from hydracalc.shards.writer import ShardWriter
from hydracalc.structure import AtomicStructure, from_atoms

DATASETS = Path(__file__).parent.parent.parent / "datasets"
IN_THE_REPOSITORY = ("aimnet2", "mlearn")


def frames(count, atoms, *, forces=True, seed=0):
    """Copies, moved a little; energies count up from -10 eV, the first force is (number, 0, 0)."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        copy = atoms.copy()
        copy.positions += rng.normal(0, 0.02, copy.positions.shape)
        labels = {"energy": -10.0 + number}
        if forces:
            labels["forces"] = np.zeros((len(copy), 3))
            labels["forces"][0, 0] = number
        copy.calc = SinglePointCalculator(copy, **labels)
        made.append(copy)
    return made


def write(path, made):
    path.parent.mkdir(parents=True, exist_ok=True)
    ase.io.write(path, made)


def write_3bpa(folder):
    write(folder / "train_300K.xyz", frames(12, molecule("CH3OH")))
    write(folder / "train_mixedT.xyz", frames(8, molecule("CH3OH"), seed=1))


def write_acac(folder):
    for seed, name in enumerate(("train_300K", "test_MD_600K")):
        write(folder / f"{name}.xyz", frames(9, molecule("CH3OH"), seed=seed))
    barrier = frames(3, molecule("CH3OH"), forces=False, seed=2)
    write(folder / "test_H_transfer.xyz", barrier)


def write_lips(folder):
    write(folder / "lips.xyz", frames(60, bulk("Li", cubic=True)))


def write_surfaces(folder):
    for name in ("random1447590", "ch3_cu_final"):
        write(folder / f"{name}.traj", frames(12, bulk("Cu", cubic=True)))


def write_zrmof(folder):
    made = frames(10, bulk("Zr", cubic=False)) + frames(1, Atoms("Zr", cell=[9, 9, 9], pbc=True))
    for atoms in made:
        atoms.info["dft_energy"] = atoms.calc.results["energy"]
        atoms.arrays["dft_forces"] = atoms.calc.results["forces"]
        atoms.calc = None
    write(folder / "mlip_train.xyz", made)


def write_rmd17(folder):
    rng = np.random.default_rng(1)
    folder.mkdir(parents=True)
    for name in load_task("rmd17").variants:
        np.savez(
            folder / f"rmd17_{name}_train_01.npz",
            nuclear_charges=np.array([8, 1, 1], dtype=np.uint8),
            coords=molecule("H2O").positions + rng.normal(0, 0.02, (400, 3, 3)),
            energies=np.arange(400.0),
            forces=rng.normal(0, 20, (400, 3, 3)),
            old_indices=rng.permutation(100_000)[:400],
        )


def record(atoms, number):
    labels = {"energy": -10.0 + number, "forces": np.zeros((len(atoms), 3)).tolist()}
    structure = write_crystal(atoms.numbers, atoms.positions, atoms.cell.array)
    return {"structure": structure, "group": atoms.get_chemical_formula(), "outputs": labels}


def write_nbmotaw(folder):
    place = folder / "NbMoTaW" / "training"
    place.mkdir(parents=True)
    names = ("Mo_AIMD", "Mo_Elastic", "W_Surface", "MoW_SS", "MoW_Test", "Multinary_Test")
    for seed, name in enumerate(names):
        made = frames(4, bulk("Mo", cubic=True), seed=seed)
        records = [record(atoms, number) for number, atoms in enumerate(made)]
        place.joinpath(f"{name}.json").write_text(json.dumps(records))


def calculation(number, place):
    atoms = bulk("Cu", a=3.6 + 0.01 * number + 0.1 * place, cubic=True)
    return {
        "atoms": {
            "symbols": atoms.get_chemical_symbols(),
            "positions": atoms.positions.tolist(),
            "cell": atoms.cell.array.tolist(),
            "pbc": [True, True, True],
        },
        "data": {"total_energy": -10.0 + number, "forces": np.zeros((4, 3)).tolist()},
    }


def write_oxides(folder):
    def of_functionals(place):
        eos = {"EOS": {"calculations": [calculation(k, place) for k in range(3)]}}
        return dict.fromkeys(("PBE", "PBEsol", "LDA", "AM05"), eos)

    forms = ("rutile", "anatase", "pyrite", "fluorite")
    table = {
        oxide: {form: of_functionals(number + first) for number, form in enumerate(forms)}
        for first, oxide in ((0, "TiO2"), (4, "VO2"))
    }
    folder.mkdir(parents=True)
    folder.joinpath("supporting-information.json").write_text(json.dumps(table))


XSF = """# total energy = {energy} eV

CRYSTAL
PRIMVEC
  4.0 0.0 0.0
  0.0 4.0 0.0
  0.0 0.0 4.0
PRIMCOORD
2 1
Ti 0.0 0.0 0.0  {force} 0.0 0.0
O  2.0 2.0 {height}  0.0 0.0 -1.5
"""


def write_tio2(folder):
    folder.mkdir(parents=True)
    with tarfile.open(folder / "TiO2_dir_xsf.tar.gz", "w:gz") as archive:
        for number in range(0, 800, 40):
            content = XSF.format(energy=-10 + number, force=number / 100, height=0.001 * number)
            entry = tarfile.TarInfo(f"dir_xsf/structure{number:04d}.xsf")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))


def write_dimers(folder):
    with ShardWriter(folder / "shards", card=make_card("dimers", ("H", "O"))) as writer:
        for seed, group in enumerate("abcd"):
            for number, atoms in enumerate(frames(3, molecule("H2O"), seed=seed)):
                structure = from_atoms(atoms, branch="dimers", source=f"{group}{number}")
                labels = {"energy": -10.0 + number, "forces": np.zeros((3, 3)), "group": group}
                writer.add(AtomicStructure(**vars(structure) | labels), split="train")


def published(task, tmp_path):
    """Folder of data of a task: of the repository, or made up in the published layout."""
    if task.name in IN_THE_REPOSITORY:
        return DATASETS
    globals()[f"write_{task.name}"](tmp_path / task.folder)
    return tmp_path


def test_there_are_twelve_tasks_and_each_says_what_it_is():
    assert len(shipped_tasks()) == 12
    for name in shipped_tasks():
        task = load_task(name)
        assert task.name == name
        assert all((task.shows, task.theory, task.license, task.origin))


@pytest.mark.parametrize("name", shipped_tasks())
def test_pool_and_test_part_share_nothing(name, tmp_path):
    task = load_task(name)
    variant = task.variants[-1]
    data = task_data(task, variant, [tmp_path / "empty", published(task, tmp_path)], branch="new")
    pool, test = ({s.source for s in part} for part in (data.pool, data.test))
    assert len(pool) >= task.sizes[0] or name not in IN_THE_REPOSITORY
    assert pool
    assert test
    assert not pool & test
    assert {s.branch for s in (*data.pool, *data.test, *data.second_test)} == {"new"}
    assert all(s.energy is not None for s in (*data.pool, *data.test, *data.second_test))
    if task.held_out.by == "group":
        assert not {s.group for s in data.pool} & {s.group for s in data.test}


def test_rows_that_the_model_was_pretrained_on_are_left_out(tmp_path):
    task = load_task("rmd17")
    data = task_data(task, "ethanol", [published(task, tmp_path)], branch="new")
    energies = sorted(s.energy for s in (*data.pool, *data.test))
    kcal = units.factor("kcal/mol", "energy")
    assert energies == pytest.approx([kcal * k for k in range(300, 400)])


def test_hot_frames_are_tested_and_never_trained_on(tmp_path):
    task = load_task("acac")
    data = task_data(task, "", [published(task, tmp_path)], branch="new")
    assert {s.group for s in data.pool} == {"train_300K.xyz"}
    assert {s.group for s in data.test} == {"test_MD_600K.xyz"}
    assert [s.forces for s in data.second_test] == [None] * 3


def test_the_end_of_a_trajectory_is_held_out_with_a_gap(tmp_path):
    task = load_task("lips")
    data = task_data(task, "", [published(task, tmp_path)], branch="new")
    assert [s.energy for s in data.pool] == [-10.0 + k for k in range(35)]
    assert [s.energy for s in data.test] == [-10.0 + k for k in range(45, 60)]


def test_forces_of_xsf_files_are_as_they_stand(tmp_path):
    task = load_task("tio2")
    data = task_data(task, "", [published(task, tmp_path)], branch="new")
    found = {s.source: s for s in (*data.pool, *data.test)}
    assert len(found) == 20
    some = found["structure0440"]
    assert some.energy == 430
    assert some.forces == pytest.approx(np.array([[4.4, 0, 0], [0, 0, -1.5]]))
    assert some.group == "block 4"


def test_each_functional_is_read_alone(tmp_path):
    task = load_task("oxides")
    data = task_data(task, "LDA", [published(task, tmp_path)], branch="new")
    everything = [*data.pool, *data.test]
    assert {s.group.partition(":")[0] for s in everything} == {"LDA"}
    assert len(everything) == 2 * 4 * 3


def test_free_atoms_are_left_out_and_labels_found_by_name(tmp_path):
    task = load_task("zrmof")
    data = task_data(task, "", [published(task, tmp_path)], branch="new")
    assert [s.energy for s in (*data.pool, *data.test)] == [-10.0 + k for k in range(10)]
    assert [s.forces[0, 0] for s in data.test] == [7, 8, 9]


def test_kinds_of_structures_of_one_element_are_apart():
    data = task_data(load_task("mlearn"), "Ni", [DATASETS], branch="new")
    assert {s.formula[:2] for s in (*data.pool, *data.test)} == {"Ni"}
    assert {s.group for s in data.test} == {"train: Ni AIMD-NVT"}
    assert len({s.group for s in data.pool}) == 3


def test_a_smaller_draw_is_contained_in_a_larger_one():
    data = task_data(load_task("aimnet2"), "", [DATASETS], branch="new")
    few, many = (data.drawn(size, seed=3, val_fraction=0.1) for size in (10, 30))
    small, large = ({s.source for s in (*d.train, *d.val)} for d in (few, many))
    assert len(small) == 10
    assert len(large) == 30
    assert small < large
    assert len(few.val) == 1
    other = data.drawn(10, seed=4, val_fraction=0.1)
    assert {s.source for s in (*other.train, *other.val)} != small


def structures(count, **fields):
    return [
        AtomicStructure(
            atomic_numbers=np.array([1]), positions=np.zeros((1, 3)), source=str(k), **fields
        )
        for k in range(count)
    ]


def test_a_published_split_is_kept():
    some = structures(4, split="train") + structures(2, split="test")
    pool, test = held_out(some, HeldOut(by="published"))
    assert len(pool) == 4
    assert len(test) == 2
    with pytest.raises(DataError, match="come with no split"):
        held_out(structures(3), HeldOut(by="published"))


def test_one_group_cannot_be_held_out():
    with pytest.raises(DataError, match="1 groups, at least two"):
        held_out(structures(3, group="a"), HeldOut(by="group"))


def test_what_is_tested_is_spread_over_the_part():
    assert [s.source for s in spread(structures(100), 3)] == ["0", "49", "99"]


def test_what_is_tested_is_not_trained_on_though_files_overlap(tmp_path):
    task = load_task("3bpa")
    folder = published(task, tmp_path) / task.folder
    hot = frames(20, molecule("CH3OH"))
    for atoms in hot:
        atoms.positions += (
            0.5  # the same structures elsewhere, the first twelve of them in the pool
        )
    hot[0].positions[0] += 0.1
    write(folder / "train_mixedT.xyz", hot)
    data = task_data(task, "", [tmp_path], branch="new")
    assert [s.energy for s in data.pool] == [-10.0]
    assert len(data.test) == 20
    assert data.left_out == {"of the pool, tested too": 11}


def test_files_that_are_the_same_leave_no_pool(tmp_path):
    task = load_task("3bpa", ('test.files=["**/train_300K.xyz"]',))
    with pytest.raises(DataError, match="no structure is left for the pool; left out: .*: 12"):
        task_data(task, "", [published(task, tmp_path)], branch="new")


def test_data_that_are_not_there_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"no \*\*/lips\*\.xyz in .*; the data come from https"):
        task_data(load_task("lips"), "", [tmp_path], branch="new")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("pool.rowz=1", "pool.rowz"),
        ('pool.rows="3"', "rows is '3', expected start:stop"),
        ("sizes=[30, 10]", "expected growing numbers"),
        ("metric=rmse", "unknown metric 'rmse'"),
        ("reader.dataset=ani1x", "name both"),
        ("held_out.by=end", "not both and not neither"),
        ("test.files=[]", "not both and not neither"),
        ("held_out.fraction=2", "fraction is 2"),
    ],
)
def test_a_wrong_task_is_refused(override, message):
    with pytest.raises(ValueError, match=message):
        load_task("3bpa", (override,))


def test_an_unknown_task_is_told_the_nearest():
    with pytest.raises(ValueError, match="lips"):
        load_task("lipz")
