r"""Short relaxations of crystals in which elements were replaced, labelled with SevenNet-0.

    python label.py parents.extxyz part0.xyz --seed 0 --part 0/2 --minutes 60
    python ../make_slice.py MPtrj_computed.json.gz part0.xyz part1.xyz

    python parents.py parents.extxyz shards/mptrj shards/alexandria --held-out shards/mattersim \
        --most-atoms 96
    python label.py parents.extxyz large0.xyz --large --seed 1 --part 0/2 --minutes 26
    python ../make_slice.py ../computed_large/MPtrj_computed.json.gz large0.xyz large1.xyz \
        --decimals 5

SevenNet-0 (7net-0, trained on MPtrj; its weights come with `pip install sevenn==0.13.0`) stands in
for PBE at the level of MPtrj, near equilibrium only: frames with large forces or stresses are left
out and counted. Parents come from `parents.py`, and from the AFLOW prototypes that come with
pymatgen. Child number n follows from the seed and n alone. Small crystals cover elements and
bonds; large ones (`--large`) are those with anions of many atoms, such as nitrates and silicates.
Also needs ase and pymatgen.
"""

import argparse
import gzip
import json
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
import pymatgen.analysis.prototypes as prototypes
import torch
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers, chemical_symbols, covalent_radii, reference_states
from ase.filters import FrechetCellFilter
from ase.geometry import get_distances
from ase.optimize import FIRE
from pymatgen.core import Element, Structure
from sevenn.calculator import SevenNetCalculator

# not in MPtrj, or hardly
EXCLUDED = {"Po", "At", "Rn", "Fr", "Ra", "Am", "Cm", "He", "Ne", "Ar"}
# an anion is replaced by one of its kind, any other element by a near one of Pettifor's order
KINDS = (("O", "S", "Se", "Te"), ("F", "Cl", "Br", "I"), ("N", "P", "As"), ("H",), ("C",))
NEAREST = 8
BULK_MODULUS = 80 * units.GPa  # for the first steps of the volume


@dataclass(frozen=True)
class Plan:
    """Which crystals, and what is done with each.

    Attributes:
        atoms: fewest and most of a child.
        prototype_atoms: most of a prototype.
        own: part of the children whose parents are training structures; then prototypes, elements.
        cations, anions: chance that an element of these is replaced.
        volume_steps: by the bulk modulus, before the relaxation.
        steps: of the relaxation, after which a frame is kept.
        displaced: frames with atoms and cell displaced from its end.
        strain: smallest and largest factor of all lengths of these.
        rattle: most of their atoms' displacement, Angstrom.
    """

    atoms: tuple[int, int]
    prototype_atoms: int
    own: float
    prototypes: float
    elements: float
    cations: float
    anions: float
    volume_steps: int
    steps: tuple[int, ...]
    displaced: int
    strain: tuple[float, float]
    rattle: float


SMALL = Plan((1, 28), 24, 0.68, 0.14, 0.12, 0.5, 0.5, 3, (0, 2, 8), 5, (0.95, 1.06), 0.2)
LARGE = Plan((16, 80), 80, 0.9, 0.1, 0.0, 0.35, 0.1, 2, (3, 6), 3, (0.97, 1.04), 0.12)

TOUCHING = {"fcc": 2**0.5, "bcc": 2 / 3**0.5, "hcp": 1.0, "diamond": 4 / 3**0.5}
LATTICES = {"rocksalt": 2.0, "zincblende": 4 / 3**0.5, "cesiumchloride": 2 / 3**0.5}
LEAST_VOLUME = 2.5  # Angstrom^3/atom
MOST_FORCE = 10.0  # eV/Angstrom
MOST_STRESS = 25 * units.GPa


def near(symbol: str) -> list[str]:
    """Elements that may take the place of one."""
    for kind in KINDS:
        if symbol in kind:
            return list(kind)
    place = Element(symbol).mendeleev_no
    symbols = [s for s in chemical_symbols[1:95] if s not in EXCLUDED]
    others = [s for s in symbols if not any(s in kind for kind in KINDS)]
    return sorted(others, key=lambda s: abs(Element(s).mendeleev_no - place))[:NEAREST]


