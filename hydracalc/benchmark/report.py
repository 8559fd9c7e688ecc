"""What a run found, as tables and as JSON."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.table import Table

from hydracalc.benchmark.steps import FIT_FROM
from hydracalc.benchmark.suite import BenchReport


def to_json(report: BenchReport) -> dict[str, Any]:
    """Everything that was found; keys of numbers end in their unit where they have one."""
    return asdict(report) | {"exponent_from_atoms": FIT_FROM}


def blocks(report: BenchReport) -> Iterator[str | Table]:
    """Lines and tables, in the order in which they are read."""
    yield from _head(report)
    yield _steps(report)
    if report.exponent is not None:
        yield f"cost ~ atoms^{report.exponent:.3f} from {FIT_FROM} atoms on"
    if report.memory_KiB_per_atom is not None:
        yield f"memory: {report.memory_KiB_per_atom:.1f} KiB for one more atom, over the same sizes"
    for name, reason in report.left_out.items():
        yield f"left out: {name}: {reason}"
    if report.mixtures:
        yield _mixtures(report)
    if report.training is not None:
        yield _training(report)
    if report.precision:
        yield _precision(report)
    if report.ceilings is not None:
        yield from _roofline(report)


def _head(report: BenchReport) -> Iterator[str]:
    machine = report.machine
    yield (
        f"{machine.processor}, {machine.cores} cores, {machine.threads} threads used, "
        f"device {machine.device}; torch {machine.torch}, Python {machine.python}, {machine.system}"
    )
    compiled = ", compiled" if report.compiled else ""
    yield (
        f"{report.model}: {report.encoder}, {report.num_layers} layers, {report.num_channels} "
        f"channels, {report.num_parameters} parameters, {report.dtype}{compiled}, "
        f"branch {report.branch}"
    )


def _steps(report: BenchReport) -> Table:
    table = _table(
        "Molecular dynamics: velocity Verlet through ASE, energy, forces, stress where periodic",
        ("structure", "atoms", "ms/step", "quartiles", "min", "mean", "steps", "atoms/s"),
        ("peak, MiB", "KiB/atom") if report.memory else (),
    )
    peaks = {peak.system: peak for peak in report.memory}
    for step in report.steps:
        timing = step.timing
        row = [
            step.system,
            str(step.num_atoms),
            _short(timing.median_ms),
            f"{_short(timing.low_ms)}-{_short(timing.high_ms)}",
            _short(timing.min_ms),
            _short(timing.mean_ms),
            str(timing.count),
            f"{step.atoms_per_s:.0f}",
        ]
        if report.memory:
            peak = peaks[step.system]
            row += [f"{peak.peak_MiB:.0f}", f"{peak.KiB_per_atom:.1f}"]
        table.add_row(*row)
    return table


def _mixtures(report: BenchReport) -> Table:
    table = _table(
        "Several branches against one, in turns, ms/step",
        ("structure", "branches", "several", "one", "ratio"),
    )
    for row in report.mixtures:
        times = (_short(row.median_ms), _short(row.one_median_ms), f"{row.ratio:.2f}")
        table.add_row(row.system, str(row.num_branches), *times)
    return table


def _training(report: BenchReport) -> Table:
    found = report.training
    assert found is not None
    table = _table(
        "Training step: energies and forces, from loss to new weights, new random model",
        ("encoder", "channels", "structures", "atoms", "edges"),
        ("ms/step", "quartiles", "min", "steps"),
    )
    shape = (found.num_channels, found.num_structures, found.num_atoms, found.num_edges)
    timing = found.timing
    table.add_row(
        found.encoder,
        *map(str, shape),
        _short(timing.median_ms),
        f"{_short(timing.low_ms)}-{_short(timing.high_ms)}",
        _short(timing.min_ms),
        str(timing.count),
    )
    return table


def _precision(report: BenchReport) -> Table:
    first = report.precision[0]
    table = _table(
        f"Precisions: errors against float64; drift at constant energy from {first.drift_K:g} K",
        ("structure", "dtype", "ms/step", "peak, MiB", "E error, meV/atom"),
        ("F rmse, meV/A", "F max, meV/A", "drift, meV/atom/ps", "over, ps", "step, fs"),
    )
    for row in report.precision:
        table.add_row(
            row.system,
            row.dtype,
            _short(row.median_ms_per_step),
            f"{row.peak_MiB:.0f}",
            f"{row.energy_error_meV_per_atom:.2g}",
            f"{row.force_error_meV_per_A:.2g}",
            f"{row.max_force_error_meV_per_A:.2g}",
            f"{row.drift_meV_per_atom_per_ps:+.3g}",
            f"{row.drift_ps:g}",
            f"{row.timestep_fs:g}",
        )
    return table


def _roofline(report: BenchReport) -> Iterator[str | Table]:
    ceilings = report.ceilings
    assert ceilings is not None
    rates = ", ".join(f"{name} {rate:.1f}" for name, rate in ceilings.gemm_GFLOP_per_s.items())
    yield (
        f"measured ceilings: matrix products {rates} GFLOP/s; copies {ceilings.copy_GB_per_s:.1f} "
        "GB/s read and written"
    )
    table = _table(
        "Rates of whole steps against those ceilings; traffic is that of torch's operators",
        ("step", "ms", "GFLOP", "GFLOP/s", "GEMM floor, ms", "of step"),
        ("traffic, GB", "GB/s", "memory floor, ms", "of step"),
    )
    for row in report.achieved:
        table.add_row(
            row.step,
            _short(row.median_ms),
            f"{row.gemm_GFLOP:.3g}",
            f"{row.gemm_GFLOP_per_s:.1f}",
            _short(row.gemm_floor_ms),
            f"{row.gemm_fraction:.0%}",
            f"{row.traffic_GB:.3g}",
            f"{row.traffic_GB_per_s:.1f}",
            _short(row.memory_floor_ms),
            f"{row.memory_fraction:.0%}",
        )
    yield table
    for name, parts in report.parts.items():
        table = _table(f"Where the time goes, under the profiler: {name}", ("work", "ms", "share"))
        for part in parts:
            table.add_row(part.kind, _short(part.ms), f"{part.share:.0%}")
        yield table


def _table(title: str, columns: tuple[str, ...], more: tuple[str, ...] = ()) -> Table:
    """A table whose first column is text and whose others are numbers."""
    table = Table(title=title, title_justify="left")
    for number, column in enumerate((*columns, *more)):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def _short(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
