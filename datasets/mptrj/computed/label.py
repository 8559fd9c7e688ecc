"""Short relaxations of crystals in which elements were replaced, labelled with SevenNet-0.

    python label.py parents.extxyz part0.xyz --seed 0 --part 0/2 --minutes 60
    python ../make_slice.py MPtrj_computed.json.gz part0.xyz part1.xyz

SevenNet-0 (7net-0, trained on MPtrj; its weights come with `pip install sevenn==0.13.0`) stands in
for PBE at the level of MPtrj, near equilibrium only: frames with large forces or stresses are left
out and counted. Parents come from `parents.py`, and from the AFLOW prototypes that come with
pymatgen. Child number n follows from the seed and n alone. Also needs ase and pymatgen.
"""

import argparse
import gzip
import json
import sys
import time
import warnings
from collections import Counter
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
REPLACED = 0.5
LARGEST = 28  # atoms
BULK_MODULUS = 80 * units.GPa  # for the first steps of the volume
STEPS = (0, 2, 8)  # of the relaxation, after which a frame is kept
DISPLACED = 5  # frames with atoms and cell displaced from its end
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


def replaced(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """The crystal with some elements replaced and the volume scaled by their radii."""
    child = atoms.copy()
    new = {}
    for symbol in sorted(set(atoms.get_chemical_symbols())):
        choices = near(symbol)
        new[symbol] = str(rng.choice(choices)) if rng.random() < REPLACED else symbol
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


def parent(own: list[Atoms], kinds: list[Atoms], rng: np.random.Generator) -> tuple[str, Atoms]:
    """Where a child comes from."""
    drawn = rng.random()
    if drawn < 0.68:
        atoms = own[rng.integers(len(own))]
        return atoms.info["source"], replaced(atoms, rng)
    if drawn < 0.82:
        return "prototype", replaced(kinds[rng.integers(len(kinds))], rng)
    return ("element", element(rng)) if drawn < 0.94 else ("binary", binary(rng))


def read_prototypes() -> list[Atoms]:
    """Small AFLOW prototypes."""
    path = Path(prototypes.__file__).with_name("aflow_prototypes.json.gz")
    frames = []
    for entry in json.loads(gzip.decompress(path.read_bytes())):
        crystal = Structure.from_dict(entry["snl"]).to_ase_atoms()
        if len(crystal) <= 24 and not set(crystal.get_chemical_symbols()) & EXCLUDED:
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


def family(child: Atoms, rng: np.random.Generator, calculator: SevenNetCalculator) -> list[Atoms]:
    """Frames of a short relaxation, and of its end with atoms and cell displaced."""
    child.rattle(0.02, rng=rng)
    child.calc = calculator
    for _ in range(3):
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
    for steps in STEPS:
        optimizer.run(fmax=0.02, steps=steps - done)
        done = steps
        frames.append(frame(child))
    for _ in range(DISPLACED):
        atoms = child.copy()
        strain = np.eye(3) * rng.uniform(0.95, 1.06) + rng.normal(0, rng.uniform(0, 0.02), (3, 3))
        atoms.set_cell(atoms.cell @ strain, scale_atoms=True)
        atoms.rattle(rng.uniform(0.0, 0.2), rng=rng)
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


def main() -> None:
    """Label children until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parents")
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    own = ase.io.read(given.parents, index=":")
    held_out = set(Path(f"{given.parents}.held_out").read_text().split())
    kinds, calculator = read_prototypes(), SevenNetCalculator("7net-0", device="cpu")
    part, parts = map(int, given.part.split("/"))
    counts, number, started = Counter(), given.first * parts + part, time.monotonic()
    while time.monotonic() - started < 60 * given.minutes:
        rng = np.random.default_rng([given.seed, number])
        source, child = parent(own, kinds, rng)
        number += parts
        if child.get_chemical_formula(empirical=True) in held_out:
            counts["formula held out"] += 1
            continue
        if len(child) > LARGEST or child.numbers.max() > atomic_numbers["Pu"]:
            counts["large, or beyond Pu"] += 1
            continue
        if not has_room(child):
            counts["no room"] += 1
            continue
        made = family(child, rng, calculator)
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