def replaced(atoms: Atoms, plan: Plan, rng: np.random.Generator) -> Atoms:
    """The crystal with some elements replaced and the volume scaled by their radii."""
    child = atoms.copy()
    new = {}
    for symbol in sorted(set(atoms.get_chemical_symbols())):
        choices = near(symbol)
        chance = plan.anions if any(symbol in kind for kind in KINDS) else plan.cations
        new[symbol] = str(rng.choice(choices)) if rng.random() < chance else symbol
        if new[symbol] in EXCLUDED:
            new[symbol] = choices[0]
    child.set_chemical_symbols([new[s] for s in atoms.get_chemical_symbols()])
    before, after = (np.sum(covalent_radii[a.numbers] ** 3) for a in (atoms, child))
    child.set_cell(child.cell * (after / before) ** (1 / 3), scale_atoms=True)
    return child


def element(rng: np.random.Generator) -> Atoms:
    """An element as fcc, bcc, hcp, sc or diamond, at about its density, in a small supercell."""
    symbol = str(rng.choice([s for s in chemical_symbols[1:95] if s not in EXCLUDED]))
    known = reference_states[atomic_numbers[symbol]] or {}
    structure = str(rng.choice(["fcc", "bcc", "hcp", "diamond", "own"]))
    if structure == "own" and known.get("symmetry") in TOUCHING and "basis" not in known:
        atoms = bulk(symbol)
    else:
        structure = "bcc" if structure == "own" else structure
        length = 2.1 * covalent_radii[atomic_numbers[symbol]] * TOUCHING[structure]
        atoms = bulk(symbol, structure, a=length)
    return atoms * tuple(int(n) for n in rng.integers(1, 4, 3)) if rng.random() < 0.5 else atoms


def binary(rng: np.random.Generator) -> Atoms:
    """A metal and a nonmetal as a common lattice, in a small supercell."""
    nonmetals = sorted({symbol for kind in KINDS for symbol in kind})
    metals = [s for s in chemical_symbols[1:95] if s not in EXCLUDED and s not in nonmetals]
    pair = [str(rng.choice(metals)), str(rng.choice(nonmetals))]
    lattice = str(rng.choice(sorted(LATTICES)))
    length = LATTICES[lattice] * sum(covalent_radii[atomic_numbers[s]] for s in pair)
    atoms = bulk("".join(pair), lattice, a=length)
    return atoms * tuple(int(n) for n in rng.integers(1, 3, 3))


def parent(
    own: list[Atoms], kinds: list[Atoms], plan: Plan, rng: np.random.Generator
) -> tuple[str, Atoms]:
    """Where a child comes from."""
    drawn = rng.random()
    if drawn < plan.own:
        atoms = own[rng.integers(len(own))]
        return atoms.info["source"], replaced(atoms, plan, rng)
    if drawn < plan.own + plan.prototypes:
        return "prototype", replaced(kinds[rng.integers(len(kinds))], plan, rng)
    is_element = drawn < plan.own + plan.prototypes + plan.elements
    return ("element", element(rng)) if is_element else ("binary", binary(rng))


def read_prototypes(most_atoms: int) -> list[Atoms]:
    """AFLOW prototypes."""
    path = Path(prototypes.__file__).with_name("aflow_prototypes.json.gz")
    frames = []
    for entry in json.loads(gzip.decompress(path.read_bytes())):
        crystal = Structure.from_dict(entry["snl"]).to_ase_atoms()
        if len(crystal) <= most_atoms and not set(crystal.get_chemical_symbols()) & EXCLUDED:
            frames.append(crystal)
    return frames


def has_room(atoms: Atoms) -> bool:
    """Whether no two atoms are much nearer than a bond, and not many within reach."""
    if atoms.get_volume() < LEAST_VOLUME * len(atoms):
        return False
    wrapped = atoms.repeat([2 if length < 3 else 1 for length in atoms.cell.lengths()])
    distances = get_distances(wrapped.positions, cell=wrapped.cell, pbc=True)[1]
    np.fill_diagonal(distances, np.inf)
    radii = covalent_radii[wrapped.numbers]
    return bool((distances > 0.6 * (radii[:, None] + radii)).all())


