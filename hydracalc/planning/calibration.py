"""A short measured run on this machine: what a step costs by atom, edge, branch and weight."""

import json
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import nnls

from hydracalc.benchmark import clock, machine
from hydracalc.benchmark.clock import Effort
from hydracalc.benchmark.training import clusters
from hydracalc.errors import DataError
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.hydra import HydraConfig
from hydracalc.planning.flops import count_flops
from hydracalc.planning.memory import activation_bytes
from hydracalc.planning.sizes import build_model, measure_size
from hydracalc.planning.tensor_peak import tensor_peak
from hydracalc.training.config import TrainerConfig, TrainingConfig
from hydracalc.training.loop import Trainer
from hydracalc.training.sampler import BranchShare, TrainingSet

# structures and atoms in each, of one batch; larger batches for models whose steps are short
_BATCHES = ((2, 8), (1, 32), (2, 20), (4, 20), (2, 32))
_LARGE_MODEL = 5_000_000
_MORE = 4
# branches of the second model: what a branch more costs is the difference to the first
_BRANCHES = 4
# bytes that activations may take while they are counted, and structures of so many atoms for that
_COUNTED_BYTES = 1.5e9
_COUNTED_ATOMS = 32
# a model so narrow, on a batch so small, does nothing but start operations
_NARROW = 8
_SMALL = (4, 2)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Costs of a training step, as fitted to measured steps.

    Attributes:
        encoder, num_channels, num_layers, precision: what was measured.
        machine: where, in words.
        step_s: of any step, to start its operations: that of a very narrow model.
        branch_s: the same of each branch that has a structure in the batch.
        atom_s, edge_s: of each atom and edge.
        touch_s: of each weight that the passes go through.
        weight_s: of each weight, once a step: clip, optimizer, average.
        graph_s: of each atom, to make the graph of a batch.
        activation_ratio: bytes at the peak of a rank's batch, in units of the encoder's formula.
        flops_atom, flops_edge: of matrix products, forward and backward.
        flops_per_s: of the largest batch.
        time_error: largest relative error of the fit at the measured batches.
        activation_error: that of the formula times the ratio, at half that batch.
    """

    encoder: str
    num_channels: int
    num_layers: int
    precision: str
    machine: str
    step_s: float
    branch_s: float
    atom_s: float
    edge_s: float
    touch_s: float
    weight_s: float
    graph_s: float
    activation_ratio: float
    flops_atom: float
    flops_edge: float
    flops_per_s: float
    time_error: float
    activation_error: float

    def check(self, config: HydraConfig, precision: str) -> None:
        """Refuse to stand for a model of another shape.

        Raises:
            ValueError: naming what differs.
        """
        asked = {
            "encoder": config.encoder,
            "num_channels": config.num_channels,
            "num_layers": config.num_layers,
            "precision": precision,
        }
        for name, value in asked.items():
            if getattr(self, name) != value:
                raise ValueError(
                    f"calibration is of {name} {getattr(self, name)!r}, the recipe has {value!r}; "
                    "measure again"
                )

    def scaled(self, factor: float, reason: str) -> "Calibration":
        """The same costs on a machine where everything takes `factor` times as long.

        Args:
            factor: above 0.
            reason: added to the machine's words.

        Raises:
            ValueError: the factor is not positive.
        """
        if not 0 < factor < math.inf:
            raise ValueError(f"factor of a calibration is {factor}, expected a positive number")
        seconds = ("step_s", "branch_s", "atom_s", "edge_s", "touch_s", "weight_s", "graph_s")
        return replace(
            self,
            machine=f"{self.machine}; all times {factor:.3g} times, {reason}",
            flops_per_s=self.flops_per_s / factor,
            **{name: factor * getattr(self, name) for name in seconds},
        )


@dataclass(frozen=True, eq=False)
class _Trial:
    """One batch and the trainer whose step it goes through."""

    trainer: Trainer
    graph: AtomicGraph
    num_branches: int

    def __call__(self) -> object:
        return self.trainer.step(self.graph)

    @property
    def num_parameters(self) -> int:
        return sum(p.numel() for p in self.trainer.model.parameters())

    @property
    def sizes(self) -> tuple[int, int]:
        """Atoms and edges."""
        return self.graph.num_atoms, self.graph.num_edges

    def forward_and_backward(self) -> None:
        """What makes the activations: no collective, no optimizer."""
        model = self.trainer.model
        found = model(self.graph, stress=self.trainer.has_stress)
        assert found.forces is not None
        loss = found.energy.square().mean() + found.forces.square().mean()
        loss.backward(inputs=list(model.parameters()))

    def activations(self) -> int:
        """Bytes at the peak; gradients have their place before."""
        for parameter in self.trainer.model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        return tensor_peak(self.forward_and_backward)

    def flops(self) -> int:
        """Of matrix products."""
        return count_flops(self.forward_and_backward)


def calibrate(
    config: HydraConfig,
    *,
    precision: str = "float32",
    num_atoms: int = 2048,
    effort: Effort | None = None,
) -> Calibration:
    """Measure steps of the trainer at some batches and fit their costs.

    Args:
        config: shape of the model.
        precision: of features and matrix products.
        num_atoms: of a rank's batch; activations are counted in one of that size, if they are not
            too many.
        effort: how long; None is short.
    """
    effort = effort or Effort(seconds=1.0, min_rounds=3, max_rounds=50, warm_up=1)
    ones, several = (_trials(config, count, precision) for count in (1, _BRANCHES))
    trials = [*ones, *several[-2:]]
    narrow = [_narrow(config, count, precision) for count in (1, _BRANCHES)]
    seconds = _measure(trials, narrow, effort)
    more = seconds[f"narrow {_BRANCHES}"] - seconds["narrow 1"]
    branch_s = max(0.0, more) / (_BRANCHES - 1)
    step_s = max(0.0, seconds["narrow 1"] - branch_s)
    weight_s = seconds["update"] / ones[0].num_parameters
    known = np.array(
        [
            step_s + branch_s * trial.num_branches + weight_s * trial.num_parameters
            for trial in trials
        ]
    )
    total = np.array([seconds[str(number)] for number in range(len(trials))])
    costs, time_error = _fit_times(trials, total, known)
    ratio, activation_error = _compare_activations(config, precision, num_atoms)
    flops = [trial.flops() for trial in ones]
    per_atom, per_edge = _fit([t.sizes for t in ones], flops)
    largest = int(np.argmax(flops))
    where = machine.describe(torch.device("cpu"))
    return Calibration(
        encoder=config.encoder,
        num_channels=config.num_channels,
        num_layers=config.num_layers,
        precision=precision,
        machine=f"{where.processor}, {where.threads} threads, torch {where.torch}",
        step_s=step_s,
        branch_s=branch_s,
        atom_s=costs[0],
        edge_s=costs[1],
        touch_s=costs[2],
        weight_s=weight_s,
        graph_s=seconds["graph"] / _fullest(trials).graph.num_atoms,
        activation_ratio=ratio,
        flops_atom=per_atom,
        flops_edge=per_edge,
        flops_per_s=flops[largest] / seconds[str(largest)],
        time_error=time_error,
        activation_error=activation_error,
    )


def _measure(
    trials: Sequence[_Trial], narrow: Sequence[_Trial], effort: Effort
) -> dict[str, float]:
    """Seconds of every trial by its number, of the narrow ones, of an update and a graph."""
    one, device = trials[0], torch.device("cpu")
    tasks: dict[str, Callable[[], object]] = {str(n): trial for n, trial in enumerate(trials)}
    tasks["update"] = lambda: _update(one.trainer)
    full = _fullest(trials).trainer.data  # what a graph costs at least is no matter in a real batch
    every = np.arange(len(full))
    tasks["graph"] = lambda: full.graph(every)
    taken = clock.interleaved(tasks, effort=effort, device=device)
    # these take milliseconds: many rounds of their own
    often = replace(effort, min_rounds=10 * effort.min_rounds, max_rounds=10 * effort.max_rounds)
    small = {f"narrow {trial.num_branches}": trial for trial in narrow}
    taken |= clock.interleaved(small, effort=often, device=device)
    # the fastest: what else the machine does can only add
    return {name: float(np.min(times)) / 1000 for name, times in taken.items()}


def _fullest(trials: Sequence[_Trial]) -> _Trial:
    """The trial with most atoms in its batch."""
    return max(trials, key=lambda trial: trial.graph.num_atoms)


def save_calibration(path: Path, calibration: Calibration) -> None:
    """Write the numbers as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        file.write(json.dumps(asdict(calibration), indent=1) + "\n")
    Path(file.name).replace(path)


