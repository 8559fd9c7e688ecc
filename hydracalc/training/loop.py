"""The training loop: steps, validations, and the position that a run goes on from."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from hydracalc.devices import device_of
from hydracalc.graphs.batches import budget_batches
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.hydra import HydraModel
from hydracalc.training.ema import AveragedWeights, EMAConfig
from hydracalc.training.log import RunLog, in_words
from hydracalc.training.loss import Loss, LossConfig, Residuals
from hydracalc.training.metrics import ErrorSums
from hydracalc.training.optimizer import OptimizerConfig, build_optimizer
from hydracalc.training.prefetch import prefetched
from hydracalc.training.sampler import BranchSampler, SamplerConfig
from hydracalc.training.schedule import ScheduleConfig, learning_rate_factor
from hydracalc.training.source import Batch, GraphSource
from hydracalc.training.state import Position, load_state, save_state
from hydracalc.training.step import NonFiniteError, batch_residuals, blame, train_step


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How long a run is and how often it reports.

    The run ends with the first of its limits, and the learning rate is down by then.

    Attributes:
        epochs: passes over as many structures as there are.
        max_steps: limit on updates; None is no limit.
        max_minutes: limit on time; None is no limit. The result then depends on the machine.
        log_every: steps between reports of the training errors.
        validate_every: steps between validations; the state is saved with each.
        validation_structures: of each branch, chosen once; None takes all.
        seed: of the first weights and of all orders.
        dtype: "float32" or "float64".
        device: "auto", "cpu", "cuda", ...
    """

    epochs: int = 100
    max_steps: int | None = None
    max_minutes: float | None = None
    log_every: int = 100
    validate_every: int = 1000
    validation_structures: int | None = 500
    seed: int = 0
    dtype: str = "float32"
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("epochs", "max_steps", "log_every", "validate_every", "validation_structures"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}, expected at least 1")
        if self.max_minutes is not None and self.max_minutes <= 0:
            raise ValueError(f"max_minutes is {self.max_minutes}, expected a positive number")
        if self.dtype not in ("float32", "float64"):
            raise ValueError(f"dtype is {self.dtype!r}, expected 'float32' or 'float64'")


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Everything that decides how a given model is trained on given data."""

    training: TrainingConfig = field(default_factory=TrainingConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    ema: EMAConfig = field(default_factory=EMAConfig)


class Trainer:
    """Trains a model on one process.

    Args:
        model: changed in place.
        plan: how.
        training: structures to learn from.
        validation: structures that are only looked at; None where there are none.
        branch_weights: what an average label of each branch counts, (B,).
        folder: where state.safetensors and metrics.jsonl go; None writes nothing.
    """

    def __init__(
        self,
        model: HydraModel,
        plan: TrainingPlan,
        *,
        training: GraphSource,
        validation: GraphSource | None,
        branch_weights: Sequence[float],
        folder: Path | None = None,
    ) -> None:
        self.plan = plan
        self.device = device_of(plan.training.device)
        self.model = model.to(self.device, getattr(torch, plan.training.dtype)).train()
        self.training = training
        self.validation = validation
        self.folder = folder
        self.loss = Loss(plan.loss, branch_weights)
        self.optimizer = build_optimizer(self.model, plan.optimizer)
        self.average = AveragedWeights(self.model, plan.ema)
        self.position = Position()
        self.best: dict[str, torch.Tensor] | None = None
        self.sampler = BranchSampler(
            training.branch_of,
            training.num_atoms,
            training.num_edges() if plan.sampler.max_edges is not None else None,
            config=plan.sampler,
            seed=plan.training.seed,
        )
        self._errors = ErrorSums(model.branch_names)
        self._objectives: list[float] = []
        self._started = time.perf_counter()

    @property
    def state_path(self) -> Path | None:
        """File of the train state."""
        return None if self.folder is None else self.folder / "state.safetensors"

    def averaged(self) -> AbstractContextManager[None]:
        """Inside, the model has its averaged weights."""
        return self.average.applied(self.model)

    def resume(self) -> None:
        """Go on from the state in the folder.

        Raises:
            ValueError: there is none.
            DataError: it is damaged or of another model.
        """
        if self.state_path is None:
            raise ValueError("a run without a folder has no state to resume from")
        self.position = load_state(
            self.state_path, model=self.model, average=self.average, optimizer=self.optimizer
        )

    def run(self) -> None:
        """Train to the end of the plan.

        Raises:
            NonFiniteError: a loss or gradient is not finite; the message names the structures.
        """
        path = None if self.folder is None else self.folder / "metrics.jsonl"
        self._started = time.perf_counter() - self.position.seconds
        with RunLog(path, resumed_at=self.position.step) as log:
            while not self.is_done():
                self._epoch(log)
            if self.position.step % self.plan.training.validate_every:
                self._validate(log)

    def is_done(self) -> bool:
        """Whether a limit of the plan is reached."""
        limits, position = self.plan.training, self.position
        return (
            position.epoch >= limits.epochs
            or (limits.max_steps is not None and position.step >= limits.max_steps)
            or (limits.max_minutes is not None and position.seconds >= 60 * limits.max_minutes)
        )

    def _epoch(self, log: RunLog) -> None:
        """The rest of the epoch that is under way."""
        batches = self.sampler.batches(self.position.epoch)
        left = batches[self.position.batch :]
        for batch in prefetched(self.training.batch, left):
            progress = self._progress(len(batches))
            report = self._step(batch, progress)
            self._objectives.append(report)
            last = self.position.batch + 1 == len(batches)
            self.position = replace(
                self.position,
                step=self.position.step + 1,
                epoch=self.position.epoch + last,
                batch=0 if last else self.position.batch + 1,
                seconds=time.perf_counter() - self._started,
            )
            log.advance(progress, f"step {self.position.step}, loss {report:.4f}")
            self._report(log)
            if self.is_done():
                return

    def _step(self, batch: Batch, progress: float) -> float:
        """Update the weights and their average; returns the objective before the update."""
        config = self.plan.optimizer
        rate = config.learning_rate * learning_rate_factor(progress, self.plan.schedule)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        try:
            report = train_step(
                self.model,
                batch.graph.to(self.device),
                loss=self.loss,
                optimizer=self.optimizer,
                clip_norm=config.clip_norm,
                errors=self._errors,
            )
        except NonFiniteError as error:
            names = blame(self.model, batch, source=self.training, loss=self.loss)
            who = f"structures {names}" if names else f"only together: {batch.graph.describe()}"
            raise NonFiniteError(f"step {self.position.step}: {error}; {who}") from None
        self.average.update(self.model)
        return report.objective

    def _progress(self, num_batches: int) -> float:
        """Part of the run that is done after the coming step, by whichever limit is nearest."""
        limits, position = self.plan.training, self.position
        parts = [(position.epoch + (position.batch + 1) / num_batches) / limits.epochs]
        if limits.max_steps is not None:
            parts.append((position.step + 1) / limits.max_steps)
        if limits.max_minutes is not None:
            parts.append(position.seconds / (60 * limits.max_minutes))
        return max(parts)

    def _report(self, log: RunLog) -> None:
        config, step = self.plan.training, self.position.step
        validates = step % config.validate_every == 0
        if step % config.log_every == 0 or validates:
            self._log_training(log)
        if validates:
            self._validate(log)

    def _log_training(self, log: RunLog) -> None:
        """Report the errors of the steps since the last report, and begin anew."""
        metrics = self._errors.to_json()
        mean = sum(self._objectives) / len(self._objectives)
        rate = self.optimizer.param_groups[0]["lr"]
        log.write(self._place("training") | {"learning_rate": rate, "loss": mean} | metrics)
        minutes = self.position.seconds / 60
        log.say(f"step {self.position.step}, {minutes:.1f} min, loss {mean:.4f}")
        self._errors = ErrorSums(self.model.branch_names)
        self._objectives = []

    def _validate(self, log: RunLog) -> None:
        """Measure the averaged weights, remember the best, save the state."""
        if self._objectives:
            self._log_training(log)
        if self.validation is not None:
            with self.averaged():
                score, errors = validate(self.model, self.validation, loss=self.loss)
                if score < self.position.best_score:
                    self.position = replace(
                        self.position, best_score=score, best_step=self.position.step
                    )
                    self.best = {n: p.detach().clone() for n, p in self.average.parameters.items()}
            metrics = errors.to_json()
            log.write(self._place("validation") | {"loss": score} | metrics)
            log.say(f"step {self.position.step}, validation loss {score:.4f}: {in_words(metrics)}")
        self.position = replace(self.position, seconds=time.perf_counter() - self._started)
        self.save()
