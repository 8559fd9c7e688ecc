"""Results of an assessment in lines of text, each number beside what is asked for."""

from collections.abc import Iterator, Mapping
from typing import Any

from hydracalc.assessment import conservation, crystals
from hydracalc.assessment.subsets import PUBLISHED, SUBSETS
from hydracalc.elements import number

Results = Mapping[str, Any]
_OK, _FAILS = "ok", "FAILS"
_KINDS = (
    ("forces", "force_mae_eV_per_A", "zero_force_eV_per_A"),
    ("energy", "energy_mae_eV_per_atom", "references_alone_eV_per_atom"),
)


def lines(results: Results, *, every: bool = False) -> list[str]:
    """All sections that were measured.

    Args:
        results: as `measure.SECTIONS` return them, joined.
        every: also tables by element, by pair and by spread.
    """
    told: list[str] = []
    for key, tell in _SECTIONS.items():
        if results.get(key):
            told += tell(results[key], every)
    return told


def _sets(sets: Results, every: bool) -> Iterator[str]:
    yield "mean absolute errors on test structures, meV/A and meV/atom (energies after references):"
    yield f"  {'set':36s}{'zero':>6s}{'own':>6s}{'auto':>6s}  {'best branch':20s}asked for"
    order = [subset.name for subset in SUBSETS]
    for name in sorted(sets, key=lambda name: (order.index(name) if name in order else 99, name)):
        row = sets[name]
        label = f"{name} ({row['num_structures']})"
        for kind, key, zero in _KINDS:
            own, auto = (_milli(row["choices"].get(c, {}).get(key)) for c in ("own", "auto"))
            best = f"{row['best']} {_milli(row['choices'][row['best']][key])}"
            yield (
                f"  {label:29s}{kind:7s}{_milli(row[zero]):>6s}{own:>6s}"
                # a mixture of levels of theory is on the scale of none
                f"{auto if kind == 'forces' else '':>6s}  {best if kind == 'forces' else '':20s}"
                f"{_asked(row, kind, key)}"
            ).rstrip()
            label = ""
        if row["labels"] != PUBLISHED:
            yield f"    labels computed: {row['labels']}"
    yield "  zero: no force, references alone; best branch: known with these labels only"
    if every:
        yield from _elements(sets)


def _asked(row: Results, kind: str, key: str) -> str:
    """The bar of a set, and whether its own branch passes."""
    bar = row["bar_force_meV_per_A" if kind == "forces" else "bar_energy_meV_per_atom"]
    return "" if bar is None else f"< {bar:g} {_verdict(row['choices']['own'][key], bar)}"


def _elements(sets: Results) -> Iterator[str]:
    """Force error by element, of own branches, over the published labels of all sets."""
    sums: dict[str, list[float]] = {}
    for row in sets.values():
        if row["labels"] == PUBLISHED:
            for symbol, found in row["by_element"].items():
                atoms, total = sums.setdefault(symbol, [0, 0.0])
                added = found["num_atoms"] * found["force_mae_eV_per_A"]
                sums[symbol] = [atoms + found["num_atoms"], total + added]
    yield "force error by element, own branches, published labels, meV/A (atoms):"
    ordered = sorted(sums.items(), key=_by_number)
    cells = [f"{s:3s}{1000 * t / n:6.0f} ({n:.0f})" for s, (n, t) in ordered]
    for start in range(0, len(cells), 6):
        yield "  " + "".join(f"{cell:18s}" for cell in cells[start : start + 6]).rstrip()


def _nve(runs: Results, every: bool) -> Iterator[str]:
    yield f"energy drift without thermostat at 300 K, bar {conservation.DRIFT_BAR} meV/atom/ps:"
    for name, run in runs.items():
        drift = run["drift_meV_per_atom_per_ps"]
        what = f"{run['picoseconds']:g} ps, {run['timestep_fs']:g} fs, {run['dtype']}"
        if drift is None:
            yield f"  {name:22s}{what}: {_FAILS}, {run['remark']}"
            continue
        yield (
            f"  {name:22s}{what}: {drift:+.4f} {_OK if run['passes'] else _FAILS}"
            f" (spread {run['spread_meV_per_atom']:.3f} meV/atom, "
            f"{run['mean_temperature_K']:.0f} K)"
        )


