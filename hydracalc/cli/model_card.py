"""What a model file says of itself, in lines: compact, or with every element and number."""

from collections.abc import Iterator, Mapping
from typing import Any

from hydracalc.cli.tables import some_elements

_LABEL = 11


def lines(header: Mapping[str, Any], *, every: bool) -> list[str]:
    """The card of a model.

    Args:
        header: of its file.
        every: all elements, all metrics of branches, all tables of what was measured.
    """
    told = list(_model(header))
    for branch in header["branches"]:
        told += _branch(branch, every)
    return told + list(_measured(header, every))


def _row(label: str, value: str) -> str:
    return f"  {label:{_LABEL}s}{value}"


def _model(header: Mapping[str, Any]) -> Iterator[str]:
    config, provenance = header["config"], header["provenance"]
    yield _row(
        "encoder",
        f"{config['encoder']}, {config['num_layers']} layers, {config['num_channels']} channels, "
        f"cutoff {header['cutoff_A']:g} Angstrom",
    )
    yield _row(
        "stored as",
        f"{header['dtype']}, format {header['format_version']}, "
        f"written by hydracalc {header['hydracalc_version']}",
    )
    by = "by composition (auto)" if header["weighting"] else "none, name a branch"
    yield _row("weighting", by)
    yield _row("sha256", header["sha256"])
    if "steps" in provenance:
        yield _row("training", _training(provenance))
    if provenance.get("weighting"):
        yield from _weighting(provenance["weighting"])


def _training(provenance: Mapping[str, Any]) -> str:
    """How long each stage was, the first one first."""
    own = (
        f"{provenance['steps']} steps, {provenance['epochs']} epochs, "
        f"{provenance['training_minutes']:g} minutes"
    )
    before = provenance.get("started_from", {})
    return f"{_training(before)}, then {own}" if "steps" in before else own


def _weighting(weighting: Mapping[str, Any]) -> Iterator[str]:
    """What "auto" is worth on compositions it never saw."""
    yield "  held-out compositions, force MAE in eV/Angstrom, choice against auto:"
    auto = weighting["auto_on_the_same_force_mae_eV_per_A"]
    for name, value in weighting["held_out_force_mae_eV_per_A"].items():
        count = weighting["held_out_structures"][name]
        yield f"    {name:14s}{value:.4f}  {auto[name]:.4f}  ({count} structures)"


def _branch(branch: Mapping[str, Any], every: bool) -> Iterator[str]:
    from hydracalc.elements import number

    card = branch["card"]
    symbols = tuple(sorted(branch["references_eV"], key=number))
    yield f"branch {branch['name']}: {card['title']}"
    yield _row("theory", card["theory"])
    yield _row("elements", " ".join(symbols) if every else some_elements(symbols))
    yield _row("trained on", f"{branch['num_structures']} structures; licence {card['license']}")
    yield _row("source", card["citation"] or card["doi"] or "not stated")
    if card["computed_by"]:
        yield _row("labels", f"not all published ones; computed by {card['computed_by']}")
    metrics = branch["metrics"]
    if every:
        yield from (f"  {key:40s}{value:.6g}" for key, value in sorted(metrics.items()))
    elif metrics:
        yield _row("test", _errors(metrics))


def _errors(metrics: Mapping[str, float]) -> str:
    """Mean absolute errors of a branch on its own test split in one line."""
    told = [
        f"{what} {1000 * metrics[key]:.1f} {unit}"
        for what, key, unit in (
            ("energy", "test_energy_mae_eV_per_atom", "meV/atom"),
            ("forces", "test_force_mae_eV_per_A", "meV/A"),
            ("stress", "test_stress_mae_eV_per_A3", "meV/A^3"),
        )
        if key in metrics
    ]
    count = metrics.get("test_structures")
    return ", ".join(told) + (f" ({count:.0f} structures)" if count else "")


def _measured(header: Mapping[str, Any], every: bool) -> Iterator[str]:
    """What was measured of the finished model; nothing where it was not."""
    from hydracalc.assessment import card, report
    from hydracalc.checkpoint import MEASURED

    given = "; ".join(f"{name} ({', '.join(of)})" for name, of in card.licences(header).items())
    yield f"licences of the data: {given}"
    measured = header["provenance"].get(MEASURED)
    if measured is None:
        yield "not measured beyond this: `hydracalc models measure`"
        return
    yield from report.lines(measured, every=every)
    yield "do not use it for:"
    yield from (f"  - {what}" for what in measured[card.NOT_FOR])
