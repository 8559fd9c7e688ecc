"""A model in torch-sim, which moves many structures at once [10.1088/3050-287X/ae1799].

    model = TorchSimModel("mtl-all")
    final = torch_sim.optimize(system=list_of_atoms, model=model, optimizer=ts.Optimizer.fire)

torch-sim needs Python 3.12 or newer: pip install torch-sim-atomistic. Neighbor lists are made on
the processor in every step, the rest runs where the model is.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

try:
    from torch_sim.models.interface import ModelInterface
except ImportError as error:
    raise ImportError(
        "this needs torch-sim, on Python 3.12 or newer: pip install torch-sim-atomistic"
    ) from error

from hydracalc.interop.batch_state import BatchState, structures_of, tensors_of
from hydracalc.mixture import BranchChoice
from hydracalc.predictor import InferenceConfig, Predictor
from hydracalc.registry import load_model


class TorchSimModel(ModelInterface):
    """Energies, forces and stresses of a batch of structures, as torch-sim asks for them.

    Args:
        model: name ("mtl-all"), name with revision, or path of a model file.
        branch: None is the model's default; else "auto", a branch's name, or weights by name.
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", ...
        precision: of the model: "auto" (as stored), "float32", "float64" or "bfloat16".
        dtype: of positions, energies and forces in torch-sim.

    Raises:
        ValueError: an argument names something that does not exist; the message lists what does.
        DataError: the model file is damaged.
    """

    def __init__(
        self,
        model: str | Path = "mtl-all",
        *,
        branch: BranchChoice = None,
        device: str = "auto",
        precision: str = "auto",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        loaded = load_model(model, dtype=precision, device=device)
        # energy and forces come from one pass; they are derivatives, never without each other
        self._predictor = Predictor(
            loaded.requires_grad_(False), InferenceConfig(branch=branch, forces="conservative")
        )
        self._device = self._predictor.device
        self._dtype = dtype
        self._compute_stress = True
        self._compute_forces = True

    def forward(
        self,
        state: BatchState,
        **kwargs: Any,  # noqa: ANN401  # torch-sim's own signature
    ) -> dict[str, Tensor]:
        """Energy, forces and stress of every structure.

        Args:
            state: the structures, torch-sim's SimState; total charge and spin multiplicity are
                "charge" and "spin" of its extras. It is not changed.
            kwargs: must be empty.

        Returns:
            "energy", eV, (S,), "forces", eV/Angstrom, (N, 3), and "stress", eV/Angstrom^3,
            (S, 3, 3), NaN where a structure is not periodic or has no volume.

        Raises:
            ValueError: a structure has elements the branch does not know, or cannot be predicted
                for another reason that the message states.
        """
        if kwargs:
            raise ValueError(f"options {sorted(kwargs)} are not known to this model")
        predictions = self._predictor.predict_batch(structures_of(state))
        return tensors_of(predictions, state)
