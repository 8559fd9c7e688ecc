"""Factors from published units to hydracalc's own: eV, Angstrom, e, eV/A, eV/A^3 [CODATA].

Every conversion happens once, at the border, through a factor of this file.
"""

import ase.units
from scipy import constants

_EV = constants.physical_constants["electron volt"][0]  # J

HARTREE = constants.physical_constants["Hartree energy in eV"][0]  # eV
RYDBERG = HARTREE / 2  # eV
BOHR = constants.physical_constants["Bohr radius"][0] / constants.angstrom  # Angstrom
KCAL_PER_MOL = constants.kilo * constants.calorie / constants.N_A / _EV  # eV
KJ_PER_MOL = constants.kilo / constants.N_A / _EV  # eV
NANOMETER = constants.nano / constants.angstrom  # Angstrom
GIGAPASCAL = constants.giga * constants.angstrom**3 / _EV  # eV/A^3
KILOBAR = constants.kilo * constants.bar * constants.angstrom**3 / _EV  # eV/A^3
FEMTOSECOND = ase.units.fs  # ASE's own time unit, for its integrators only

ENERGY = {
    "eV": 1.0,
    "meV": constants.milli,
    "Hartree": HARTREE,
    "Rydberg": RYDBERG,
    "kcal/mol": KCAL_PER_MOL,
    "kJ/mol": KJ_PER_MOL,
}
LENGTH = {"Angstrom": 1.0, "Bohr": BOHR, "nm": NANOMETER}
PRESSURE = {"eV/Angstrom^3": 1.0, "GPa": GIGAPASCAL, "kBar": KILOBAR}
# "kcal/mol/Angstrom" is a force, so force names are products of the two tables above
FORCE = {
    f"{energy}/{length}": e / r for energy, e in ENERGY.items() for length, r in LENGTH.items()
}

_TABLES = {"energy": ENERGY, "length": LENGTH, "force": FORCE, "stress": PRESSURE}


def factor(unit: str, quantity: str) -> float:
    """Multiplier that turns a number in `unit` into hydracalc's unit of `quantity`.

    Args:
        unit: name as a card writes it, for example "Hartree/Angstrom".
        quantity: "energy", "length", "force" or "stress".

    Raises:
        ValueError: the quantity or the unit is not known.
    """
    if quantity not in _TABLES:
        raise ValueError(f"unknown quantity {quantity!r}; known: {sorted(_TABLES)}")
    table = _TABLES[quantity]
    if unit not in table:
        raise ValueError(f"unknown {quantity} unit {unit!r}; known: {sorted(table)}")
    return table[unit]
