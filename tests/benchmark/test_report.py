"""Every number of a report is in its tables with a unit, and in its JSON under a key with one."""

import io
import json
import re

import pytest
from rich.console import Console

from hydracalc.benchmark import report
from hydracalc.benchmark.breakdown import Part
from hydracalc.benchmark.clock import summary
from hydracalc.benchmark.machine import Machine
from hydracalc.benchmark.memory import PeakMemory
from hydracalc.benchmark.precision import PrecisionRow
from hydracalc.benchmark.roofline import Achieved, Ceilings
from hydracalc.benchmark.steps import MixtureTime, StepTime
from hydracalc.benchmark.suite import BenchReport
from hydracalc.benchmark.training import TrainingTime

# numbers that have no unit: counts, ratios, versions
PURE = re.compile(r"num_|count|ratio|share|fraction|exponent|cores|threads|compiled|atoms$")
UNIT = re.compile(r"_(ms|MiB|GB|fs|ps|K|GFLOP|per_\w+)$|^ms$|^float|^bfloat|KiB_per_atom$|ms_per")


@pytest.fixture
def full():
    """A report that has every part."""
    timing = summary([1.25, 1.5, 1.75])
    return BenchReport(
        machine=Machine(
            processor="Some CPU",
            cores=4,
            threads=2,
            device="cpu",
            system="Linux",
            python="3.11",
            torch="2.13",
        ),
        model="some-model@1",
        encoder="painn",
        dtype="float32",
        num_channels=64,
        num_layers=3,
        num_parameters=1234,
        branch="auto",
        compiled=True,
        steps=(StepTime(system="C6H6", num_atoms=12, timing=timing, atoms_per_s=8000.0),),
        exponent=1.0123,
        left_out={"Si": "not known"},
        mixtures=(
            MixtureTime(
                system="C6H6",
                choice="a, b",
                num_branches=2,
                median_ms=2.5,
                one_median_ms=2.0,
                ratio=1.27,
            ),
        ),
        memory=(
            PeakMemory(
                system="C6H6",
                num_atoms=12,
                peak_MiB=412.0,
                before_MiB=400.0,
                KiB_per_atom=1024.0,
                device_peak_MiB=None,
            ),
        ),
        memory_KiB_per_atom=57.25,
        training=TrainingTime(
            encoder="painn",
            num_channels=64,
            num_layers=3,
            num_radial=16,
            num_structures=32,
            num_atoms=640,
            num_edges=7814,
            num_parameters=1200,
            timing=timing,
        ),
        precision=(
            PrecisionRow(
                dtype="bfloat16",
                system="C6H6",
                num_atoms=12,
                median_ms_per_step=3.25,
                peak_MiB=433.0,
                energy_error_meV_per_atom=0.75,
                force_error_meV_per_A=6.5,
                max_force_error_meV_per_A=17.5,
                drift_meV_per_atom_per_ps=-0.125,
                drift_ps=1.0,
                drift_K=300.0,
                timestep_fs=0.5,
            ),
        ),
        ceilings=Ceilings(gemm_GFLOP_per_s={"float32": 95.5}, copy_GB_per_s=26.5),
        achieved=(
            Achieved(
                step="MD step of C6H6",
                median_ms=4.5,
                gemm_GFLOP=0.0165,
                gemm_GFLOP_per_s=3.7,
                gemm_floor_ms=0.167,
                gemm_fraction=0.04,
                traffic_GB=0.0062,
                traffic_GB_per_s=1.4,
                memory_floor_ms=0.235,
                memory_fraction=0.05,
            ),
        ),
        parts={"MD step of C6H6": [Part(kind="matrix products", ms=1.1, share=1.0)]},
    )


def numbers(tree, key=""):
    """Every number of nested JSON with the keys that lead to it, nearest first."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from numbers(value, f"{name} {key}")
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from numbers(value, key)
    elif isinstance(tree, int | float):
        yield key.split(), tree


def test_every_number_of_the_json_has_a_unit_in_its_key_or_needs_none(full):
    found = json.loads(json.dumps(report.to_json(full)))
    for keys, _ in numbers(found):
        assert PURE.search(keys[0]) or UNIT.search(keys[0]), keys
    assert found["steps"][0]["timing"]["median_ms"] == 1.5
    assert found["exponent_from_atoms"] == 200
    assert found["left_out"] == {"Si": "not known"}


def test_a_key_without_a_unit_is_noticed():
    """The test of the test: it can fail."""
    assert not UNIT.search("median")
    assert not PURE.search("energy")


def test_tables_show_every_part(full):
    stream = io.StringIO()
    console = Console(file=stream, width=140)
    for block in report.blocks(full):
        console.print(block, highlight=False, markup=False)
    text = stream.getvalue()
    for part in (
        "Some CPU, 4 cores, 2 threads used, device cpu; torch 2.13",
        "some-model@1: painn, 3 layers, 64 channels, 1234 parameters, float32, compiled",
        "cost ~ atoms^1.012 from 200 atoms on",
        "memory: 57.2 KiB for one more atom",
        "left out: Si: not known",
        "float32 95.5 GFLOP/s; copies 26.5 GB/s",
    ):
        assert part in text
    for number in ("8000", "412", "1024.0", "1.27", "7814", "6.5", "-0.125", "0.167", "0.0062"):
        assert number in text, number
    for unit in ("ms/step", "MiB", "KiB/atom", "meV/atom/ps", "GFLOP/s", "GB/s"):
        assert unit in text, unit
