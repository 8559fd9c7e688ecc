"""SchNetPack's PaiNN [arXiv:2102.03150; doi 10.1063/5.0138367], trained on energies and forces."""

from typing import Any, TypeVar

import numpy as np
import torch
import torch.utils.data.dataloader
from protocol import TrainingStep, Worker, near_pairs, serve

ENERGY_WEIGHT = 0.01


class SchnetpackWorker(Worker):
    """One step: loss of energies and forces, its gradient, Adam."""

    package = "schnetpack"
    about = "PaiNN, Gaussian radial functions, cosine cutoff, random weights"

    def training_step(self, shape: dict[str, Any], batch: list[dict[str, Any]]) -> TrainingStep:
        """A PaiNN of the shape and a batch whose pairs are known already."""
        model = _model(shape)
        inputs, energies, forces = _inputs(batch, shape["cutoff"])
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

        def run() -> None:
            optimizer.zero_grad(set_to_none=True)
            found = model(dict(inputs))
            loss = ENERGY_WEIGHT * torch.nn.functional.mse_loss(found["energy"], energies)
            loss = loss + torch.nn.functional.mse_loss(found["forces"], forces)
            loss.backward()
            optimizer.step()

        return TrainingStep(
            run,
            num_edges=len(inputs["_idx_i"]),
            num_parameters=sum(p.numel() for p in model.parameters()),
        )


def _model(shape: dict[str, Any]) -> torch.nn.Module:
    _let_it_import()
    from schnetpack.atomistic import Atomwise, Forces, PairwiseDistances
    from schnetpack.model import NeuralNetworkPotential
    from schnetpack.nn import CosineCutoff, GaussianRBF
    from schnetpack.representation import PaiNN

    torch.manual_seed(0)
    representation = PaiNN(
        n_atom_basis=shape["channels"],
        n_interactions=shape["layers"],
        radial_basis=GaussianRBF(n_rbf=shape["radial"], cutoff=shape["cutoff"]),
        cutoff_fn=CosineCutoff(shape["cutoff"]),
    )
    model = NeuralNetworkPotential(
        representation=representation,
        input_modules=[PairwiseDistances()],
        output_modules=[Atomwise(n_in=shape["channels"], output_key="energy"), Forces()],
    )
    return model.to(torch.float32).train()


def _let_it_import() -> None:
    """SchNetPack 2.0.4 imports a name for type hints that torch 2.13 no longer has."""
    torch.utils.data.dataloader.T_co = TypeVar("T_co", covariant=True)


def _inputs(
    batch: list[dict[str, Any]], cutoff: float
) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
    """The batch under SchNetPack's keys, its energies, eV, and its forces, eV/Angstrom."""
    positions = [np.array(each["positions"]) for each in batch]
    num_atoms = np.array([len(each) for each in positions])
    first = np.cumsum(num_atoms) - num_atoms
    pairs = [near_pairs(each, cutoff) for each in positions]
    receivers = np.concatenate([p[0] + f for p, f in zip(pairs, first, strict=True)])
    senders = np.concatenate([p[1] + f for p, f in zip(pairs, first, strict=True)])
    inputs = {
        "_atomic_numbers": torch.tensor(np.concatenate([each["numbers"] for each in batch])),
        "_positions": torch.tensor(np.concatenate(positions), dtype=torch.float32),
        "_n_atoms": torch.tensor(num_atoms),
        "_idx_m": torch.tensor(np.repeat(np.arange(len(batch)), num_atoms)),
        "_idx_i": torch.tensor(receivers),
        "_idx_j": torch.tensor(senders),
        "_offsets": torch.zeros(len(receivers), 3),
    }
    energies = torch.tensor([each["energy"] for each in batch], dtype=torch.float32)
    forces = torch.tensor(np.concatenate([each["forces"] for each in batch]), dtype=torch.float32)
    return inputs, energies, forces


if __name__ == "__main__":
    serve(SchnetpackWorker)
