"""Where a process stands among those that were started with it, whoever started them."""

from collections.abc import Sequence

import torch.distributed as dist

from hydracalc.parallel import launch
from hydracalc.store.places import NO_MPI, Place
from hydracalc.store.torchrun import place_of_group


def place_among(groups: Sequence[Sequence[int]], *, timeout_s: float) -> Place:
    """This process among the ranks of its group: by MPI where it started them.

    Collective over the world.

    Args:
        groups: ranks of each group, ascending; every rank is in one of them.
        timeout_s: a wait for another rank that takes longer ends the job.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return Place()
    no_rma = NO_MPI
    try:
        comm = launch.world()
    except ValueError as error:  # srun starts processes that find each other without MPI, too
        comm, no_rma = None, f"cannot be had: {error}"
    if comm is not None:
        from hydracalc.store.windows import place_of  # needs MPI, which need not be there

        number = next(n for n, ranks in enumerate(groups) if dist.get_rank() in ranks)
        return place_of(comm, timeout_s=timeout_s, group=number)
    if len(groups) == 1:
        return place_of_group(no_rma=no_rma)
    # objects are gathered on processors, whatever gradients are summed on
    own, _ = dist.new_subgroups_by_enumeration([list(ranks) for ranks in groups], backend="gloo")
    return place_of_group(own, no_rma=no_rma)
