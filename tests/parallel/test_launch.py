"""How a process was started is told from what launchers set, and MPI is not touched without one."""

import os
import subprocess
import sys

import pytest

from hydracalc.parallel import launch
from hydracalc.parallel.launch import Launch, detect, first_host

ALL = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "PALS_SIZE", "MPI_LOCALNRANKS")
SLURM = ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID")

# what launchers tell the process number 5 of 8, the second on the second of two machines
HYDRA = {"PMI_RANK": 5, "PMI_SIZE": 8, "MPI_LOCALRANKID": 1, "MPI_LOCALNRANKS": 4}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": 5,
    "OMPI_COMM_WORLD_SIZE": 8,
    "OMPI_COMM_WORLD_LOCAL_RANK": 1,
    "OMPI_COMM_WORLD_LOCAL_SIZE": 4,
}
SRUN = {
    "SLURM_PROCID": 5,
    "SLURM_STEP_NUM_TASKS": 8,
    "SLURM_LOCALID": 1,
    "SLURM_NODEID": 1,
    "SLURM_STEP_TASKS_PER_NODE": "4(x2)",
}
PALS = {"PALS_RANKID": 5, "PMI_SIZE": 8, "PALS_LOCAL_RANKID": 1, "PALS_LOCAL_SIZE": 4}
PMI = {"PMI_RANK": 5, "PMI_SIZE": 8, "PMI_LOCAL_RANK": 1, "PMI_LOCAL_SIZE": 4}
TORCHRUN = {
    "RANK": 5,
    "WORLD_SIZE": 8,
    "LOCAL_RANK": 1,
    "LOCAL_WORLD_SIZE": 4,
    "MASTER_ADDR": "nid001",
    "MASTER_PORT": 29500,
}
# an agent of torchrun as one of two tasks of srun; helpers of mpiexec as such
TASK = {"SLURM_PROCID": 1, "SLURM_STEP_NUM_TASKS": 2, "SLURM_LOCALID": 0}