def load_calibration(path: Path) -> Calibration:
    """Read numbers that `save_calibration` wrote.

    Raises:
        DataError: the file is no calibration; the message says what is wrong.
    """
    try:
        table = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is no calibration: {error}") from None
    names = {field.name for field in fields(Calibration)}
    given = set(table) if isinstance(table, dict) else set()
    if given != names:
        raise DataError(f"{path}: is no calibration: keys differ in {sorted(given ^ names)}")
    return Calibration(**table)


def _trials(config: HydraConfig, num_branches: int, precision: str) -> list[_Trial]:
    """All batches of a model of so many branches, one trainer for each."""
    is_large = measure_size(config).parameters(num_branches) > _LARGE_MODEL
    more = 1 if is_large else _MORE
    return [
        _trial(config, num_branches, precision, (count * more, atoms)) for count, atoms in _BATCHES
    ]


def _narrow(config: HydraConfig, num_branches: int, precision: str) -> _Trial:
    """The same operations with next to nothing to compute."""
    widths = (_NARROW,) * len(config.head_widths)
    narrow = replace(config, num_channels=_NARROW, head_widths=widths)
    return _trial(narrow, num_branches, precision, _SMALL)


def _trial(
    config: HydraConfig, num_branches: int, precision: str, batch: tuple[int, int]
) -> _Trial:
    model = build_model(config, num_branches)
    names = model.branch_names
    structures = [
        replace(structure, branch=names[index % num_branches])
        for index, structure in enumerate(clusters(*batch))
    ]
    data = TrainingSet(structures, branch_names=names, cutoff=config.cutoff)
    trainer = Trainer(
        model,
        data,
        validation=None,
        branches=[BranchShare()] * num_branches,
        config=TrainerConfig(training=TrainingConfig(precision=precision)),  # type: ignore[arg-type]
    )
    graph = data.graph(np.arange(len(data)))
    assert graph is not None
    return _Trial(trainer, graph, min(num_branches, len(data)))


