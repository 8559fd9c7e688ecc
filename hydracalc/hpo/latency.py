"""How fast the trials' models predict, measured in turns within one run so that they compare."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from ase import Atoms

from hydracalc.benchmark import clock
from hydracalc.benchmark.clock import Effort
from hydracalc.benchmark.systems import BENZENE, series
from hydracalc.calculator import HydraCalculator
from hydracalc.checkpoint import load_checkpoint
from hydracalc.hpo.journal import Trial, name_of, trial_folder
from hydracalc.hpo.trial import write_json

FILE = "latency.json"
MODEL = "model.safetensors"
_SIZES = (64, BENZENE)  # atoms of the structure; the first that the models know
_EFFORT = Effort(seconds=0.4, min_rounds=5, max_rounds=40, warm_up=2)
_TOGETHER = 20  # models in memory at the same time


class Prediction:
    """One prediction for each call, the structure a little different each time.

    Args:
        model: file.
        atoms: what is predicted.
        branch: that answers.
    """

    def __init__(self, model: Path, atoms: Atoms, branch: str) -> None:
        self._atoms = atoms.copy()
        self._atoms.calc = HydraCalculator(model, branch=branch)
        self._rng = np.random.default_rng(0)
        self._rest = atoms.positions.copy()

    def __call__(self) -> None:
        """Energy and forces, the neighbor list kept."""
        self._atoms.positions = self._rest + self._rng.normal(0, 1e-3, self._rest.shape)
        self._atoms.get_forces()


def measure(search: Path, trials: Sequence[Trial]) -> dict[str, float]:
    """Time of energy and forces of one structure by each trial's model, ms; written to a file.

    Args:
        search: folder; the file there is replaced.
        trials: that went to their end.

    Returns:
        name of a trial to its median; empty where the models know no structure of the benchmark.
    """
    models = {name_of(t.number): trial_folder(search, t.number) / MODEL for t in trials}
    models = {name: path for name, path in models.items() if path.is_file()}
    if not models:
        return {}
    found = _structure(next(iter(models.values())))
    if found is None:
        return {}
    atoms, branch = found
    times: dict[str, float] = {}
    names = list(models)
    for begin in range(0, len(names), _TOGETHER):
        some = names[begin : begin + _TOGETHER]
        tasks = {name: Prediction(models[name], atoms, branch) for name in some}
        rounds = clock.interleaved(tasks, effort=_EFFORT, device=torch.device("cpu"))
        times |= {name: float(np.median(each)) for name, each in rounds.items()}
    system = {"formula": str(atoms.symbols), "atoms": len(atoms), "branch": branch}
    about = {"system": system, "threads": torch.get_num_threads(), "unit": "ms"}
    write_json(search / FILE, about | {"median": times})
    return times


def read(search: Path) -> dict[str, float]:
    """Name of a trial to its time, ms, as it was measured; empty where it was not."""
    path = search / FILE
    if not path.is_file():
        return {}
    times: dict[str, float] = json.loads(path.read_text())["median"]
    return times


def _structure(model: Path) -> tuple[Atoms, str] | None:
    """A structure that a branch of the model knows, and the branch."""
    branches = load_checkpoint(model).branch_names
    calculator = HydraCalculator(model, branch=branches[0])
    for size in _SIZES:
        for branch in branches:
            known = calculator.with_branch(branch).allowed_atomic_numbers
            try:
                (system,) = series((size,), set(map(int, known))).systems
            except ValueError:
                continue
            return system.atoms, branch
    return None
