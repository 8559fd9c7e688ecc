"""Calculators by name: what is found, what is asked of them, what is said when they fail."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from hydracalc.labelling.calculators import (
    NOT_FINITE,
    CalculatorSpec,
    LabelFailure,
    Labeller,
    parse_settings,
)
from hydracalc.structure import from_atoms

METHANOL = from_atoms(molecule("CH3OH"), source="methanol")


def test_settings_are_read_as_toml_reads_values():
    texts = ["a=1", "b=0.5", "c=true", "d=[1, 2]", "xc=wb97x", "basis=6-31g(d)", 'e="1"']
    assert parse_settings(texts) == {
        "a": 1,
        "b": 0.5,
        "c": True,
        "d": [1, 2],
        "xc": "wb97x",
        "basis": "6-31g(d)",
        "e": "1",
    }


@pytest.mark.parametrize("texts", [["xc"], ["=1"], ["a b=1"], ["a=1", "a=2"]])
def test_settings_written_otherwise_are_refused(texts):
    with pytest.raises(ValueError, match="setting"):
        parse_settings(texts)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("EMT", "expected package.module:Class"),
        ("ase.calculators.emt", "expected package.module:Class"),
        ("ase.calculators.nothing:EMT", "cannot import ase.calculators.nothing"),
        ("ase.calculators.emt:Nothing", "has no class Nothing"),
        ("ase.calculators.emt:parameters", "has no class parameters"),
    ],
)
def test_a_calculator_that_does_not_exist_is_named(path, message):
    with pytest.raises(ValueError, match=message):
        CalculatorSpec(path=path).load_class()


def test_what_is_no_calculator_is_refused():
    with pytest.raises(ValueError, match="has no energy; is it of ASE's kind"):
        Labeller(CalculatorSpec(path="hydracalc.errors:DataError")).label(METHANOL)


def test_settings_that_a_class_refuses_are_named():
    spec = CalculatorSpec(path="fractions:Fraction", settings={"numerator": "x"})
    with pytest.raises(ValueError, match="cannot be made with {'numerator': 'x'}: ValueError"):
        Labeller(spec).label(METHANOL)


def test_a_charge_among_the_settings_is_refused():
    with pytest.raises(
        ValueError, match=r'charge of the calculator is set.*atoms.info\["charge"\]'
    ):
        CalculatorSpec(path="labellers:Springs", settings={"charge": 1})


def test_charge_and_multiplicity_arrive_in_info_and_in_the_calculator():
    labeller = Labeller(CalculatorSpec(path="labellers:Springs", settings={"stiffness": 2.0}))
    spring = np.square(METHANOL.positions).sum()
    for charge, multiplicity in ((0, 1), (-1, 2), (0, 1)):
        ion = replace(METHANOL, total_charge=charge, spin_multiplicity=multiplicity)
        energy = labeller.label(ion).energy - spring
        assert energy == pytest.approx(1010 * charge + 101 * multiplicity)


def test_labels_are_those_of_the_calculator_and_crystals_have_stress():
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=0)
    labelled = Labeller(CalculatorSpec(path="emt")).label(from_atoms(atoms))
    atoms.calc = EMT()
    assert labelled.energy == atoms.get_potential_energy()
    assert np.array_equal(labelled.forces, atoms.get_forces())
    assert np.array_equal(labelled.stress, atoms.get_stress(voigt=False))
    atoms.pbc = [True, True, False]
    assert Labeller(CalculatorSpec(path="emt")).label(from_atoms(atoms)).stress is None


def test_a_calculator_without_forces_gives_none():
    labelled = Labeller(CalculatorSpec(path="labellers:EnergyOnly")).label(METHANOL)
    assert (labelled.energy, labelled.forces) == (6.0, None)


def test_failures_have_a_reason():
    labeller = Labeller(CalculatorSpec(path="labellers:Stubborn"))
    with pytest.raises(LabelFailure, match="not after 100 cycles") as failure:
        labeller.label(METHANOL)
    assert failure.value.reason == "calculator failed (SCFError)"
    with pytest.raises(LabelFailure) as failure:
        labeller.label(from_atoms(molecule("CO")))
    assert failure.value.reason == NOT_FINITE
    assert labeller.label(from_atoms(molecule("N2"))).energy > 0


def test_the_description_has_settings_and_versions():
    spec = CalculatorSpec(path="emt", settings={"asap_cutoff": True})
    text = spec.describe()
    assert text.startswith("ase.calculators.emt:EMT(asap_cutoff=True) of ase 3.")