def _pairs(branches: Results, every: bool) -> Iterator[str]:
    yield "two atoms, all pairs of H C N O Si Cu:"
    for branch, curves in branches.items():
        rows = list(curves.values())
        counts = {key: sum(row[key] for row in rows) for key in ("is_smooth", "is_repulsive")}
        single = sum(row["turns"] <= 1 for row in rows)
        yield (
            f"  {branch:14s}{counts['is_smooth']} smooth, {counts['is_repulsive']} repulsive, "
            f"{single} with one minimum or none, of {len(rows)}"
        )
        for row in rows:
            for remark in row["remarks"]:
                yield f"    {_FAILS} {remark}"
        if every:
            wells = ", ".join(f"{r['pair']} {r['depth_eV']:.1f} eV/{r['turns']}" for r in rows)
            yield f"    depth and turns: {wells}"


def _lattices(branches: Results, every: bool) -> Iterator[str]:
    yield (
        f"lattice constants of elements within {crystals.TOLERANCE:.0%} of experiment, "
        f"bar {crystals.WITHIN_BAR} of {len(crystals.ELEMENTS)}:"
    )
    for branch, found in branches.items():
        verdict = _OK if found["within"] >= crystals.WITHIN_BAR else _FAILS
        missed = [
            f"{symbol} {row['worst']:+.1%}"
            for symbol, row in sorted(found["rows"].items(), key=_by_number)
            if not row["passes"]
        ]
        unknown = f"; not known: {' '.join(found['not_known'])}" if found["not_known"] else ""
        yield (
            f"  {branch:14s}{found['within']} of {found['of']} {verdict} "
            f"({found['within_from_all_starts']} from 6 % off, too)"
            f"{'; missed: ' + ', '.join(missed) if missed else ''}{unknown}"
        )
        if every:
            yield from _lattice_rows(found["rows"])


def _lattice_rows(rows: Results) -> Iterator[str]:
    for symbol, row in sorted(rows.items(), key=_by_number):
        found, expected = (
            " ".join(f"{value:.3f}" for value in row[key]) for key in ("found_A", "experiment_A")
        )
        yield (
            f"    {symbol:3s}{row['lattice']:8s}{found:>12s} A, experiment {expected:>11s}"
            f"  {row['worst']:+6.1%}  from 6 % off {row['worst_of_all']:+6.1%}"
        )


def _speed(speed: Results, every: bool) -> Iterator[str]:
    machine = speed["machine"]
    yield f"step of dynamics, {machine['threads']} threads of {machine['processor']}:"
    for row in speed["rows"]:
        yield (
            f"  {row['system']:8s}{row['branch']:12s}{row['ms_per_step']:.2f} ms, "
            f"{row['atoms_per_s']:.0f} atoms/s"
        )


def _calibration(found: Results, every: bool) -> Iterator[str]:
    yield (
        f"spread between branches against errors of {found['error_of']}, "
        f"{found['structures']} structures:"
    )
    for name in ("energy", "forces"):
        row = found[name]
        yield (
            f"  {name:8s}rank correlation {row['rank_correlation']:.2f}; "
            f"{row['within_1_spreads']:.0%} of errors within one spread, "
            f"{row['within_2_spreads']:.0%} within two; "
            f"{row['factor_for_68_percent']:.2f} spreads hold 68 %, "
            f"{row['factor_for_95_percent']:.2f} hold 95 %"
        )
        if every:
            for each in row["by_spread"]:
                told = [f"{key} {value:.4g}" for key, value in sorted(each.items())]
                yield f"    {', '.join(told)}"


_SECTIONS = {
    "sets": _sets,
    "calibration": _calibration,
    "nve": _nve,
    "pairs": _pairs,
    "lattices": _lattices,
    "speed": _speed,
}


def _by_number(item: tuple[str, Any]) -> int:
    """Elements in their usual order, whatever order JSON has them in."""
    return number(item[0])


def _milli(value: float | None) -> str:
    return "-" if value is None else f"{1000 * value:.0f}"


def _verdict(value: float | None, bar: float) -> str:
    return _OK if value is not None and 1000 * value < bar else _FAILS
