"""Energy of trials: real counters where they can be read, else time times power, called that."""

import json
import os
import time

import pytest

from hydracalc.hpo.config import EnergyConfig
from hydracalc.hpo.counters import CpuTime, Nvml, Rapl, WallTime
from hydracalc.hpo.energy import Energy, EnergyMeter, of_trial, rank_file

TICKS = os.sysconf("SC_CLK_TCK")


class Machine:
    """A powercap folder and a /proc/stat that say what they are told."""

    def __init__(self, folder):
        self.powercap, self.stat = folder / "powercap", folder / "stat"
        for zone, name in {"intel-rapl:0": "package-0", "intel-rapl:0:1": "dram"}.items():
            (self.powercap / zone).mkdir(parents=True)
            (self.powercap / zone / "name").write_text(name + "\n")
            (self.powercap / zone / "max_energy_range_uj").write_text("1000000000\n")
        (self.powercap / "intel-rapl:0:0").mkdir()
        (self.powercap / "intel-rapl:0:0" / "name").write_text("core\n")
        self.set(package=0, dram=0, busy=0.0)

    def set(self, *, package, dram, busy):
        (self.powercap / "intel-rapl:0" / "energy_uj").write_text(f"{package}\n")
        (self.powercap / "intel-rapl:0:1" / "energy_uj").write_text(f"{dram}\n")
        user = round(busy * TICKS)
        self.stat.write_text(f"cpu  {user} 0 0 99999 5 0 0 0 0 0\ncpu0 {user} 0 0\n")


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_an_interval_is_shared_by_cpu_time(machine, monkeypatch):
    """30 J of package and memory while this process had a fifth of the machine's CPU time."""
    cpu = iter([1.0, 3.0])
    monkeypatch.setattr(time, "process_time", lambda: next(cpu))
    counter = Rapl(machine.powercap, machine.stat)
    machine.set(package=20_000_000, dram=10_000_000, busy=10.0)
    assert counter.joules() == pytest.approx(30 * 2 / 10)
    assert not counter.is_estimate


def test_a_counter_that_ran_over_goes_on(machine, monkeypatch):
    cpu = iter([0.0, 1.0, 2.0])
    monkeypatch.setattr(time, "process_time", lambda: next(cpu))
    machine.set(package=999_000_000, dram=0, busy=0.0)
    counter = Rapl(machine.powercap, machine.stat)
    machine.set(package=4_000_000, dram=0, busy=1.0)
    assert counter.joules() == pytest.approx(5.0)
    machine.set(package=5_000_000, dram=0, busy=1.0)  # a tick has not passed
    assert counter.joules() == pytest.approx(5.0)


def test_without_counters_the_source_says_estimate(tmp_path):
    with pytest.raises(FileNotFoundError, match="no RAPL counter"):
        Rapl(tmp_path)
    before = time.process_time()
    assert CpuTime(20.0).joules() >= 20 * before
    assert CpuTime(20.0).source == "estimate: CPU time x 20 W a core"
    assert "no such file" in WallTime(300.0, "no such file").source
    with pytest.raises(OSError, match=r"libnothing\.so"):
        Nvml("GPU-0", library="libnothing.so")


def test_a_meter_writes_while_it_counts_and_adds_to_what_was_there(tmp_path):
    config = EnergyConfig(powercap=str(tmp_path / "none"), sample_seconds=0.02, watts_per_core=50)
    path = rank_file(tmp_path, 0)
    with EnergyMeter(path, "cpu", config):
        deadline = time.monotonic() + 10
        while not (path.is_file() and json.loads(path.read_text())["joules"] > 1):
            assert time.monotonic() < deadline  # a killed process leaves what it took
    first = of_trial(tmp_path)
    assert first.is_estimate
    with EnergyMeter(path, "cpu", config) as meter:
        sum(range(200_000))
    assert of_trial(tmp_path).joules >= first.joules
    assert meter.so_far().source == "estimate: CPU time x 50 W a core"


def test_ranks_add_up_but_their_time_does_not(tmp_path):
    for rank, source in enumerate(("RAPL", "estimate")):
        path = rank_file(tmp_path, rank)
        path.parent.mkdir(exist_ok=True)
        table = {"joules": 5.0 + rank, "seconds": 9.0, "source": source, "is_estimate": rank == 1}
        path.write_text(json.dumps(table))
    assert of_trial(tmp_path) == Energy(
        joules=11.0, seconds=9.0, source="RAPL; estimate", is_estimate=True
    )
    assert of_trial(tmp_path / "nothing") == Energy()


def test_counters_of_the_kernel_are_taken_where_they_can_be_read(machine, tmp_path):
    config = EnergyConfig(powercap=str(machine.powercap))
    with EnergyMeter(tmp_path / "energy" / "rank-0.json", "cpu", config) as meter:
        machine.set(package=7_000_000, dram=0, busy=0.0)
    assert meter.so_far().source.startswith("RAPL")
    assert not meter.so_far().is_estimate
