"""Store what SchNetPack's SchNet and PaiNN say of two structures, with random weights.

Run by hand, in an environment of its own, from any folder:

    pip install schnetpack==2.0.4 torch==2.13.0 ase==3.29.0 safetensors
    python tests/models/parity/make_schnetpack.py

It writes schnet.safetensors and painn.safetensors beside itself: the weights of the peer, the
structures, and for each the features, the sum of all scalars as the energy, and the forces, in
float64.
"""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.neighborlist import neighbor_list
from safetensors.torch import save_file
from torch.utils.data import dataloader

if not hasattr(dataloader, "T_co"):
    dataloader.T_co = dataloader._T_co  # renamed in torch; schnetpack 2.0.4 imports the old name

import schnetpack as spk  # noqa: E402
from schnetpack import properties  # noqa: E402

CHANNELS, LAYERS, GAUSSIANS, ELEMENTS, CUTOFF = 16, 2, 8, 20, 4.0


def rattled(atoms: Atoms, seed: int) -> Atoms:
    atoms.positions += np.random.default_rng(seed).normal(0, 0.1, atoms.positions.shape)
    return atoms


def structures() -> dict[str, Atoms]:
    """A molecule, and a cell so small that atoms are neighbors of their own images."""
    return {
        "molecule": rattled(molecule("CH3CH2OH"), 1),
        "crystal": rattled(bulk("SiC", "zincblende", a=4.36), 2),
    }


def peers() -> dict[str, torch.nn.Module]:
    """Both with random numbers in every parameter, biases included."""
    torch.manual_seed(0)
    sizes = {"n_atom_basis": CHANNELS, "n_interactions": LAYERS, "max_z": ELEMENTS}
    made = {}
    for name, kind in (("schnet", spk.representation.SchNet), ("painn", spk.representation.PaiNN)):
        made[name] = kind(
            **sizes,
            radial_basis=spk.nn.GaussianRBF(n_rbf=GAUSSIANS, cutoff=CUTOFF),
            cutoff_fn=spk.nn.CosineCutoff(CUTOFF),
        )
        for parameter in made[name].parameters():
            torch.nn.init.normal_(parameter, std=0.25)
        made[name] = made[name].double()
    return made


def outputs(peer: torch.nn.Module, atoms: Atoms) -> dict[str, torch.Tensor]:
    receivers, senders, shifts = (
        torch.from_numpy(array) for array in neighbor_list("ijS", atoms, CUTOFF)
    )
    positions = torch.tensor(atoms.positions, requires_grad=True)
    offsets = shifts.double() @ torch.from_numpy(atoms.cell.array)
    inputs = {
        properties.Z: torch.from_numpy(atoms.numbers),
        properties.Rij: positions[senders] - positions[receivers] + offsets,
        properties.idx_i: receivers,
        properties.idx_j: senders,
    }
    result = peer(inputs)
    energy = result["scalar_representation"].sum()
    (gradient,) = torch.autograd.grad(energy, positions)
    found = {
        "numbers": torch.from_numpy(atoms.numbers),
        "positions": positions.detach(),
        "cell": torch.from_numpy(atoms.cell.array),
        "pbc": torch.from_numpy(atoms.pbc),
        "scalars": result["scalar_representation"].detach(),
        "energy": energy.detach(),
        "forces": -gradient,
    }
    if "vector_representation" in result:
        found["vectors"] = result["vector_representation"].detach()
    return found


def main() -> None:
    metadata = {
        "schnetpack": version("schnetpack"),
        "torch": torch.__version__,
        "cutoff": str(CUTOFF),
        "structures": " ".join(structures()),
    }
    for name, peer in peers().items():
        arrays = {f"weights.{key}": value for key, value in peer.state_dict().items()}
        for structure, atoms in structures().items():
            for key, value in outputs(peer, atoms).items():
                arrays[f"{structure}.{key}"] = value
        arrays = {key: value.contiguous().clone() for key, value in arrays.items()}
        save_file(arrays, Path(__file__).with_name(f"{name}.safetensors"), metadata)


if __name__ == "__main__":
    main()
