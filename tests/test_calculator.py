"""What ASE and users rely on in the calculator, apart from the physics."""

import copy
import json
import pickle

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import PropertyNotImplementedError, get_calculator_class
from ase.calculators.mixing import SumCalculator
from builders import make_model
from pymatgen.core import Lattice, Structure

from hydracalc.calculator import HydraCalculator
from hydracalc.checkpoint import read_header, save_checkpoint
from hydracalc.errors import DataError


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    save_checkpoint(path, make_model(direct_forces=True), provenance={})
    return path


@pytest.fixture
def counted(path, monkeypatch):
    """A calculator, and how often its model was run."""
    calc = HydraCalculator(path, branch="general")
    runs = []
    predict = calc._moving.predict
    monkeypatch.setattr(calc._moving, "predict", lambda s: runs.append(1) or predict(s))
    return calc, runs


def silicon():
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.05, rng=np.random.default_rng(0))
    return atoms


def test_one_evaluation_serves_all_properties(counted):
    calc, runs = counted
    atoms = silicon()
    atoms.calc = calc
    atoms.get_potential_energy()
    atoms.get_forces()
    atoms.get_stress()
    atoms.get_potential_energies()
    atoms.get_potential_energy(force_consistent=True)
    assert runs == [1]
    atoms.positions[0, 0] += 0.01
    atoms.get_forces()
    assert runs == [1, 1]


def test_results_are_plain_numbers_and_float64_arrays_made_anew(counted):
    calc, _ = counted
    atoms = silicon()
    atoms.calc = calc
    energy, forces = atoms.get_potential_energy(), calc.results["forces"]
    before = calc.results
    assert type(energy) is float
    assert calc.results["free_energy"] == energy
    assert calc.results["stress"].shape == (6,)
    assert all(calc.results[name].dtype == np.float64 for name in ("forces", "stress", "energies"))
    kept = forces.copy()
    atoms.positions[0, 0] += 0.1
    atoms.get_forces()
    assert calc.results is not before
    np.testing.assert_array_equal(forces, kept)


def test_nothing_stale_survives_from_crystal_to_molecule(path):
    calc = HydraCalculator(path, branch="general")
    atoms = silicon()
    atoms.calc = calc
    atoms.get_stress()
    other = molecule("CH3OH")
    other.calc = calc
    other.get_forces()
    assert "stress" not in calc.results
    assert set(calc.results) <= set(calc.implemented_properties)


def test_charge_and_spin_recompute_and_other_info_does_not(counted):
    calc, runs = counted
    atoms = molecule("CH3OH")
    atoms.calc = calc
    neutral = atoms.get_potential_energy()
    atoms.info["comment"] = "unrelated"
    atoms.info["charge"] = 0
    assert atoms.get_potential_energy() == neutral
    assert len(runs) == 1
    atoms.info["charge"] = 1
    cation = atoms.get_potential_energy()
    atoms.info["spin"] = 2
    doublet = atoms.get_potential_energy()
    assert len(runs) == 3
    assert len({neutral, cation, doublet}) == 3
    del atoms.info["charge"], atoms.info["spin"]
    assert atoms.get_potential_energy() == neutral


def test_magnetic_moments_that_do_not_matter_do_not_recompute(counted):
    calc, runs = counted
    atoms = silicon()
    atoms.calc = calc
    atoms.get_potential_energy()
    atoms.set_initial_magnetic_moments(np.ones(len(atoms)))
    atoms.get_potential_energy()
    assert len(runs) == 1


