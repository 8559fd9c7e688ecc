"""The scripts of scaling work end to end: real ranks, real data, rows, tables, a figure."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from planning.costs import make_calibration, make_model

from hydracalc.ingest.catalog import load_adapter
from hydracalc.ingest.prepare import prepare
from hydracalc.planning.calibration import save_calibration
from hydracalc.planning.layouts import plan
from hydracalc.planning.split import from_lines, to_lines

ROOT = Path(__file__).parents[2]
SMALL = ("--set", "model.num_channels=8", "--set", "trainer.sampler.max_atoms=64")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Shards of two slices of the repository."""
    made = []
    for name in ("ani1x", "alexandria"):
        out = tmp_path_factory.mktemp("shards") / name
        prepare(load_adapter(name), ROOT / "datasets" / name / "slice", out)
        made.append(str(out))
    return made


@pytest.fixture
def script(monkeypatch):
    """Function name -> script of benchmarks/, imported as where it is run."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


@pytest.fixture
def run(script, monkeypatch, tmp_path):
    """Run a command of a script, in a folder of its own: the click result."""
    monkeypatch.chdir(tmp_path)

    def invoke(name, *arguments, code=0):
        result = CliRunner().invoke(script(name).main, [str(word) for word in arguments])
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return invoke


@pytest.fixture
def rows():
    """Two runs of one rank and one of two, and what a plan says."""
    table = {"run": "r", "layout": "base", "scaling": "weak", "source": "measured", "ranks": 1}
    times = {"compute_s": 0.1, "collective_s": 0.0, "data_s": 0.0, "idle_s": 0.0, "rest_s": 0.002}
    counts = {"structures": 10.0, "cpu_s": 0.1, "cores": 1}
    (one,) = from_lines(json.dumps(table | times | counts))
    two = replace(one, ranks=2, structures=20.0, compute_s=0.2, collective_s=0.03, cpu_s=0.3)
    return [one, replace(one, compute_s=0.3), two, replace(two, source="model", cores=None)]


@pytest.mark.mpi
def test_two_ranks_are_measured_predicted_and_drawn(run, folders, tmp_path):
    # enough batches for their sizes to average out
    brief = ("--ranks", "1,2", "--repeats", 1, "--steps", 8, "--warm-up", 1)
    layouts = ("--layout", "base", "--layout", "multitask")
    run("scaling", "measure", *folders, *SMALL, *brief, *layouts, "--rows", "m.jsonl")
    found = from_lines((tmp_path / "m.jsonl").read_text())
    kinds = [(row.layout, row.scaling, row.ranks) for row in found]
    # one rank has no second layout; on the most ranks a run stands for both scalings
    assert kinds == [
        *(("base", "weak", 1), ("base", "strong", 1)),
        *(("base", "weak", 2), ("multitask", "weak", 2)),
        *(("base", "strong", 2), ("multitask", "strong", 2)),
    ]
    for row in found:
        assert min(row.compute_s, row.cpu_s) > 0
        # the clock's own steps, far below what a step takes
        assert min(row.data_s, row.idle_s) >= 0
        assert row.rest_s > -1e-4 * row.step_s
        # a sum of one rank is left out; to find that out takes microseconds
        assert (row.collective_s > 1e-4) == (row.ranks == 2)
        # a rank has one thread, and one more that makes its batches
        assert row.cpu_s < 2.5 * row.ranks * row.step_s
    weak, strong = found[0], found[1]
    assert 1.5 < strong.structures / weak.structures < 2.7
    save_calibration(tmp_path / "c.json", make_calibration(num_channels=8, num_layers=3))
    options = ("--measured", "m.jsonl", "--rows", "p.jsonl", "--calibration", "c.json")
    told = run("scaling", "predict", *folders, *SMALL, *options, "--most", 4)
    assert "network gloo: 110 us" in told.stdout
    assert "as a measured step says (ranks: 1)" in " ".join(told.stdout.split())
    planned = from_lines((tmp_path / "p.jsonl").read_text())
    clock = next(row for row in planned if row.source == "simulated" and row.ranks == 1)
    assert clock.scaling == "weak"
    assert {row.source for row in planned} == {"model", "simulated"}
    run("scaling", "show", "m.jsonl", "p.jsonl", "--plot", "s.svg")
    assert (tmp_path / "s.svg").read_text().count("<path") > 50


@pytest.mark.mpi
def test_a_job_that_fails_says_why(run, folders):
    large = ("trainer.sampler.max_atoms=4000", "trainer.sampler.max_edges=200000")
    options = [word for each in large for word in ("--set", each)]
    options += ["--ranks", "1", "--repeats", "1", "--launcher", "torchrun", "--layout", "base"]
    done = run("scaling", "measure", folders[0], *SMALL, *options, "--rows", "m.jsonl", code=1)
    assert "4 steps, expected more than 5 to warm up and 20 to measure" in done.stderr


def test_tables_take_the_median_and_tell_the_spread(run, rows, tmp_path):
    (tmp_path / "rows.jsonl").write_text(to_lines(rows))
    shown = run("scaling", "show", "rows.jsonl").stdout
    line = next(line for line in shown.splitlines() if "102-302" in line)
    cells = [cell.strip() for cell in line.strip("│ \n").split("│")]
    assert cells[:5] == ["base", "1", "1", "10.0", "302.0"]
    assert cells[-3:] == ["10.00", "33", "100 %"]
    written = run("scaling", "show", "rows.jsonl", "--markdown").stdout
    assert "| base | 1 | 1 | 10.0 | 302.0 | 102-302 | 300.0 |" in written


def test_a_prediction_is_what_plan_says(script, rows):
    model = make_model()
    (said,) = (each.split for each in plan(model, 2).layouts if each.layout == "base")
    assert script("scaling").as_planned(model, rows[2], most=2) == said
    strong = script("scaling").as_planned(model, replace(rows[2], scaling="strong"), most=4)
    assert strong.structures == 2 * said.structures


def test_ranks_that_share_a_core_take_turns(script, rows):
    in_turns = script("scaling").in_turns
    planned = rows[-1]
    assert in_turns(planned, 2) == pytest.approx(0.23)
    assert in_turns(planned, 1) == pytest.approx(0.43)
    # a rank that waits leaves its core to others
    assert in_turns(replace(planned, idle_s=0.1), 1) == pytest.approx(0.43)


def test_layouts_that_cannot_be_are_left_out(script):
    mesh_of = script("scaling").mesh_of
    assert mesh_of("multitask", 4, 2) is None
    assert mesh_of("multitask", 4, 4).layout == "multitask"
    assert mesh_of("hybrid", 4, 4).num_groups == 2
    assert mesh_of("hybrid", 4, 1) is None  # the same as base
    assert mesh_of("hybrid", 2, 4) is None  # the same as multitask
    assert mesh_of("base", 4, 1).layout == "base"
