"""What a run says: a line for people, a line of numbers for machines, a bar on a terminal."""

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from hydracalc.training.metrics import MAE_KEYS

logger = logging.getLogger("hydracalc.training")


class RunLog:
    """Writes `metrics.jsonl` in the run's folder and shows progress.

    Args:
        folder: of the run; None writes no file.
        total_epochs: length of the bar.
    """

    def __init__(self, folder: Path | None, *, total_epochs: float) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._path = None if folder is None else folder / "metrics.jsonl"
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("epoch {task.completed:.1f} of {task.total:g}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total_epochs)

    def __enter__(self) -> "RunLog":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def advance(self, epochs_done: float, objective: float) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=epochs_done, description=f"loss {objective:.3f}")

    def write(self, record: Mapping[str, object]) -> None:
        """Append one record of numbers with their units in the keys; not-a-number becomes null."""
        if self._path is not None:
            clean = {
                key: None if isinstance(value, float) and not math.isfinite(value) else value
                for key, value in record.items()
            }
            with self._path.open("a") as file:
                file.write(json.dumps(clean) + "\n")

    def say(self, text: str) -> None:
        """One line for people."""
        logger.info(text)


def flattened(metrics: Mapping[str, Mapping[str, float]], prefix: str) -> dict[str, float]:
    """Metrics of branches as one record: "val/mptrj/force_mae_eV_per_A"."""
    return {
        f"{prefix}/{branch}/{key}": value
        for branch, values in metrics.items()
        for key, value in values.items()
    }


def in_words(values: Mapping[str, float]) -> str:
    """Mean absolute errors of a branch in one line."""
    units = {"energy": "meV/atom", "stress": "meV/A^3"}
    return ", ".join(
        f"{name.replace('_', ' ')} {1e3 * values[key]:.1f} {units.get(name, 'meV/A')}"
        for name, key in MAE_KEYS.items()
        if key in values
    )
