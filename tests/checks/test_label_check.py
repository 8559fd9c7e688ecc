"""The check of labels: right labels pass, wrong ones fail, and it says what it cannot decide."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from builders import labelled, make_card

from hydracalc import units
from hydracalc.checks.binding import free_atom
from hydracalc.checks.label_check import check_labels, findings
from hydracalc.structure import AtomicStructure

BOND = 1.087  # Angstrom, C-H in methane
CONSTANT = 31.0  # eV/Angstrom^2
STRESS = {"stress": "eV/Angstrom^3", "stress_sign": "tension positive"}


def methane(rng, card_kind="total"):
    """Hydrogens on springs around carbon, bound like methane."""
    atoms = molecule("CH4")
    atoms.positions[1:] += rng.normal(0, 0.02, (4, 3))
    along = atoms.positions[1:] - atoms.positions[0]
    lengths = np.linalg.norm(along, axis=1, keepdims=True)
    pulls = -CONSTANT * (lengths - BOND) * along / lengths
    energy = -18.2 + CONSTANT / 2 * float(((lengths - BOND) ** 2).sum())
    if card_kind == "total":
        energy += free_atom(6) + 4 * free_atom(1)
    return AtomicStructure(
        atomic_numbers=atoms.numbers,
        positions=atoms.positions,
        energy=energy,
        forces=np.concatenate([-pulls.sum(axis=0, keepdims=True), pulls]),
    )


@pytest.fixture(scope="module")
def molecules():
    rng = np.random.default_rng(0)
    return [methane(rng) for _ in range(10)]


@pytest.fixture(scope="module")
def crystals():
    """Strained and rattled copper, its energy moved to that of free atoms."""
    rng = np.random.default_rng(1)
    structures = []
    for size in (1, 2) * 12:
        atoms = bulk("Cu", cubic=True) * (size, 1, 1)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, 0.01, (3, 3))), True)
        atoms.positions += rng.normal(0, 0.015, (len(atoms), 3))
        structure = labelled(atoms, EMT(), stress=True, group="one")
        structures.append(replace(structure, energy=structure.energy - 3.5 * len(atoms)))
    return structures


@pytest.fixture
def organic():
    return make_card("own", ("H", "C"))


@pytest.fixture
def metallic():
    card = make_card("own", ("Cu",))
    labels = card.labels.model_copy(update=STRESS)
    return card.model_copy(update={"labels": labels, "theory": "PBE (VASP)"})


def verdicts(structures, card):
    return {finding.name: finding.verdict for finding in findings(structures, card)}


def failed(structures, card):
    return {name for name, verdict in verdicts(structures, card).items() if verdict == "failed"}


def test_right_labels_of_molecules_pass(molecules, organic):
    report = check_labels(molecules, organic)
    assert report.holds
    assert report.num_structures == len(molecules)
    assert {finding.name for finding in report.by_verdict("passed")} == {
        "forces against energy",
        "energy scale",
        "distances",
        "bonds to hydrogen",
        "net force",
        "net torque",
    }


def test_right_labels_of_crystals_pass(crystals, metallic):
    report = check_labels(crystals, metallic)
    assert report.holds
    assert {finding.name for finding in report.by_verdict("passed")} >= {
        "forces against energy",
        "normal stress against energy",
        "shear stress against energy",
        "energy scale",
        "distances",
        "net force",
        "symmetry of stress",
    }


def test_every_finding_says_what_was_measured_or_why_not(molecules, crystals, organic, metallic):
    for structures, card in ((molecules, organic), (crystals, metallic), (crystals[:1], metallic)):
        for finding in findings(structures, card):
            if finding.verdict == "not applicable":
                assert finding.reason
            else:
                assert finding.measured
                assert finding.expected


@pytest.mark.parametrize("factor", [-1, units.BOHR, 1 / units.BOHR, units.HARTREE])
def test_wrong_forces_fail(molecules, organic, factor):
    wrong = [replace(s, forces=s.forces * factor) for s in molecules]
    assert failed(wrong, organic) == {"forces against energy", "bonds to hydrogen"}


@pytest.mark.parametrize("factor", [units.HARTREE, 1 / units.HARTREE, units.KCAL_PER_MOL])
def test_energies_and_forces_in_a_common_wrong_unit_fail(molecules, organic, factor):
    """Their ratio is right: only absolute scales can tell."""
    wrong = [replace(s, energy=s.energy * factor, forces=s.forces * factor) for s in molecules]
    assert failed(wrong, organic) == {"energy scale", "bonds to hydrogen"}


@pytest.mark.parametrize("factor", [units.BOHR, 1 / units.BOHR, units.NANOMETER, 0.1])
def test_wrong_lengths_fail_without_any_other_label(molecules, organic, factor):
    wrong = [replace(s, positions=s.positions * factor, forces=None) for s in molecules]
    assert failed(wrong, organic) == {"distances"}


@pytest.mark.parametrize("factor", [-1, 10, 0.1, 1 / units.GIGAPASCAL])
def test_wrong_stresses_fail(crystals, metallic, factor):
    wrong = [replace(s, stress=s.stress * factor) for s in crystals]
    assert failed(wrong, metallic) >= {
        "normal stress against energy",
        "shear stress against energy",
    }


def test_a_stress_that_is_no_symmetric_matrix_fails(crystals, metallic):
    wrong = [replace(s, stress=s.stress + [[0, 1, 0], [0, 0, 0], [0, 0, 0]]) for s in crystals]
    assert "symmetry of stress" in failed(wrong, metallic)


def test_forces_of_other_atoms_fail(molecules, organic):
    """Forces in another order than the atoms still add up to nothing, but turn the molecule."""
    wrong = [replace(s, forces=np.roll(s.forces, 1, axis=0)) for s in molecules]
    assert {"net torque", "forces against energy"} <= failed(wrong, organic)
    lost = [replace(s, forces=s.forces + 1.0) for s in molecules]
    assert "net force" in failed(lost, organic)


def test_energies_per_atom_fail(crystals, metallic):
    wrong = [replace(s, energy=s.energy / s.num_atoms) for s in crystals]
    assert "forces against energy" in failed(wrong, metallic)
    sizes = [
        replace(s, energy=-3.5 * (s.num_atoms if right else 1), atomic_numbers=s.atomic_numbers + z)
        for right in (True, False)
        for z in range(3)
        for s in crystals[:2]
    ]
    card = make_card("own", ("Cu", "Zn", "Ga"))
    assert verdicts(sizes[:6], card)["energy grows with size"] == "passed"
    assert verdicts(sizes[6:], card)["energy grows with size"] == "failed"


def test_formation_energies_of_molecules_are_those_of_their_bonds(organic):
    card = organic.model_copy(update={"energy_kind": "formation"})
    rng = np.random.default_rng(0)
    bound = [methane(rng, "formation") for _ in range(6)]
    assert verdicts(bound, card)["energy scale"] == "passed"
    for factor in (0.5, -1, units.HARTREE):
        wrong = [replace(s, energy=s.energy * factor, forces=None) for s in bound]
        assert failed(wrong, card) == {"energy scale"}


def test_what_cannot_be_decided_is_not_applicable(crystals, metallic):
    alone = verdicts(crystals[:1], metallic)
    assert alone["forces against energy"] == "not applicable"
    assert alone["normal stress against energy"] == "not applicable"
    reasons = {f.name: f.reason for f in findings(crystals[:1], metallic)}
    assert reasons["normal stress against energy"].startswith("0 close pairs")
    same_cell = [replace(s, cell=crystals[0].cell) for s in crystals[::2]]
    assert verdicts(same_cell, metallic)["normal stress against energy"] == "not applicable"
    unstressed = {f.name: f.reason for f in findings([replace(crystals[0], stress=None)], metallic)}
    assert unstressed["normal stress against energy"] == "no stress labels"


def test_labels_of_another_theory_have_no_scale_of_energy(crystals, metallic):
    computed = metallic.model_copy(update={"computed_by": "ASE EMT"})
    assert verdicts(crystals, computed)["energy scale"] == "not applicable"
    unknown = metallic.model_copy(update={"theory": "PBE (Quantum ESPRESSO)"})
    assert verdicts(crystals, unknown)["energy scale"] == "not applicable"


def test_there_must_be_structures(organic):
    with pytest.raises(ValueError, match="got none"):
        check_labels([], organic)
