"""The built-in structures fit what a calculator knows."""

import pytest
import subjects
from ase import Atoms
from ase.build import bulk, molecule

from hydracalc.exam.structures import built_in_cases, own_cases, symbols_of
from hydracalc.exam.subject import Subject


def knowing(*symbols):
    """A sound calculator for some elements."""

    class Picky(subjects.Sound):
        def calculate(self, atoms=None, properties=("energy",), system_changes=()):
            unknown = set(atoms.symbols) - set(symbols)
            if unknown:
                raise KeyError(f"no parameters for {sorted(unknown)[0]}")
            super().calculate(atoms, properties, system_changes)

    return Subject(Picky())


@pytest.mark.parametrize(
    ("symbols", "formulas"),
    [
        (("H", "C", "N", "O"), {"molecule": "C2H6O", "crystal": "C8"}),
        (("H", "O", "Al", "Si"), {"molecule": "H2O", "crystal": "Si8", "slab": "Al8O"}),
        (("W",), {"molecule": "W4", "crystal": "W8"}),
        (("Cu",), {"molecule": "Cu4", "crystal": "Cu8", "slab": "Cu8"}),
    ],
)
def test_structures_are_of_elements_that_the_calculator_knows(symbols, formulas):
    found = built_in_cases(knowing(*symbols))
    assert {case.name: case.formula for case in found.cases} == formulas
    assert set(symbols_of(found.cases)) <= set(symbols)
    assert set(found.left_out) == {"molecule", "crystal", "slab"} - set(formulas)
    for reason in found.left_out.values():
        assert "no parameters for" in reason


def test_no_site_keeps_a_symmetry():
    for case in built_in_cases(Subject(subjects.Sound())).cases:
        forces = Subject(subjects.Sound()).forces(case.atoms)
        assert abs(forces).min() > 1e-6


def test_own_structures_keep_their_order_and_the_refused_are_told():
    given = [molecule("H2O"), bulk("Cu"), Atoms()]
    found = own_cases(given, knowing("H", "O"))
    assert [case.name for case in found.cases] == ["0: H2O"]
    assert found.left_out["1: Cu"].endswith("KeyError: 'no parameters for Cu'")
    assert found.left_out["2: "] == "it has no atoms"


def test_a_calculator_that_answers_for_nothing_is_wrong_input():
    with pytest.raises(ValueError, match="answers for no structure of the exam: molecule"):
        built_in_cases(knowing())
