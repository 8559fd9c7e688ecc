"""Which structures of a batch each rank computes: of its group's branches, shared evenly."""

import numpy as np

from hydracalc.parallel.mesh import BranchMesh
from hydracalc.training.balance import BalanceConfig, Balancer
from hydracalc.training.sampler import SamplerConfig
from hydracalc.training.structure_set import Census, StructureSet


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
        balance: how work is made equal.
    """

    def __init__(
        self,
        mesh: BranchMesh,
        data: StructureSet,
        *,
        num_branches: int,
        balance: BalanceConfig,
    ) -> None:
        """Collective over the world: numbers of atoms and edges are told to all."""
        self.mesh = mesh
        num_edges = data.num_edges  # counted by all ranks of the group
        own = None
        if mesh.is_first:
            own = {
                branch: (data.num_atoms[chosen], num_edges[chosen])
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
        self._balancer = Balancer(self.census, groups=mesh.groups, config=balance)

    def batches(self, draws: np.ndarray, config: SamplerConfig, epoch: int) -> list[np.ndarray]:
        """Structures of the run in every batch of an epoch, equal on all ranks.

        Args:
            draws: of the sampler.
            config: budgets of each rank, and the seed.
            epoch: of the draws.
        """
        return self._balancer.cut(
            draws,
            max_atoms=config.max_atoms,
            max_edges=config.max_edges,
            seed=config.seed,
            epoch=epoch,
        )

    def own(self, batch: np.ndarray, turn: int) -> np.ndarray:
        """Places in this rank's data of its part of a batch; it may be none.

        Args:
            batch: structures of the run.
            turn: number of the batch, which spreads what cannot be shared evenly.
        """
        return self._place[self._balancer.divide(batch, turn=turn)[self.mesh.rank]]
