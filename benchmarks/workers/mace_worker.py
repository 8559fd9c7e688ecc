"""MACE of the shape of MACE-MP-0 [arXiv:2401.00096], with random weights.

The published weights are no part of the wheel. Time does not depend on them.
"""

from typing import Any

import numpy as np
import torch
from ase.calculators.calculator import Calculator
from protocol import Worker, serve

NUM_ELEMENTS = 89
HIDDEN = {"small": "128x0e", "medium": "128x0e + 128x1o", "large": "128x0e + 128x1o + 128x2e"}


class MaceWorker(Worker):
    """Energy, forces and stress in float32, as is advised for dynamics.

    Option "size" is small, medium or large.
    """

    package = "mace-torch"

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        size = options.get("size", "small")
        if size not in HIDDEN:
            raise ValueError(f"size is {size!r}, expected one of {sorted(HIDDEN)}")
        self.about = f"MACE-MP-0 {size}, random weights"
        self.model = _model(HIDDEN[size])

    def calculator(self) -> Calculator:
        """MACE's own."""
        from mace.calculators import MACECalculator

        return MACECalculator(models=[self.model], device="cpu", default_dtype="float32")


def _model(hidden: str) -> torch.nn.Module:
    from mace import modules  # first: it lets torch load the tables that e3nn keeps

    from e3nn import o3  # isort: skip

    torch.manual_seed(0)
    block = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    model = modules.ScaleShiftMACE(
        r_max=6.0,
        num_bessel=10,
        num_polynomial_cutoff=5,
        max_ell=3,
        interaction_cls=block,
        interaction_cls_first=block,
        num_interactions=2,
        num_elements=NUM_ELEMENTS,
        hidden_irreps=o3.Irreps(hidden),
        MLP_irreps=o3.Irreps("16x0e"),
        gate=torch.nn.functional.silu,
        atomic_energies=np.zeros(NUM_ELEMENTS),
        avg_num_neighbors=60.0,
        atomic_numbers=list(range(1, NUM_ELEMENTS + 1)),
        correlation=3,
        radial_type="bessel",
        atomic_inter_scale=0.8,
        atomic_inter_shift=0.0,
    )
    return model.to(torch.float32)


if __name__ == "__main__":
    serve(MaceWorker)
