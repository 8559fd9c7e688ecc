"""The three layouts side by side: memory of a rank, time of a step, and which to take."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from hydracalc.parallel.mesh import Group, MeshConfig, lay_out
from hydracalc.planning.calibration import Calibration
from hydracalc.planning.memory import (
    EDGE_BYTES,
    GB,
    MemoryUse,
    activation_bytes,
    model_bytes,
)
from hydracalc.planning.networks import NETWORKS, Algorithm, Network, all_reduce_seconds
from hydracalc.planning.sizes import ModelSize
from hydracalc.planning.split import StepSplit
from hydracalc.planning.workload import Workload

Layout = Literal["base", "multitask", "hybrid"]
LAYOUTS: tuple[Layout, ...] = ("base", "multitask", "hybrid")

# numbers of labels, which gradients there are, the report, whether to save: each a kilobyte at most
_SMALL_SUMS = 4
_SMALL_BYTES = 1024

# a layout that is faster by less than this is not worth its constraints
_TIE = 0.02


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What ranks run on.

    Attributes:
        network: between them.
        algorithm: of sums.
        flops_per_s: that a rank sustains in matrix products; None is what was measured here.
        overlap: part of the compute time behind which sums of gradients hide, 0 to 1.
        device_memory, host_memory: bytes of a rank; None does not look.
        width: ranks that share one copy of their group's structures; 0 is all of the group.
    """

    network: Network = field(default_factory=lambda: NETWORKS["gloo"])
    algorithm: Algorithm = "best"
    flops_per_s: float | None = None
    overlap: float = 0.0
    device_memory: float | None = None
    host_memory: float | None = None
    width: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.overlap <= 1:
            raise ValueError(f"overlap is {self.overlap}, expected from 0 to 1")
        if self.width < 0:
            raise ValueError(f"width is {self.width}, expected 0 or more ranks")
        for name in ("flops_per_s", "device_memory", "host_memory"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} is {value}, expected a positive number")


