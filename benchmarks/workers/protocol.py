"""What all workers share: one JSON command a line on stdin, one JSON answer a line on stdout.

Runs in the environment of any peer, so it needs nothing but ASE, NumPy and torch.

    {"command": "about"}                                       -> what answers
    {"command": "md", "system": {...}, "steps": 10}            -> {"ms": [...]}
    {"command": "train", "shape": {...}, "batch": [...], "steps": 3} -> {"ms": [...], "edges": ...}
    {"command": "quit"}

A second "md" with the same name goes on where the first ended, likewise "train" with the same
shape. What goes wrong is answered with {"error": "..."}.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, TextIO

import numpy as np
import torch
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.md.verlet import VelocityVerlet


class Worker:
    """One peer: a subclass says how its calculator and its training step are made.

    Attributes:
        package: whose version is stated.
        about: model and where its weights come from, in words.
    """

    package: str
    about: str

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self._motions: dict[str, VelocityVerlet] = {}
        self._steps: dict[str, TrainingStep] = {}

    def calculator(self) -> Calculator:
        """The peer's own ASE calculator."""
        raise NotImplementedError(f"{self.package} has no dynamics here")

    def arrange(self, atoms: Atoms) -> Atoms:
        """The structure as the peer's calculator takes it."""
        return atoms

    def training_step(self, shape: dict[str, Any], batch: list[dict[str, Any]]) -> "TrainingStep":
        """A new model of a shape, and a batch for it."""
        raise NotImplementedError(f"{self.package} has no training here")

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to one command."""
        command = request["command"]
        if command == "about":
            return {
                "package": self.package,
                "version": version(self.package),
                "torch": torch.__version__,
                "threads": torch.get_num_threads(),
                "about": self.about,
            }
        if command == "md":
            motion = self._motion(request["system"])
            return {"ms": timed(motion.step, request["steps"])}
        if command == "train":
            step = self._training(request)
            times = timed(step.run, request["steps"])
            return {"ms": times, "edges": step.num_edges, "parameters": step.num_parameters}
        raise ValueError(f"unknown command {command!r} (known: about, md, train, quit)")

    def _motion(self, system: dict[str, Any]) -> VelocityVerlet:
        if system["name"] not in self._motions:
            atoms = self.arrange(
                Atoms(
                    numbers=system["numbers"],
                    positions=system["positions"],
                    momenta=system["momenta"],
                    cell=system["cell"],
                    pbc=system["pbc"],
                )
            )
            atoms.calc = self.calculator()
            self._motions[system["name"]] = VelocityVerlet(atoms, system["timestep"] * units.fs)
        return self._motions[system["name"]]

    def _training(self, request: dict[str, Any]) -> "TrainingStep":
        key = json.dumps(request["shape"], sort_keys=True)
        if key not in self._steps:
            self._steps[key] = self.training_step(request["shape"], request["batch"])
        return self._steps[key]


class TrainingStep:
    """A step and what it works on.

    Args:
        run: takes one step.
        num_edges: of the batch.
        num_parameters: of the model.
    """

    def __init__(self, run: Callable[[], object], *, num_edges: int, num_parameters: int) -> None:
        self.run = run
        self.num_edges = num_edges
        self.num_parameters = num_parameters


def timed(step: Callable[[], object], count: int) -> list[float]:
    """Time of each of some steps, ms."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - start))
    return times


def near_pairs(positions: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """Receivers and senders of all pairs of a molecule nearer than the cutoff, Angstrom."""
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    receivers, senders = np.nonzero(distances < cutoff)
    return receivers, senders


def serve(make: Callable[[dict[str, Any]], Worker]) -> None:
    """Answer commands until "quit" or the end of stdin.

    Args:
        make: the worker, from its options.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--options", type=json.loads, default={})
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    answers = _take_stdout()
    worker = make(given.options)
    for line in sys.stdin:
        request = json.loads(line)
        if request["command"] == "quit":
            return
        try:
            answer = worker.answer(request)
        except Exception as error:  # noqa: BLE001  # whatever a peer raises is its answer
            words = str(error).strip().partition("\n")[0]
            answer = {"error": f"{type(error).__name__}: {words}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _take_stdout() -> TextIO:
    """The real stdout for answers alone: what a peer prints goes to stderr from now on."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers
