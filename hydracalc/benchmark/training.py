"""Time of a training step: energies and forces of small molecules, from loss to new weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hydracalc import references
from hydracalc.benchmark import clock
from hydracalc.benchmark.clock import Effort, Timing
from hydracalc.card import Card, Labels
from hydracalc.graphs.collate import collate
from hydracalc.models.branches import BranchSpec
from hydracalc.models.hydra import HydraConfig, HydraModel
from hydracalc.structure import AtomicStructure
from hydracalc.training.config import TrainerConfig
from hydracalc.training.loop import Trainer
from hydracalc.training.sampler import BranchShare, TrainingSet

BRANCH = "bench"
ELEMENTS = {"H": 1, "C": 6, "N": 7, "O": 8}

# 32 such boxes have 7,814 edges at 5 Angstrom
_SIDE = 6.498  # Angstrom
_NEAREST = 0.9  # Angstrom


@dataclass(frozen=True, kw_only=True)
class TrainingTime:
    """Steps of the trainer on one batch, again and again.

    Attributes:
        encoder: by name.
        num_channels, num_layers, num_radial: its shape.
        num_structures, num_atoms, num_edges: of the batch.
        num_parameters: of the model.
        timing: of single steps, ms.
    """

    encoder: str
    num_channels: int
    num_layers: int
    num_radial: int
    num_structures: int
    num_atoms: int
    num_edges: int
    num_parameters: int
    timing: Timing


def clusters(count: int = 32, num_atoms: int = 20, seed: int = 0) -> list[AtomicStructure]:
    """Random clusters of H, C, N and O with random energies and forces: no more is to be learned.

    Args:
        count: S.
        num_atoms: of each.
        seed: of everything.
    """
    rng = np.random.default_rng(seed)
    places = [_scattered(num_atoms, rng) for _ in range(count)]
    return [
        AtomicStructure(
            atomic_numbers=rng.choice(list(ELEMENTS.values()), num_atoms),
            positions=positions,
            energy=float(rng.normal()),
            forces=rng.normal(size=(num_atoms, 3)),
            branch=BRANCH,
            group=str(index),
            source=f"cluster {index}",
        )
        for index, positions in enumerate(places)
    ]


class TrainingStep:
    """A new model of a given shape, and the library's trainer with one batch for it.

    Args:
        config: shape of the model.
        structures: the batch, as `clusters` makes them.
        device: where model and batch are.
        seed: of the weights.
    """

    def __init__(
        self,
        config: HydraConfig,
        structures: Sequence[AtomicStructure],
        *,
        device: torch.device,
        seed: int = 0,
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = HydraModel(config, [_branch(len(structures))]).to(device)
        data = TrainingSet(structures, branch_names=model.branch_names, cutoff=config.cutoff)
        self.trainer = Trainer(
            model, data, validation=None, branches=[BranchShare()], config=TrainerConfig()
        )
        self.graph = collate(
            structures, config.cutoff, branches={name: 0 for name in model.branch_names}
        ).to(device)

    def __call__(self) -> float:
        """One step; the objective before it."""
        return self.trainer.step(self.graph).objective


def time_training(step: TrainingStep, *, effort: Effort, device: torch.device) -> TrainingTime:
    """Time of a step of training."""
    times = clock.interleaved({"step": step}, effort=effort, device=device)["step"]
    config, graph = step.trainer.model.config, step.graph
    return TrainingTime(
        encoder=config.encoder,
        num_channels=config.num_channels,
        num_layers=config.num_layers,
        num_radial=config.num_radial,
        num_structures=graph.num_structures,
        num_atoms=graph.num_atoms,
        num_edges=graph.num_edges,
        num_parameters=sum(p.numel() for p in step.trainer.model.parameters()),
        timing=clock.summary(times),
    )


def _scattered(count: int, rng: np.random.Generator) -> np.ndarray:
    """Points in a cube, none too near to another, Angstrom, (count, 3)."""
    points = np.zeros((0, 3))
    while len(points) < count:
        point = rng.uniform(0, _SIDE, 3)
        if (np.linalg.norm(points - point, axis=1) >= _NEAREST).all():
            points = np.vstack([points, point])
    return points


def _branch(num_structures: int) -> BranchSpec:
    card = Card(
        branch=BRANCH,
        title="random clusters",
        theory="random labels",
        labels=Labels(energy="eV", forces="eV/Angstrom"),
        group="structure",
        elements=tuple(ELEMENTS),
        license="CC0-1.0",
    )
    zero = references.from_json(dict.fromkeys(ELEMENTS, 0.0))
    return BranchSpec(name=BRANCH, card=card, references=zero, num_structures=num_structures)
