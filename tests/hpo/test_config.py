"""Search files are read strictly, and their keys are those of the recipe."""

import dataclasses

import pytest

from hydracalc.hpo.config import METRICS, SearchConfig, load_search, shipped_searches
from hydracalc.hpo.space import Space
from hydracalc.models.encoders import ENCODERS

TEXT = """
name = "x"
recipe = "mtl-all"

[space]
"trainer.schedule.learning_rate" = { low = 1e-4, high = 1e-2, log = true }
"""


@pytest.fixture
def file(tmp_path):
    """Function (text) -> the path of a file of it."""

    def make(text):
        path = tmp_path / "search.toml"
        path.write_text(text)
        return path

    return make


@pytest.mark.parametrize("name", shipped_searches())
def test_a_shipped_search_is_valid_and_all_its_keys_are_those_of_its_recipe(name):
    config = load_search(name)
    assert config.name == name
    values = {
        key: given.choices[0] if given.choices else None for key, given in config.space.items()
    }
    assert values
    recipe = config.trial_recipe({}, name="x-0000")
    assert recipe.trainer.training.epochs == config.fidelity.epochs
    assert recipe.trainer.training.max_minutes is None
    assert recipe.trainer.training.validate_every == 1
    if name in ENCODERS:
        assert recipe.model.encoder == name


def test_each_encoder_has_a_campaign():
    assert set(ENCODERS) <= set(shipped_searches())


def test_trials_are_as_long_as_the_search_says(file):
    config = load_search(file(TEXT + "\n[fidelity]\nepochs = 7\nminutes = 2.0\n"))
    recipe = config.trial_recipe({"trainer.schedule.learning_rate": 5e-4}, name="x-0003")
    assert recipe.name == "x-0003"
    assert recipe.trainer.schedule.learning_rate == 5e-4
    training = recipe.trainer.training
    assert (training.epochs, training.max_minutes) == (7, 2.0)


def test_a_recipe_beside_the_search_file_is_found(file, tmp_path):
    (tmp_path / "own.toml").write_text('name = "o"\nbranches = [{name = "a", shards = "a"}]\n')
    config = load_search(file(TEXT.replace('"mtl-all"', '"own.toml"')))
    assert config.recipe == str(tmp_path / "own.toml")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("tirals = 3", "unknown recipe key 'tirals'; did you mean 'trials'"),
        ('"model.num_chanels" = { low = 1, high = 2 }', "did you mean 'model.num_channels'"),
        ('"model.num_layers" = { lo = 1, high = 2 }', "range of 'model.num_layers' 'lo'; did you"),
        ('"model.num_layers" = { low = 0, high = 2 }', "space: model.num_layers: .*is 0"),
        ('"model.num_layers" = { low = 3, high = 2 }', "expected low below high"),
        ("[objective]\nmetrics = { val_force = 1.0 }", "unknown metric 'val_force'; did you mean"),
        ("[objective]\nmetrics = { val_force_mae = 0.0 }", "weight of val_force_mae is 0.0"),
        ("[fidelity]\nepochs = 0", "epochs and minutes must be positive"),
        ('[discarding]\nrule = "best"', "discarding.rule"),
        ("[trial]\nranks = 0", "ranks is 0"),
        ("[energy]\nwatts_per_core = 0", "watts"),
    ],
)
def test_what_is_wrong_is_refused_by_name(file, more, message):
    text = f"{more}\n{TEXT}" if more.startswith("tirals") else f"{TEXT}{more}\n"
    with pytest.raises(ValueError, match=message):
        load_search(file(text))


def test_a_search_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match="unknown search 'paint'; did you mean 'painn'"):
        load_search("paint")
    with pytest.raises(ValueError, match="space is empty"):
        SearchConfig(name="x", recipe="mtl-all", space={})


def test_settings_survive_json(config):
    assert dataclasses.replace(config, trials=3).to_json()["trials"] == 3
    assert "val_force_mae" in METRICS
    assert METRICS["val_stress_rmse"] == "stress_rmse_eV_per_A3"
    assert [axis.name for axis in Space(config.space).axes] == ["seed"]
