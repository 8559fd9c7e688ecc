"""Learning curves on two small tasks: runs, going on after a kill, table and picture."""

import io
import json
import os
import signal
import subprocess
import sys
import time

import ase.io
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hydracalc.cli.main import main
from hydracalc.downstream.learning_curves import curves_of, table, verdicts
from hydracalc.downstream.learning_curves_plot import picture
from hydracalc.downstream.task import load_task
from hydracalc.downstream.trials import (
    DownstreamConfig,
    digest,
    read_results,
    run_tasks,
    runs_of,
)
from hydracalc.finetuning.config import FinetuneConfig

TASK = """
name = "{name}"
title = "{name}: copper and nickel"
shows = "another level of theory"
theory = "a potential"
license = "CC0-1.0"
origin = "made here"
folder = "metals"
sizes = [4, 8, 100]
variants = {variants}
[reader]
layout = "frames"
[pool]
files = ["{file}"]
[held_out]
by = "end"
"""
QUICK = ["finetune.steps=4", "finetune.rank=2", "sizes=[4,8]"]


@pytest.fixture(scope="module")
def tasks(tmp_path_factory, new_file):
    """Folder of data, and files of two tasks: one of two variants, one of none."""
    data = tmp_path_factory.mktemp("data")
    (data / "metals").mkdir()
    frames = ase.io.read(new_file, ":30")
    ase.io.write(data / "metals" / "a.extxyz", frames[:16])
    ase.io.write(data / "metals" / "b.extxyz", frames[14:])
    files = []
    for name, variants, file in (("two", '["a", "b"]', "{variant}.extxyz"), ("one", '[""]', "a.*")):
        files.append(data / f"{name}.toml")
        files[-1].write_text(TASK.format(name=name, variants=variants, file=file))
    return data, files


def command(pretrained, tasks, output, *more):
    data, files = tasks
    named = [part for file in files for part in ("--task", str(file))]
    return ["downstream", "run", str(pretrained), "-d", str(data), "-o", str(output), *named, *more]


@pytest.fixture(scope="module")
def results(pretrained, tasks, tmp_path_factory):
    """Folder of results of all methods on both tasks, and what the command printed."""
    output = tmp_path_factory.mktemp("results")
    done = CliRunner().invoke(main, command(pretrained, tasks, output, *QUICK))
    assert done.exit_code == 0, done.output
    return output, done.output


def test_every_method_size_and_variant_is_one_line(results):
    output, _ = results
    lines = read_results(output)
    keys = {(line["task"], line["variant"], line["method"], line["size"]) for line in lines}
    assert len(lines) == len(keys) == 3 * 4 * 2
    for line in lines:
        assert line["structures"]["train"] + line["structures"]["val"] == line["size"]
        assert line["structures"]["test"] == 4
        assert np.isfinite(line["errors"]["test"]["force_mae_eV_per_A"])


def test_methods_are_given_equal_steps_and_equal_data(results):
    lines = read_results(results[0])
    for size in (4, 8):
        assert len({line["steps"] for line in lines if line["size"] == size}) == 1


def test_scratch_begins_far_from_what_fine_tuning_begins_with(results):
    errors = {
        (line["method"], line["size"], line["task"], line["variant"]): line["errors"]["step 0"]
        for line in read_results(results[0])
    }
    key = "force_mae_eV_per_A"
    for (method, *rest), found in errors.items():
        full = errors["full", *rest][key]
        assert (found[key] > 1.05 * full) == (method == "scratch")


def test_what_is_done_is_not_done_again(results, pretrained, tasks):
    output, _ = results
    before = (output / "results.jsonl").read_bytes()
    again = CliRunner().invoke(main, command(pretrained, tasks, output, *QUICK))
    assert "skipped 24 runs: done before" in again.output
    assert (output / "results.jsonl").read_bytes() == before


def test_the_pool_bounds_the_sizes(results, pretrained, tasks, tmp_path):
    given = [*QUICK[:2], "sizes=[4,100]", 'methods=["heads"]']
    done = CliRunner().invoke(main, command(pretrained, tasks, tmp_path / "out", *given))
    assert "one, heads, 100 structures, seed 0: skipped, the pool has 12 structures" in done.output
    assert len(read_results(tmp_path / "out")) == 3


def test_a_killed_run_goes_on_and_ends_like_one_that_was_not(pretrained, tasks, results, tmp_path):
    output = tmp_path / "out"
    some = command(pretrained, tasks, output, *QUICK[:2], "sizes=[4]", 'methods=["full","heads"]')
    program = [sys.executable, "-m", "hydracalc", *some]
    process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines = output / "results.jsonl"
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end and (not lines.is_file() or lines.read_text().count("\n") < 1):
            time.sleep(0.02)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    kept = lines.read_text().count("\n")
    assert 1 <= kept < 6
    with lines.open("a") as file:
        file.write('{"task": "one", "vari')  # what a process killed while writing leaves
    done = CliRunner().invoke(main, some)
    assert f"skipped {kept} runs: done before" in done.output
    whole, went_on = (
        {tuple(line[k] for k in ("task", "variant", "method", "size")): line for line in read}
        for read in (read_results(results[0]), read_results(output))
    )
    assert len(went_on) == len(read_results(output)) == 6
    for key, line in went_on.items():
        expected = whole[key]["errors"]["test"]["force_mae_eV_per_A"]
        assert line["errors"]["test"]["force_mae_eV_per_A"] == pytest.approx(expected, rel=1e-4)


