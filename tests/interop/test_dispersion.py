"""Dispersion goes with the level of theory of the branches that answer."""

import copy

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from builders import rattled
from dftd3.ase import DFTD3

from hydracalc.ingest.catalog import list_datasets, load_card
from hydracalc.interop.dispersion import Dispersion, functional_of, with_dispersion

# what each dataset's labels say of dispersion, from its own publication
EXPECTED = {
    "pbe": {
        "alexandria",
        "matpes_pbe",
        "mattersim",
        "mlearn",
        "mptrj",
        "oc22",
        "omat24",
        "rmd17",
        "salex",
    },
    "rpbe": {"oc20"},
    "pbe0": {"qcml"},
    "b3lyp": {"qm9"},
    "r2scan": {"matpes_r2scan"},
    None: {
        "aimnet2",
        "ani1ccx",
        "gfn2xtb",
        "jarvis",
        "md17",
        "nabla2dft",
        "oc25",
        "odac23",
        "omol25",
        "omol25_charged",
        "omol25_neutral",
        "opoly26",
        "qm7x",
        "spice",
    },
}
UNFITTED = {"ani1x", "ani2x", "transition1x"}


def d3(atoms, functional):
    atoms = atoms.copy()
    atoms.calc = DFTD3(method=functional, damping="d3bj")
    return atoms


@pytest.mark.parametrize("functional", EXPECTED, ids=str)
def test_levels_of_theory_have_the_parameters_of_their_functional(functional):
    for name in EXPECTED[functional]:
        assert functional_of(load_card(name).theory) == functional, name


@pytest.mark.parametrize("name", sorted(UNFITTED))
def test_functionals_without_parameters_refuse(name):
    with pytest.raises(ValueError, match="no D3 parameters were fitted for wB97X"):
        functional_of(load_card(name).theory)


def test_every_dataset_is_decided():
    assert set(list_datasets()) == set().union(UNFITTED, *EXPECTED.values())


def test_an_unknown_level_of_theory_says_which_are_known():
    with pytest.raises(ValueError, match=r"functional 'LDA' is not known .*PBE, .*wB97M-V"):
        functional_of("LDA, plane waves")


@pytest.mark.parametrize(
    "atoms", [rattled(molecule("C6H6")), rattled(bulk("NaCl", "rocksalt", a=5.6))], ids=str
)
def test_energy_forces_and_stress_are_the_sum(shipped, atoms):
    branch = shipped.with_branch("mptrj" if atoms.pbc.any() else "rmd17")
    alone, added, both = atoms.copy(), d3(atoms, "pbe"), atoms.copy()
    alone.calc, both.calc = branch, with_dispersion(branch)
    expected = alone.get_potential_energy() + added.get_potential_energy()
    assert added.get_potential_energy() < -0.01
    assert both.get_potential_energy() == pytest.approx(expected, abs=1e-9)
    np.testing.assert_allclose(
        both.get_forces(), alone.get_forces() + added.get_forces(), atol=1e-10
    )
    if atoms.pbc.any():
        np.testing.assert_allclose(
            both.get_stress(), alone.get_stress() + added.get_stress(), atol=1e-12
        )


def test_forces_and_stress_are_derivatives_of_the_energy(shipped):
    atoms = rattled(bulk("NaCl", "rocksalt", a=5.6) * (2, 1, 1))
    atoms.calc = with_dispersion(shipped.with_branch("auto"))
    force, stress, step = atoms.get_forces()[1, 2], atoms.get_stress()[0], 1e-4
    moved, strained = [], []
    for sign in (1, -1):
        copied = atoms.copy()
        copied.calc = atoms.calc
        copied.positions[1, 2] += sign * step
        moved.append(copied.get_potential_energy())
        copied = atoms.copy()
        copied.calc = atoms.calc
        copied.set_cell(atoms.cell @ np.diag([1 + sign * step, 1, 1]), scale_atoms=True)
        strained.append(copied.get_potential_energy())
    assert force == pytest.approx(-(moved[0] - moved[1]) / (2 * step), abs=1e-5)
    slope = (strained[0] - strained[1]) / (2 * step * atoms.get_volume())
    assert stress == pytest.approx(slope, abs=1e-6)


