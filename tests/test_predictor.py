"""Many structures at once: what each gets does not depend on its company."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from builders import make_model

from hydracalc.inputs import as_structure
from hydracalc.models import tracing
from hydracalc.predictor import InferenceConfig, Predictor

METHANOL = "CH3OH"


@pytest.fixture(scope="module")
def shared():
    return make_model(direct_forces=True).requires_grad_(False)


@pytest.fixture
def structures(zoo):
    names = ("one-atom cell", "molecule", "triclinic", "outside the cell")
    zoo["molecule"] = molecule(METHANOL)
    return [as_structure(zoo[name], source=name) for name in names]


def assert_same(found, expected, tolerance=1e-10):
    assert found.energy == pytest.approx(expected.energy, abs=tolerance)
    np.testing.assert_allclose(found.energies, expected.energies, atol=tolerance)
    np.testing.assert_allclose(found.forces, expected.forces, atol=tolerance)
    assert (found.stress is None) == (expected.stress is None)
    if found.stress is not None:
        np.testing.assert_allclose(found.stress, expected.stress, atol=tolerance)
    assert found.branch_weights == pytest.approx(expected.branch_weights, abs=tolerance)


@pytest.mark.parametrize("branch", ["general", "auto", {"general": 1.0}])
@pytest.mark.parametrize("max_atoms", [1, 8, 1000])
def test_batched_is_single_whatever_the_company(shared, structures, branch, max_atoms):
    predictor = Predictor(shared, InferenceConfig(branch=branch, max_atoms=max_atoms))
    together = predictor.predict(structures)
    backwards = predictor.predict(structures[::-1])[::-1]
    for structure, batched, reversed_ in zip(structures, together, backwards, strict=True):
        assert_same(batched, predictor.predict([structure])[0])
        assert_same(reversed_, batched)


def test_results_are_float64_records_of_their_own(shared, structures):
    records = Predictor(shared, InferenceConfig(branch="general")).predict(structures)
    for structure, record in zip(structures, records, strict=True):
        assert type(record.energy) is float
        assert record.forces.dtype == record.energies.dtype == np.float64
        assert record.forces.shape == (structure.num_atoms, 3)
        assert record.forces.base is None
        assert record.energies.sum() == pytest.approx(record.energy, rel=1e-12)
        assert (record.stress is not None) == bool(structure.pbc.any())


def test_a_mixture_is_the_weighted_sum_of_its_branches(shared):
    ethanol = [as_structure(molecule("CH3CH2OH"))]

    def predict(branch):
        return Predictor(shared, InferenceConfig(branch=branch)).predict(ethanol)[0]

    organic, general = predict("organic"), predict("general")
    mixed = predict({"organic": 0.25, "general": 0.75})
    assert mixed.energy == pytest.approx(0.25 * organic.energy + 0.75 * general.energy, abs=1e-10)
    expected = 0.25 * organic.forces + 0.75 * general.forces
    np.testing.assert_allclose(mixed.forces, expected, atol=1e-10)
    assert mixed.branch_energies == pytest.approx(
        {"organic": organic.energy, "general": general.energy}, abs=1e-9
    )


def test_weights_by_composition_are_the_models_own(shared):
    record = Predictor(shared).predict([as_structure(molecule(METHANOL))])[0]
    assert set(record.branch_weights) == {"organic", "general"}
    assert sum(record.branch_weights.values()) == pytest.approx(1)
    assert 0 < record.branch_weights["organic"] < 1
    silicon = Predictor(shared).predict([as_structure(bulk("Si"))])[0]
    assert silicon.branch_weights == {"organic": 0.0, "general": 1.0}
    assert set(silicon.branch_energies) == {"general"}


def test_interaction_energy_leaves_references_out(shared):
    structure = as_structure(molecule(METHANOL))
    total = Predictor(shared, InferenceConfig(branch="organic")).predict([structure])[0]
    bare = Predictor(shared, InferenceConfig(branch="organic", reference="interaction"))
    record = bare.predict([structure])[0]
    baseline = shared.branch_specs[0].references.baseline(structure.atomic_numbers)
    assert record.energy == record.interaction_energy
    assert total.energy == pytest.approx(record.energy + baseline, abs=1e-9)
    assert total.interaction_energy == pytest.approx(record.energy, abs=1e-9)


@pytest.mark.parametrize("reference", ["total", "interaction"])
def test_the_spread_is_of_interaction_energies(shared, reference):
    """Levels of theory differ by hundreds of eV in total energy; that is no uncertainty."""
    config = InferenceConfig(branch="organic", reference=reference, every_branch=True)
    record = Predictor(shared, config).predict([as_structure(molecule(METHANOL))])[0]
    values = [
        Predictor(shared, InferenceConfig(branch=name))
        .predict([as_structure(molecule(METHANOL))])[0]
        .interaction_energy
        for name in ("organic", "general")
    ]
    assert record.spread()["energy"] == pytest.approx(np.std(values), abs=1e-9)


def test_energies_alone_cost_no_derivative(shared, structures):
    config = InferenceConfig(branch="general", forces=None)
    records = Predictor(shared, config).predict(structures)
    assert all(record.forces is None and record.stress is None for record in records)


def test_direct_forces_are_not_the_derivative_and_have_no_stress(shared, structures):
    direct = Predictor(shared, InferenceConfig(branch="general", forces="direct"))
    derived = Predictor(shared, InferenceConfig(branch="general"))
    for a, b in zip(direct.predict(structures), derived.predict(structures), strict=True):
        assert a.energy == pytest.approx(b.energy, abs=1e-10)
        assert a.stress is None
    assert np.abs(direct.predict(structures)[1].forces - b.forces[:6]).max() > 1e-3


def test_isolated_atoms_and_pairs_share_a_batch(shared):
    """No edges, some edges and distant atoms side by side."""
    structures = [
        as_structure(Atoms("O")),
        as_structure(Atoms("OH", [[0, 0, 0], [0, 0, 40]])),
        as_structure(Atoms("OH", [[0, 0, 0], [0, 0, 1]])),
    ]
    records = Predictor(shared, InferenceConfig(branch="organic")).predict(structures)
    energies = shared.branch_specs[0].references.energies
    assert records[0].energy == pytest.approx(energies[8], abs=1e-9)
    assert records[1].energy == pytest.approx(energies[8] + energies[1], abs=1e-9)
    assert np.abs(records[1].forces).max() == 0
    assert np.abs(records[2].forces).max() > 0.01


def test_unsupported_elements_are_named_with_who_knows_them(shared):
    silicon = [as_structure(molecule(METHANOL)), as_structure(bulk("Si"), source="quartz")]
    message = r"structure quartz: branch 'organic' does not know Si .* here: general\)"
    with pytest.raises(ValueError, match=message):
        Predictor(shared, InferenceConfig(branch="organic")).predict(silicon)
    mixture = {"organic": 0.5, "general": 0.5}
    with pytest.raises(ValueError, match="'organic' does not know Si"):
        Predictor(shared, InferenceConfig(branch=mixture)).predict(silicon)
    with pytest.raises(ValueError, match="no branch knows .*U.*organic lacks U"):
        Predictor(shared).predict([as_structure(Atoms("U"))])


def test_two_atoms_at_one_place_are_refused_and_near_ones_warned_of(shared):
    predictor = Predictor(shared, InferenceConfig(branch="organic"))
    with pytest.raises(ValueError, match="structure 0: atoms C0 and H1 are at the same place"):
        predictor.predict([as_structure(Atoms("CH", [[0, 0, 0], [0, 0, 0]]))])
    with pytest.warns(UserWarning, match=r"atoms C0 and H1 are 0\.20 Angstrom apart"):
        predictor.predict([as_structure(Atoms("CH", [[0, 0, 0], [0, 0, 0.2]]))])


def test_a_result_that_is_not_finite_is_an_error():
    model = make_model()
    with torch.no_grad():
        model.branches.energy.layers[0].weight[0] = torch.inf
    with pytest.raises(ValueError, match="structure water: the energy or a force is not finite"):
        Predictor(model, InferenceConfig(branch="organic")).predict(
            [as_structure(molecule("H2O"), source="water")]
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"branch": "organik"}, "unknown branch 'organik'; did you mean 'organic'"),
        ({"branch": {"organic": 0.5}}, "sum 1"),
        ({"branch": {"organic": 1.5, "general": -0.5}}, "none below 0"),
        ({"branch": 3}, "expected a name or weights"),
        ({"reference": "totl"}, "did you mean 'total'"),
        ({"forces": "directly"}, "did you mean 'direct'"),
        ({"max_atoms": 0}, "at least 1"),
    ],
)
def test_wrong_requests_say_what_is_allowed(shared, options, message):
    with pytest.raises(ValueError, match=message):
        Predictor(shared, InferenceConfig(**options))


def test_a_model_without_weighting_wants_a_branch():
    model = make_model(weighting=False)
    with pytest.raises(ValueError, match=r"name one of \['organic', 'general'\]"):
        Predictor(model)
    with pytest.raises(ValueError, match="'auto' needs a trained weighting"):
        Predictor(model, InferenceConfig(branch="auto"))


def test_a_model_without_direct_heads_says_so():
    with pytest.raises(ValueError, match="no direct force heads"):
        Predictor(make_model(), InferenceConfig(branch="organic", forces="direct"))


def test_a_survey_asks_every_branch_that_knows_the_structure(shared):
    predictor = Predictor(shared, InferenceConfig(branch="organic"))
    assert set(predictor.survey(as_structure(bulk("Si"))).branch_energies) == {"general"}
    with pytest.raises(ValueError, match="no branch knows"):
        predictor.survey(as_structure(Atoms("U")))


def test_descriptors_do_not_turn_with_the_structure(shared):
    predictor = Predictor(shared, InferenceConfig(branch="organic"))
    atoms = molecule("CH3CH2OH")
    before = predictor.descriptors(as_structure(atoms))
    atoms.rotate(50, (1, 2, 3))
    np.testing.assert_allclose(predictor.descriptors(as_structure(atoms)), before, atol=1e-10)
    assert before.shape == (9, 16)


def test_what_is_to_be_compiled_is_traced_and_gives_the_same(shared, monkeypatch):
    """Here the traced function runs as it is; tests/models/test_tracing.py compiles one."""
    traced = []
    monkeypatch.setattr(tracing, "compile_traced", lambda graph: traced.append(graph) or graph)
    structures = [as_structure(molecule("H2O")), as_structure(molecule("CH3OH"))]
    for branch in ("organic", {"organic": 0.4, "general": 0.6}):
        config = InferenceConfig(branch=branch, compile=True)
        got = Predictor(shared, config).predict(structures)
        want = Predictor(shared, replace(config, compile=False)).predict(structures)
        for one, other in zip(got, want, strict=True):
            np.testing.assert_allclose(one.forces, other.forces, atol=1e-10)
            assert one.energy == pytest.approx(other.energy, abs=1e-10)
    assert len(traced) == 2


def test_a_machine_that_cannot_compile_says_so(shared, monkeypatch):
    def fails(*_arguments, **_options):
        raise OSError("no such file")

    monkeypatch.setattr(tracing, "standalone_compile", fails)
    monkeypatch.setattr(tracing, "find_compiler", lambda: None)
    predictor = Predictor(shared, InferenceConfig(branch="organic", compile=True))
    with pytest.raises(RuntimeError, match="no C\\+\\+ compiler found.*use compile=False"):
        predictor.predict([as_structure(molecule("H2O"))])
