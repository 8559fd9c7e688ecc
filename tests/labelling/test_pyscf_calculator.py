"""The calculator around PySCF, as far as it goes without PySCF."""

import sys

import pytest

from hydracalc.labelling.calculators import CalculatorSpec
from hydracalc.labelling.pyscf_calculator import PySCF


def test_a_missing_pyscf_is_told_with_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyscf", None)
    with pytest.raises(ValueError, match="PySCF is not installed; add it with: pip install pyscf"):
        PySCF()


def test_an_unknown_setting_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"no settings \['functional'\]; known: \['xc', 'basis'"):
        PySCF(functional="pbe")


def test_its_short_name_leads_here_and_charges_come_from_the_structures():
    spec = CalculatorSpec(path="pyscf", settings={"xc": "pbe"})
    assert spec.load_class() is PySCF
    assert spec.taken == {}
    assert "PySCF(xc='pbe') of hydracalc" in spec.describe()
