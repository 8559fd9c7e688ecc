"""Peak memory is that of a fresh process, whatever this one has."""

import numpy as np
import pytest

from hydracalc.benchmark import memory, systems
from hydracalc.benchmark.memory import MIB


def test_this_process_sees_its_own_peak():
    before = memory.process_peak()
    held = np.ones(before + 64 * MIB, dtype=np.uint8)
    after = memory.process_peak()
    assert after - before > 32 * MIB
    del held
    # the kernel counts in batches of pages
    assert memory.process_peak() == pytest.approx(after, abs=MIB)


def test_a_child_has_a_peak_of_its_own(small_model):
    """Much memory in the parent does not count: that of exec'ed children starts anew."""
    held = np.ones(1024 * MIB, dtype=np.uint8)
    settings = {"model": small_model, "device": "cpu", "threads": 1}
    found = memory.measure(systems.supercell("Si", 64), settings)
    assert held[-1] == 1
    assert (found.system, found.num_atoms) == ("Si64", 64)
    # Python with torch takes some hundreds
    assert 100 < found.before_MiB <= found.peak_MiB < 1000
    grown = 1024 * (found.peak_MiB - found.before_MiB) / 64
    assert found.KiB_per_atom == pytest.approx(grown)
    assert found.device_peak_MiB is None


def test_a_child_that_fails_says_why(small_model):
    settings = {"model": small_model, "device": "cpu", "branch": "organc"}
    with pytest.raises(ChildProcessError, match="memory of Si8: .*did you mean 'organic'"):
        memory.measure(systems.supercell("Si", 8), settings)


def peak(num_atoms, mib, device=None):
    return memory.PeakMemory(
        system="",
        num_atoms=num_atoms,
        peak_MiB=mib,
        before_MiB=0.0,
        KiB_per_atom=0.0,
        device_peak_MiB=device,
    )


def test_memory_of_one_more_atom_is_the_slope_over_sizes():
    """64 KiB an atom on top of 400 MiB; small structures do not count."""
    peaks = [peak(12, 900.0), *(peak(n, 400 + n / 16) for n in (200, 512, 1000))]
    assert memory.slope(peaks, above=200) == pytest.approx(64)
    on_device = [peak(n, 400.0, device=n / 32) for n in (512, 1000)]
    assert memory.slope(on_device, above=200) == pytest.approx(32)
    assert memory.slope(peaks[:2], above=200) is None
