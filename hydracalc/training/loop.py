"""The training loop: one step, one epoch, the whole run."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from hydracalc.errors import DataError
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.hydra import HydraModel
from hydracalc.parallel.mesh import BranchMesh, alone
from hydracalc.training.config import TrainerConfig
from hydracalc.training.division import Division
from hydracalc.training.ema import MovingAverage
from hydracalc.training.exchange import Exchange, StepReport
from hydracalc.training.idle import IdleTime, idle_report
from hydracalc.training.log import RunLog, flattened, in_words
from hydracalc.training.loss import Residuals, objective, residuals
from hydracalc.training.metrics import BranchMetrics, tally
from hydracalc.training.optimizer import make_optimizer
from hydracalc.training.sampler import BranchSampler, BranchShare, Prefetch
from hydracalc.training.schedule import learning_rate
from hydracalc.training.state import (
    Position,
    copy_weights,
    load_state,
    merge_tensors,
    save_state,
    state_tensors,
)
from hydracalc.training.structure_set import StructureSet

# branch to its errors, keys with units
Errors = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Surroundings:
    """Where a trainer runs.

    Attributes:
        folder: where the state and metrics.jsonl go; None writes nothing.
        mesh: this rank among the others; None is one process.
        is_ending: asked between steps; true in any rank lets all save and end.
        on_validation: told the errors of every validation, by branch, and the averaged model, on
            the root; true ends the training.
    """

    folder: Path | None = None
    mesh: BranchMesh | None = None
    is_ending: Callable[[], bool] = lambda: False  # noqa: E731  # a default, not a function's name
    on_validation: Callable[[Errors, HydraModel], bool] = lambda *_: False  # noqa: E731


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
        data: StructureSet,
        *,
        validation: StructureSet | None,
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
            branches=branches,
            config=config.sampler,
        )
        self.idle = IdleTime()
        self.average = MovingAverage(model, config.ema)
        self.optimizer = make_optimizer(model, config.training.weight_decay)
        self.position = Position()
        self.was_ended = False
        self._is_ending = where.is_ending
        self._on_validation = where.on_validation
        self._started = time.perf_counter()  # to be set anew by `run`
        self._saved = 0.0  # seconds into the run
        self._before = 0.0  # seconds spent in earlier runs
        self._under_way = np.zeros(0, dtype=int)  # own structures of the batch of this step
        self.has_stress = data.has_stress

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
        self._started = time.perf_counter()
        self._before = self._saved = self.position.seconds
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
                is_last = done >= config.epochs or self._progress(0) >= 1
                is_enough = False
                if done % config.validate_every == 0 or is_last:
                    is_enough = self._validate(log)
                if self.folder is not None:
                    self.save()
                if is_enough:
                    break
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
        self._saved = self.position.seconds

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
        own = [self.division.own(batches[n], n) for n in range(done, len(batches))]
        with Prefetch(self.data, own) as graphs:
            losses = self._steps(log, zip(own, graphs, strict=True), len(batches))
        if self.was_ended:
            return
        mean = sum(losses) / max(len(losses), 1)
        log.write({"epoch": epoch, "loss": mean} | self._waits(graphs.waited))
        self.position = replace(self.position, epoch=self.position.epoch + 1, batch=0)

    def _steps(
        self,
        log: RunLog,
        parts: Iterable[tuple[np.ndarray, AtomicGraph | None]],
        num_batches: int,
    ) -> list[float]:
        """Objectives of the steps of an epoch, up to its end or that of the run."""
        losses: list[float] = []
        for indices, graph in parts:
            self._under_way = indices
            report = self.step(graph, self._progress(num_batches))
            losses.append(report.objective)
            batch = self.position.batch + 1
            self.position = replace(
                self.position, step=self.position.step + 1, batch=batch, seconds=report.seconds
            )
            log.advance(self.position.epoch + batch / num_batches, sum(losses) / len(losses))
            if report.is_ending:
                self.was_ended = True
                log.say(f"asked to end after step {self.position.step}")
            if self.folder is not None and (self.was_ended or self._is_save_due()):
                self.save()
            if self.was_ended or self._progress(num_batches) >= 1:
                break
        return losses

    def _waits(self, for_data: float) -> dict[str, object]:
        """Parts of their time that ranks waited, for data and for others, and were in collectives.

        Collective over the world.

        Args:
            for_data: seconds that this rank waited for its graphs in the steps counted.
        """
        told = self.mesh.all_gather((self.idle.drain(), for_data))
        report = idle_report([clock for clock, _ in told])
        if not report.steps:
            return {}
        waited = sum(seconds for _, seconds in told)
        steps = float(report.compute.sum() + report.wait.sum())
        waits: dict[str, object] = {"data": waited / (waited + steps)}
        if self.mesh.size > 1:
            waits |= {"idle": report.idle, "communication": report.communication}
        return waits

    def _is_save_due(self) -> bool:
        """Whether the root's clock says so: every rank knows it from the last step."""
        return self.position.seconds - self._saved > 60 * self.config.training.save_minutes

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
        if graph is not None:
            graph = graph.to(self.exchange.device)
        value = self.exchange.objective(self._residuals(graph), self.config.loss)
        self.exchange.backward(value)
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

    def _validate(self, log: RunLog) -> bool:
        """Write down errors on the validation structures; whether the training is to end."""
        own = None if self.validation is None else tally(self.average.model, self.validation)
        gathered = self.mesh.gather(own)
        if gathered is None or all(part is None for part in gathered):
            return bool(self.mesh.share(False))
        names = [name for part in gathered if part is not None for name in part.branch_names]
        whole = BranchMetrics(tuple(dict.fromkeys(names)))
        for part in gathered:
            if part is not None:
                whole.absorb(part)
        metrics = whole.result()
        position = {"epoch": self.position.epoch, "step": self.position.step}
        log.write(position | {"seconds": self.position.seconds} | flattened(metrics, "val"))
        shown = "; ".join(f"{name} {in_words(values)}" for name, values in metrics.items())
        log.say(f"epoch {self.position.epoch}, {self.position.seconds:.0f} s: {shown}")
        return bool(self.mesh.share(self._on_validation(metrics, self.average.model)))

    def _blame(self, graph: AtomicGraph | None) -> str:
        """Message that names the structures whose loss or gradient is not finite."""
        own = []
        for index in self._under_way:
            self.optimizer.zero_grad(set_to_none=True)
            single = self.data.graph(np.array([index]))
            assert single is not None  # there is one structure
            residual = self._residuals(single.to(self.exchange.device))
            assert residual is not None
            objective(residual, self.exchange.branch_weights, self.config.loss).backward()
            gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
            if not all(torch.isfinite(g).all() for g in gradients):
                branch = self.model.branch_names[self.data.branch_index[index]]
                own.append(f"{branch}: {single.names[0]}")
        guilty = [name for names in self.mesh.all_gather(own) for name in names]
        batch = "another rank" if graph is None else graph.describe()
        which = f"structures {guilty}" if guilty else f"only in the batch of {batch}"
        return f"loss or gradient is not finite at step {self.position.step}: {which}"