def test_other_settings_need_another_folder(results, pretrained, tasks):
    given = command(pretrained, tasks, results[0], "finetune.steps=5")
    refused = CliRunner().invoke(main, given)
    assert refused.exit_code == 2
    assert "begun with other settings" in refused.output


def test_two_processes_do_not_write_the_same_results(results, pretrained, tasks):
    data, files = tasks
    task, output = load_task(files[1]), results[0]
    config = DownstreamConfig(
        methods=("heads",), sizes=(4,), seeds=(7, 8), finetune=FinetuneConfig(steps=2)
    )
    first = run_tasks(pretrained, [task], [data], output / "same", config)
    next(first)
    with pytest.raises(ValueError, match="another process writes results"):
        next(run_tasks(pretrained, [task], [data], output / "same", config))
    first.close()


def test_a_changed_task_is_done_again_but_not_for_other_words_or_sizes(tasks):
    task = tasks[1][0]
    begun = digest(load_task(task))
    assert digest(load_task(task, ("title=other", "sizes=[2,3]", 'variants=["a"]'))) == begun
    assert digest(load_task(task, ("held_out.gap=1",))) != begun


def test_small_sizes_come_first(tasks):
    runs = runs_of(load_task(tasks[1][1]), "", DownstreamConfig(seeds=(0, 1)))
    assert [run.size for run in runs] == sorted(run.size for run in runs)


def test_table_and_picture_by_one_command(results, tasks, tmp_path):
    output, _ = results
    named = [part for file in tasks[1] for part in ("--task", str(file))]
    files = ["--table", str(tmp_path / "t.md"), "--plot", str(tmp_path / "p.png")]
    done = CliRunner().invoke(main, ["downstream", "show", str(output), *named, *files])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "t.md").read_text()
    assert text.startswith("| task | unit | structures | before | full | heads | lora | scratch |")
    assert text.count("two: copper and nickel | meV/Å | 8 |") == 1
    assert "full beats scratch on" in text
    assert Image.open(io.BytesIO((tmp_path / "p.png").read_bytes())).size[0] > 500


def line(method, size, error, *, seed=0, variant="a"):
    return {
        "task": "two",
        "variant": variant,
        "method": method,
        "size": size,
        "seed": seed,
        "errors": {
            "test": {"force_mae_eV_per_A": error},
            "step 0": {"force_mae_eV_per_A": 2.0},
        },
    }


def test_means_are_over_variants_of_seeds_that_have_all(tasks):
    lines = [
        line("full", 4, 0.1),
        line("full", 4, 0.3, variant="b"),
        line("full", 4, 0.4, seed=1),
        line("full", 4, 0.6, seed=1, variant="b"),
        line("full", 4, 9.0, seed=2),
        line("scratch", 4, 0.5),
        line("scratch", 4, 0.9),
        line("scratch", 4, 0.7, variant="b"),
    ]
    curves = curves_of(load_task(tasks[1][0]), lines)
    (point,) = curves.by_method["full"]
    assert (point.mean, point.low, point.high, point.num_seeds) == pytest.approx(
        (0.35, 0.2, 0.5, 2)
    )
    assert curves.by_method["scratch"][0].mean == pytest.approx(0.8)  # the later line counts
    assert table([curves], ["full", "scratch"]).splitlines()[2] == (
        "| two: copper and nickel | meV/Å | 4 | 2000.0 | **350.0** | 800.0 | 2.29 |"
    )
    assert verdicts([curves]) == ["full beats scratch on 1 of 1 tasks"]


def test_a_second_test_part_without_forces_is_told_in_energies(tasks):
    lines = [line(m, 4, 0.1, variant=v) for m in ("full", "scratch") for v in "ab"]
    for found in lines:
        found["errors"]["second test"] = {"energy_mae_eV_per_atom": 0.02}
    task = load_task(tasks[1][0], ("second_test.title=a barrier",))
    rows = table([curves_of(task, lines)], ["full", "scratch"]).splitlines()
    assert rows[3] == "| two: a barrier | meV/atom | 4 |  | **20.0** | 20.0 | 1.00 |"


def test_methods_are_compared_at_the_largest_common_size_up_to_a_hundred(tasks):
    lines = [
        line(method, size, error, variant=variant)
        for variant in "ab"
        for method, size, error in (
            ("full", 30, 0.2),
            ("full", 100, 0.1),
            ("full", 300, 0.05),
            ("scratch", 30, 0.3),
            ("scratch", 300, 0.04),
        )
    ]
    curves = curves_of(load_task(tasks[1][0]), lines)
    assert {method: point.size for method, point in curves.compared().items()} == {
        "full": 30,
        "scratch": 30,
    }
    assert Image.open(io.BytesIO(picture([curves]))).format == "PNG"


def test_the_list_names_every_task():
    done = CliRunner().invoke(main, ["downstream", "list"])
    assert done.exit_code == 0
    for name in ("rmd17", "3bpa", "dimers"):
        assert name in done.output
    listed = json.loads(CliRunner().invoke(main, ["downstream", "list", "--json"]).output)
    assert len(listed) == 12


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (['methods=["ful"]'], "expected at least one each"),
        (["finetune.seed=3"], "finetune.seed follows from the run"),
        (["--task", "x"], "unknown task 'x'"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_message(pretrained, tmp_path, given, message):
    arguments = ["downstream", "run", str(pretrained), "-d", str(tmp_path), "-o", str(tmp_path)]
    done = CliRunner().invoke(main, [*arguments, *given])
    assert done.exit_code == 2
    assert message in done.output
