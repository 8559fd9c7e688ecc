"""Conversion factors against numbers of the CODATA 2022 tables, and refusal of unknown units."""

import ase.units
import pytest

from hydracalc import units


def test_factors_are_codata():
    """https://physics.nist.gov/cuu/Constants: 27.211386245981 eV, 0.529177210544 Angstrom."""
    assert units.factor("Hartree", "energy") == pytest.approx(27.211386245981, rel=1e-12)
    assert units.factor("Bohr", "length") == pytest.approx(0.529177210544, rel=1e-12)
    assert units.factor("Rydberg", "energy") * 2 == units.HARTREE
    assert units.factor("eV", "energy") == units.factor("eV/Angstrom^3", "stress") == 1


@pytest.mark.parametrize(
    ("unit", "quantity", "expected"),
    [
        ("kcal/mol", "energy", ase.units.kcal / ase.units.mol),
        ("kJ/mol", "energy", ase.units.kJ / ase.units.mol),
        ("GPa", "stress", ase.units.GPa),
        ("kBar", "stress", ase.units.GPa / 10),
        ("Hartree/Bohr", "force", ase.units.Hartree / ase.units.Bohr),
        ("kcal/mol/Angstrom", "force", ase.units.kcal / ase.units.mol),
        ("nm", "length", ase.units.nm),
    ],
)
def test_factors_agree_with_ase(unit, quantity, expected):
    """ASE uses CODATA 2014, so they agree to eight digits."""
    assert units.factor(unit, quantity) == pytest.approx(expected, rel=1e-7)


def test_unknown_units_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown energy unit 'Hartre'; known: .*'Hartree'"):
        units.factor("Hartre", "energy")
    with pytest.raises(ValueError, match="unknown quantity 'mass'"):
        units.factor("kg", "mass")
