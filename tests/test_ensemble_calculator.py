"""An ensemble as an ASE calculator: results are means, and what is uncertain is in extras."""

import copy
import json
import pickle

import numpy as np
import pytest
from ase import units
from ase.build import bulk, molecule
from ase.md.velocitydistribution import thermalize_momenta
from ase.md.verlet import VelocityVerlet
from builders import make_model, rattled

import hydracalc
from hydracalc.calculator import HydraCalculator
from hydracalc.checkpoint import save_checkpoint
from hydracalc.ensemble.files import write_ensemble
from hydracalc.ensemble_calculator import HydraEnsemble
from hydracalc.errors import DataError


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("members")
    paths = [folder / f"{seed}.safetensors" for seed in range(3)]
    for seed, path in enumerate(paths):
        save_checkpoint(path, make_model(seed=seed), provenance={})
    return paths


@pytest.fixture(scope="module")
def listed(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensemble") / "best"
    return write_ensemble(folder, [(path.stem, path) for path in files], selection={})


def silicon():
    return rattled(bulk("Si", cubic=True), 1)


def test_results_are_means_and_nothing_else(files):
    atoms = silicon()
    atoms.calc = HydraEnsemble(files, branch="general")
    each = []
    for path in files:
        calc = HydraCalculator(path, branch="general")
        calc.calculate(atoms)
        each.append(calc.results)
    atoms.get_stress()
    assert set(atoms.calc.results) == {"energy", "free_energy", "energies", "forces", "stress"}
    for name in ("energy", "forces", "stress", "energies"):
        want = np.mean([results[name] for results in each], axis=0)
        np.testing.assert_allclose(atoms.calc.results[name], want, atol=1e-9)
    found = atoms.calc.extras["uncertainty"]
    for name in ("energy", "forces", "stress"):
        want = np.std([results[name] for results in each], axis=0, ddof=1)
        np.testing.assert_allclose(found[name], want, atol=1e-9)
    assert found["num_members"] == 3
    assert found["energy_per_atom"] == pytest.approx(found["energy"] / 8)


def test_every_way_to_name_members_is_the_same(files, listed):
    atoms = silicon()
    calcs = [
        HydraEnsemble(files, branch="general"),
        HydraEnsemble([HydraCalculator(path) for path in files], branch="general"),
        HydraEnsemble(listed, branch="general"),
        HydraEnsemble(listed.parent, branch="general"),
        HydraCalculator(listed, branch="general", uncertainty="ensemble"),
        HydraCalculator(listed, branch="general"),
    ]
    energies = {calc.get_potential_energy(atoms) for calc in calcs}
    assert len(energies) == 1
    assert len({calc.todict()["sha256"] for calc in calcs}) == 1
    assert "uncertainty" not in calcs[-1].extras
    spreads = {calc.get_uncertainty(atoms)["energy"] for calc in calcs}
    assert len({round(each, 12) for each in spreads}) == 1


def test_the_spread_between_branches_is_there_too(files):
    calc = HydraEnsemble(files, uncertainty="branches")
    calc.get_potential_energy(molecule("CH3OH"))
    assert calc.extras["uncertainty"]["num_branches"] == 2
    assert calc.get_uncertainty() == pytest.approx(calc.extras["uncertainty"])


def test_a_single_model_has_no_ensemble(files, listed):
    with pytest.raises(ValueError, match="needs an ensemble, this is a single model"):
        HydraCalculator(files[0], uncertainty="ensemble")
    with pytest.raises(ValueError, match="single model; an ensemble needs two"):
        HydraEnsemble(files[0])
    with pytest.raises(ValueError, match="no models given"):
        HydraEnsemble()
    with pytest.raises(DataError, match="together, asked for was 00000000"):
        HydraEnsemble(files, sha256="0" * 64)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
@pytest.mark.parametrize("kind", ["files", "calculators", "listed"])
def test_copies_predict_the_same(files, listed, kind, copied):
    given = {
        "files": files,
        "calculators": [HydraCalculator(path, dtype="float32") for path in files],
        "listed": listed,
    }[kind]
    calc = HydraEnsemble(given, branch="general")
    atoms = silicon()
    energy = calc.get_potential_energy(atoms)
    twin = copied(calc)
    assert type(twin) is HydraEnsemble
    assert twin.todict() == calc.todict()
    assert twin.results["energy"] == energy
    twin.reset()
    assert twin.get_potential_energy(atoms) == energy
    json.dumps(calc.todict())


def test_dynamics_conserve_the_mean_energy(files):
    """The mean of conservative members is conservative; neighbors are found once for all."""
    atoms = silicon()
    atoms.calc = HydraEnsemble(files, branch="general")
    thermalize_momenta(atoms, 300, rng=np.random.default_rng(0))
    dynamics = VelocityVerlet(atoms, 0.25 * units.fs)
    start = atoms.get_total_energy()
    moved = []
    for _ in range(40):
        dynamics.run(1)
        moved.append(atoms.get_total_energy() - start)
    kinetic = atoms.get_kinetic_energy()
    assert np.abs(moved).max() < 0.02 * kinetic
    assert atoms.calc._moving._neighbors.num_rebuilds <= 3


def test_batches_are_one_by_one(files):
    calc = HydraEnsemble(files, branch="general")
    frames = [molecule("CH4"), silicon()]
    for atoms, result in zip(frames, calc.evaluate(frames), strict=False):
        assert result["energy"] == pytest.approx(calc.get_potential_energy(atoms), abs=1e-9)


def test_it_is_a_public_name():
    assert hydracalc.HydraEnsemble is HydraEnsemble