@dataclass(frozen=True, kw_only=True)
class LayoutPlan:
    """One layout on R ranks.

    Attributes:
        layout: its name.
        groups: ranks and branches.
        memory: of the rank that needs most.
        split: of the time of a step.
        problem: why it cannot run; "" where it can.
    """

    layout: Layout
    groups: tuple[Group, ...]
    memory: MemoryUse
    split: StepSplit
    problem: str

    @property
    def efficiency(self) -> float:
        """Part of the time of a step that ranks compute."""
        return self.split.compute_s / self.split.step_s


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All layouts that are possible, and the one to take.

    Attributes:
        num_ranks: R.
        size: of the model.
        layouts: those that can be laid out.
        impossible: reason by name, of those that cannot.
        choice: name of the one to take; None where none fits.
        reason: in words.
    """

    num_ranks: int
    size: ModelSize
    layouts: tuple[LayoutPlan, ...]
    impossible: dict[str, str]
    choice: str | None
    reason: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """What a run costs on any number of ranks.

    Attributes:
        workload: what is trained.
        size: of its model.
        calibration: costs of a step as measured.
        machine: what it runs on.
    """

    workload: Workload
    size: ModelSize
    calibration: Calibration
    machine: Machine

    def __post_init__(self) -> None:
        self.calibration.check(self.workload.model, self.workload.precision)

    @property
    def speed(self) -> float:
        """How many times faster than measured a rank computes."""
        flops = self.machine.flops_per_s
        return 1.0 if flops is None else flops / self.calibration.flops_per_s

    def compute(self, num_atoms: float, num_edges: float, *, present: float, held: int) -> float:
        """Seconds that a rank computes in a step.

        Starting operations takes the processor as long as measured, whatever computes them.

        Args:
            num_atoms: of its part of the batch.
            num_edges: of its part.
            present: branches that have a structure in it.
            held: branches that it holds.
        """
        costs = self.calibration
        started = costs.step_s + costs.branch_s * present
        work = costs.atom_s * num_atoms + costs.edge_s * num_edges
        work += (costs.touch_s + costs.weight_s) * self.size.parameters(held)
        return started + work / self.speed

    def activations(self, num_atoms: float, num_edges: float) -> float:
        """Bytes at the peak of a step beyond the weights."""
        formula = activation_bytes(
            self.workload.model, num_atoms, num_edges, item_bytes=self.workload.item_bytes
        )
        return self.calibration.activation_ratio * formula

    def collective(self, num_ranks: int, group_ranks: int, held: int) -> float:
        """Seconds of the sums of a step: encoder over the world, branches over the group."""

        def seconds(num_bytes: float, ranks: int) -> float:
            return all_reduce_seconds(
                num_bytes, ranks, self.machine.network, self.machine.algorithm
            )

        item = self.workload.item_bytes
        of_encoder = seconds(item * self.size.encoder, num_ranks)
        of_branches = seconds(item * held * self.size.branch, group_ranks)
        return of_encoder + of_branches + _SMALL_SUMS * seconds(_SMALL_BYTES, num_ranks)

    def groups(self, layout: Layout, num_ranks: int) -> tuple[Group, ...]:
        """Groups of ranks in proportion to the atoms that are drawn of their branches.

        Raises:
            ValueError: the ranks are too few.
        """
        atoms = np.array([branch.atoms for branch in self.workload.branches])
        number = num_hybrid_groups(len(atoms), num_ranks) if layout == "hybrid" else 0
        config = MeshConfig(layout=layout, num_groups=number)
        return lay_out((self.workload.draws() * atoms).tolist(), num_ranks, config)

    def loads(self, groups: tuple[Group, ...], structures: float) -> np.ndarray:
        """Structures, atoms and edges of each rank of each group, (groups, 3).

        Args:
            groups: of all ranks.
            structures: in the whole batch.
        """
        draws = self.workload.draws()
        rows = []
        for group in groups:
            own = structures * draws[list(group.branches)] / len(group.ranks)
            held = [self.workload.branches[branch] for branch in group.branches]
            atoms, edges = [b.atoms for b in held], [b.edges for b in held]
            rows.append((own.sum(), own @ np.array(atoms), own @ np.array(edges)))
        return np.array(rows)

    def memory(self, groups: tuple[Group, ...], structures: float) -> MemoryUse:
        """Of the rank that needs most memory where the model is."""
        uses = [
            self._memory_of(group, load)
            for group, load in zip(groups, self.loads(groups, structures), strict=True)
        ]
        return max(uses, key=lambda use: (use.device, use.host))

    def split(
        self, layout: Layout, groups: tuple[Group, ...], structures: float, *, scaling: str = "weak"
    ) -> StepSplit:
        """Time of a step, all ranks of a group doing the same work.

        Args:
            layout: its name.
            groups: of all ranks.
            structures: in the whole batch.
            scaling: what the row is part of.
        """
        ranks = np.array([len(group.ranks) for group in groups])
        loads = self.loads(groups, structures)
        computes = np.array(
            [
                self.compute(atoms, edges, present=min(len(g.branches), own), held=len(g.branches))
                for g, (own, atoms, edges) in zip(groups, loads, strict=True)
            ]
        )
        sums = np.array(
            [
                self.collective(int(ranks.sum()), int(n), len(g.branches))
                for g, n in zip(groups, ranks, strict=True)
            ]
        )
        made = self.calibration.graph_s * loads[:, 1]
        mean = float(computes @ ranks / ranks.sum())
        summed = max(float(sums.max()) - self.machine.overlap * mean, 0.0)
        longest = float(computes.max())
        # graphs are made ahead by a thread: only what takes longer than a step is waited for
        waited = max(0.0, float(made.max()) - longest - summed)
        return StepSplit(
            source="model",
            run=self.workload.name,
            layout=layout,
            scaling=scaling,  # type: ignore[arg-type]
            ranks=int(ranks.sum()),
            structures=structures,
            compute_s=mean,
            collective_s=summed,
            data_s=waited,
            idle_s=max(0.0, longest - mean),
        )

    def _memory_of(self, group: Group, load: np.ndarray) -> MemoryUse:
        held = [self.workload.branches[branch] for branch in group.branches]
        width = min(self.machine.width or len(group.ranks), len(group.ranks))
        stored = sum(branch.num_structures * branch.structure_bytes for branch in held)
        edges = sum(branch.num_structures * branch.edges for branch in held)
        return MemoryUse(
            activations=round(self.activations(load[1], load[2])),
            structures=round(stored / width),
            neighbors=round(EDGE_BYTES * edges / width),
            **model_bytes(self.size, len(held), item_bytes=self.workload.item_bytes),
        )


def num_hybrid_groups(num_branches: int, num_ranks: int) -> int:
    """Groups of the hybrid layout: about the root of the branches, at least two where possible."""
    return max(1, min(num_ranks, num_branches, max(2, round(num_branches**0.5))))


def plan(model: Model, num_ranks: int) -> Plan:
    """Compare the layouts on R ranks, every rank with its full part of a batch.

    Raises:
        ValueError: there is no rank.
    """
    if num_ranks < 1:
        raise ValueError(f"number of ranks is {num_ranks}, expected at least 1")
    found: list[LayoutPlan] = []
    impossible: dict[str, str] = {}
    structures = num_ranks * model.workload.structures_per_rank()
    for layout in LAYOUTS:
        try:
            groups = model.groups(layout, num_ranks)
        except ValueError as error:
            impossible[layout] = str(error)
            continue
        memory = model.memory(groups, structures)
        found.append(
            LayoutPlan(
                layout=layout,
                groups=groups,
                memory=memory,
                split=model.split(layout, groups, structures),
                problem=_problem(memory, model.machine),
            )
        )
    choice, reason = _choose(found)
    return Plan(
        num_ranks=num_ranks,
        size=model.size,
        layouts=tuple(found),
        impossible=impossible,
        choice=choice,
        reason=reason,
    )


def _problem(memory: MemoryUse, machine: Machine) -> str:
    for name, needed, given in (
        ("device", memory.device, machine.device_memory),
        ("host", memory.host, machine.host_memory),
    ):
        if given is not None and needed > given:
            return f"needs {needed / GB:.3g} GB of {name} memory, there are {given / GB:.3g}"
    return ""


def _choose(found: list[LayoutPlan]) -> tuple[str | None, str]:
    """The fastest that fits; of those that are about as fast, the first in LAYOUTS."""
    fitting = [each for each in found if not each.problem]
    if not fitting:
        return None, "no layout fits: " + "; ".join(f"{x.layout} {x.problem}" for x in found)
    fastest = max(each.split.structures_per_s for each in fitting)
    first = next(x for x in fitting if x.split.structures_per_s >= (1 - _TIE) * fastest)
    others = [
        f"{x.layout} {x.problem or f'{x.split.structures_per_s:.4g} structures/s'}"
        for x in found
        if x is not first
    ]
    words = f"{first.split.structures_per_s:.4g} structures/s"
    if first.split.structures_per_s < fastest:
        words += f", within {100 * _TIE:.0f} % of the fastest and with fewer constraints"
    return first.layout, f"{words}; " + "; ".join(others) if others else words
