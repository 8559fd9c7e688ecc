"""Runs scripts under mpiexec and torchrun."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.prefix) / "bin"
# a launcher inside another one would be taken for it
OF_LAUNCHERS = (
    "PMI",
    "MPI",
    "OMPI",
    "PALS",
    "SLURM",
    "RANK",
    "LOCAL_",
    "WORLD",
    "MASTER",
    "TORCHE",
)


def clean_environment():
    """What the processes of a launcher get, one thread each."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(OF_LAUNCHERS)}
    return kept | {"OMP_NUM_THREADS": "1"}


def run_ranks(code, count, timeout=120):
    """A completed process: `count` ranks that run the code, with the test modules at hand."""
    mpiexec = BIN / "mpiexec"
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


@pytest.fixture
def unlaunched():
    """Environment of a process that no launcher has started."""
    return clean_environment()


class Launched:
    """A job under way; what it says goes to files, which can be read at any time."""

    def __init__(self, command, folder):
        self._files = [folder / "stdout", folder / "stderr"]
        with self._files[0].open("w") as out, self._files[1].open("w") as err:
            environment = clean_environment()
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=out, stderr=err
            )

    @property
    def output(self):
        return self._files[0].read_text().splitlines()

    @property
    def errors(self):
        return self._files[1].read_text().splitlines()

    def wait_until(self, line, count, on="output", seconds=60):
        """Wait until the job has said a line so many times."""
        end = time.monotonic() + seconds
        while getattr(self, on).count(line) < count and time.monotonic() < end:
            assert self.process.poll() is None, self.errors
            time.sleep(0.02)
        assert getattr(self, on).count(line) == count

    def wait(self, seconds=60):
        """Exit code of the job."""
        return self.process.wait(seconds)


@pytest.fixture
def launched(tmp_path):
    """Function (launcher, code, count) -> a job of mpiexec or torchrun."""
    jobs = []

    def start(launcher, code, count):
        script = tmp_path / "script.py"
        script.write_text(f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})\n{code}")
        command = {
            "mpiexec": [BIN / "mpiexec", "-n", str(count), sys.executable, script],
            "torchrun": [
                *(BIN / "torchrun", "--standalone", "--nproc-per-node", str(count)),
                *("--signals-to-handle", "SIGTERM,SIGINT,SIGUSR1", script),
            ],
        }[launcher]
        jobs.append(Launched(command, tmp_path))
        return jobs[-1]

    yield start
    for job in jobs:
        if job.process.poll() is None:
            job.process.kill()
            job.wait()
