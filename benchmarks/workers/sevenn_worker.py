"""SevenNet-0 (11 July 2024) [arXiv:2402.03789], with the weights of its wheel."""

from ase.calculators.calculator import Calculator
from protocol import Worker, serve


class SevennWorker(Worker):
    """Energy, forces and stress."""

    package = "sevenn"
    about = "SevenNet-0 (11 July 2024), weights of the wheel"

    def calculator(self) -> Calculator:
        """SevenNet's own."""
        from sevenn.calculator import SevenNetCalculator

        return SevenNetCalculator("7net-0", device="cpu")


if __name__ == "__main__":
    serve(SevennWorker)
