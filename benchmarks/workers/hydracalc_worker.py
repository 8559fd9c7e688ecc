"""hydracalc itself: its shipped model in dynamics, a new PaiNN in training."""

from typing import Any

import torch
from ase.calculators.calculator import Calculator
from protocol import TrainingStep, Worker, serve

from hydracalc import HydraCalculator
from hydracalc.benchmark import training
from hydracalc.models.hydra import HydraConfig
from hydracalc.structure import AtomicStructure


class HydracalcWorker(Worker):
    """Energy, forces and, where periodic, stress; options are those of the calculator."""

    package = "hydracalc"

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._calculator = HydraCalculator(**{"device": "cpu", **options})
        chosen = self._calculator.parameters
        compiled = ", compiled" if chosen["compile"] else ""
        self.about = f"{chosen['model']}, branch {chosen['branch']}, {chosen['dtype']}{compiled}"

    def calculator(self) -> Calculator:
        """A calculator for each structure; they share one model."""
        return self._calculator.with_branch(self.options.get("branch"))

    def training_step(self, shape: dict[str, Any], batch: list[dict[str, Any]]) -> TrainingStep:
        """The library's trainer: loss, gradient, clipping, AdamW, moving average of weights."""
        structures = [
            AtomicStructure(
                atomic_numbers=each["numbers"],
                positions=each["positions"],
                energy=each["energy"],
                forces=each["forces"],
                branch=training.BRANCH,
            )
            for each in batch
        ]
        config = HydraConfig(
            encoder="painn",
            num_channels=shape["channels"],
            num_layers=shape["layers"],
            num_radial=shape["radial"],
            cutoff=shape["cutoff"],
        )
        step = training.TrainingStep(config, structures, device=torch.device("cpu"))
        return TrainingStep(
            step,
            num_edges=step.graph.num_edges,
            num_parameters=sum(p.numel() for p in step.trainer.model.parameters()),
        )


if __name__ == "__main__":
    serve(HydracalcWorker)