def _update(trainer: Trainer) -> None:
    """What a step does to weights once their gradients are there."""
    torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), 1e9)
    trainer.optimizer.step()
    trainer.average.update(trainer.model, trainer.position.step)


def _fit_times(
    trials: list[_Trial], total: np.ndarray, known: np.ndarray
) -> tuple[list[float], float]:
    """Seconds of an atom, an edge, a weight gone through; largest relative error of the total."""
    rows = [(*trial.sizes, trial.num_parameters) for trial in trials]
    costs = _fit(rows, np.maximum(total - known, 0.05 * total))
    predicted = known + np.array(rows) @ np.array(costs)
    return costs, float(np.abs(predicted / total - 1).max())


def _compare_activations(
    config: HydraConfig, precision: str, num_atoms: int
) -> tuple[float, float]:
    """Measured over formula at a rank's batch, and what that is off by at one of half the size.

    In a smaller one copies of weights are as large as activations.
    """
    item = 8 if precision == "float64" else 4
    one = _trial(config, 1, precision, (1, _COUNTED_ATOMS)).sizes
    each = activation_bytes(config, *one, item_bytes=item)
    count = max(2, int(min(_COUNTED_BYTES / each, num_atoms / _COUNTED_ATOMS)))
    ratios = []
    for structures in (count, count // 2):
        trial = _trial(config, 1, precision, (structures, _COUNTED_ATOMS))
        formula = activation_bytes(config, *trial.sizes, item_bytes=item)
        ratios.append(trial.activations() / formula)
    return ratios[0], abs(ratios[0] / ratios[1] - 1)


def _fit(rows: Sequence[tuple[float, ...]], values: np.ndarray | list[int]) -> list[float]:
    """Coefficients, none negative, of least relative error."""
    wanted = np.asarray(values, dtype=float)
    relative = np.array(rows, dtype=float) / wanted[:, None]
    scale = relative.max(axis=0)  # columns differ by many orders
    return [float(number) for number in nnls(relative / scale, np.ones(len(wanted)))[0] / scale]
