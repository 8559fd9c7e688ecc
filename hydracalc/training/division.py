"""Which structures of a batch each rank computes: of its group's branches, shared evenly."""

import numpy as np

from hydracalc.parallel.mesh import BranchMesh
from hydracalc.training.sampler import Census, TrainingSet

# cost of a structure in a training step, in units of one edge
_PER_ATOM = 4.0
_PER_STRUCTURE = 20.0


class Division:
    """Shares batches of all branches among the ranks of a mesh.

    Structures are numbered over the whole run: branch by branch as the recipe has them, and within
    a branch as they are stored. Every rank has the structures of its group's branches.

    Attributes:
        census: of all structures of the run.

    Args:
        mesh: this rank among the others.
        data: training structures of this group's branches.
        num_branches: of the run.
    """

    def __init__(self, mesh: BranchMesh, data: TrainingSet, *, num_branches: int) -> None:
        """Collective over the world: numbers of atoms and edges are told to all."""
        self.mesh = mesh
        own = None
        if mesh.is_first:
            own = {
                branch: (data.num_atoms[chosen], data.num_edges[chosen])
                for place, branch in enumerate(mesh.group.branches)
                for chosen in [data.branch_index == place]
            }
        told = {b: sizes for part in mesh.all_gather(own) if part for b, sizes in part.items()}
        branches = range(num_branches)
        counts = [len(told[branch][0]) for branch in branches]
        self.census = Census(
            branch_index=np.repeat(np.arange(num_branches), counts),
            num_atoms=np.concatenate([told[branch][0] for branch in branches]),
            num_edges=np.concatenate([told[branch][1] for branch in branches]),
        )
        self._place = np.full(len(self.census), -1)  # in `data`, of those that are here
        for place, branch in enumerate(mesh.group.branches):
            self._place[self.census.branch_index == branch] = np.flatnonzero(
                data.branch_index == place
            )
        self._costs = self.census.num_edges + _PER_ATOM * self.census.num_atoms + _PER_STRUCTURE
        self._group_of = np.empty(num_branches, dtype=int)
        for number, group in enumerate(mesh.groups):
            self._group_of[list(group.branches)] = number

    def own(self, batch: np.ndarray, seed: int) -> np.ndarray:
        """Places in this rank's data of its part of a batch; it may be none.

        Args:
            batch: structures of the run.
            seed: decides between ranks whose parts cost the same; equal on all ranks.
        """
        group = self.mesh.groups.index(self.mesh.group)
        members = batch[self._group_of[self.census.branch_index[batch]] == group]
        ranks = len(self.mesh.group.ranks)
        if ranks == 1:
            return self._place[members]
        # the costliest first, each to the rank that has least; ties go round with the seed
        order = np.argsort(-self._costs[members], kind="stable")
        loads = np.zeros(ranks)
        owner = np.empty(len(members), dtype=int)
        for index in order:
            rank = int((np.argmin(np.roll(loads, -seed % ranks)) + seed) % ranks)
            owner[index] = rank
            loads[rank] += self._costs[members[index]]
        return self._place[members[owner == self.mesh.rank - self.mesh.group.ranks[0]]]
