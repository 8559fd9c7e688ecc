"""Random organic molecules, their conformers, displaced and reacting forms, labelled by GFN2-xTB.

    python label.py out.extxyz --seed 0 --part 0/2 --molecules 4000

Molecules are grown atom by atom within valences, from single atoms or common rings, and embedded by
RDKit; molecule number n follows from the seed and n alone. Every molecule gives frames: displaced
atoms, a stretched bond, a snapshot of hot dynamics, and now and then another molecule in
contact. One in ten has a proton more or less. Needs `pip install rdkit tblite ase`; GFN2-xTB:
10.1021/acs.jctc.8b01176.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TextIO

import numpy as np
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import covalent_radii
from ase.geometry import get_distances
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from rdkit import Chem, RDLogger
from rdkit.Chem import AllChem
from tblite.ase import TBLite

VALENCES = {"C": 4, "N": 3, "O": 2, "F": 1, "S": 2, "Cl": 1, "P": 3, "Br": 1}
COMMON = {"C": 0.62, "N": 0.18, "O": 0.20}
RARE = {"C": 0.5, "N": 0.12, "O": 0.12, "F": 0.09, "S": 0.08, "Cl": 0.05, "P": 0.02, "Br": 0.02}
SEEDS = (
    *("C", "C", "C", "N", "O"),
    *("c1ccccc1", "c1ccncc1", "c1cc[nH]c1", "c1ccoc1", "c1cnc[nH]1", "C1CCCCC1", "C1CCNC1"),
    *(
        "NC=O",
        "OC=O",
        "C=O",
        "C#N",
        "C=C",
        "C#C",
        "NCC(=O)O",
        "C1CC1",
        "C1CO1",
        "N=C",
        "[N+](=O)[O-]",
    ),
)
MOST_HEAVY = 10
MOST_FORCE = 25.0  # eV/Angstrom
SHORTEST = 0.6  # of the sum of covalent radii


def grown(rng: np.random.Generator) -> Chem.Mol:
    """A random molecule without hydrogen."""
    shares = COMMON if rng.random() < 0.8 else RARE
    molecule = Chem.RWMol(Chem.MolFromSmiles(str(rng.choice(SEEDS))))
    wanted = int(rng.integers(1, MOST_HEAVY + 1))
    while molecule.GetNumAtoms() < wanted:
        Chem.SanitizeMol(molecule)
        free = [a.GetIdx() for a in molecule.GetAtoms() if a.GetTotalNumHs() > 0]
        if not free:
            break
        place = molecule.GetAtomWithIdx(int(rng.choice(free)))
        symbol = str(rng.choice(list(shares), p=list(shares.values())))
        if symbol != "C" and place.GetSymbol() != "C" and rng.random() < 0.8:
            continue
        most = 1 if place.GetIsAromatic() else min(place.GetTotalNumHs(), VALENCES[symbol])
        order = min(most, int(rng.choice([1, 2, 3], p=[0.8, 0.16, 0.04])))
        if place.GetSymbol() == "N" and place.GetIsAromatic():
            place.SetNumExplicitHs(0)
        new = molecule.AddAtom(Chem.Atom(symbol))
        molecule.AddBond(place.GetIdx(), new, Chem.BondType.values[order])
    Chem.SanitizeMol(molecule)
    if rng.random() < 0.3:
        molecule = closed(molecule, rng)
    return molecule.GetMol()


def closed(molecule: Chem.RWMol, rng: np.random.Generator) -> Chem.RWMol:
    """The molecule with one more ring, if there is a place for it."""
    distances = Chem.GetDistanceMatrix(molecule)
    free = [a.GetIdx() for a in molecule.GetAtoms() if a.GetTotalNumHs() and not a.GetIsAromatic()]
    pairs = [(i, j) for i in free for j in free if i < j and 2 <= distances[i, j] <= 6]
    if pairs:
        first, second = pairs[rng.integers(len(pairs))]
        molecule.AddBond(first, second, Chem.BondType.SINGLE)
        Chem.SanitizeMol(molecule)
    return molecule


def charged(molecule: Chem.Mol, rng: np.random.Generator) -> Chem.Mol:
    """One in ten with a proton more on nitrogen, or less on oxygen."""
    if rng.random() > 0.1:
        return molecule
    for atom in molecule.GetAtoms():
        plain = not atom.GetIsAromatic() and atom.GetFormalCharge() == 0
        if atom.GetSymbol() == "N" and plain and not atom.GetNumExplicitHs():
            atom.SetFormalCharge(1)
            break
        if atom.GetSymbol() == "O" and plain and atom.GetTotalNumHs():
            atom.SetFormalCharge(-1)
            break
    Chem.SanitizeMol(molecule)
    return molecule


def embedded(molecule: Chem.Mol, seed: int) -> tuple[Atoms, list[tuple[int, int]]] | None:
    """A conformer of it, and its bonds; None where there is none."""
    whole = Chem.AddHs(molecule)
    if AllChem.EmbedMolecule(whole, randomSeed=seed, maxAttempts=5) != 0:
        return None
    if AllChem.MMFFHasAllMoleculeParams(whole):
        AllChem.MMFFOptimizeMolecule(whole, maxIters=200)
    symbols = [atom.GetSymbol() for atom in whole.GetAtoms()]
    atoms = Atoms(symbols, whole.GetConformer().GetPositions())
    atoms.info["charge"] = Chem.GetFormalCharge(whole)
    return atoms, [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in whole.GetBonds()]


def stretched(atoms: Atoms, bonds: list[tuple[int, int]], rng: np.random.Generator) -> Atoms:
    """Longer or shorter along a bond: what lies nearer its second atom moves."""
    atoms = atoms.copy()
    first, second = bonds[rng.integers(len(bonds))]
    vector = atoms.positions[second] - atoms.positions[first]
    side = (atoms.positions - atoms.positions[first]) @ vector > 0.5 * (vector @ vector)
    atoms.positions[side] += vector * rng.uniform(-0.2, 0.9)
    atoms.rattle(0.05, rng=rng)
    return atoms


def snapshot(atoms: Atoms, calculator: TBLite, rng: np.random.Generator) -> Atoms:
    """After a while of hot dynamics."""
    atoms = atoms.copy()
    atoms.calc = calculator
    temperature = rng.uniform(200, 1200)
    MaxwellBoltzmannDistribution(atoms, temperature_K=2 * temperature, rng=rng)
    dynamics = Langevin(
        atoms, units.fs, temperature_K=temperature, friction=0.02 / units.fs, rng=rng
    )
    dynamics.run(int(rng.integers(20, 60)))
    atoms.calc = None
    return atoms


def touching(one: Atoms, other: Atoms, rng: np.random.Generator) -> Atoms:
    """Both, turned at random, at a distance between contact and 2 Angstrom more."""
    one, other = one.copy(), other.copy()
    for atoms in (one, other):
        atoms.rattle(0.05, rng=rng)
        atoms.positions -= atoms.positions.mean(axis=0)
        atoms.euler_rotate(*rng.uniform(0, 360, 3))
    radii = 1.4 * (covalent_radii[one.numbers][:, None] + covalent_radii[other.numbers])
    while (get_distances(one.positions, other.positions)[1] < radii).any():
        other.positions[:, 0] += 0.2
    other.positions[:, 0] += rng.exponential(0.6)
    both = one + other
    both.info["charge"] = one.info["charge"] + other.info["charge"]
    return both


def family(
    atoms: Atoms, bonds: list[tuple[int, int]], other: Atoms | None, rng: np.random.Generator
) -> list[Atoms]:
    """Frames of one molecule, without labels."""
    calculator = TBLite(method="GFN2-xTB", charge=atoms.info["charge"], verbosity=0)
    frames = []
    for sigma in (0.0, rng.uniform(0.02, 0.1), rng.uniform(0.1, 0.2)):
        frames.append(atoms.copy())
        frames[-1].rattle(sigma, rng=rng)
    if bonds:
        frames.append(stretched(atoms, bonds, rng))
        frames.append(snapshot(atoms, calculator, rng))
    if other is not None and len(atoms) + len(other) <= 36 and rng.random() < 0.35:
        frames.append(touching(atoms, other, rng))
    return frames


def labelled(atoms: Atoms) -> Atoms | str:
    """The frame with its labels, or why it is left out."""
    distances = get_distances(atoms.positions)[1]
    np.fill_diagonal(distances, np.inf)
    radii = covalent_radii[atoms.numbers]
    if (distances < SHORTEST * (radii[:, None] + radii)).any():
        return "atoms too near"
    info = {"charge": atoms.info["charge"]}
    atoms.calc = TBLite(method="GFN2-xTB", charge=info["charge"], verbosity=0)
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    if not np.abs(forces).max() < MOST_FORCE:
        return "large force"
    atoms.info = info
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    return atoms


def written(atoms: Atoms, molecule: str) -> str:
    """The frame as extended XYZ."""
    charge, energy = atoms.info["charge"], atoms.get_potential_energy()
    lines = [
        str(len(atoms)),
        f"Properties=species:S:1:pos:R:3:forces:R:3 charge={charge} "
        f'molecule="{molecule}" energy={energy:.6f} pbc="F F F"',
    ]
    for symbol, *rest in zip(
        atoms.get_chemical_symbols(), atoms.positions, atoms.get_forces(), strict=True
    ):
        lines.append(" ".join([symbol, *(f"{x:.5f}" for x in np.concatenate(rest))]))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make and label the frames of one part of the molecules."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--molecules", type=int, default=4000)
    given = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    part, parts = map(int, given.part.split("/"))
    counts: Counter[str] = Counter()
    with Path(given.out).open("a") as out:
        label_all(range(part, given.molecules, parts), given.seed, out, counts)
    sys.stdout.write(f"{dict(counts)}\n")


def label_all(numbers: range, seed: int, out: TextIO, counts: Counter[str]) -> None:
    """Write labelled frames of molecules, count what was kept and why others were not."""
    for number in numbers:
        rng = np.random.default_rng([seed, number])
        try:
            molecule = charged(grown(rng), rng)
            made = embedded(molecule, number)
            other = embedded(grown(rng), number)
            frames = family(*made, other and other[0], rng) if made else []
        except (Chem.KekulizeException, Chem.AtomValenceException, RuntimeError) as error:
            counts[type(error).__name__] += 1
            continue
        for frame in frames:
            try:
                done = labelled(frame)
            except RuntimeError:
                done = "not converged"
            counts[done if isinstance(done, str) else "kept"] += 1
            if not isinstance(done, str):
                out.write(written(done, Chem.MolToSmiles(molecule)))
        out.flush()


if __name__ == "__main__":
    main()
