"""`hydracalc data check`: whether labels obey physics, as the card says they are to be read."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hydracalc.cli.options import json_option
from hydracalc.cli.tables import print_table

if TYPE_CHECKING:
    from hydracalc.card import Card
    from hydracalc.checks.label_check import LabelReport
    from hydracalc.ingest.adapter import Adapter
    from hydracalc.structure import AtomicStructure

CHECK_FAILED = 1


@click.command("check")
@click.argument("dataset", metavar="ID")
@click.argument("raw", type=click.Path(path_type=Path))
@click.option("--limit", default=2000, show_default=True, help="Structures to look at.")
@click.option(
    "--open",
    "unknown",
    help="Entries of the card's labels that are not certain, such as length,stress_order: "
    "shows which of their values fit.",
)
@json_option
def check_command(dataset: str, raw: Path, limit: int, unknown: str | None, as_json: bool) -> int:
    """Hold energies, forces, stress and units of the published files in RAW against physics.

    Exit code 1 if something is wrong. What structures cannot tell is said, with the reason.
    """
    from hydracalc.checks.card_choices import fitting_choices
    from hydracalc.checks.label_check import check_labels
    from hydracalc.ingest.catalog import load_adapter

    adapter = load_adapter(dataset)
    if unknown is None:
        report = check_labels(_some(adapter, adapter.card, raw, limit), adapter.card_of(raw))
        _show(report, as_json)
        return 0 if report.holds else CHECK_FAILED
    choices = fitting_choices(
        lambda card: _some(adapter, card, raw, limit),
        adapter.card_of(raw),
        unknown=unknown.split(","),
    )
    rows = [
        {
            **choice.labels,
            "fits": choice.fits,
            "wrong": ["cannot be read"]
            if choice.report is None
            else [finding.name for finding in choice.report.by_verdict("failed")],
        }
        for choice in choices
    ]
    if as_json:
        click.echo(json.dumps(rows))
    else:
        columns = tuple(rows[0])
        print_table(columns, [tuple(_cell(row[column]) for column in columns) for row in rows])
    return 0 if any(row["fits"] for row in rows) else CHECK_FAILED


def _some(adapter: "Adapter", card: "Card", raw: Path, limit: int) -> "Iterator[AtomicStructure]":
    """Structures as another card reads them."""
    reader = type(adapter)(card)
    reader.folder = adapter.folder
    return islice(reader.read(raw), limit)


def _cell(value: Any) -> str:  # noqa: ANN401  # of a table
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else str(value)


def _show(report: "LabelReport", as_json: bool) -> None:
    if as_json:
        findings = [vars(finding) for finding in report.findings]
        about = {"num_structures": report.num_structures, "holds": report.holds}
        click.echo(json.dumps({**about, "findings": findings}))
        return
    click.echo(f"{report.num_structures:,} structures")
    print_table(
        ("", "verdict", "measured", "expected"),
        [
            (f.name, f.verdict, f.measured, f.expected or f.reason)
            for f in sorted(report.findings, key=lambda f: f.verdict != "failed")
        ],
    )
