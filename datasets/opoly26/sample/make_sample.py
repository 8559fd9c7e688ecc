"""Writes a sample in the layout of OPoly26, labelled by a cheaper method, wB97X/6-31G(d).

Run from any folder: python make_sample.py [folder to write to]; it takes two minutes.
"""

import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from pyscf import dft, gto

from hydracalc import elements, units
from hydracalc.readers.aselmdb_writer import row_of, write_rows

# pieces of polyethylene and of polyoxymethylene: molecule, atoms to take off, charge, multiplicity
PIECES = {
    "train": (("C3H8", 0, 0, 1), ("CH3OCH3", 0, 1, 2)),
    "val": (("C2H6", 1, 0, 2),),
}
COPIES = 4


def labelled(atoms: Atoms, charge: int, multiplicity: int) -> Atoms:
    """The same atoms with energy, eV, and forces, eV/Angstrom."""
    positions = atoms.positions.tolist()
    molecule_ = gto.M(
        atom=list(zip(atoms.get_chemical_symbols(), positions, strict=True)),
        basis="6-31g*",
        charge=charge,
        spin=multiplicity - 1,
        verbose=0,
    )
    method = (dft.RKS if multiplicity == 1 else dft.UKS)(molecule_, xc="wb97x")
    method.conv_tol = 1e-10
    energy = method.kernel() * units.HARTREE
    derivative = method.nuc_grad_method()
    derivative.grid_response = True  # else forces do not add up to nothing
    gradient = derivative.kernel() * units.factor("Hartree/Bohr", "force")
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=-gradient)
    return atoms


def rows(piece: tuple[str, int, int, int], rng: np.random.Generator) -> list[dict]:
    """Displaced copies of a piece."""
    name, missing, charge, multiplicity = piece
    made = []
    for copy in range(COPIES):
        atoms = molecule(name)[: len(molecule(name)) - missing]
        atoms.positions += rng.normal(0, 0.01, (len(atoms), 3))
        labelled(atoms, charge, multiplicity)
        about = {
            "source": f"made/{name}-{missing}_{copy}_{charge}_{multiplicity}/orca.tar.zst",
            "data_id": "made",
            "charge": charge,
            "spin": multiplicity,
            "num_atoms": len(atoms),
            "composition": elements.formula(atoms.numbers),
        }
        made.append(row_of(atoms, about))
    return made


if __name__ == "__main__":
    out = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    generator = np.random.default_rng(0)
    for split, pieces in PIECES.items():
        (out / split).mkdir(exist_ok=True)
        (out / split / "data0000.aselmdb").unlink(missing_ok=True)
        write_rows(
            out / split / "data0000.aselmdb",
            [row for piece in pieces for row in rows(piece, generator)],
        )
