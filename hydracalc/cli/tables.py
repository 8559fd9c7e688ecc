"""How commands print numbers and names: pairs, tables, counts, and progress."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

# seconds between lines where there is no terminal
_LOG_EVERY = 10.0
_UNWRAPPED = 10_000


def counts(numbers: dict[Any, int]) -> str:
    """Names and how many of each, "train 80, test 10"."""
    return ", ".join(f"{name} {number:,}" for name, number in numbers.items())


def energies(values: dict[str, float]) -> str:
    """Symbols and energies, eV, "H -13.6000, O -2040.0000"."""
    return ", ".join(f"{symbol} {value:.4f}" for symbol, value in values.items())


def some_elements(symbols: tuple[str, ...]) -> str:
    """The elements, or how many where there are many."""
    return " ".join(symbols) if len(symbols) <= 12 else f"{len(symbols)} elements"


def print_pairs(pairs: dict[str, Any]) -> None:
    """Names and values below each other."""
    width = max(len(name) for name in pairs) + 2
    for name, value in pairs.items():
        click.echo(f"{name:{width}s}{value}")


def print_table(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """A table as wide as the terminal, or as its content where there is none."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(str(value) for value in row))
    # of a width nothing exceeds, so that lines of a log or a pipe are not wrapped
    width = None if sys.stdout.isatty() else _UNWRAPPED
    Console(width=width, highlight=False, markup=False).print(table)


@contextmanager
def progress_of(what: str) -> Iterator[Callable[[int], None]]:
    """Shows a growing number on stderr: in place on a terminal, a line now and then in a log."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _log_line(what)
        return
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} " + what), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)

        def show(count: int) -> None:
            bar.update(task, completed=count)

        yield show


def _log_line(what: str) -> Callable[[int], None]:
    due = time.monotonic() + _LOG_EVERY

    def show(count: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + _LOG_EVERY
            click.echo(f"{count:,} {what}", err=True)

    return show
