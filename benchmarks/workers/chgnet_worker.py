"""CHGNet 0.3.0 [arXiv:2302.14231], with the weights of its wheel."""

from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator
from protocol import Worker, serve


class ChgnetWorker(Worker):
    """Energy, forces, stress and magnetic moments: its calculator has no choice."""

    package = "chgnet"
    about = "CHGNet 0.3.0, weights of the wheel"

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        from chgnet.model.model import CHGNet

        self.model = CHGNet.load(use_device="cpu")

    def calculator(self) -> Calculator:
        """CHGNet's own."""
        from chgnet.model.dynamics import CHGNetCalculator

        return CHGNetCalculator(self.model, use_device="cpu", on_isolated_atoms="ignore")

    def arrange(self, atoms: Atoms) -> Atoms:
        """It takes crystals alone: a molecule is put into a box that separates its images."""
        if not atoms.pbc.any():
            atoms.center(vacuum=10.0)
            atoms.pbc = True
        return atoms


if __name__ == "__main__":
    serve(ChgnetWorker)
