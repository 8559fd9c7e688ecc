"""What a run says: numbers in metrics.jsonl, lines for people, a bar on a terminal."""

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

logger = logging.getLogger("hydracalc.training")

# key of a metric, the unit it is shown in, and how many of that make one of the key's
_SHOWN = {
    "energy_mae_eV_per_atom": ("E", "meV/atom", 1e3),
    "force_mae_eV_per_A": ("F", "meV/A", 1e3),
    "direct_force_mae_eV_per_A": ("direct F", "meV/A", 1e3),
    "stress_mae_eV_per_A3": ("S", "meV/A^3", 1e3),
}


class RunLog:
    """Writes metrics.jsonl and shows how far a run is.

    Lines go through logging. Where standard error is a terminal there is a bar, too.

    Args:
        path: file of the numbers, one JSON object a line; None writes none.
        resumed_at: lines of later steps, left by a run that was interrupted, are removed.
    """

    def __init__(self, path: Path | None, *, resumed_at: int = 0) -> None:
        self.path = path
        if path is not None:
            _keep_until(path, resumed_at)
        console = Console(stderr=True)
        self._bar = Progress(
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=1.0)

    def __enter__(self) -> "RunLog":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def advance(self, progress: float, text: str) -> None:
        """Move the bar to the part of the run that is done."""
        self._bar.update(self._task, completed=min(progress, 1.0), description=text)

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one record; numbers that are not finite become null."""
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(_finite(record)) + "\n")

    def say(self, text: str) -> None:
        """One line for people."""
        logger.info(text)


def in_words(metrics: Mapping[str, Mapping[str, float]]) -> str:
    """Mean absolute errors of the branches as one line."""
    return "; ".join(
        f"{branch} "
        + ", ".join(
            f"{name} {values[key] * factor:.1f} {unit}"
            for key, (name, unit, factor) in _SHOWN.items()
            if key in values
        )
        for branch, values in metrics.items()
    )


def _finite(value: Any) -> Any:  # noqa: ANN401  # what JSON holds
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _keep_until(path: Path, step: int) -> None:
    """Remove the records of steps after `step`; half a last line, too."""
    if not path.exists():
        return
    whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    path.write_text("".join(line for line in whole if json.loads(line)["step"] <= step))
