"""Models with random weights and a zoo of structures, shared by all tests."""

import numpy as np
import torch
from ase import Atoms
from ase.build import add_adsorbate, bulk, fcc111, molecule

from hydracalc import references
from hydracalc.card import Card, Labels
from hydracalc.models.branches import BranchSpec
from hydracalc.models.hydra import HydraConfig, HydraModel
from hydracalc.models.weighting import BranchWeighting
from hydracalc.structure import AtomicStructure

ENCODERS = ("dimenet", "egnn", "mace", "painn", "pnaeq", "schnet")
ORGANIC = ("H", "C", "N", "O")
# section of a recipe: a model that trains in seconds
TOY_MODEL = """
[model]
cutoff = 4.0
num_channels = 8
num_layers = 1
num_radial = 4
head_widths = [8]
"""
METALLIC = ("H", "C", "O", "Na", "Al", "Si", "Cl", "Cu")


def make_card(name, symbols):
    return Card(
        branch=name,
        title=f"test branch {name}",
        theory="random weights",
        labels=Labels(energy="eV", forces="eV/Angstrom"),
        group="structure",
        elements=symbols,
        license="CC0-1.0",
    )


def make_branch(name, symbols, seed):
    rng = np.random.default_rng(seed)
    energies = references.from_json({s: float(rng.uniform(-100, -1)) for s in symbols})
    return BranchSpec(
        name=name,
        card=make_card(name, symbols),
        references=energies,
        scale=1.3,
        num_structures=10,
        charges=(-2, -1, 0, 1, 2),
        spin_multiplicities=(1, 2, 3),
    )


def make_model(encoder="painn", *, dtype=torch.float64, seed=0, weighting=True, **config):
    """Two branches with every parameter random, biases and charge tables included."""
    sizes = {"num_channels": 16, "num_layers": 2, "num_radial": 8, "head_widths": (12,)} | config
    branches = [make_branch("organic", ORGANIC, 1), make_branch("general", METALLIC, 2)]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = HydraModel(
            HydraConfig(encoder=encoder, **sizes),
            branches,
            weighting=BranchWeighting(2) if weighting else None,
        )
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    if weighting:
        model.weighting.seen.fill_(True)
    return model.to(dtype).eval()


def rattled(atoms, seed=0, amplitude=0.08):
    atoms = atoms.copy()
    atoms.positions += np.random.default_rng(seed).normal(0, amplitude, atoms.positions.shape)
    return atoms


def structure_zoo():
    """Name to Atoms: every kind of boundary, small cells, atoms outside the cell."""
    slab = fcc111("Al", (2, 2, 2), vacuum=6.0)
    add_adsorbate(slab, "O", 1.5, "fcc")
    slab.pbc = (True, True, False)
    wire = Atoms("C2H2", [[0, 0, 0], [1.3, 0, 0.2], [0, 1.1, 0], [1.3, -1.1, 0]], cell=[2.9, 9, 8])
    wire.pbc = (True, False, False)
    outside = rattled(bulk("NaCl", "rocksalt", a=5.6, cubic=True), 3)
    outside.positions[::3] += 2 * outside.cell[0] - outside.cell[2]
    left_handed = rattled(bulk("Si", cubic=True), 4)
    left_handed.set_cell(left_handed.cell[[1, 0, 2]])
    triclinic = rattled(bulk("Cu", "fcc", a=3.6) * (2, 1, 1), 5)
    triclinic.set_cell(triclinic.cell @ (np.eye(3) + 0.05), scale_atoms=True)
    boxed = rattled(molecule("CH3CH2OH"), 6)
    boxed.set_cell([7, 8, 9])
    return {
        "molecule": rattled(molecule("CH3CH2OH"), 1),
        "molecule in a box": boxed,
        "primitive cell": bulk("Si"),
        "one-atom cell": bulk("Cu"),
        "triclinic": triclinic,
        "left-handed": left_handed,
        "outside the cell": outside,
        "slab": rattled(slab, 2),
        "wire": wire,
    }


def labelled(atoms, calculator, *, stress=False, **about):
    """A structure with the labels of an ASE calculator; `about` sets branch, group and source."""
    atoms = atoms.copy()
    atoms.calc = calculator
    return AtomicStructure(
        atomic_numbers=atoms.numbers,
        positions=atoms.positions,
        cell=atoms.cell.array,
        pbc=atoms.pbc,
        energy=atoms.get_potential_energy(),
        forces=atoms.get_forces(),
        stress=atoms.get_stress(voigt=False) if stress else None,
        **about,
    )