def test_the_world_is_left_as_it_was(path):
    """Default dtype, random states, environment and the user's info, after errors too."""
    import os

    atoms = molecule("CH3OH")
    atoms.info["comment"] = "mine"
    before = (
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.random.get_rng_state().tolist(),
        pickle.dumps(np.random.get_state()),  # noqa: NPY002  # the global state is the point
        dict(os.environ),
        sorted(atoms.arrays),
        dict(atoms.info),
    )
    atoms.calc = HydraCalculator(path, dtype="float64", uncertainty="branches")
    atoms.get_forces()
    atoms.calc.evaluate([atoms])
    atoms.positions[0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        atoms.get_forces()
    after = (
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.random.get_rng_state().tolist(),
        pickle.dumps(np.random.get_state()),  # noqa: NPY002
        dict(os.environ),
        sorted(atoms.arrays),
        dict(atoms.info),
    )
    assert after == before


def test_todict_is_the_provenance_and_makes_the_same_calculator(path):
    calc = HydraCalculator(path, branch={"organic": 0.4, "general": 0.6}, dtype="float32")
    settings = json.loads(json.dumps(calc.todict()))
    assert settings["model"] == str(path)
    assert settings["branch"] == {"organic": 0.4, "general": 0.6}
    assert settings["dtype"] == "float32"
    assert settings["sha256"] == read_header(path)["sha256"]
    again = HydraCalculator(**settings)
    atoms = molecule("CH3OH")
    assert again.get_potential_energy(atoms) == calc.get_potential_energy(atoms)


def test_auto_settings_are_recorded_as_what_they_became(path):
    settings = HydraCalculator(path).todict()
    assert (settings["branch"], settings["dtype"]) == ("auto", "float64")


def test_another_model_than_recorded_is_refused(path):
    with pytest.raises(DataError, match="asked for was 00000000"):
        HydraCalculator(path, sha256="0" * 64)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
@pytest.mark.parametrize("branch", [None, "organic", {"organic": 0.5, "general": 0.5}])
def test_copies_predict_the_same_and_keep_their_own_results(path, copied, branch):
    calc = HydraCalculator(path, branch=branch, uncertainty="branches")
    atoms = molecule("CH3OH")
    energy = calc.get_potential_energy(atoms)
    twin = copied(calc)
    assert twin.todict() == calc.todict()
    assert twin.results["energy"] == energy
    assert twin.extras == calc.extras
    atoms.positions[0, 0] += 0.1
    assert twin.get_potential_energy(atoms) != energy
    assert calc.results["energy"] == energy


def test_a_deep_copy_shares_the_weights(path):
    calc = HydraCalculator(path)
    twin = copy.deepcopy(calc)
    assert twin._loaded.model is calc._loaded.model
    assert calc.with_branch("organic")._loaded.model is calc._loaded.model


def test_with_branch_is_the_calculator_of_that_branch(path):
    calc = HydraCalculator(path, reference="interaction", skin=0.0)
    atoms = molecule("CH3OH")
    found = calc.with_branch("organic")
    expected = HydraCalculator(path, branch="organic", reference="interaction")
    assert found.get_potential_energy(atoms) == expected.get_potential_energy(atoms)
    assert found.todict()["skin"] == 0.0
    assert calc.todict()["branch"] == "auto"


def test_settings_cannot_be_changed_without_effect(path):
    calc = HydraCalculator(path)
    with pytest.raises(ValueError, match="fixed.*with_branch"):
        calc.set(branch="organic")


def test_what_the_model_says_of_itself(path):
    calc = HydraCalculator(path, branch="organic")
    assert calc.branches == ["organic", "general"]
    assert calc.cutoff == 5.0
    assert calc.allowed_atomic_numbers == [1, 6, 7, 8]
    assert calc.with_branch({"organic": 0.5, "general": 0.5}).allowed_atomic_numbers == [1, 6, 8]
    assert 14 in calc.with_branch("auto").allowed_atomic_numbers
    assert 7 in calc.with_branch("auto").allowed_atomic_numbers
    assert calc.branch_card("general").license == "CC0-1.0"
    with pytest.raises(ValueError, match="did you mean 'general'"):
        calc.branch_card("genral")


def test_branch_weights_and_energies_are_those_of_the_extras(path):
    calc = HydraCalculator(path)
    atoms = molecule("CH3OH")
    energy = calc.get_potential_energy(atoms)
    weights, energies = calc.get_branch_weights(atoms), calc.get_branch_energies(atoms)
    assert weights == calc.extras["branch_weights"]
    assert energies == pytest.approx(calc.extras["branch_energies"], abs=1e-9)
    assert sum(weights[name] * energies[name] for name in weights) == pytest.approx(energy)
    assert calc.get_branch_weights() == weights  # of the last calculation
    alone = {n: calc.with_branch(n).get_potential_energy(atoms) for n in calc.branches}
    assert energies == pytest.approx(alone, abs=1e-9)


def test_uncertainty_is_the_spread_between_branches(path):
    calc = HydraCalculator(path, branch="organic", uncertainty="branches")
    atoms = molecule("CH3OH")
    energy = calc.get_potential_energy(atoms)
    plain = HydraCalculator(path, branch="organic")
    assert energy == pytest.approx(plain.get_potential_energy(atoms), abs=1e-9)
    found = calc.extras["uncertainty"]
    assert found == pytest.approx(plain.get_uncertainty(atoms))
    bare = [
        calc.with_branch(name).get_potential_energy(atoms)
        - make_model().branch_specs[i].references.baseline(atoms.numbers)
        for i, name in enumerate(calc.branches)
    ]
    assert found["energy"] == pytest.approx(np.std(bare))
    assert found["energy_per_atom"] == pytest.approx(found["energy"] / 6)
    assert found["num_branches"] == 2


def test_a_spread_of_one_branch_is_refused(path):
    calc = HydraCalculator(path, branch="general", uncertainty="branches")
    with pytest.raises(
        ValueError, match=r"needs two that know all elements, but only \['general'\]"
    ):
        calc.get_potential_energy(bulk("Si"))


def test_descriptors_are_one_row_for_each_atom(path):
    found = HydraCalculator(path).get_descriptors(molecule("CH3OH"))
    assert found.shape == (6, 16)
    assert found.dtype == np.float64


def test_evaluate_is_one_by_one_for_ase_and_pymatgen(path):
    calc = HydraCalculator(path)
    crystal = bulk("NaCl", "rocksalt", a=5.6)
    same = Structure(Lattice(crystal.cell.array), ["Na", "Cl"], crystal.get_scaled_positions())
    given = [molecule("CH3OH"), crystal, same, silicon()]
    results = calc.evaluate(given, max_atoms=8)
    for atoms, result in zip((given[0], crystal, crystal, given[3]), results, strict=True):
        atoms.calc = calc
        assert result["energy"] == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
        np.testing.assert_allclose(result["forces"], atoms.get_forces(), atol=1e-9)
        assert set(result) == set(calc.results)


def test_evaluate_shows_progress_where_asked(path, capsys):
    HydraCalculator(path).evaluate([molecule("H2O")] * 3, max_atoms=3, progress=True)
    shown = capsys.readouterr()
    assert "structures" in shown.err
    assert shown.out == ""


def test_evaluating_nothing_gives_nothing(path):
    assert HydraCalculator(path).evaluate([]) == []


def test_stress_without_a_volume_is_not_implemented(path):
    calc = HydraCalculator(path)
    for atoms in (molecule("CH3OH"), Atoms("CO", [[0, 0, 0], [0, 0, 1.1]], cell=[9, 9, 9])):
        atoms.calc = calc
        with pytest.raises(PropertyNotImplementedError, match="periodic"):
            atoms.get_stress()
        assert np.isfinite(atoms.get_potential_energy())
    wire = Atoms("CO", [[0, 0, 0], [0, 0, 1.1]], cell=[0, 0, 3], pbc=(False, False, True))
    wire.calc = calc
    with pytest.raises(PropertyNotImplementedError, match="volume 0"):
        wire.get_stress()


def test_direct_forces_come_without_stress(path):
    calc = HydraCalculator(path, branch="general", forces="direct")
    atoms = silicon()
    atoms.calc = calc
    derived = HydraCalculator(path, branch="general")
    assert np.abs(atoms.get_forces() - derived.get_forces(atoms)).max() > 1e-3
    assert np.abs(atoms.get_forces().sum(axis=0)).max() < 1e-9
    with pytest.raises(PropertyNotImplementedError, match="stress"):
        atoms.get_stress()
    assert "stress" in HydraCalculator.implemented_properties


def test_ase_knows_the_calculator_by_name(path):
    assert get_calculator_class("hydracalc") is HydraCalculator
    assert HydraCalculator(path).name == "hydracalc"


def test_calculators_add_up(path):
    """As with a dispersion correction beside the model."""
    calc = HydraCalculator(path, branch="general")
    atoms = silicon()
    single = calc.get_stress(atoms)
    atoms.calc = SumCalculator([calc, copy.deepcopy(calc)])
    np.testing.assert_allclose(atoms.get_stress(), 2 * single)
    assert atoms.get_potential_energy(force_consistent=True) == 2 * calc.results["free_energy"]


def test_types_agree_to_their_precision(path):
    atoms = silicon()
    exact = HydraCalculator(path, branch="general", reference="interaction", dtype="float64")
    single = HydraCalculator(path, branch="general", reference="interaction", dtype="float32")
    half = HydraCalculator(path, branch="general", reference="interaction", dtype="bfloat16")
    energy = exact.get_potential_energy(atoms)
    assert single.get_potential_energy(atoms) == pytest.approx(energy, abs=1e-4)
    assert half.get_potential_energy(atoms) == pytest.approx(energy, abs=0.05 * len(atoms))
    assert half.results["forces"].dtype == np.float64


def test_no_calculation_yet_is_said(path):
    with pytest.raises(ValueError, match="none calculated before"):
        HydraCalculator(path).get_branch_weights()
