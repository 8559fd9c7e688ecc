"""Runs scripts under mpiexec."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run_ranks(code, count, timeout=120):
    """A completed process: `count` ranks that run the code, with the test modules at hand."""
    mpiexec = Path(sys.prefix) / "bin" / "mpiexec"
    path = f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
    return subprocess.run(
        [mpiexec, "-n", str(count), sys.executable, "-c", path + code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=timeout,
        check=False,
    )


@pytest.fixture
def ranks():
    """Function (code, count) -> completed process of an MPI job."""
    return run_ranks
