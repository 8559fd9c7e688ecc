"""The training loop: one step, one epoch, the whole run."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from hydracalc.errors import DataError
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models import precision
from hydracalc.models.hydra import HydraModel
from hydracalc.parallel.mesh import BranchMesh, alone
from hydracalc.training.balance import BalanceConfig
from hydracalc.training.division import Division
from hydracalc.training.ema import EmaConfig, MovingAverage
from hydracalc.training.exchange import Exchange, StepReport
from hydracalc.training.idle import IdleTime, idle_report
from hydracalc.training.log import RunLog, flattened
from hydracalc.training.loss import LossConfig, Residuals, objective, residuals
from hydracalc.training.metrics import MAE_KEYS, BranchMetrics, tally
from hydracalc.training.sampler import BranchSampler, SamplerConfig, TrainingSet, prefetch
from hydracalc.training.schedule import ScheduleConfig, learning_rate
from hydracalc.training.state import (
    Position,
    copy_weights,
    load_state,
    merge_tensors,
    save_state,
    state_tensors,
)


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


@dataclass(frozen=True, kw_only=True)
class BranchShare:
    """How much a branch counts.

    Attributes:
        weight: of its labels in the loss.
        share: factor on how often its structures are drawn.
    """

    weight: float = 1.0
    share: float = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Surroundings:
    """Where a trainer runs.

    Attributes:
        folder: where the state and metrics.jsonl go; None writes nothing.
        mesh: this rank among the others; None is one process.
        is_ending: asked between steps; true in any rank lets all save and end.
    """

    folder: Path | None = None
    mesh: BranchMesh | None = None
    is_ending: Callable[[], bool] = lambda: False  # noqa: E731  # a default, not a function's name


class Trainer:
    """Trains a model, or the part of it that this rank has.

    Args:
        model: changed in place, to the precision of the config first; of the branches of the mesh's
            group.
        data: training structures of those branches.
        validation: structures that are only looked at, this rank's share; may be None.
        branches: weight and share of each branch of the run, B of them.
        config: how.
        surroundings: folder, other ranks, and who may end the run.
    """

    def __init__(
        self,
        model: HydraModel,
        data: TrainingSet,
        *,
        validation: TrainingSet | None,
        branches: Sequence[BranchShare],
        config: TrainerConfig,
        surroundings: Surroundings | None = None,
    ) -> None:
        where = surroundings or Surroundings()
        self.model = model.train()
        model.precision = config.training.precision
        self.data = data
        self.validation = validation
        self.config = config
        self.folder = where.folder
        self.mesh = where.mesh or alone(len(branches))
        weights = torch.tensor([b.weight for b in branches], dtype=torch.float64)
        self.exchange = Exchange(self.mesh, model, weights[list(self.mesh.group.branches)])
        self.division = Division(
            self.mesh, data, num_branches=len(branches), balance=config.balance
        )
        self.sampler = BranchSampler(
            self.division.census,
            branch_weights=[b.share for b in branches],
            config=config.sampler,
        )
        self.idle = IdleTime()
        self.average = MovingAverage(model, config.ema)
        self.optimizer = _optimizer(model, config.training.weight_decay)
        self.position = Position()
        self.was_ended = False
        self._is_ending = where.is_ending
        self._started = self._saved = time.perf_counter()  # to be set anew by `run`
        self._before = 0.0  # seconds spent in earlier runs
        self._under_way = np.zeros(0, dtype=int)  # own structures of the batch of this step
        self.has_stress = any(s.stress is not None for s in data.structures)

    @property
    def state_path(self) -> Path:
        """File of the train state."""
        assert self.folder is not None
        return self.folder / "state.safetensors"

    def resume(self) -> None:
        """Go on from the state in the folder, whatever number of ranks made it."""
        self.position = load_state(
            self.state_path,
            model=self.model,
            average=self.average.model,
            optimizer=self.optimizer,
            branches=self.mesh.group.branches,
            num_branches=sum(len(group.branches) for group in self.mesh.groups),
        )

    def run(self) -> HydraModel:
        """Train to the end; the result is the average of the weights. Collective over the world.

        An interrupt from the keyboard writes the state before it goes on, where one process runs.
        If a rank is asked to end, all save and `was_ended` is true.

        Raises:
            DataError: a loss or gradient is not finite; the message names the structures.
        """
        self._started = self._saved = time.perf_counter()
        self._before = self.position.seconds
        try:
            return self._run()
        except KeyboardInterrupt:
            if self.folder is not None and self.mesh.size == 1:
                self.save()
            raise

    def _run(self) -> HydraModel:
        config = self.config.training
        folder = self.folder if self.mesh.is_root else None
        with RunLog(folder, total_epochs=config.epochs) as log:
            while self.position.epoch < config.epochs and self._progress(0) < 1:
                self._epoch(log)
                if self.was_ended:
                    break
                done = self.position.epoch
                if done % config.validate_every == 0 or done >= config.epochs:
                    self._validate(log)
                if self.folder is not None:
                    self.save()
        return self.average.model

    def save(self) -> None:
        """Write the train state of the whole model. Collective over the world."""
        own = None
        if self.mesh.is_first:
            tensors = state_tensors(self.model, self.average.model, self.optimizer)
            own = (self.mesh.group.branches, tensors)
        parts = self.mesh.gather(own)
        if parts is not None:
            whole = merge_tensors([part for part in parts if part is not None])
            save_state(self.state_path, whole, self.position)
        self._saved = time.perf_counter()

    def whole_average(self, model: HydraModel) -> HydraModel | None:
        """The averaged weights of all branches, on the root. Collective over the world.

        Args:
            model: with all branches of the run; its weights are replaced.
        """
        own = None
        if self.mesh.is_first:
            named = self.average.model.named_parameters()
            tensors = {f"average.{name}": p.detach().cpu() for name, p in named}
            own = (self.mesh.group.branches, tensors)
        parts = self.mesh.gather(own)
        if parts is None:
            return None
        whole = merge_tensors([part for part in parts if part is not None])
        model.precision = self.config.training.precision
        copy_weights(whole, "average.", model)
        return model.eval().requires_grad_(False)

    def _epoch(self, log: RunLog) -> None:
        """The rest of the epoch that is under way."""
        epoch, done = self.position.epoch, self.position.batch
        draws = self.sampler.draws(epoch)
        batches = self.division.batches(draws, self.config.sampler, epoch)
        losses: list[float] = []
        own = [self.division.own(batches[n], n) for n in range(done, len(batches))]
        for indices, graph in zip(own, prefetch(self.data, own), strict=True):
            self._under_way = indices
            report = self.step(graph, self._progress(len(batches)))
            losses.append(report.objective)
            batch = self.position.batch + 1
            self.position = replace(
                self.position, step=self.position.step + 1, batch=batch, seconds=report.seconds
            )
            log.advance(self.position.epoch + batch / len(batches), sum(losses) / len(losses))
            if report.is_ending:
                self.was_ended = True
                log.say(f"asked to end after step {self.position.step}")
            if self.folder is not None and (self.was_ended or self._is_save_due()):
                self.save()
            if self.was_ended:
                return
            if self._progress(len(batches)) >= 1:
                break
        log.write({"epoch": epoch, "loss": sum(losses) / max(len(losses), 1)} | self._idle())
        self.position = replace(self.position, epoch=self.position.epoch + 1, batch=0)

    def _idle(self) -> dict[str, object]:
        """Part of their time that ranks waited for others, and were in collectives, since asked."""
        told = self.mesh.all_gather(self.idle.drain())
        if self.mesh.size == 1 or not len(told[0]):
            return {}
        report = idle_report(told)
        return {"idle": report.idle, "communication": report.communication}

    def _is_save_due(self) -> bool:
        """Whether the root's clock says so."""
        due = time.perf_counter() - self._saved > 60 * self.config.training.save_minutes
        return bool(self.mesh.share(due))

    def step(self, graph: AtomicGraph | None, progress: float = 0.0) -> StepReport:
        """Update the weights once. Collective over the world.

        Args:
            graph: this rank's structures of the batch; None if it has none.
            progress: part of the run that is done, for the learning rate.
        """
        begun, waited = time.perf_counter(), self.mesh.waited
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.position.step, progress, self.config.schedule)
        self.optimizer.zero_grad(set_to_none=True)
        value = self.exchange.objective(self._residuals(graph), self.config.loss)
        if value.requires_grad:
            # positions need no gradient of the loss: what leads to them alone is left out
            value.backward(inputs=self.exchange.parameters)
        report = self.exchange.gradients(
            value,
            clip=self.config.training.gradient_clip,
            seconds=self._before + time.perf_counter() - self._started,
            is_ending=self._is_ending(),
        )
        if not math.isfinite(report.gradient_norm):
            raise DataError(self._blame(graph))
        self.optimizer.step()
        self.average.update(self.model, self.position.step)
        waited = self.mesh.waited - waited
        self.idle.add(time.perf_counter() - begun - waited, waited)
        return report

    def _residuals(self, graph: AtomicGraph | None) -> Residuals | None:
        if graph is None:
            return None
        prediction = self.model(graph, stress=self.has_stress)
        num_branches = len(self.mesh.group.branches)
        return residuals(prediction, graph, num_branches=num_branches, config=self.config.loss)

    def _progress(self, num_batches: int) -> float:
        """Part of the run that is done, by epochs or by time, whichever is further."""
        config, position = self.config.training, self.position
        within = position.batch / num_batches if num_batches else 0.0
        done = (position.epoch + within) / config.epochs
        if config.max_minutes is not None:
            done = max(done, position.seconds / (60 * config.max_minutes))
        return done

    def _validate(self, log: RunLog) -> None:
        own = None if self.validation is None else tally(self.average.model, self.validation)
        gathered = self.mesh.gather(own)
        if gathered is None or all(part is None for part in gathered):
            return
        names = [name for part in gathered if part is not None for name in part.branch_names]
        whole = BranchMetrics(tuple(dict.fromkeys(names)))
        for part in gathered:
            if part is not None:
                whole.absorb(part)
        metrics = whole.result()
        position = {"epoch": self.position.epoch, "step": self.position.step}
        log.write(position | {"seconds": self.position.seconds} | flattened(metrics, "val"))
        shown = "; ".join(f"{name} {_in_words(values)}" for name, values in metrics.items())
        log.say(f"epoch {self.position.epoch}, {self.position.seconds:.0f} s: {shown}")

    def _blame(self, graph: AtomicGraph | None) -> str:
        """Message that names the structures whose loss or gradient is not finite."""
        own = []
        for index in self._under_way:
            self.optimizer.zero_grad(set_to_none=True)
            residual = self._residuals(self.data.graph(np.array([index])))
            assert residual is not None  # there is one structure
            objective(residual, self.exchange.branch_weights, self.config.loss).backward()
            gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
            if not all(torch.isfinite(g).all() for g in gradients):
                structure = self.data.structures[index]
                own.append(f"{structure.branch}: {structure.source}")
        guilty = [name for names in self.mesh.all_gather(own) for name in names]
        batch = "another rank" if graph is None else graph.describe()
        which = f"structures {guilty}" if guilty else f"only in the batch of {batch}"
        return f"loss or gradient is not finite at step {self.position.step}: {which}"


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
