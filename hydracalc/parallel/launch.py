"""How this process was started: alone, or as one of many by torchrun, mpiexec, srun or PALS.

Every launcher tells its processes who they are in variables of the environment; `detect` reads
them, `start` lets the processes find each other and `stop` parts them in good order.
"""

import os
import re
import socket
import sys
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol, cast

from hydracalc.errors import unknown

if TYPE_CHECKING:  # data preparation is started by launchers, too, and needs no torch
    from torch.distributed import Store

Kind = Literal["alone", "torchrun", "mpiexec", "srun", "pals"]

# size of the job as MPICH, Intel MPI and Cray (PMI), Open MPI, and PALS state it
_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "PALS_SIZE", "MPI_LOCALNRANKS")
# srun states a size for every step; a shell inside an allocation has it too, but no step rank
_SLURM = ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID")
_TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

# Variables of rank, size, local rank and local size. The first launcher whose rank, size and local
# rank are there has started this process: mpiexec inside a Slurm job starts its helpers by srun,
# srun speaks PMI to its processes, and torchrun may be what either of them starts.
_LAUNCHERS: tuple[tuple[Kind, tuple[str, str, str, str]], ...] = (
    ("torchrun", ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")),
    (
        "mpiexec",
        (
            "OMPI_COMM_WORLD_RANK",
            "OMPI_COMM_WORLD_SIZE",
            "OMPI_COMM_WORLD_LOCAL_RANK",
            "OMPI_COMM_WORLD_LOCAL_SIZE",
        ),
    ),
    ("mpiexec", ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS")),
    ("srun", ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "")),
    ("pals", ("PALS_RANKID", "PALS_SIZE", "PALS_LOCAL_RANKID", "PALS_LOCAL_SIZE")),
    ("pals", ("PALS_RANKID", "PMI_SIZE", "PALS_LOCAL_RANKID", "PALS_LOCAL_SIZE")),
    ("mpiexec", ("PMI_RANK", "PMI_SIZE", "PMI_LOCAL_RANK", "PMI_LOCAL_SIZE")),
)

# what each backend computes on and talks with; tensors on the processor always go by gloo
BACKENDS = {"gloo": "cpu", "nccl": "cuda", "xccl": "xpu"}


class Communicator(Protocol):
    """What is used of an MPI communicator; Python objects are sent."""

    def Get_rank(self) -> int:  # noqa: N802  # MPI's names
        """Number of this process."""

    def Get_size(self) -> int:  # noqa: N802
        """How many there are."""

    def allgather(self, sendobj: Any) -> list[Any]:  # noqa: ANN401  # anything can be sent
        """The objects of all, in all."""

    def bcast(self, obj: Any, root: int = 0) -> Any:  # noqa: ANN401
        """The object of one, in all."""


@dataclass(frozen=True)
class Launch:
    """Who this process is among those that were started together.

    Attributes:
        kind: what started it; torchrun also stands for its variables set by hand.
        rank: its number, from 0.
        size: how many there are.
        local_rank: its number among those on this machine, from 0.
        local_size: how many of them are on this machine.
        device: what it computes on, "cpu" or "cuda:0"; decided by `start`.
        store: keys and values that all processes see; None before `start` and alone.
    """

    kind: Kind
    rank: int
    size: int
    local_rank: int
    local_size: int
    device: str = "cpu"
    store: "Store | None" = field(default=None, repr=False, compare=False)

    @property
    def is_root(self) -> bool:
        """Whether this process is the one that reports."""
        return self.rank == 0


def detect() -> Launch:
    """Who this process is, told from the environment; nothing is started.

    Raises:
        ValueError: the variables contradict each other.
    """
    for kind, names in _LAUNCHERS:
        rank, size, local_rank = (_number(name) for name in names[:3])
        if rank is None or size is None or local_rank is None:
            continue
        if kind == "torchrun" and not _has_address():
            continue  # these names are common; without an address they are not meant for us
        local_size = _slurm_local_size() if kind == "srun" else _number(names[3])
        found = Launch(kind, rank, size, local_rank, local_size or local_rank + 1)
        if not rank < size or not local_rank < found.local_size <= size:
            raise ValueError(f"the variables {', '.join(filter(None, names))} say {found}")
        return found
    if _number("PALS_RANKID") is not None and (comm := world()) is not None:
        return _by_mpi("pals", comm)  # PALS with PMIx states no size
    return Launch("alone", 0, 1, 0, 1)


def num_launched() -> int:
    """Processes that an MPI launcher started together with this one; 1 where there is none."""
    if _is_torchrun():  # its processes are no MPI job, whatever started torchrun
        return 1
    for name in _SIZES:
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    size, rank = (os.environ.get(name, "") for name in _SLURM)
    if size.isdigit() and rank.isdigit():
        return int(size)
    return _mpi().COMM_WORLD.Get_size() if _number("PALS_RANKID") is not None else 1


def world() -> Communicator | None:
    """The communicator of all processes of an MPI job; None alone, and under torchrun.

    Raises:
        ValueError: started by an MPI launcher, but mpi4py is not installed, or sees one process.
    """
    launched = num_launched()
    if launched == 1:
        return None
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # no mpi4py; no MPI library for it to load
        raise ValueError(
            f"started as one of {launched} processes, but MPI cannot be used ({error}); "
            "install hydracalc[mpi] with an MPI library"
        ) from None
    if MPI.COMM_WORLD.Get_size() != launched:
        raise ValueError(
            f"the launcher started {launched} processes, but mpi4py sees "
            f"{MPI.COMM_WORLD.Get_size()}: it was built for another MPI than the launcher's"
        )
    return cast(Communicator, MPI.COMM_WORLD)


def start(backend: str = "auto", *, timeout_s: float = 600.0) -> Launch:
    """Let the processes that were started together find each other. Collective over the world.

    After it, `torch.distributed` is ready. A process started alone needs nothing and gets nothing.
    MPI waits for a missing process for ever; `hydracalc.parallel.ending.joined` does not.

    Args:
        backend: "gloo" on processors, "nccl" on GPUs (RCCL on AMD's), "xccl" on Intel's; "auto"
            takes that of the accelerator that is there.
        timeout_s: how long a process waits for another before it takes it for lost.

    Raises:
        ValueError: no such backend or device, or no way to find the other processes.
        TimeoutError: another process did not come in time.
    """
    launch = detect()
    chosen, device = _place(backend, launch)
    launch = replace(launch, device=device)
    if launch.size == 1:
        return launch
    import torch
    import torch.distributed as dist

    timeout = timedelta(seconds=timeout_s)
    try:
        store = _meet(launch, timeout)
        dist.init_process_group(
            chosen,
            store=store,
            rank=launch.rank,
            world_size=launch.size,
            timeout=timeout,
            device_id=None if device == "cpu" else torch.device(device),
        )
    except dist.DistError as error:
        first = str(error).splitlines()[0]
        raise TimeoutError(
            f"rank {launch.rank} of {launch.size} ({launch.kind}) found no connection to the "
            f"others within {timeout_s:g} s: {first}"
        ) from error
    return replace(launch, store=store)


def stop(launch: Launch) -> None:
    """Part in good order, when all are done. Collective over the world."""
    import torch.distributed as dist

    if launch.store is not None and dist.is_initialized():
        dist.barrier()  # rank 0 keeps the store: it must not leave before the others are done
        dist.destroy_process_group()


def abort(launch: Launch, code: int) -> NoReturn:
    """End this process at once, and the whole job where the launcher has a way to do that."""
    sys.stdout.flush()
    if launch.kind != "torchrun" and "mpi4py.MPI" in sys.modules:
        from mpi4py import MPI

        if MPI.Is_initialized() and not MPI.Is_finalized() and MPI.COMM_WORLD.Get_size() > 1:
            MPI.COMM_WORLD.Abort(code)
    os._exit(code)


def _number(name: str) -> int | None:
    value = os.environ.get(name, "")
    return int(value) if value.isdigit() else None


def _has_address() -> bool:
    return bool(os.environ.get("MASTER_ADDR")) and _number("MASTER_PORT") is not None


def _is_torchrun() -> bool:
    return all(os.environ.get(name) for name in _TORCHRUN)


def _mpi() -> Any:  # noqa: ANN401  # the module mpi4py.MPI
    """The module mpi4py.MPI.

    Raises:
        ValueError: it is not there, or has no MPI library.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise ValueError(
            f"PALS started this process, but MPI cannot be used ({error}); "
            "install hydracalc[mpi] with an MPI library"
        ) from None
    return MPI


def _by_mpi(kind: Kind, comm: Communicator) -> Launch:
    """Who this process is, as MPI has it."""
    machines = comm.allgather(socket.gethostname())
    rank, here = comm.Get_rank(), socket.gethostname()
    local_rank = machines[:rank].count(here)
    return Launch(kind, rank, len(machines), local_rank, machines.count(here))


def _slurm_local_size() -> int | None:
    """Tasks of the step on this machine, from a list such as 4(x2),3."""
    machine = _number("SLURM_NODEID")
    counts: list[int] = []
    for count, times in re.findall(
        r"(\d+)(?:\(x(\d+)\))?", os.environ.get("SLURM_STEP_TASKS_PER_NODE", "")
    ):
        counts += [int(count)] * int(times or 1)
    return counts[machine] if machine is not None and machine < len(counts) else None


def first_host(nodes: str) -> str:
    """The first name of Slurm's list of machines, such as nid[001234-001237,002000],login3.

    Raises:
        ValueError: the list has no name.
    """
    # commas inside brackets part numbers, those outside part names; numbers keep their zeros
    match = re.match(r"(?:[^,\[\]]|\[[^\]]*\])+", nodes)
    if match is None:
        raise ValueError(f"Slurm's list of machines is {nodes!r}, expected names")
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", match[0])


def _place(backend: str, launch: Launch) -> tuple[str, str]:
    """Backend in torch's words and the device of this process."""
    import torch

    if backend != "auto" and backend not in BACKENDS:
        raise ValueError(unknown("backend", backend, ("auto", *BACKENDS)))
    counts = {"cuda": torch.cuda.device_count(), "xpu": torch.xpu.device_count(), "cpu": 1}
    if backend == "auto":
        backend = next(name for name in ("nccl", "xccl", "gloo") if counts[BACKENDS[name]])
    kind = BACKENDS[backend]
    if kind == "cpu":
        return "gloo", "cpu"
    count = counts[kind]
    # a launcher that binds shows each process its own GPU alone, as number 0
    index = launch.local_rank if count > 1 else 0
    if index >= count:
        raise ValueError(
            f"rank {launch.rank} is number {launch.local_rank} of {launch.local_size} on this "
            f"machine, which has {count} devices {kind!r}; start at most one process for each"
        )
    torch.get_device_module(kind).set_device(index)
    return f"cpu:gloo,{kind}:{backend}", f"{kind}:{index}"


def _meet(launch: Launch, timeout: timedelta) -> "Store":
    """The store that all processes of the job share."""
    import torch.distributed as dist

    if launch.kind == "torchrun":
        store, _, _ = next(dist.rendezvous("env://", timeout=timeout))
        return cast("Store", store)
    host, port = os.environ.get("MASTER_ADDR", ""), _number("MASTER_PORT") or 0
    if not (host and port):
        try:
            comm: Communicator | None = world()
        except ValueError:
            if launch.kind != "srun":
                raise
            comm = None  # srun lists the machines, so that MPI is not needed to meet
        if comm is not None:
            return _meet_by_mpi(launch, comm, timeout)
        host, port = host or _slurm_host(launch), port or _slurm_port()
    return dist.TCPStore(
        host, port, is_master=launch.is_root, timeout=timeout, wait_for_workers=False
    )


def _meet_by_mpi(launch: Launch, comm: Communicator, timeout: timedelta) -> "Store":
    """Rank 0 opens a port that is free and tells the others where."""
    import torch.distributed as dist

    host = os.environ.get("MASTER_ADDR") or (
        "localhost" if launch.local_size == launch.size else socket.gethostname()
    )
    store = None
    if launch.is_root:
        store = dist.TCPStore(host, 0, is_master=True, timeout=timeout, wait_for_workers=False)
    host, port = comm.bcast((host, store.port if store is not None else 0))
    if store is not None:
        return store
    return dist.TCPStore(host, port, is_master=False, timeout=timeout, wait_for_workers=False)


def _slurm_host(launch: Launch) -> str:
    nodes = os.environ.get("SLURM_STEP_NODELIST") or os.environ.get("SLURM_JOB_NODELIST")
    if not nodes:
        raise ValueError(
            f"srun started {launch.size} processes, but neither mpi4py nor SLURM_JOB_NODELIST is "
            "there to find the first; set MASTER_ADDR and MASTER_PORT"
        )
    return first_host(nodes)


def _slurm_port() -> int:
    """A port that steps running beside each other on a machine do not share."""
    job, step = _number("SLURM_JOB_ID") or 0, _number("SLURM_STEP_ID") or 0
    return 20000 + (31 * job + step) % 10000
