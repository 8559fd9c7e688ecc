"""Density functional theory of molecules with PySCF, as an ASE calculator.

Needs `pip install pyscf`, which is imported when a calculator is made.
"""

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, SCFError, all_changes

from hydracalc import units
from hydracalc.structure import AtomicStructure, from_atoms


class PySCF(Calculator):
    """All-electron Kohn-Sham energies and forces of one molecule.

    Charge and spin multiplicity are `atoms.info["charge"]` and `atoms.info["spin"]` (2S + 1);
    without them a molecule is neutral and a singlet. Settings: `xc`, `basis`, `grid_level` of the
    integration grid, `conv_tol` of the energy in Hartree, `max_cycle` of the iterations. Forces are
    derivatives of the energy on its own grid, so both agree.
    """

    implemented_properties = ["energy", "forces"]
    default_parameters: dict[str, Any] = {
        "xc": "wb97x",
        "basis": "6-31g(d)",
        "grid_level": 4,
        "conv_tol": 1e-9,
        "max_cycle": 100,
    }
    packages = ("pyscf",)

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401  # as ASE's calculators are made
        """Import PySCF and check the settings.

        Raises:
            ValueError: PySCF is not installed, or there is no such setting.
        """
        unknown = sorted(set(settings) - set(self.default_parameters))
        if unknown:
            raise ValueError(f"no settings {unknown}; known: {list(self.default_parameters)}")
        try:
            import pyscf  # noqa: F401
        except ImportError:
            raise ValueError("PySCF is not installed; add it with: pip install pyscf") from None
        super().__init__(**settings)

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What changed since the last calculation; charge and spin count as the atoms do."""
        changes = list(super().check_state(atoms, tol=tol))
        known = self.atoms
        if not changes and known is not None and _electrons(known) != _electrons(atoms):
            changes = ["info"]
        return changes

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: tuple[str, ...] = ("energy",),
        system_changes: list[str] = all_changes,
    ) -> None:
        """Solve the Kohn-Sham equations.

        Raises:
            ValueError: the structure is periodic, or its charge and multiplicity do not fit its
                number of electrons.
            SCFError: they did not converge, with Newton's method neither.
        """
        super().calculate(atoms, properties, system_changes)
        structure = from_atoms(self.atoms)
        _check(structure)
        solution = self._solve(structure)
        self.results = {"energy": float(solution.e_tot) * units.HARTREE}
        if "forces" in properties:
            gradient = solution.nuc_grad_method()
            gradient.grid_response = True
            forces = -np.asarray(gradient.kernel())
            self.results["forces"] = forces * (units.HARTREE / units.BOHR)

    def _solve(self, structure: AtomicStructure) -> Any:  # noqa: ANN401  # of PySCF
        from pyscf import dft, gto

        settings = self.parameters
        molecule = gto.M(
            atom=[
                (int(z), tuple(position))
                for z, position in zip(structure.atomic_numbers, structure.positions, strict=True)
            ],
            basis=settings["basis"],
            charge=structure.total_charge,
            spin=structure.spin_multiplicity - 1,
            verbose=0,
        )
        method = dft.RKS if structure.spin_multiplicity == 1 else dft.UKS
        solution = method(molecule, xc=settings["xc"])
        solution.grids.level = settings["grid_level"]
        solution.conv_tol = settings["conv_tol"]
        solution.max_cycle = settings["max_cycle"]
        solution.kernel()
        if not solution.converged:
            solution = solution.newton()
            solution.kernel()
        if not solution.converged:
            raise SCFError(f"not converged after {settings['max_cycle']} cycles and Newton's")
        return solution


def _electrons(atoms: Atoms) -> tuple[Any, Any]:
    return atoms.info.get("charge", 0), atoms.info.get("spin", 1)


def _check(structure: AtomicStructure) -> None:
    if structure.pbc.any():
        raise ValueError("PySCF labels molecules here, but the structure is periodic")
    electrons = int(structure.atomic_numbers.sum()) - structure.total_charge
    unpaired = structure.spin_multiplicity - 1
    if electrons < unpaired or (electrons - unpaired) % 2:
        raise ValueError(
            f"{electrons} electrons cannot have spin multiplicity {structure.spin_multiplicity}; "
            'see atoms.info["charge"] and atoms.info["spin"]'
        )
