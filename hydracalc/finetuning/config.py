"""What decides a fine-tuning, and the defaults that follow from the size of the data."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from hydracalc.training.config import TrainerConfig, TrainingConfig
from hydracalc.training.ema import EmaConfig
from hydracalc.training.loss import LossConfig
from hydracalc.training.sampler import SamplerConfig
from hydracalc.training.schedule import ScheduleConfig

# steps for 100 structures; they grow with the structures' number to this power
_STEPS = 2500
_GROWTH = 0.35
_FEWEST_STEPS = 800
# structures of a batch: a part of all of them, within bounds
_PART_OF_DATA = 0.2
_SMALLEST_BATCH, _LARGEST_BATCH = 2, 12
_MOST_ATOMS = 384
# highest learning rates, by method
_LEARNING_RATES = {"full": 1e-3, "heads": 3e-3, "lora": 3e-3, "scratch": 1e-2}
_VALIDATIONS = 40  # in a run


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """How a branch is fine-tuned. A number that is 0 by default follows from the data.

    Attributes:
        method: "full" trains all weights, "heads" the new branch alone, "lora" changes of low rank
            of the encoder and the new branch; "scratch" trains all weights of a model of the same
            shape that begins with random ones and has the new branch alone, for comparison.
        from_branch: branch that the new one begins as; "" takes the one whose forces on the
            training data are best before.
        new_branch: its name.
        references: "refit" (the least change of the old branch's that fits the data), "kept",
            "isolated" (structures of one atom among the data), or a JSON file of eV by symbol.
        rank, alpha: of "lora".
        targets: patterns of names of the encoder's linear maps that "lora" changes.
        val_fraction: of the data, to choose the weights by; where no validation data are given.
        steps: updates of the weights.
        minutes: end earlier, with the learning rate down by then.
        patience: validations without a better one before the end.
        learning_rate: highest.
        batch_structures: structures of the new branch in a step, about.
        replay_share: structures of replayed branches per structure of the new one.
        seed: of the split, of the order, of low-rank changes, and of random weights.
        loss: which errors matter how much.
        ema: of the weights.
    """

    method: Literal["full", "heads", "lora", "scratch"] = "full"
    from_branch: str = ""
    new_branch: str = "finetuned"
    references: str = "refit"
    rank: int = 8
    alpha: float = 8.0
    targets: tuple[str, ...] = ("*",)
    val_fraction: float = 0.1
    steps: int = 0
    minutes: float = 20.0
    patience: int = 15
    learning_rate: float = 0.0
    batch_structures: int = 0
    replay_share: float = 0.5
    seed: int = 0
    loss: LossConfig = field(
        default_factory=lambda: LossConfig(
            energy_weight=2.0, forces_weight=2.0, stress_weight=4.0, energy_delta=0.01
        )
    )
    ema: EmaConfig = field(default_factory=lambda: EmaConfig(decay=0.99))

    def __post_init__(self) -> None:
        for name in ("steps", "learning_rate", "batch_structures", "replay_share"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, must not be negative")
        if not 0 < self.val_fraction < 1:
            raise ValueError(f"val_fraction is {self.val_fraction}, expected between 0 and 1")
        if not self.minutes > 0 or self.patience < 1:
            raise ValueError(
                f"minutes is {self.minutes} and patience {self.patience}, both must be positive"
            )


def trainer_config(
    config: FinetuneConfig, *, num_atoms: np.ndarray, num_edges: np.ndarray, num_replayed: int
) -> TrainerConfig:
    """The settings of a trainer for so much data.

    Args:
        config: of the fine-tuning.
        num_atoms: atoms of each training structure of the new branch, (S,).
        num_edges: edges of each, (S,).
        num_replayed: structures of other branches that are trained along.
    """
    count = len(num_atoms)
    part = int(np.clip(round(_PART_OF_DATA * count), _SMALLEST_BATCH, _LARGEST_BATCH))
    wanted = config.batch_structures or part
    steps = config.steps or max(_FEWEST_STEPS, round(_STEPS * (count / 100) ** _GROWTH))
    drawn = count + num_replayed
    # room for the replayed ones of the same step, too
    together = wanted * (1 + config.replay_share * (num_replayed > 0))
    max_atoms = int(max(num_atoms.max(), min(together * num_atoms.mean(), _MOST_ATOMS)))
    max_edges = int(max(num_edges.max(), 1.5 * max_atoms * num_edges.sum() / num_atoms.sum()))
    in_batch = max(1.0, min(max_atoms / num_atoms.mean(), drawn))
    per_epoch = max(1.0, drawn / in_batch)
    epochs = max(1, round(steps / per_epoch))
    return TrainerConfig(
        training=TrainingConfig(
            epochs=epochs,
            max_minutes=config.minutes,
            validate_every=max(1, epochs // _VALIDATIONS),
            weight_decay=0.0,
        ),
        schedule=ScheduleConfig(
            learning_rate=config.learning_rate or _LEARNING_RATES[config.method],
            warmup_steps=max(1, min(100, steps // 10)),
        ),
        loss=config.loss,
        sampler=SamplerConfig(
            alpha=1.0, max_atoms=max_atoms, max_edges=max_edges, seed=config.seed
        ),
        ema=config.ema,
    )
