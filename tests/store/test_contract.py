"""Every kind of store hands out the same structures, bit for bit, and the same errors."""

import pytest
from stores import compare_all

from hydracalc.store.choice import StoreConfig
from hydracalc.store.places import Place

IN_MEMORY = "/dev/shm"  # a file there would save nothing, so that shards are read instead

EVERY_KIND = f"""
kinds = [StoreConfig(kind=kind) for kind in ("local", "shared", "mapped")]
kinds += [StoreConfig(kind="mapped", folder={IN_MEMORY!r})]
"""
SPREAD = """
widths = sorted({0, 1, 2, place.size})
kinds += [StoreConfig(kind="rma", width=width, timeout_s=20) for width in widths]
"""
COMPARE = """
say(f"rank {place.rank}: {compare_all(FOLDER, place, kinds) - len(kinds) * 3} missing")
"""


def complete(result, count):
    assert result.returncode == 0, result.stderr
    lines = sorted(line for line in result.stdout.splitlines() if line.startswith("rank"))
    assert lines == [f"rank {rank}: 0 missing" for rank in range(count)]


@pytest.mark.parametrize(
    ("kind", "where"), [("local", ""), ("shared", ""), ("mapped", ""), ("mapped", IN_MEMORY)]
)
def test_one_process_has_every_kind_but_rma(folder, kind, where):
    assert compare_all(folder, Place(), [StoreConfig(kind=kind, folder=where)]) == 3


@pytest.mark.mpi
def test_ranks_of_one_machine_have_every_kind_and_width(mpiexec, folder):
    code = f"FOLDER = {str(folder)!r}\n{EVERY_KIND}{SPREAD}{COMPARE}"
    complete(mpiexec(code, 3), 3)


@pytest.mark.mpi
def test_two_machines_have_a_copy_each_and_spread_one_over_both(mpiexec, folder, machines):
    code = f"FOLDER = {str(folder)!r}\nkinds = [StoreConfig(kind='shared')]\n{SPREAD}"
    place = "assert (place.node_size, place.node_rank) == (2, place.rank // 2)\n"
    complete(mpiexec(code + place + COMPARE, 4, machines), 4)


@pytest.mark.mpi
def test_reads_over_a_network_are_the_same(mpiexec, folder, network):
    code = f"FOLDER = {str(folder)!r}\nkinds = []\n{SPREAD}{COMPARE}"
    complete(mpiexec(code, 2, network), 2)


def test_without_mpi_ranks_share_a_file_and_rma_says_why_not(torchrun, folder):
    code = f"""
from hydracalc.parallel.ending import joined
from hydracalc.store.torchrun import place_of_group
FOLDER = {str(folder)!r}
with joined("gloo"):
    place = place_of_group()
    {EVERY_KIND.strip().replace(chr(10), chr(10) + "    ")}
    {COMPARE.strip()}
    refused = lambda: open_store(FOLDER, "train", config=StoreConfig(kind="rma"), place=place)
    assert "MPI, which did not start this process" in message_of(refused, ValueError)
"""
    complete(torchrun(code, 2), 2)