def frame(atoms: Atoms) -> Atoms:
    """A copy with its labels, the atoms inside the cell."""
    labels = {
        "energy": atoms.get_potential_energy(),
        "forces": atoms.get_forces(),
        "stress": atoms.get_stress(),
    }
    atoms = atoms.copy()
    atoms.wrap()
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


def family(
    child: Atoms, plan: Plan, rng: np.random.Generator, calculator: SevenNetCalculator
) -> list[Atoms]:
    """Frames of a short relaxation, and of its end with atoms and cell displaced."""
    child.rattle(0.02, rng=rng)
    child.calc = calculator
    for _ in range(plan.volume_steps):
        pressure = -np.trace(child.get_stress(voigt=False)) / 3
        child.set_cell(
            child.cell * (1 + np.clip(pressure / BULK_MODULUS, -0.25, 0.25)) ** (1 / 3),
            scale_atoms=True,
        )
        if not has_room(child):
            return []
    frames = []
    optimizer = FIRE(FrechetCellFilter(child), logfile=None, maxstep=0.15)
    done = 0
    for steps in plan.steps:
        optimizer.run(fmax=0.02, steps=steps - done)
        done = steps
        frames.append(frame(child))
    for _ in range(plan.displaced):
        atoms = child.copy()
        strain = np.eye(3) * rng.uniform(*plan.strain) + rng.normal(0, rng.uniform(0, 0.02), (3, 3))
        atoms.set_cell(atoms.cell @ strain, scale_atoms=True)
        atoms.rattle(rng.uniform(0.0, plan.rattle), rng=rng)
        atoms.calc = calculator
        frames.append(frame(atoms))
    return frames


def why_not(atoms: Atoms) -> str:
    """Why a frame is left out, or nothing."""
    if not has_room(atoms):
        return "atoms too near"
    if np.abs(atoms.get_forces()).max() > MOST_FORCE:
        return "large force"
    if np.abs(atoms.get_stress()).max() > MOST_STRESS:
        return "large stress"
    if atoms.get_volume() / len(atoms) > 80:
        return "fell apart"
    return ""


def read_arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parents")
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--large", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Label children until the time is over."""
    given = read_arguments()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    plan = LARGE if given.large else SMALL
    fewest, most = plan.atoms
    own = [atoms for atoms in ase.io.read(given.parents, index=":") if fewest <= len(atoms)]
    held_out = set(Path(f"{given.parents}.held_out").read_text().split())
    kinds = [atoms for atoms in read_prototypes(plan.prototype_atoms) if fewest <= len(atoms)]
    calculator = SevenNetCalculator("7net-0", device="cpu")
    part, parts = map(int, given.part.split("/"))
    counts, number, started = Counter(), given.first * parts + part, time.monotonic()
    while time.monotonic() - started < 60 * given.minutes:
        rng = np.random.default_rng([given.seed, number])
        source, child = parent(own, kinds, plan, rng)
        number += parts
        if child.get_chemical_formula(empirical=True) in held_out:
            counts["formula held out"] += 1
            continue
        if not fewest <= len(child) <= most or child.numbers.max() > atomic_numbers["Pu"]:
            counts["small, large, or beyond Pu"] += 1
            continue
        if not has_room(child):
            counts["no room"] += 1
            continue
        made = family(child, plan, rng, calculator)
        counts["collapsed"] += not made
        for step, atoms in enumerate(made):
            reason = why_not(atoms)
            counts[reason or "kept"] += 1
            if not reason:
                atoms.info = {
                    "mptrj_traj_id": f"computed-{given.seed}-{number - parts}",
                    "mptrj_snapshot_id": f"{source}-{step}",
                }
                ase.io.write(given.out, atoms, format="extxyz", append=True)
        sys.stdout.write(f"{number} {dict(counts)}\n")


if __name__ == "__main__":
    main()
