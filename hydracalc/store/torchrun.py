"""The place of a process that torchrun started: torch.distributed knows the others, no MPI does."""

import socket
import zlib
from pathlib import Path
from typing import Any

import torch.distributed as dist

from hydracalc.store.places import NO_MPI, Place

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def place_of_group(group: dist.ProcessGroup | None = None, *, no_rma: str = NO_MPI) -> Place:
    """This process among the ranks of a group; None is the world. Collective over the group.

    Args:
        group: of torch.distributed.
        no_rma: why there is no MPI.
    """
    rank, size = dist.get_rank(group), dist.get_world_size(group)

    def gather(own: Any) -> list[Any]:  # noqa: ANN401  # anything can be sent
        heard: list[Any] = [None] * size
        dist.all_gather_object(heard, own, group=group)
        return heard

    everyone = gather((_machine(), Place().token))
    machines = [machine for machine, _ in everyone]
    return Place(
        rank=rank,
        size=size,
        node_rank=machines[:rank].count(machines[rank]),
        node_size=machines.count(machines[rank]),
        node=zlib.crc32(machines[rank].encode()),
        token=everyone[0][1],
        gather=gather,
        no_rma=no_rma,
    )


def _machine() -> str:
    """What tells one machine, and one container on it, from another."""
    boot = _BOOT.read_text() if _BOOT.is_file() else ""
    return f"{socket.gethostname()} {boot.strip()}"
