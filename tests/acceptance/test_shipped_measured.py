"""What the shipped model's card says of sets and elements is what is measured again here."""

from pathlib import Path

import pytest
from shipped import MEASURED_AGAIN

from hydracalc import registry
from hydracalc.assessment import card
from hydracalc.assessment.label_errors import measure_set
from hydracalc.assessment.subsets import PUBLISHED, gather
from hydracalc.checkpoint import MEASURED, read_header
from hydracalc.ingest.catalog import load_adapter
from hydracalc.ingest.prepare import prepare

DATASETS = Path(__file__).parents[2] / "datasets"
NAME = "mtl-all"


@pytest.fixture(scope="module")
def header():
    return read_header(registry.resolve(NAME))


@pytest.fixture(scope="module")
def measured(header):
    """Made by `hydracalc models measure`; a model without it is not to be shipped."""
    return header["provenance"][MEASURED]


@pytest.fixture(scope="module", params=MEASURED_AGAIN)
def sets(request, tmp_path_factory):
    """Test structures of a slice of the repository, prepared again, by set."""
    out = tmp_path_factory.mktemp("shards") / request.param
    prepare(load_adapter(request.param), DATASETS / request.param / "slice", out)
    return gather([out])[0]


def test_errors_by_set_and_element_are_those_of_the_card(measured, sets):
    model = registry.load_model(NAME)
    for each in sets:
        stated, found = measured["sets"][each.name], measure_set(model, each).to_json()
        assert found["num_structures"] == stated["num_structures"]
        assert found["labels"] == stated["labels"]
        for choice in ("own", "auto"):
            force = found["choices"][choice]["force_mae_eV_per_A"]
            told = stated["choices"][choice]["force_mae_eV_per_A"]
            assert force == pytest.approx(told, rel=1e-3), (each.name, choice)
        energy = found["choices"]["own"]["energy_mae_eV_per_atom"]
        told = stated["choices"]["own"]["energy_mae_eV_per_atom"]
        assert energy == pytest.approx(told, rel=2e-3), each.name
        assert set(found["by_element"]) == set(stated["by_element"])
        for symbol, row in found["by_element"].items():
            told = stated["by_element"][symbol]["force_mae_eV_per_A"]
            assert row["force_mae_eV_per_A"] == pytest.approx(told, rel=5e-3, abs=1e-5), symbol


def test_the_card_has_every_section_and_says_what_not_to_do(header, measured):
    for section in ("sets", "calibration", "nve", "pairs", "lattices", "speed"):
        assert measured[section], section
    assert measured[card.NOT_FOR] == card.not_for(header, measured)
    assert measured["sets"]["Transition1x"]["labels"] != PUBLISHED


def test_auto_beats_every_branch_and_the_uniform_mixture_on_held_out_compositions(header):
    told = header["provenance"]["weighting"]
    auto = told["auto_on_the_same_force_mae_eV_per_A"]
    for name, error in told["held_out_force_mae_eV_per_A"].items():
        if name not in ("auto", "own"):  # composition does not tell whose label it is
            assert auto[name] < error, name
