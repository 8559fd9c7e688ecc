"""Scores of a known law, and small ensembles that are really trained."""

from dataclasses import replace

import numpy as np
import torch
from ase import Atoms
from ase.calculators.emt import EMT
from builders import labelled, make_card

from hydracalc import references
from hydracalc.ensemble.scores import Scores
from hydracalc.graphs.collate import collate
from hydracalc.models.branches import BranchSpec
from hydracalc.models.hydra import HydraConfig, HydraModel

NUM_ATOMS = 12
METALS = ("Ni", "Cu", "Pt")


def drawn(count, seed, *, spread_says=1.0, ensemble=True, noise="normal"):
    """Errors whose size differs from atom to atom; the spread knows it to the power given.

    Atoms of one structure share a factor, as those of real structures do.
    """
    rng = np.random.default_rng(seed)
    structure = np.repeat(np.arange(count), NUM_ATOMS)
    numbers = rng.choice([1, 6, 8], len(structure))
    of_structure = np.exp(rng.normal(0, 0.4, count))
    size = of_structure[structure] * np.exp(rng.normal(0, 0.7, len(structure))) * (1 + numbers / 8)
    draw = (
        rng.standard_t(4, (len(size), 3)) if noise == "heavy" else rng.normal(size=(len(size), 3))
    )
    return Scores(
        energy_error=0.01 * of_structure * rng.normal(size=count),
        energy_spread=0.002 * of_structure if ensemble else np.full(count, np.nan),
        structure=structure,
        atomic_numbers=numbers,
        force_error=0.1 * size[:, None] * draw,
        # far too small, and not in proportion
        force_spread=0.03 * size**spread_says if ensemble else np.full(len(size), np.nan),
    )


def cluster(symbols, seed, *, noise=0.15):
    """Eight atoms at the corners of a cube, off their places, labelled by EMT."""
    rng = np.random.default_rng(seed)
    corners = np.mgrid[:2, :2, :2].reshape(3, -1).T * 2.5
    positions = corners + rng.normal(0, noise, (8, 3))
    about = {"branch": "metal", "group": str(seed), "source": f"cluster-{seed}"}
    return labelled(Atoms(symbols, positions), EMT(), **about)


def trained_members(structures, *, count=3, steps=120):
    """Models of different first weights, each trained on the same structures, float64."""
    return [_trained(structures, seed, steps) for seed in range(count)]


def _trained(structures, seed, steps):
    energies = references.from_json(dict.fromkeys(METALS, 0.0))
    spec = BranchSpec(name="metal", card=make_card("metal", METALS), references=energies)
    config = HydraConfig(cutoff=5.0, num_channels=12, num_layers=1, num_radial=8, head_widths=(12,))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = HydraModel(config, [spec]).to(torch.float64).train()
    graph = collate(structures, config.cutoff)
    graph = replace(graph, branch_index=torch.zeros_like(graph.branch_index))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        found = model(graph)
        misses = (found.energy - graph.energy) / graph.atoms_per_structure
        loss = (found.forces - graph.forces).square().mean() + misses.square().mean()
        loss.backward()
        optimizer.step()
    return model.eval().requires_grad_(False)