def test_a_mixture_adds_by_its_weights(shipped):
    """Half of the energy is PBE's, half is left as it is: half of the dispersion is added."""
    atoms = molecule("CH3CH2OH")
    half = shipped.with_branch({"rmd17": 0.5, "ani1x": 0.5})
    dispersion = Dispersion(half, functionals={"ani1x": None})
    assert dispersion.shares(atoms) == {"pbe": pytest.approx(0.5)}
    expected = 0.5 * d3(atoms, "pbe").get_potential_energy()
    assert dispersion.get_potential_energy(atoms) == pytest.approx(expected)


def test_a_branch_without_parameters_refuses_where_it_has_weight(shipped):
    crystal = bulk("NaCl", "rocksalt", a=5.6)  # of elements that ani1x does not know
    crystal.calc = with_dispersion(shipped)
    assert np.isfinite(crystal.get_potential_energy())
    ethanol = molecule("CH3CH2OH")
    ethanol.calc = with_dispersion(shipped)
    with pytest.raises(ValueError, match=r"branch 'ani1x': no D3 .*functionals=\{'ani1x'"):
        ethanol.get_potential_energy()


def test_functionals_are_checked_when_they_are_given(shipped):
    with pytest.raises(ValueError, match="'ani1x': dftd3 has no D3.* parameters for 'pbx'"):
        with_dispersion(shipped, functionals={"ani1x": "pbx"})
    with pytest.raises(ValueError, match="did you mean 'ani1x'"):
        with_dispersion(shipped, functionals={"ani1y": "pbe"})


def test_the_three_body_term_is_asked_for(shipped):
    branch, atoms = shipped.with_branch("rmd17"), molecule("C6H6")
    two = Dispersion(branch).get_potential_energy(atoms)
    three = Dispersion(branch, three_body=True).get_potential_energy(atoms)
    assert 1e-5 < three - two < 0.05  # the triple-dipole term of a molecule repels


def test_a_wire_without_a_volume_has_energy_and_no_stress(shipped):
    wire = Atoms("C2", [[0, 0, 0], [1.3, 0.1, 0]], cell=[2.6, 0, 0], pbc=[True, False, False])
    boxed = wire.copy()
    boxed.cell = wire.cell.complete()
    dispersion = Dispersion(shipped.with_branch("mptrj"))
    energy = dispersion.get_potential_energy(wire)
    assert energy == pytest.approx(d3(boxed, "pbe").get_potential_energy())
    with pytest.raises(PropertyNotImplementedError, match="volume"):
        dispersion.get_property("stress", wire)


def test_slabs_have_forces(shipped):
    slab = fcc111("Cu", (1, 1, 2), vacuum=6.0, periodic=False)
    slab.pbc = (True, True, False)
    slab.calc = with_dispersion(shipped.with_branch("alexandria"))
    assert np.isfinite(slab.get_forces()).all()


def test_a_change_of_charge_is_noticed(random_model):
    from hydracalc.calculator import HydraCalculator

    calc = HydraCalculator(random_model, branch="organic")
    atoms = molecule("H2O")
    atoms.calc = with_dispersion(calc, functionals={"organic": "pbe"})
    neutral = atoms.get_potential_energy()
    atoms.info["charge"] = 1
    assert atoms.get_potential_energy() != neutral


def test_the_calculator_can_go_on_alone(shipped):
    """What it computes elsewhere does not confuse the sum."""
    branch = shipped.with_branch("rmd17")
    first, second = molecule("C6H6"), rattled(molecule("C6H6"))
    both = with_dispersion(branch)
    energy = both.get_potential_energy(first)
    branch.get_potential_energy(second)
    assert both.get_potential_energy(second) != pytest.approx(energy, abs=1e-3)


def test_copies_are_independent(shipped):
    atoms = molecule("C6H6")
    atoms.calc = with_dispersion(shipped.with_branch("rmd17"))
    energy = atoms.get_potential_energy()
    twin = atoms.copy()
    twin.calc = copy.deepcopy(atoms.calc)
    twin.positions[0] += 0.05
    assert twin.get_potential_energy() != energy
    assert atoms.calc.results["energy"] == energy
