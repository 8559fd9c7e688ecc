"""What energies are relative to free atoms: is the unit right, and the zero?"""

from collections.abc import Sequence

import numpy as np

from hydracalc import elements, units
from hydracalc.card import Card
from hydracalc.structure import AtomicStructure

# total energies of free atoms H to Ar without relativity, Hartree [Chakravorty et al.,
# 10.1103/PhysRevA.47.3649]
_ATOMS = (
    -0.5, -2.9037, -7.4781, -14.6674, -24.6539, -37.8450, -54.5892, -75.0673, -99.7339, -128.9376,
    -162.2546, -200.0530, -242.3460, -289.3590, -341.2590, -398.1100, -460.1480, -527.5400,
)  # fmt: skip
_HEAVIEST = 36  # beyond krypton most basis sets have effective core potentials

# share of each atom in the atomization energy of a molecule, eV: those of CH4, C2H6, H2O, NH3, HF,
# SiH4, PH3, H2S, HCl, HBr and HI, one after another; good to a fifth for closed shells
_SHARES = {
    1: 2.8, 5: 3.8, 6: 7.0, 7: 4.5, 8: 4.5, 9: 3.3, 14: 2.8, 15: 2.1, 16: 2.3, 17: 1.8, 35: 1.1,
    53: 0.5,
}  # fmt: skip
_OTHER_SHARE = 2.5  # eV


def free_atom(atomic_number: int) -> float:
    """All-electron energy of a free atom without relativity, eV, to half a percent.

    Heavier atoms than argon are taken from the expansion of Thomas, Fermi, Scott and Schwinger
    [10.1103/PhysRevA.24.2353].
    """
    if atomic_number <= len(_ATOMS):
        return _ATOMS[atomic_number - 1] * units.HARTREE
    z = float(atomic_number)
    return (-0.768745 * z ** (7 / 3) + z**2 / 2 - 0.2699 * z ** (5 / 3)) * units.HARTREE


def _doubt(atomic_number: int) -> float:
    """What density functionals, basis sets and relativity change in it, relative."""
    if atomic_number <= 10:
        return 0.001
    return 0.004 if atomic_number <= len(_ATOMS) else 0.03


def binding_ratios(structures: Sequence[AtomicStructure], card: Card) -> np.ndarray:
    """Energy of molecules below that of their free atoms, in units of what is expected; 1 at best.

    A formation or atomization energy is below its atoms by itself. A total energy needs the atoms
    of the card or, for elements up to krypton, those of `free_atom`, whose error is forgiven.
    Crystals, single atoms and molecules without known atoms are left out.

    Returns:
        One number for each molecule that can be judged.
    """
    ratios = [_binding_ratio(structure, card) for structure in structures]
    return np.array([ratio for ratio in ratios if ratio is not None])


def cohesive_energies(structures: Sequence[AtomicStructure], card: Card) -> np.ndarray:
    """Energy an atom of crystals and slabs above their isolated atoms, eV.

    Isolated atoms are those of the card; where it has none, zero, which is what the energies of
    projector-augmented waves are relative to. Structures with an element that the card lacks are
    left out if it has others.
    """
    energies = []
    for structure in structures:
        known = set(elements.symbols(structure.atomic_numbers)) <= set(card.isolated_atoms)
        if (
            structure.energy is None
            or not structure.pbc.any()
            or (card.isolated_atoms and not known)
        ):
            continue
        symbols = [elements.symbol(int(z)) for z in structure.atomic_numbers]
        atoms = sum(card.isolated_atoms.get(symbol, 0.0) for symbol in symbols)
        energies.append((structure.energy - atoms) / structure.num_atoms)
    return np.array(energies)


def _binding_ratio(structure: AtomicStructure, card: Card) -> float | None:
    if structure.energy is None or structure.pbc.any() or structure.num_atoms < 2:
        return None
    numbers = structure.atomic_numbers
    expected = sum(_SHARES.get(int(z), _OTHER_SHARE) for z in numbers)
    if card.energy_kind in ("formation", "atomization"):
        return -structure.energy / expected
    if set(elements.symbols(numbers)) <= set(card.isolated_atoms):
        atoms = sum(card.isolated_atoms[elements.symbol(int(z))] for z in numbers)
        return (atoms - structure.energy) / expected
    if numbers.max() > _HEAVIEST:
        return None
    free = np.array([free_atom(int(z)) for z in numbers])
    doubt = float(np.abs(free) @ [_doubt(int(z)) for z in numbers])
    excess = float(free.sum()) - structure.energy - expected
    return 1 + float(np.sign(excess)) * max(abs(excess) - doubt, 0.0) / expected
