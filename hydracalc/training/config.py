"""What decides a training run, given model and data."""

from dataclasses import dataclass, field
from typing import Literal

from hydracalc.models import precision
from hydracalc.training.balance import BalanceConfig
from hydracalc.training.ema import EmaConfig
from hydracalc.training.loss import LossConfig
from hydracalc.training.sampler import SamplerConfig
from hydracalc.training.schedule import ScheduleConfig


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How long and how carefully.

    Attributes:
        epochs: passes over as many structures as there are.
        max_minutes: end earlier, with the learning rate down by then; None trains all epochs. The
            result then depends on the machine's speed.
        gradient_clip: largest norm of the gradient.
        weight_decay: of AdamW, on matrices; not on biases and embeddings.
        validate_every: epochs between validations.
        save_minutes: the state is saved when so much time has gone since it was, and after every
            epoch: a killed run loses no more.
        precision: of features and matrix products. With "bfloat16" only the products are in that
            type; the weights that are trained, and their file, are float32.
    """

    epochs: int = 100
    max_minutes: float | None = None
    gradient_clip: float = 10.0
    weight_decay: float = 1e-3
    validate_every: int = 1
    save_minutes: float = 10.0
    precision: Literal["bfloat16", "float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.validate_every < 1:
            raise ValueError(f"training {self}: epochs and validate_every must be at least 1")
        if not (self.gradient_clip > 0 and self.save_minutes >= 0):
            raise ValueError(
                f"training {self}: gradient_clip must be positive, save_minutes not negative"
            )
        precision.find(self.precision)


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """Everything that decides a run, given model and data."""

    training: TrainingConfig = field(default_factory=TrainingConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    ema: EmaConfig = field(default_factory=EmaConfig)
    balance: BalanceConfig = field(default_factory=BalanceConfig)
