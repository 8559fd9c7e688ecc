"""What the folder of a finished run says of it: its model, its validation errors, its energy."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hydracalc.errors import DataError

MODEL = "model.safetensors"
METRICS = "metrics.jsonl"
ENERGY = "energy.json"

# what a value is called here, and at the end of the keys of metrics.jsonl
_MEASURES = {
    "val_energy_mae": "energy_mae_eV_per_atom",
    "val_force_mae": "force_mae_eV_per_A",
    "val_stress_mae": "stress_mae_eV_per_A3",
}


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run.

    Attributes:
        name: its folder as given.
        model: file of the model.
        values: "val_energy_mae" (eV/atom), "val_force_mae" (eV/Angstrom), "val_stress_mae"
            (eV/Angstrom^3), means over the branches of the last validation; "train_seconds"; and,
            where it was counted, "energy_joule".
        energy_is_estimate: whether joules are time times a stated power; None where not counted.
    """

    name: str
    model: Path
    values: dict[str, float]
    energy_is_estimate: bool | None

    def row(self) -> dict[str, object]:
        """Name and values as one table's row."""
        return {"name": self.name, **self.values}


def read_run(folder: Path) -> Run:
    """What a run's folder holds.

    Raises:
        ValueError: there is no finished run in it.
        DataError: a file of it is damaged.
    """
    for name in (MODEL, METRICS):
        if not (folder / name).is_file():
            raise ValueError(f"{folder}: no {name}, expected the folder of a finished run")
    last = _last_validation(folder / METRICS)
    gathered: dict[str, list[float]] = defaultdict(list)
    for key, value in last.items():
        measure = key.rpartition("/")[2]
        for name, ending in _MEASURES.items():
            if measure == ending and isinstance(value, int | float):
                gathered[name].append(float(value))
    values = {name: float(np.mean(found)) for name, found in gathered.items()}
    if "seconds" in last:
        values["train_seconds"] = float(last["seconds"])
    energy = _energy(folder / ENERGY)
    if energy is not None:
        values["energy_joule"] = energy[0]
    return Run(
        name=str(folder),
        model=folder / MODEL,
        values=values,
        energy_is_estimate=None if energy is None else energy[1],
    )


def _last_validation(path: Path) -> dict[str, Any]:
    """The last record that has validation errors.

    Raises:
        DataError: there is none.
    """
    try:
        records = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        found = [record for record in records if any(key.startswith("val/") for key in record)]
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{path}: not a record of a run: {error}") from None
    if not found:
        raise DataError(f"{path}: no validation in it, so the run cannot be compared")
    last: dict[str, Any] = found[-1]
    return last


def _energy(path: Path) -> tuple[float, bool] | None:
    """Joules of a run, and whether they are an estimate; None where nobody counted.

    Raises:
        DataError: the file says something else.
    """
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text())
        return float(content["joules"]), bool(content["is_estimate"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: expected joules and is_estimate: {error!r}") from None
