"""One run of the benchmark: which parts of it are wanted, and what they found."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from hydracalc import registry
from hydracalc.benchmark import breakdown, machine, memory, roofline, steps, systems, training
from hydracalc.benchmark.breakdown import Part
from hydracalc.benchmark.clock import Effort
from hydracalc.benchmark.machine import Machine
from hydracalc.benchmark.memory import PeakMemory
from hydracalc.benchmark.precision import DriftRun, PrecisionRow, compare_precisions
from hydracalc.benchmark.roofline import Achieved, Ceilings
from hydracalc.benchmark.steps import MixtureTime, Motion, StepTime
from hydracalc.benchmark.systems import BENZENE, Series, System
from hydracalc.benchmark.training import TrainingStep, TrainingTime
from hydracalc.calculator import HydraCalculator
from hydracalc.devices import device_of
from hydracalc.mixture import BranchChoice

# precisions, mixtures and rooflines are looked at for sizes up to this, where there is one
_MEDIUM = 512


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """What is measured, and how.

    Attributes:
        model: name or path.
        branch: as the calculator takes it.
        device: as the calculator takes it.
        dtype: as the calculator takes it.
        compile: as the calculator takes it.
        threads: that torch may use; None leaves it.
        sizes: numbers of atoms.
        memory: peak memory of every size, in processes of their own.
        training: time of training steps, of a new model of the same shape.
        precision: all precisions against float64.
        roofline: rates against what the machine does at best.
        effort: of every number.
        drift: run that energy drift is taken from.
        batch: structures of a training step.
    """

    model: str = "mtl-all"
    branch: BranchChoice = None
    device: str = "auto"
    dtype: str = "auto"
    compile: bool = False
    threads: int | None = None
    sizes: tuple[int, ...] = (12, 64, 216, 512, 1000)
    memory: bool = True
    training: bool = False
    precision: bool = False
    roofline: bool = False
    effort: Effort = field(default_factory=Effort)
    drift: DriftRun = field(default_factory=DriftRun)
    batch: int = 32

    def __post_init__(self) -> None:
        systems.check_sizes(self.sizes)
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads is {self.threads}, expected at least 1")


@dataclass(frozen=True, kw_only=True, eq=False)
class BenchReport:
    """What a run found.

    Attributes:
        machine: where.
        model: name with revision, or path.
        encoder, dtype, num_channels, num_layers, num_parameters: of the model.
        branch: in the steps.
        compiled: whether torch compiled.
        steps: times of dynamics, by size.
        exponent: of the cost against atoms from `steps.FIT_FROM` on; None with fewer than two
            such sizes.
        left_out: structures that the model cannot describe, with the reason.
        mixtures: several branches against one.
        memory: peaks by size.
        memory_KiB_per_atom: slope of the peaks over atoms, from the same sizes as the exponent;
            None with fewer than two.
        training: steps of the trainer.
        precision: rows by structure and precision.
        ceilings: of the machine.
        achieved: rates of steps against them.
        parts: where the time of those steps goes.
    """

    machine: Machine
    model: str
    encoder: str
    dtype: str
    num_channels: int
    num_layers: int
    num_parameters: int
    branch: str
    compiled: bool
    steps: tuple[StepTime, ...]
    exponent: float | None
    left_out: dict[str, str]
    mixtures: tuple[MixtureTime, ...] = ()
    memory: tuple[PeakMemory, ...] = ()
    memory_KiB_per_atom: float | None = None
    training: TrainingTime | None = None
    precision: tuple[PrecisionRow, ...] = ()
    ceilings: Ceilings | None = None
    achieved: tuple[Achieved, ...] = ()
    parts: dict[str, list[Part]] = field(default_factory=dict)


def run(config: BenchConfig, *, show: Callable[[str], None]) -> BenchReport:
    """Measure all that is asked for.

    Args:
        config: what.
        show: told what is measured next.

    Raises:
        ValueError: there is no such model, branch or device, or the model knows no structure here.
        ChildProcessError: a process that memory is measured in failed.
    """
    with machine.threads(config.threads):
        return _Run(config, show).report()


class _Run:
    """A run under way: the model, the structures, and each part of the report.

    Args:
        config: what to measure.
        show: told what is measured next.
    """

    def __init__(self, config: BenchConfig, show: Callable[[str], None]) -> None:
        self.config, self.show = config, show
        self.device = device_of(config.device)
        self.settings: dict[str, Any] = {
            "model": config.model,
            "branch": config.branch,
            "device": config.device,
            "dtype": config.dtype,
            "compile": config.compile,
        }
        self.calculator = HydraCalculator(**self.settings)
        self.series: Series = systems.series(config.sizes, self.calculator.allowed_atomic_numbers)

    def report(self) -> BenchReport:
        """All parts that the config asks for."""
        config = self.config
        model = registry.load_model(config.model)
        chosen = self.calculator.parameters
        taken = self._steps()
        report = BenchReport(
            machine=machine.describe(self.device),
            model=str(chosen["model"]),
            encoder=model.config.encoder,
            dtype=str(chosen["dtype"]) if config.dtype == "auto" else config.dtype,
            num_channels=model.config.num_channels,
            num_layers=model.config.num_layers,
            num_parameters=sum(p.numel() for p in model.parameters()),
            branch=_in_words(chosen["branch"]),
            compiled=config.compile,
            steps=taken,
            exponent=_exponent(taken),
            left_out=self.series.left_out,
            mixtures=self._mixtures(),
        )
        if config.memory:
            peaks = self._memory()
            slope = memory.slope(peaks, above=steps.FIT_FROM)
            report = replace(report, memory=peaks, memory_KiB_per_atom=slope)
        if config.training:
            report = replace(report, training=self._training())
        if config.precision:
            report = replace(report, precision=self._precision())
        if config.roofline:
            report = self._with_roofline(report)
        return report

    def _steps(self) -> tuple[StepTime, ...]:
        found = []
        for system in self.series.systems:
            self.show(f"dynamics of {system.name}")
            found.append(
                steps.time_steps(
                    system, self.calculator, effort=self.config.effort, device=self.device
                )
            )
        return tuple(found)

    def _mixtures(self) -> tuple[MixtureTime, ...]:
        found: list[MixtureTime] = []
        for system in self._molecule_and_crystal():
            self.show(f"mixtures of branches on {system.name}")
            found += steps.time_mixtures(
                system, self.calculator, effort=self.config.effort, device=self.device
            )
        return tuple(found)

    def _memory(self) -> tuple[PeakMemory, ...]:
        found = []
        for system in self.series.systems:
            self.show(f"memory of {system.name}")
            found.append(memory.measure(system, self._child_settings()))
        return tuple(found)

    def _training(self) -> TrainingTime:
        self.show("training step")
        step = self._training_step()
        return training.time_training(step, effort=self.config.effort, device=self.device)

    def _precision(self) -> tuple[PrecisionRow, ...]:
        chosen = self._molecule_and_crystal()
        self.show(f"precisions on {', '.join(system.name for system in chosen)}")
        rows = compare_precisions(
            chosen,
            self._child_settings(),
            effort=self.config.effort,
            device=self.device,
            drift=self.config.drift,
        )
        return tuple(rows)

    def _with_roofline(self, report: BenchReport) -> BenchReport:
        """The report with ceilings, and what steps of dynamics and training make of them."""
        self.show("ceilings of the machine")
        ceilings = roofline.measure_ceilings(self.device)
        # operators inside a compiled graph cannot be counted
        plain = HydraCalculator(**(self.settings | {"compile": False}))
        kinds: dict[str, Callable[[], object]] = {
            f"MD step of {system.name}": Motion(system, plain)
            for system in self._molecule_and_crystal()
        }
        if self.config.training:
            kinds["training step"] = self._training_step()
        achieved, parts = [], {}
        for name, step in kinds.items():
            self.show(f"rates of the {name}")
            achieved.append(
                roofline.achieved(
                    name,
                    step,
                    ceilings=ceilings,
                    dtype="float32" if name == "training step" else report.dtype,
                    device=self.device,
                    effort=self.config.effort,
                )
            )
            parts[name] = breakdown.time_parts(step, device=self.device)
        return replace(report, ceilings=ceilings, achieved=tuple(achieved), parts=parts)

    def _training_step(self) -> TrainingStep:
        shape = registry.load_model(self.config.model).config
        return TrainingStep(shape, training.clusters(self.config.batch), device=self.device)

    def _molecule_and_crystal(self) -> list[System]:
        """The molecule, and the largest crystal of medium size, as far as there are any."""
        found = [s for s in self.series.systems if s.num_atoms == BENZENE]
        crystals = [s for s in self.series.systems if s.num_atoms != BENZENE]
        medium = [s for s in crystals if s.num_atoms <= _MEDIUM]
        return found + (medium[-1:] or crystals[:1])

    def _child_settings(self) -> dict[str, Any]:
        return {**self.settings, "threads": torch.get_num_threads()}


def _exponent(taken: tuple[StepTime, ...]) -> float | None:
    large = [step for step in taken if step.num_atoms >= steps.FIT_FROM]
    if len(large) < 2:
        return None
    return steps.exponent(
        [step.num_atoms for step in large], [step.timing.median_ms for step in large]
    )


def _in_words(branch: Any) -> str:  # noqa: ANN401
    if isinstance(branch, str):
        return branch
    return ", ".join(f"{name} {weight:g}" for name, weight in branch.items())
