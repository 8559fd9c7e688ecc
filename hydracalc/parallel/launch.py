"""How this process was started: alone, or as one of many by mpiexec, srun or PALS."""

import os
from typing import Any, Protocol, cast

# size of the job as MPICH, Intel MPI and Cray (PMI), Open MPI, and PALS state it
_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "PALS_SIZE", "MPI_LOCALNRANKS")
# srun states a size for every step; a shell inside an allocation has it too, but no step rank
_SLURM = ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID")


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


def num_launched() -> int:
    """Processes that an MPI launcher started together with this one; 1 where there is none."""
    for name in _SIZES:
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    size, rank = (os.environ.get(name, "") for name in _SLURM)
    return int(size) if size.isdigit() and rank.isdigit() else 1


def world() -> Communicator | None:
    """The communicator of all processes of an MPI job; None in a process started alone.

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
