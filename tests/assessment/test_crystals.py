"""Lattice constants: of a potential made to have them, and of one that has not."""

import pytest
from ase.calculators.emt import EMT
from ase.data import atomic_numbers, reference_states

from hydracalc.assessment import crystals


def test_there_are_thirty_elements_of_four_lattices():
    lattices = [crystals.experiment(symbol)[0] for symbol in crystals.ELEMENTS]
    assert len(set(crystals.ELEMENTS)) == 30
    assert set(lattices) == {"fcc", "bcc", "diamond", "hcp"}


def test_experiment_is_what_ase_states():
    assert crystals.experiment("Si") == ("diamond", [5.43])
    lattice, (a, c) = crystals.experiment("Mg")
    state = reference_states[atomic_numbers["Mg"]]
    assert (lattice, a, c) == ("hcp", state["a"], pytest.approx(state["a"] * state["c/a"]))
    with pytest.raises(ValueError, match="Ga is orthorhombic, expected fcc"):
        crystals.experiment("Ga")


@pytest.mark.parametrize("element", ["Cu", "Al"])
def test_a_potential_fitted_to_a_metal_has_its_lattice_constant(element):
    found = crystals.measure_lattice(EMT(), element, branch="EMT")
    assert found.passes
    assert abs(found.worst) < 0.02
    assert abs(found.worst_of_all) < 0.02
    assert len(found.from_others_A) == 2


def test_a_cell_that_does_not_shrink_back_fails():
    """EMT scaled so that every length is ten percent too long."""

    class Swollen(EMT):
        def calculate(self, atoms=None, properties=("energy",), changes=("positions",)):
            small = atoms.copy()
            small.set_cell(small.cell / 1.1, scale_atoms=True)
            super().calculate(small, properties, changes)
            self.atoms = atoms.copy()
            self.results["stress"] = self.results["stress"] / 1.1**3

    found = crystals.measure_lattice(Swollen(), "Cu", branch="swollen")
    assert found.worst == pytest.approx(0.1, abs=0.012)
    assert not found.passes
    assert found.to_json()["passes"] is False


def test_hcp_keeps_its_two_constants():
    atoms_a, atoms_c = crystals.experiment("Mg")[1]
    from ase.build import bulk

    atoms = bulk("Mg", "hcp", a=atoms_a, c=atoms_c)
    assert crystals._constants(atoms, "hcp") == pytest.approx([atoms_a, atoms_c])
