"""A screening has every structure once, with the numbers of the calculator."""

from dataclasses import replace

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.io.trajectory import Trajectory
from builders import make_card, make_model

from hydracalc.calculator import HydraCalculator
from hydracalc.checkpoint import save_checkpoint
from hydracalc.errors import DataError
from hydracalc.parallel.workers import Processes
from hydracalc.screening.columns import REASONS
from hydracalc.screening.piece_work import ModelChoice, ScreenConfig
from hydracalc.screening.results import open_results
from hydracalc.screening.screen import screen_files, screen_structures
from hydracalc.screening.selection import Selection
from hydracalc.shards.writer import ShardWriter
from hydracalc.structure import from_atoms
from hydracalc.units import GIGAPASCAL


def test_numbers_are_those_of_the_calculator(file, structures, choice, tmp_path):
    config = ScreenConfig(block=7, max_atoms=40, workers=1, selection=Selection(forces=True))
    report = screen_files([file], tmp_path / "out", choice, config=config)
    assert report.counts == {"predicted": 30}
    results = open_results(tmp_path / "out")
    calc = HydraCalculator(choice.model, device="cpu")
    kept = results.structures(range(30))
    for row, atoms in enumerate(structures):
        atoms.calc = calc
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        assert results["energy"][row] == pytest.approx(energy, abs=1e-9)
        assert results["energy_per_atom"][row] == pytest.approx(energy / len(atoms), abs=1e-9)
        largest = np.linalg.norm(forces, axis=1).max()
        assert results["max_force"][row] == pytest.approx(largest, abs=1e-9)
        np.testing.assert_allclose(kept[row].forces, forces, atol=1e-9)
        np.testing.assert_allclose(kept[row].positions, atoms.positions, atol=1e-7)
        for branch, value in calc.extras["branch_energies"].items():
            assert results[f"branch_energy.{branch}"][row] == pytest.approx(value, abs=1e-9)
        for branch, value in calc.extras["branch_weights"].items():
            assert results[f"weight.{branch}"][row] == pytest.approx(value, abs=1e-12)
        if atoms.pbc.any():
            pressure = -np.trace(atoms.get_stress(voigt=False)) / 3 / GIGAPASCAL
            assert results["pressure"][row] == pytest.approx(pressure, abs=1e-9)
        else:
            assert np.isnan(results["pressure"][row])


def test_the_spread_is_that_of_the_calculator_and_absent_of_one_branch(choice, tmp_path):
    water, silicon = molecule("H2O"), bulk("Si", cubic=True)
    screen_structures([water, silicon], tmp_path / "out", choice)
    results = open_results(tmp_path / "out")
    spread = HydraCalculator(choice.model).get_uncertainty(water)["energy_per_atom"]
    assert results["uncertainty"][0] == pytest.approx(spread, abs=1e-12)
    assert np.isnan(results["uncertainty"][1])  # only one branch knows silicon


def test_what_cannot_be_predicted_is_counted_and_named(choice, tmp_path):
    collided = Atoms("H2", [[0, 0, 0], [0, 0, 0]])
    near = Atoms("H2", [[0, 0, 0], [0, 0, 0.1]])
    flat = Atoms("Si", cell=[[3, 0, 0], [0, 3, 0], [3, 3, 0]], pbc=True)
    charged = molecule("H2O")
    charged.info["charge"] = 5
    given = {
        "good": molecule("H2O"),
        "unknown element": bulk("Au"),
        "colliding atoms": collided,
        "close": near,
        "no neighbor list": flat,
        "charged": charged,
        "not whole": Atoms("H", info={"charge": 0.5}),
        "good again": bulk("Si"),
    }
    report = screen_structures(given.values(), tmp_path / "out", choice)
    results = open_results(tmp_path / "out")
    reasons = [REASONS[status] for status in results["status"]]
    assert dict(zip(given, reasons, strict=True)) == {
        "good": "predicted",
        "unknown element": "unknown element",
        "colliding atoms": "colliding atoms",
        "close": "predicted",
        "no neighbor list": "no neighbor list",
        "charged": "predicted",
        "not whole": "unreadable",
        "good again": "predicted",
    }
    assert report.counts["predicted"] == 4
    assert sum(report.left_out.values()) == 4
    assert results["doubts"].tolist() == [0, 0, 0, 1, 0, 2, 0, 0]
    messages = results.text("message")
    assert "Au" in messages[1]
    assert "same place" in messages[2]
    assert results.failed().tolist() == [1, 2, 4, 6]
    assert not np.isfinite(results["energy"][results.failed()]).any()
    assert np.isfinite(results["energy"][[0, 3, 5, 7]]).all()


def test_overflow_disturbs_no_neighbor_in_the_batch(tmp_path):
    """Nitrogen's features are too large for the type."""
    model = make_model()
    model.encoder.embedding.element.weight.data[7] = 1e300
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, provenance={"recipe": "test"})
    given = [molecule("H2O"), molecule("NH3"), molecule("CH4")]
    choice = ModelChoice(model=path, branch="organic", device="cpu")
    screen_structures(given, tmp_path / "out", choice)
    results = open_results(tmp_path / "out")
    assert [REASONS[s] for s in results["status"]] == ["predicted", "overflow", "predicted"]
    assert np.isnan(results["energy"][1])
    calc = HydraCalculator(path, branch="organic", device="cpu")
    given[2].calc = calc
    assert results["energy"][2] == pytest.approx(given[2].get_potential_energy(), abs=1e-9)


