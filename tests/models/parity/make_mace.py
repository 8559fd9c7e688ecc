"""Writes mace.safetensors: a small MACE of mace-torch with random weights, and what it computes.

Run by hand in an environment of its own, since mace-torch needs an e3nn that nothing else does:

    pip install mace-torch==0.3.16 e3nn==0.4.4 torch==2.13.0 ase safetensors
    python tests/models/parity/make_mace.py

Everything is float64. Of each structure s the file has s.numbers, s.positions, s.cell, s.pbc, the
features after each layer s.features.0 and s.features.1 in e3nn's layout, s.energy and s.forces. The
weights keep mace-torch's names; `silu_gain` is the factor e3nn puts after each SiLU, and
`coupling_signs` the sign of the first entry of each Wigner 3j symbol, which e3nn has changed since.
"""

import json
from itertools import product
from pathlib import Path

import ase
import mace  # before e3nn, whose constants newer versions of torch otherwise refuse to load
import mace.data
import mace.modules
import mace.tools
import numpy as np
import torch
from ase.build import bulk, molecule
from e3nn import o3
from e3nn.math import normalize2mom
from mace.tools import torch_geometric
from safetensors.torch import save_file

FILE = Path(__file__).with_name("mace.safetensors")
CUTOFF = 4.0
HIDDEN = "8x0e+8x1o"
NUMBERS = [1, 6, 8]
SIZES = {
    "num_bessel": 6,
    "num_polynomial_cutoff": 5,
    "max_ell": 3,
    "num_interactions": 2,
    "correlation": 3,
    "avg_num_neighbors": 0.6,  # few, so that products of three are as large as single features
    "radial_MLP": [12, 16],
}


def make_model():
    torch.manual_seed(0)
    residual = mace.modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    return mace.modules.MACE(
        r_max=CUTOFF,
        interaction_cls=residual,
        interaction_cls_first=residual,
        num_elements=len(NUMBERS),
        hidden_irreps=o3.Irreps(HIDDEN),
        MLP_irreps=o3.Irreps("5x0e"),
        atomic_energies=np.zeros((1, len(NUMBERS))),
        atomic_numbers=NUMBERS,
        gate=torch.nn.functional.silu,
        use_reduced_cg=False,
        **SIZES,
    )


def structures():
    """A molecule, and a crystal so small that atoms neighbor their own images."""
    rng = np.random.default_rng(0)
    crystal = bulk("C", "diamond", a=3.1) * (1, 1, 2)
    crystal.numbers[[1, 2]] = 1, 8
    for name, atoms in (("molecule", molecule("CH3CH2OH")), ("crystal", crystal)):
        atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
        yield name, atoms


def results(model, atoms):
    configuration = mace.data.config_from_atoms(atoms)
    table = mace.tools.AtomicNumberTable(NUMBERS)
    batch = torch_geometric.Batch.from_data_list(
        [mace.data.AtomicData.from_config(configuration, z_table=table, cutoff=CUTOFF)]
    )
    output = model(batch.to_dict())
    widths = [o3.Irreps(HIDDEN).dim, o3.Irreps(HIDDEN)[0].dim]
    features = output["node_feats"].detach().split(widths, dim=1)
    return {
        "numbers": torch.tensor(atoms.numbers),
        "positions": torch.tensor(atoms.positions),
        "cell": torch.tensor(atoms.cell.array),
        "pbc": torch.tensor(atoms.pbc),
        "features.0": features[0],
        "features.1": features[1],
        "energy": output["energy"].detach(),
        "forces": output["forces"].detach(),
    }


def coupling_signs(max_degree):
    """Of every three degrees up to max_degree, 0 where they do not couple."""
    degrees = range(max_degree + 1)
    signs = torch.zeros(len(degrees), len(degrees), len(degrees), dtype=torch.int8)
    for first, second in product(degrees, degrees):
        for third in range(abs(first - second), min(first + second, max_degree) + 1):
            symbol = o3.wigner_3j(first, second, third)
            signs[first, second, third] = symbol[symbol.abs() > 1e-6][0].sign()
    return signs


def main():
    torch.set_default_dtype(torch.float64)
    model = make_model()
    tensors = {name: value.detach() for name, value in model.named_parameters()}
    tensors["silu_gain"] = torch.tensor(normalize2mom(torch.nn.functional.silu).cst)
    tensors["coupling_signs"] = coupling_signs(3 * SIZES["max_ell"])
    for name, atoms in structures():
        found = results(model, atoms)
        tensors |= {f"{name}.{key}": value.contiguous() for key, value in found.items()}
    about = {"cutoff": CUTOFF, "numbers": NUMBERS, "hidden": HIDDEN, "ase": ase.__version__}
    save_file(tensors, FILE, {"settings": json.dumps(about | SIZES)})


if __name__ == "__main__":
    main()
