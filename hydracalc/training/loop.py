"""The training loop: one step, one epoch, the whole run."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from hydracalc.errors import DataError
from hydracalc.graphs.batches import budget_batches
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models import precision
from hydracalc.models.hydra import HydraModel
from hydracalc.training.ema import EmaConfig, MovingAverage
from hydracalc.training.log import RunLog, flattened
from hydracalc.training.loss import LossConfig, objective, residuals
from hydracalc.training.metrics import MAE_KEYS, BranchMetrics
from hydracalc.training.sampler import BranchSampler, SamplerConfig, TrainingSet, prefetch
from hydracalc.training.schedule import ScheduleConfig, learning_rate
from hydracalc.training.state import Position, load_state, save_state


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
        precision: of features and matrix products. With "bfloat16" only the products are in that
            type; the weights that are trained, and their file, are float32.
    """

    epochs: int = 100
    max_minutes: float | None = None
    gradient_clip: float = 10.0
    weight_decay: float = 1e-3
    validate_every: int = 1
    precision: Literal["bfloat16", "float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.validate_every < 1 or self.gradient_clip <= 0:
            raise ValueError(
                f"training {self}: epochs and validate_every must be at least 1, "
                "gradient_clip positive"
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


@dataclass(frozen=True, kw_only=True)
class BranchShare:
    """How much a branch counts.

    Attributes:
        weight: of its labels in the loss.
        share: factor on how often its structures are drawn.
    """

    weight: float = 1.0
    share: float = 1.0


class Trainer:
    """Trains a model on one process.

    Args:
        model: changed in place, to the precision of the config first.
        data: training structures.
        validation: structures that are only looked at; may be None.
        branches: weight and share of each branch, B of them.
        config: how.
        folder: where the state and metrics.jsonl go; None writes nothing.
    """

    def __init__(
        self,
        model: HydraModel,
        data: TrainingSet,
        *,
        validation: TrainingSet | None,
        branches: Sequence[BranchShare],
        config: TrainerConfig,
        folder: Path | None = None,
    ) -> None:
        self.model = model.train()
        model.precision = config.training.precision
        self.data = data
        self.validation = validation
        self.config = config
        self.folder = folder
        self.branch_weights = torch.tensor([b.weight for b in branches], dtype=torch.float64)
        self.sampler = BranchSampler(
            data, branch_weights=[b.share for b in branches], config=config.sampler
        )
        self.average = MovingAverage(model, config.ema)
        self.optimizer = _optimizer(model, config.training.weight_decay)
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self.position = Position()
        self._under_way = np.zeros(0, dtype=int)  # structures of the batch of this step
        self.has_stress = any(s.stress is not None for s in data.structures)

    @property
    def state_path(self) -> Path:
        """File of the train state."""
        assert self.folder is not None
        return self.folder / "state.safetensors"

    def resume(self) -> None:
        """Go on from the state in the folder."""
        self.position = load_state(
            self.state_path,
            model=self.model,
            average=self.average.model,
            optimizer=self.optimizer,
        )

    def run(self) -> HydraModel:
        """Train to the end; the result is the average of the weights.

        An interrupt from the keyboard writes the state before it goes on.

        Raises:
            DataError: a loss or gradient is not finite; the message names the structures.
        """
        try:
            return self._run()
        except KeyboardInterrupt:
            if self.folder is not None:
                self.save()
            raise

    def _run(self) -> HydraModel:
        config = self.config.training
        with RunLog(self.folder, total_epochs=config.epochs) as log:
            while self.position.epoch < config.epochs and self._progress(0) < 1:
                self._epoch(log)
                done = self.position.epoch
                if done % config.validate_every == 0 or done >= config.epochs:
                    self._validate(log)
                if self.folder is not None:
                    self.save()
        return self.average.model

    def save(self) -> None:
        """Write the train state."""
        save_state(
            self.state_path,
            model=self.model,
            average=self.average.model,
            optimizer=self.optimizer,
            position=self.position,
        )

    def _epoch(self, log: RunLog) -> None:
        """The rest of the epoch that is under way."""
        batches = self.sampler.batches(self.position.epoch)
        start = time.perf_counter()
        before, losses = self.position.seconds, []
        ahead = batches[self.position.batch :]
        for indices, graph in zip(ahead, prefetch(self.data, ahead), strict=True):
            self._under_way = indices
            losses.append(self.step(graph, self._progress(len(batches))))
            seconds = before + time.perf_counter() - start
            batch = self.position.batch + 1
            self.position = replace(
                self.position, step=self.position.step + 1, batch=batch, seconds=seconds
            )
            log.advance(self.position.epoch + batch / len(batches), sum(losses) / len(losses))
            if self._progress(len(batches)) >= 1:
                break
        log.write({"epoch": self.position.epoch, "loss": sum(losses) / max(len(losses), 1)})
        self.position = replace(self.position, epoch=self.position.epoch + 1, batch=0)

    def step(self, graph: AtomicGraph, progress: float = 0.0) -> float:
        """Update the weights once; returns the objective before the update."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.position.step, progress, self.config.schedule)
        self.optimizer.zero_grad(set_to_none=True)
        value = self._objective(graph)
        # positions need no gradient of the loss: what leads to them alone is left out
        value.backward(inputs=self._parameters)
        norm = torch.nn.utils.clip_grad_norm_(
            self.model.parameters(), self.config.training.gradient_clip
        )
        if not torch.isfinite(norm):
            raise DataError(self._blame(graph))
        self.optimizer.step()
        self.average.update(self.model, self.position.step)
        return float(value.detach())

    def _objective(self, graph: AtomicGraph) -> torch.Tensor:
        prediction = self.model(graph, stress=self.has_stress)
        residual = residuals(
            prediction,
            graph,
            num_branches=len(self.branch_weights),
            config=self.config.loss,
        )
        return objective(residual, self.branch_weights, self.config.loss)

    def _progress(self, num_batches: int) -> float:
        """Part of the run that is done, by epochs or by time, whichever is further."""
        config, position = self.config.training, self.position
        within = position.batch / num_batches if num_batches else 0.0
        done = (position.epoch + within) / config.epochs
        if config.max_minutes is not None:
            done = max(done, position.seconds / (60 * config.max_minutes))
        return done

    def _validate(self, log: RunLog) -> None:
        if self.validation is None:
            return
        metrics = evaluate(self.average.model, self.validation)
        position = {"epoch": self.position.epoch, "step": self.position.step}
        log.write(position | {"seconds": self.position.seconds} | flattened(metrics, "val"))
        shown = "; ".join(f"{name} {_in_words(values)}" for name, values in metrics.items())
        log.say(f"epoch {self.position.epoch}, {self.position.seconds:.0f} s: {shown}")

    def _blame(self, graph: AtomicGraph) -> str:
        """Message that names the structures whose loss or gradient is not finite."""
        guilty = []
        for index in self._under_way:
            self.optimizer.zero_grad(set_to_none=True)
            value = self._objective(self.data.graph(np.array([index])))
            value.backward()
            gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
            if not all(torch.isfinite(g).all() for g in gradients):
                structure = self.data.structures[index]
                guilty.append(f"{structure.branch}: {structure.source}")
        which = f"structures {guilty}" if guilty else f"only in the batch of {graph.describe()}"
        return f"loss or gradient is not finite at step {self.position.step}: {which}"


def evaluate(
    model: HydraModel, data: TrainingSet, *, max_atoms: int = 1024
) -> dict[str, dict[str, float]]:
    """Errors of each structure's own branch, by branch.

    Args:
        model: in evaluation mode.
        data: labelled structures.
        max_atoms: atoms in one batch.
    """
    metrics = BranchMetrics(model.branch_names)
    stress = any(s.stress is not None for s in data.structures)
    for graph in _all_graphs(data, max_atoms):
        prediction = model(graph, stress=stress)
        if model.config.direct_forces:
            direct = model(graph, forces="direct").forces
            prediction = replace(prediction, direct_forces=direct)
        metrics.add(prediction, graph)
    return metrics.result()


def _all_graphs(data: TrainingSet, max_atoms: int) -> Iterator[AtomicGraph]:
    return prefetch(data, budget_batches(data.num_atoms, max_atoms=max_atoms))


def _optimizer(model: HydraModel, weight_decay: float) -> torch.optim.AdamW:
    """AdamW; biases and embeddings are not drawn to zero."""
    plain: list[torch.nn.Parameter] = []
    decayed: list[torch.nn.Parameter] = []
    embeddings = {
        id(p) for m in model.modules() if isinstance(m, torch.nn.Embedding) for p in m.parameters()
    }
    for name, parameter in model.named_parameters():
        is_plain = name.endswith("bias") or id(parameter) in embeddings
        (plain if is_plain else decayed).append(parameter)
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, weight_decay=weight_decay)


def _in_words(values: dict[str, float]) -> str:
    units = {"energy": "meV/atom", "stress": "meV/A^3"}
    return ", ".join(
        f"{name.replace('_', ' ')} {1e3 * values[key]:.1f} {units.get(name, 'meV/A')}"
        for name, key in MAE_KEYS.items()
        if key in values
    )