def test_a_broken_frame_is_one_and_a_broken_file_the_rest(choice, tmp_path, structures):
    frames = tmp_path / "frames.extxyz"
    ase.io.write(frames, structures[:4])
    text = frames.read_text().splitlines(keepends=True)
    first = len(structures[0]) + 2
    text[first + 2] = "C zero one two\n"
    frames.write_text("".join(text))
    cut = tmp_path / "cut.extxyz"
    ase.io.write(cut, structures[:2])
    cut.write_text(cut.read_text()[:-40])
    (tmp_path / "junk.cif").write_text("no crystal at all")
    with Trajectory(tmp_path / "a.traj", "w") as trajectory:
        trajectory.write(structures[1])
        trajectory.write(structures[2])
    paths = [frames, cut, tmp_path / "junk.cif", tmp_path / "a.traj"]
    report = screen_files(paths, tmp_path / "out", choice)
    results = open_results(tmp_path / "out")
    names = [name.removeprefix(f"{tmp_path}/") for name in results.text("name")]
    assert names == [
        *(f"frames.extxyz:{n}" for n in range(4)),
        *("cut.extxyz:0", "cut.extxyz:1", "junk.cif:0", "a.traj:0", "a.traj:1"),
    ]
    failed = [names[row] for row in results.failed()]
    assert failed == ["frames.extxyz:1", "cut.extxyz:1", "junk.cif:0"]
    assert report.left_out == {"unreadable": 3}


def make_shards(folder, structures):
    elements = ("H", "C", "N", "O", "Si")
    with ShardWriter(folder, card=make_card("test", elements)) as writer:
        for number, atoms in enumerate(structures):
            structure = from_atoms(atoms, branch="test", source=str(number))
            writer.add(replace(structure, energy=-float(len(atoms))), split="train")


def test_shards_and_folders_of_files_come_in_the_order_given(choice, tmp_path, structures):
    make_shards(tmp_path / "shards", structures[:5])
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("b.xyz", "a.cif"):
        structures[0].write(folder / name)
    screen_files([tmp_path / "shards", folder], tmp_path / "out", choice)
    names = [n.removeprefix(f"{tmp_path}/") for n in open_results(tmp_path / "out").text("name")]
    assert names == [*(f"shards:{n}" for n in range(5)), "folder/a.cif:0", "folder/b.xyz:0"]


def test_results_do_not_depend_on_ranks(choice, tmp_path, structures):
    for number in range(4):
        make_shards(tmp_path / f"shards{number}", structures[number:])
    paths = [tmp_path / f"shards{number}" for number in range(4)]
    config = ScreenConfig(block=10)
    one = replace(choice, threads=1)
    alone = screen_files(paths, tmp_path / "alone", one, config=config)
    together = screen_files(paths, tmp_path / "together", one, config=config, workers=Processes(2))
    assert alone.sha256 == together.sha256
    assert together.counts == {"predicted": 114}


def test_selection_keeps_the_atoms_of_the_best_that_pass(file, choice, tmp_path):
    selection = Selection(where=("max_force<1e9", "num_atoms<8"), top=4, by="max_force")
    config = ScreenConfig(block=6, selection=selection)
    screen_files([file], tmp_path / "out", choice, config=config)
    results = open_results(tmp_path / "out")
    assert len(results) == 30
    chosen = results.chosen(selection)
    values = np.where(results["num_atoms"] < 8, results["max_force"], np.inf)
    assert chosen.tolist() == np.argsort(values, kind="stable")[:4].tolist()
    assert None not in results.structures(chosen)
    assert results.structures(np.flatnonzero(results["num_atoms"] == 8))[0] is None
    highest = results.chosen(replace(selection, order="highest", top=2))
    lowest = np.where(results["num_atoms"] < 8, -results["max_force"], np.inf)
    assert highest.tolist() == np.argsort(lowest, kind="stable")[:2].tolist()


def test_the_same_call_is_done_and_another_refused(file, choice, tmp_path):
    report = screen_files([file], tmp_path / "out", choice)
    again = screen_files([file], tmp_path / "out", choice)
    assert (again.computed, again.sha256) == (0, report.sha256)
    with pytest.raises(ValueError, match="exists"):
        screen_files([file], tmp_path / "out", choice, config=ScreenConfig(block=3))


def test_a_generator_goes_on_where_it_was_and_must_be_the_same(choice, tmp_path, structures):
    def broken():
        yield from structures[:25]
        raise KeyboardInterrupt

    config, out = ScreenConfig(block=10), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        screen_structures(broken(), out, choice, config=config)
    with pytest.raises(ValueError, match="not finished"):
        open_results(out)
    with pytest.raises(DataError, match="not those"):
        screen_structures(iter(structures[::-1]), out, choice, config=config)
    report = screen_structures(iter(structures), out, choice, config=config)
    assert (report.computed, report.num_structures) == (10, 30)
    assert open_results(out).text("name") == [str(n) for n in range(30)]


def test_damage_is_found_before_anything_is_read(file, choice, tmp_path):
    screen_files([file], tmp_path / "out", choice)
    data = next((tmp_path / "out").glob("shard-*/data.0"))
    data.write_bytes(data.read_bytes()[:-8])
    with pytest.raises(DataError, match=r"data\.0: has"):
        open_results(tmp_path / "out")