SAY_WHO = """
import os
import torch
import torch.distributed as dist
from hydracalc.parallel.launch import start, stop, world
launch = start(timeout_s=60)
total = torch.tensor([float(launch.rank)])
dist.all_reduce(total)
line = [launch.kind, launch.rank, launch.size, launch.local_rank, launch.local_size]
line += [launch.device, int(total), world() is not None]
os.write(1, (" ".join(map(str, line)) + chr(10)).encode())
stop(launch)
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in (*HYDRA, *OPEN_MPI, *SRUN, *PALS, *PMI, *TORCHRUN, *ALL):
        monkeypatch.delenv(name, raising=False)


def pretend(monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))


def test_a_process_by_itself_is_one():
    assert launch.num_launched() == 1
    assert launch.world() is None
    assert detect() == Launch("alone", 0, 1, 0, 1)


@pytest.mark.parametrize("name", ALL)
def test_a_launcher_states_how_many(monkeypatch, name):
    monkeypatch.setenv(name, "4")
    assert launch.num_launched() == 4


def test_srun_is_told_from_a_shell_inside_an_allocation(monkeypatch):
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "8")
    assert launch.num_launched() == 1
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert launch.num_launched() == 8


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        (HYDRA, "mpiexec"),
        (OPEN_MPI, "mpiexec"),
        (PMI, "mpiexec"),
        (SRUN, "srun"),
        (PALS, "pals"),
        (TORCHRUN, "torchrun"),
        (TASK | TORCHRUN, "torchrun"),
        (TASK | HYDRA, "mpiexec"),
        (TASK | OPEN_MPI, "mpiexec"),
        (PMI | SRUN, "srun"),
        (PALS | PMI, "pals"),
    ],
)
def test_each_launcher_is_known_by_what_it_sets(monkeypatch, variables, kind):
    pretend(monkeypatch, variables)
    assert detect() == Launch(kind, 5, 8, 1, 4)
    assert launch.num_launched() == (1 if kind == "torchrun" else 8)


def test_uneven_machines_of_a_step_are_counted(monkeypatch):
    pretend(monkeypatch, SRUN | {"SLURM_STEP_TASKS_PER_NODE": "3,2(x2),1", "SLURM_NODEID": 2})
    assert detect().local_size == 2


def test_variables_that_contradict_each_other_are_refused(monkeypatch):
    pretend(monkeypatch, HYDRA | {"PMI_RANK": 8})
    with pytest.raises(ValueError, match=r"PMI_RANK.*rank=8, size=8"):
        detect()


def test_common_names_without_an_address_are_not_torchrun(monkeypatch):
    pretend(monkeypatch, {"RANK": 1, "WORLD_SIZE": 2, "LOCAL_RANK": 1})
    assert detect().kind == "alone"


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("nid001234", "nid001234"),
        ("nid[001234-001237,002000],login3", "nid001234"),
        ("frontier00007,frontier[00009-00010]", "frontier00007"),
        ("rack[2,5]-node[03-04]", "rack2-node03"),
    ],
)
def test_the_first_of_slurms_machines_is_found(nodes, first):
    assert first_host(nodes) == first


def test_a_list_without_machines_is_refused():
    with pytest.raises(ValueError, match="list of machines is '', expected names"):
        first_host("")


def test_a_process_alone_needs_nothing():
    import torch.distributed as dist

    started = launch.start("gloo")
    launch.stop(started)
    assert started == Launch("alone", 0, 1, 0, 1)
    assert started.store is None
    assert not dist.is_initialized()


def test_an_unknown_backend_is_refused():
    with pytest.raises(ValueError, match="unknown backend 'ncl'; did you mean 'nccl'"):
        launch.start("ncl")


@pytest.mark.parametrize(("kind", "backend"), [("cuda", "nccl"), ("xpu", "xccl")])
@pytest.mark.parametrize(("visible", "index"), [(4, 1), (1, 0)])
def test_a_process_takes_the_gpu_of_its_local_rank(monkeypatch, visible, index, kind, backend):
    """Where the launcher binds, each process sees its own GPU alone, as number 0."""
    taken = []
    monkeypatch.setattr(f"torch.{kind}.device_count", lambda: visible)
    monkeypatch.setattr(f"torch.{kind}.set_device", taken.append)
    placed = launch._place("auto", Launch("srun", 5, 8, 1, 4))
    assert placed == (f"cpu:gloo,{kind}:{backend}", f"{kind}:{index}")
    assert taken == [index]


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(ValueError, match=r"rank 7 is number 3 of 4 .* has 2 devices 'cuda'"):
        launch._place("nccl", Launch("srun", 7, 8, 3, 4))


def test_a_launcher_of_another_mpi_is_an_error(monkeypatch):
    """mpi4py sees one process, so each would do all the work and write the same files."""
    monkeypatch.setattr(launch, "num_launched", lambda: 4)
    monkeypatch.setitem(__import__("sys").modules, "mpi4py", None)
    with pytest.raises(ValueError, match=r"one of 4 processes.*install hydracalc\[mpi\]"):
        launch.world()


@pytest.mark.mpi
def test_ranks_find_each_other(ranks):
    code = (
        "import os\nfrom hydracalc.parallel import launch\n"
        "os.write(1, f'{launch.world().Get_size()} '.encode())"
    )
    result = ranks(code, 3)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["3", "3", "3"]


@pytest.mark.mpi
@pytest.mark.parametrize(("launcher", "has_mpi"), [("mpiexec", True), ("torchrun", False)])
def test_processes_of_a_launcher_sum_over_the_world(launched, launcher, has_mpi):
    job = launched(launcher, SAY_WHO, 3)
    assert job.wait() == 0, job.errors
    assert sorted(job.output) == [f"{launcher} {i} 3 {i} 3 cpu 3 {has_mpi}" for i in range(3)]


def test_tasks_of_srun_meet_without_mpi(unlaunched):
    """From what Slurm says of the job alone: its first machine, and a port made from its number."""
    code = f"import sys\nsys.modules['mpi4py'] = None\n{SAY_WHO}".replace("world() is not", "1 is")
    job = {"SLURM_JOB_ID": os.getpid(), "SLURM_JOB_NODELIST": "localhost", "SLURM_NODEID": 0}
    job |= {"SLURM_STEP_NUM_TASKS": 2, "SLURM_STEP_TASKS_PER_NODE": "2"}
    tasks = []
    for rank in range(2):
        variables = job | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank}
        environment = unlaunched | {name: str(value) for name, value in variables.items()}
        command = [sys.executable, "-c", code]
        tasks.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    said = [task.communicate(timeout=60)[0] for task in tasks]
    assert said == [f"srun {rank} 2 {rank} 2 cpu 1 False\n" for rank in range(2)]
