"""Ranks read each other's memory: no more than was asked, without waiting, and never for ever."""

import time

import pytest

from hydracalc.store.rma import num_groups

OPEN = """
store = open_store(FOLDER, "train", config=StoreConfig(kind="rma", timeout_s=LIMIT), place=place)
everything = np.arange(len(store))
"""


def opened(folder, limit=20):
    return f"FOLDER, LIMIT = {str(folder)!r}, {limit}\n{OPEN}"


@pytest.mark.parametrize(
    ("size", "width", "groups"), [(4, 0, 1), (4, 1, 4), (4, 2, 2), (5, 2, 2), (5, 3, 1), (1, 1, 1)]
)
def test_ranks_left_over_join_groups_so_that_none_has_fewer_than_its_width(size, width, groups):
    assert num_groups(size, width) == groups
    sizes = [sum(rank * groups // size == g for rank in range(size)) for g in range(groups)]
    assert min(sizes) >= width


@pytest.mark.parametrize("width", [-1, 5])
def test_a_group_wider_than_the_job_is_refused(width):
    with pytest.raises(ValueError, match=rf"store width is {width}, but 4 ranks share"):
        num_groups(4, width)


@pytest.mark.mpi
def test_ranks_hold_a_part_each_and_no_byte_moves_twice(mpiexec, folder):
    code = (
        opened(folder)
        + """
store.fetch([*everything, *everything])  # what is asked for twice is read once
total = sum(place.all_of(store.num_bytes))
assert max(place.all_of(store.num_bytes)) < 0.7 * total, place.all_of(store.num_bytes)
traffic = store.traffic
assert (traffic.structures, traffic.fetched_bytes) == (2 * len(store), 2 * total)
assert (traffic.copied_bytes, traffic.remote_bytes) == (total, total - store.num_bytes)
store.close()
say("fine")
"""
    )
    result = mpiexec(code, 2)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["fine", "fine"]


@pytest.mark.mpi
def test_a_rank_that_computes_does_not_let_others_wait(mpiexec, folder, network):
    """Over a network that needs the other process's help, MPI alone would wait the two seconds."""
    code = (
        opened(folder)
        + """
if place.rank == 1:
    time.sleep(2)  # as a step of training would
else:
    time.sleep(0.2)
    start = time.perf_counter()
    store.fetch(everything)
    say(time.perf_counter() - start)
store.close()
"""
    )
    result = mpiexec(code, 2, network)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 1


@pytest.mark.mpi
def test_threads_may_fetch_at_the_same_time(mpiexec, folder, network):
    """Batches are read ahead in a thread while the main one validates."""
    code = (
        opened(folder)
        + """
from concurrent.futures import ThreadPoolExecutor
local = open_store(FOLDER, "train")
with ThreadPoolExecutor(3) as pool:
    found = pool.map(lambda seed: list(orders(len(store), seed)), range(6))
    asked = [indices for batch in found for indices in batch if len(indices)]
    for indices, structures in zip(asked, pool.map(store.fetch, asked), strict=True):
        compare_structures(structures, local.fetch(indices))
store.close()
say("fine")
"""
    )
    result = mpiexec(code, 2, network)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["fine", "fine"]


@pytest.mark.mpi
def test_a_stuck_rank_ends_the_job_with_a_message(mpiexec, folder, network):
    code = (
        opened(folder, limit=1)
        + """
import os, signal
launch.world().Barrier()
if place.rank == 1:
    os.kill(os.getpid(), signal.SIGSTOP)
time.sleep(0.2)
store.fetch(everything)
say("never said")
"""
    )
    start = time.monotonic()
    result = mpiexec(code, 2, network)
    assert time.monotonic() - start < 30
    assert result.returncode != 0
    assert "waited 1 s for structures of own from rank 1; a process is stuck" in result.stderr
    assert "never said" not in result.stdout


@pytest.mark.mpi
def test_a_stuck_rank_ends_the_job_of_a_thread_that_reads_ahead(mpiexec, folder, network):
    code = (
        opened(folder, limit=1)
        + """
import os, signal
from hydracalc.graphs.neighbor_cache import NeighborCache
from hydracalc.training.sampler import Prefetch
from hydracalc.training.structure_set import StructureSet
neighbors = NeighborCache(4.0, 0)
data = StructureSet([store], branch_names=["own"], neighbors=neighbors, has_stress=True)
with Prefetch(data, [everything] * 50) as graphs:
    next(graphs)
    launch.world().Barrier()
    if place.rank == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    for graph in graphs:
        time.sleep(0.02)
say("never said")
"""
    )
    result = mpiexec(code, 2, network)
    assert result.returncode != 0
    assert "waited 1 s for structures of own from rank 1; a process is stuck" in result.stderr
    assert "never said" not in result.stdout


@pytest.mark.mpi
def test_without_threads_in_mpi_rma_says_why_not_and_auto_does_without(mpiexec, folder):
    code = f"""
FOLDER = {str(folder)!r}
refused = lambda: open_store(FOLDER, "train", config=StoreConfig(kind="rma"), place=place)
assert "thread level 'multiple', but it is 'serialized'" in message_of(refused, ValueError)
store = open_store(FOLDER, "train", config=StoreConfig(memory_GB=1e-6), place=place)
say(store.kind)
store.close()
"""
    before = "import mpi4py; mpi4py.rc.thread_level = 'serialized'"
    result = mpiexec(code, 2, before=before)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["mapped", "mapped"]


@pytest.mark.mpi
def test_a_rank_that_never_opens_its_store_ends_the_job_with_a_message(mpiexec, folder):
    code = f"if place.rank == 1:\n    time.sleep(40)\n{opened(folder)}"
    result = mpiexec(code, 2, limit=1)
    assert result.returncode != 0
    assert "rank 0" in result.stderr
    assert "waited 1 s for the other ranks" in result.stderr


@pytest.mark.mpi
def test_every_rank_hears_of_a_shard_that_one_found_damaged(mpiexec, damaged):
    code = f"""
say_damage({str(damaged)!r}, place, [StoreConfig(kind="rma"), StoreConfig(kind="shared")])
"""
    result = mpiexec(code, 2)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == 4
    assert all("SHA-256 is" in line for line in lines)
    assert sum("rank 1: " in line for line in lines) == 2  # who found it, as the other is told
