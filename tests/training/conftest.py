"""Small labelled sets: crystals and molecules whose labels come from ASE's own potentials."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from builders import labelled, make_card

from hydracalc import elements, references
from hydracalc.models.branches import BranchSpec


def metals(count, seed=0):
    rng = np.random.default_rng(seed)
    made = []
    for k in range(count):
        symbol = ("Cu", "Al", "Ni")[k % 3]
        atoms = bulk(symbol, "fcc", a={"Cu": 3.6, "Al": 4.05, "Ni": 3.5}[symbol], cubic=True)
        atoms.positions += rng.normal(0, 0.12, atoms.positions.shape)
        made.append(
            labelled(atoms, EMT(), stress=True, branch="metals", group=str(k), source=f"metal-{k}")
        )
    return made


def clusters(count, seed=1):
    rng = np.random.default_rng(seed)
    made = []
    for k in range(count):
        atoms = Atoms("Cu3O2", rng.permutation(np.mgrid[:2, :2, :2].reshape(3, -1).T)[:5] * 2.2)
        atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
        made.append(labelled(atoms, EMT(), branch="clusters", group=str(k), source=f"cluster-{k}"))
    return made


def spec_of(structures):
    counts = np.array([elements.composition(s.atomic_numbers) for s in structures])
    fitted = references.fit(counts, np.array([s.energy for s in structures]))
    symbols = elements.symbols(np.nonzero(fitted.supported)[0])
    name = structures[0].branch
    return BranchSpec(
        name=name,
        card=make_card(name, symbols),
        references=fitted,
        num_structures=len(structures),
    )


@pytest.fixture(scope="session")
def two_sets():
    """Crystals with stress and clusters without: two branches."""
    return metals(18), clusters(12)
