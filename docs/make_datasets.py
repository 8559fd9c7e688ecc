"""Writes docs/datasets.md, the table of all datasets, from their cards.

python docs/make_datasets.py
"""

from pathlib import Path

from hydracalc.card import Card
from hydracalc.ingest.catalog import list_datasets, load_card

FILE = Path(__file__).parent / "datasets.md"

HEAD = """# Datasets

Made by `python docs/make_datasets.py` from `datasets/*/card.toml`, which say more: units, signs,
what energies are relative to, where charge and spin come from, addresses, checksums, traps.

| dataset | what | level of theory | energy | labels | structures | elements | licence |
|---|---|---|---|---|---|---|---|
"""


def labels_of(card: Card) -> str:
    """E, F and S as far as they are published."""
    forces, stress = card.labels.forces, card.labels.stress
    return "E" + (" F" if forces else "") + (" S" if stress else "")


def row(name: str, card: Card) -> str:
    """One line of the table."""
    symbols = card.elements
    cells = (
        f"`{name}`",
        card.title,
        card.theory,
        card.energy_kind,
        labels_of(card),
        f"{card.num_structures:,}" if card.num_structures else "not stated",
        " ".join(symbols) if len(symbols) <= 6 else str(len(symbols)),
        f"[{card.license}](https://doi.org/{card.doi})" if card.doi else card.license,
    )
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |\n"


def table() -> str:
    """The whole file."""
    return HEAD + "".join(row(name, load_card(name)) for name in list_datasets())


if __name__ == "__main__":
    FILE.write_text(table())
