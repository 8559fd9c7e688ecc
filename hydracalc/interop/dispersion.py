"""D3 dispersion where a branch's level of theory lacks it, through the dftd3 library.

D3(BJ) [Grimme et al. 2011, 10.1002/jcc.21759] has parameters for each functional. A model answers
with the functionals of its branches, so which parameters belong to it depends on the branch, and in
a mixture on its weights: the energy is sum_b w_b E_b, and so is the dispersion. Weights depend on
composition alone, so forces and stress are sums of the same weights.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.calculators.mixing import SumCalculator

from hydracalc.calculator import HydraCalculator

try:
    from dftd3.ase import DFTD3
    from dftd3.interface import RationalDampingParam
except ImportError as error:
    raise ImportError("dispersion needs dftd3: pip install 'hydracalc[dispersion]'") from error

# functional at the start of a card's level of theory: the name that dftd3 has its parameters under
FITTED = {
    "B3LYP": "b3lyp",
    "PBE": "pbe",
    "PBE+U": "pbe",
    "PBE0": "pbe0",
    "RPBE": "rpbe",
    "r2SCAN": "r2scan",
}

# levels of theory whose labels hold dispersion already
INCLUDED = (
    "CCSD(T)*",
    "GFN2-xTB",
    "OptB88vdW",
    "PBE+TS",
    "PBE-D3",
    "PBE0+MBD",
    "RPBE-D3",
    "wB97M-D3(BJ)",
    "wB97M-V",
    "wB97X-D",
)

# what dftd3 calls wb97x are wB97X-D3 [10.1021/ct300715s] and wB97X-D3(BJ), whose exchange and
# correlation were fitted together with the dispersion and are not those of wB97X
UNFITTED = ("wB97X",)

_D3 = "d3bj"


def functional_of(theory: str) -> str | None:
    """The functional whose D3 parameters belong to a level of theory, as dftd3 names it.

    Args:
        theory: of a dataset's card, such as "PBE/def2-SVP, gas phase".

    Returns:
        None where the level of theory includes dispersion.

    Raises:
        ValueError: no parameters were fitted for the functional, or it is not known.
    """
    name = re.split(r"[/, ]", theory, maxsplit=1)[0]
    if name in INCLUDED:
        return None
    if name in FITTED:
        return FITTED[name]
    if name in UNFITTED:
        raise ValueError(
            f"no D3 parameters were fitted for {name}; dftd3's of like names belong to other "
            "functionals"
        )
    raise ValueError(
        f"level of theory {theory!r}: functional {name!r} is not known "
        f"(with D3 parameters: {', '.join(FITTED)}; with dispersion: {', '.join(INCLUDED)})"
    )


class Dispersion(Calculator):
    """The dispersion that the branches of a calculator lack, D3(BJ), as an ASE calculator.

    Args:
        calculator: whose branches and weights count.
        functionals: by branch, dftd3's name of a functional, or None for no dispersion; goes
            before what the branch's level of theory says.
        three_body: add the Axilrod-Teller-Muto term, which D3(BJ) as usually quoted leaves out.

    Raises:
        ValueError: `functionals` names a branch that the model lacks or a functional that dftd3
            lacks.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]
    ignored_changes = {"initial_charges", "initial_magmoms"}

    def __init__(
        self,
        calculator: HydraCalculator,
        *,
        functionals: Mapping[str, str | None] | None = None,
        three_body: bool = False,
    ) -> None:
        super().__init__()
        self._calculator = calculator
        self._three_body = three_body
        self._functionals = dict(functionals or {})
        for branch, functional in self._functionals.items():
            calculator.branch_card(branch)
            if functional is not None:
                _check_functional(branch, functional)
        self._d3: dict[str, DFTD3] = {}

    def shares(self, atoms: Atoms) -> dict[str, float]:
        """Weight of each functional's dispersion for a structure; they sum to 1 or less.

        Raises:
            ValueError: a branch that has weight has no D3 parameters.
        """
        shares: dict[str, float] = {}
        for branch, weight in self._calculator.get_branch_weights(atoms).items():
            functional = self._of_branch(branch) if weight > 0 else None
            if functional is not None:
                shares[functional] = shares.get(functional, 0.0) + weight
        return shares

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Energy, forces and, where the structure is periodic, stress."""
        self.results = {}
        super().calculate(atoms, list(properties), list(system_changes))
        assert self.atoms is not None
        has_stress = bool(self.atoms.pbc.any()) and self.atoms.cell.rank == 3
        if "stress" in properties and not has_stress:
            raise PropertyNotImplementedError("stress needs a periodic structure with a volume")
        # dftd3 divides by the volume wherever a direction is periodic
        whole = self.atoms.copy()
        whole.cell = whole.cell.complete()
        energy, forces, stress = 0.0, np.zeros((len(whole), 3)), np.zeros(6)
        for functional, share in self.shares(self.atoms).items():
            of_functional = self._calculator_of(functional)
            forces += share * of_functional.get_property("forces", whole)
            energy += share * of_functional.get_property("energy", whole)
            if has_stress:
                stress += share * of_functional.get_property("stress", whole)
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}
        if has_stress:
            self.results["stress"] = stress

    def __getstate__(self) -> dict[str, object]:
        # what dftd3 holds in C is made anew where a copy is used
        return self.__dict__ | {"_d3": {}}

    def _of_branch(self, branch: str) -> str | None:
        if branch in self._functionals:
            return self._functionals[branch]
        try:
            return functional_of(self._calculator.branch_card(branch).theory)
        except ValueError as error:
            raise ValueError(
                f"branch {branch!r}: {error}; say functionals={{{branch!r}: ...}}, None for no "
                "dispersion, or choose another branch"
            ) from None

    def _calculator_of(self, functional: str) -> DFTD3:
        if functional not in self._d3:
            damping = {"method": functional, "atm": self._three_body}
            self._d3[functional] = DFTD3(method=functional, damping=_D3, params_tweaks=damping)
        return self._d3[functional]


class DispersionCorrected(SumCalculator):
    """ASE's sum of a calculator and of the dispersion that its branches lack."""

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What changed since the last calculation, charge and spin in `atoms.info` included."""
        changes = list(super().check_state(atoms, tol=tol))
        return changes or list(self.mixer.calcs[0].check_state(atoms, tol=tol))


def with_dispersion(
    calculator: HydraCalculator,
    *,
    functionals: Mapping[str, str | None] | None = None,
    three_body: bool = False,
) -> DispersionCorrected:
    """A calculator that adds D3(BJ) dispersion where the level of theory lacks it.

    Args:
        calculator: shares its weights with the result, which keeps no other tie to it.
        functionals: see `Dispersion`.
        three_body: see `Dispersion`.

    Raises:
        ValueError: see `Dispersion`.
    """
    own = calculator.with_branch(calculator.parameters["branch"])
    dispersion = Dispersion(own, functionals=functionals, three_body=three_body)
    return DispersionCorrected([own, dispersion])


def _check_functional(branch: str, functional: str) -> None:
    try:
        RationalDampingParam(method=functional)
    except RuntimeError as error:
        raise ValueError(
            f"branch {branch!r}: dftd3 has no D3(BJ) parameters for {functional!r}: {error}"
        ) from None
