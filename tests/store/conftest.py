"""Shards of structures of every kind, and jobs of several ranks that open stores of them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from published import CARD, make_mixture, make_structure

from hydracalc.shards.writer import ShardWriter

ROOT = Path(__file__).parents[2]
BIN = Path(sys.prefix) / "bin"

# reads go through the network code of MPI, as between machines, and need the other rank's help
NETWORK = {"MPIR_CVAR_NOLOCAL": "1", "UCX_TLS": "tcp,self", "FI_PROVIDER": "tcp"}
# ranks 0 and 2 are on one machine, 1 and 3 on another, as far as MPI is concerned
TWO_MACHINES = {"MPIR_CVAR_ODD_EVEN_CLIQUES": "1"}

START = f"""
import sys, time
sys.path.insert(0, {str(ROOT / "tests")!r})
import numpy as np
from stores import *
from hydracalc.parallel import launch
from hydracalc.store.choice import StoreConfig
from hydracalc.store.store import open_store
"""
MPI = f"""{START}
from hydracalc.store.windows import place_of
place = place_of(launch.world(), timeout_s=TIMEOUT)
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Thirty structures in several shards; one in three for testing, none for validation."""
    path = tmp_path_factory.mktemp("shards") / "own"
    molecules = [make_structure(seed, (1,) * (1 + seed % 7)) for seed in range(10, 34)]
    with ShardWriter(path, card=CARD, max_shard_bytes=4000) as writer:
        for number, structure in enumerate(make_mixture() + molecules):
            writer.add(structure, split="test" if number % 3 == 2 else "train")
    return path


def run_job(command, code, more):
    return subprocess.run(
        [*map(str, command), sys.executable, "-c", code] if code else list(map(str, command)),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", **more},
    )


@pytest.fixture
def mpiexec():
    """Function (code, count, variables, seconds that ranks wait, first line) -> MPI job, done."""

    def run(code, count, more=None, limit=20, before=""):
        whole = f"{before}\nTIMEOUT = {limit}\n{MPI}{code}"
        return run_job([BIN / "mpiexec", "-n", count], whole, more or {})

    return run


@pytest.fixture
def torchrun(tmp_path):
    """Function (code, count) -> completed process of a job of torchrun."""

    def run(code, count):
        script = tmp_path / "script.py"
        script.write_text(START + code)
        command = [BIN / "torchrun", "--standalone", "--nproc-per-node", count, script]
        return run_job(command, None, {})

    return run


@pytest.fixture
def network():
    """Variables that send every read through MPI's network code."""
    return NETWORK


@pytest.fixture
def machines():
    """Variables that divide the ranks over two machines."""
    return TWO_MACHINES


@pytest.fixture
def damaged(folder, tmp_path):
    """The shards, one byte of the second changed."""
    copy = tmp_path / "own"
    shutil.copytree(folder, copy)
    file = copy / "shard-00001.bp" / "data.0"
    content = bytearray(file.read_bytes())
    content[10] ^= 1
    file.write_bytes(content)
    return copy
