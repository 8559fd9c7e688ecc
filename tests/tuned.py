"""A model pretrained a little on one potential, and data of another that resembles it."""

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from builders import labelled, make_card

from hydracalc import elements, references
from hydracalc.checkpoint import save_checkpoint
from hydracalc.models.branches import BranchSpec
from hydracalc.models.hydra import HydraConfig, HydraModel
from hydracalc.training.config import TrainerConfig, TrainingConfig
from hydracalc.training.loop import Trainer
from hydracalc.training.sampler import BranchShare, SamplerConfig, TrainingSet

LATTICE = {"Cu": 3.6, "Al": 4.05, "Ni": 3.5}
# the new level of theory: energies of atoms, eV, and stiffer by a factor
OFFSETS = {"Cu": -40.0, "Ni": -55.0}
STIFFER = 1.25


def crystal(symbols, seed):
    """A rattled fcc cell of four atoms of these elements."""
    rng = np.random.default_rng(seed)
    length = np.mean([LATTICE[symbol] for symbol in symbols])
    atoms = bulk("Cu", "fcc", a=length, cubic=True)
    atoms.set_chemical_symbols(rng.choice(symbols, 4).tolist())
    atoms.positions += rng.normal(0, 0.12, atoms.positions.shape)
    return atoms


def spec_of(name, structures):
    counts = np.array([elements.composition(s.atomic_numbers) for s in structures])
    fitted = references.fit(counts, np.array([s.energy for s in structures]))
    symbols = elements.symbols(np.nonzero(fitted.supported)[0])
    return BranchSpec(
        name=name,
        card=make_card(name, symbols),
        references=fitted,
        num_structures=len(structures),
    )


@pytest.fixture(scope="session")
def old_structures():
    """Two branches: one has what the new data have, one lacks nickel."""
    sets = {"alloys": ["Cu", "Al", "Ni"], "light": ["Cu", "Al"]}
    return {
        name: [
            labelled(crystal(symbols, k), EMT(), branch=name, group=str(k), source=f"{name}-{k}")
            for k in range(24)
        ]
        for name, symbols in sets.items()
    }


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory, old_structures):
    """File of a small model with branches alloys and light."""
    config = HydraConfig(
        encoder="painn", num_channels=16, num_layers=2, num_radial=8, head_widths=(16,), cutoff=4.5
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = HydraModel(config, [spec_of(name, own) for name, own in old_structures.items()])
    everything = [structure for own in old_structures.values() for structure in own]
    trainer = Trainer(
        model,
        TrainingSet(everything, branch_names=model.branch_names, cutoff=4.5),
        validation=None,
        branches=[BranchShare(), BranchShare()],
        config=TrainerConfig(
            training=TrainingConfig(epochs=20), sampler=SamplerConfig(max_atoms=32, max_edges=4000)
        ),
    )
    path = tmp_path_factory.mktemp("pretrained") / "old.safetensors"
    save_checkpoint(path, trainer.run(), provenance={})
    return path


def relabelled(atoms):
    """Labels of the new level: another zero of energy, and all forces larger by a factor."""
    atoms.calc = EMT()
    energy = STIFFER * atoms.get_potential_energy()
    energy += sum(OFFSETS[symbol] for symbol in atoms.get_chemical_symbols())
    forces = STIFFER * atoms.get_forces()
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    return atoms


@pytest.fixture(scope="session")
def new_file(tmp_path_factory):
    """Thirty labelled structures, two without labels, in extended XYZ."""
    frames = [relabelled(crystal(["Cu", "Ni"], 100 + k)) for k in range(30)]
    frames += [crystal(["Cu", "Ni"], 200 + k) for k in range(2)]
    path = tmp_path_factory.mktemp("new") / "new.extxyz"
    ase.io.write(path, frames)
    return path


@pytest.fixture(scope="session")
def free_atoms():
    """Free atoms of the new level."""
    frames = []
    for symbol, energy in OFFSETS.items():
        atoms = Atoms(symbol)
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=np.zeros((1, 3)))
        frames.append(atoms)
    return frames
