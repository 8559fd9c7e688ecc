"""Recipes are read strictly and written back in full."""

import pytest

from hydracalc.recipe import find_recipe, load_recipe, parse_recipe, refuse_changes, to_toml

TEXT = """
name = "toy"

[[branches]]
name = "ani1x"
shards = "ani1x"

[[branches]]
name = "mptrj"
shards = "there/mptrj"
weight = 2.0

[model]
encoder = "egnn"
head_widths = [8, 8]

[trainer.training]
epochs = 3
"""


@pytest.fixture
def recipe_file(tmp_path):
    path = tmp_path / "toy.toml"
    path.write_text(TEXT)
    return path


def test_a_recipe_says_what_it_says_and_defaults_fill_the_rest(recipe_file):
    recipe = load_recipe(recipe_file)
    assert recipe.model.encoder == "egnn"
    assert recipe.model.head_widths == (8, 8)
    assert recipe.trainer.training.epochs == 3
    assert [b.weight for b in recipe.branches] == [1.0, 2.0]
    assert recipe.trainer.loss == type(recipe.trainer.loss)()
    assert str(recipe.shards_of(recipe.branches[1])) == "there/mptrj"


def test_overrides_reach_any_depth_and_need_no_quotes(recipe_file):
    recipe = load_recipe(
        recipe_file,
        [
            "trainer.training.epochs=7",
            "model.encoder=painn",
            "data_dir=/data",
            "trainer.loss.kind='l1'",
        ],
    )
    assert recipe.trainer.training.epochs == 7
    assert recipe.model.encoder == "painn"
    assert recipe.trainer.loss.kind == "l1"
    assert str(recipe.shards_of(recipe.branches[0])) == "/data/ani1x"


def test_the_resolved_recipe_reads_back_equal(recipe_file, tmp_path):
    recipe = load_recipe(recipe_file)
    again = tmp_path / "again.toml"
    again.write_text(to_toml(recipe))
    assert load_recipe(again) == recipe
    assert "learning_rate" in again.read_text()


def test_options_of_an_encoder_are_a_section_and_read_back(recipe_file, tmp_path):
    recipe = load_recipe(
        recipe_file,
        [
            "model.encoder=mace",
            "model.mace.max_degree=2",
            "model.mace.radial_widths=[8, 16]",
            "model.dimenet.interaction_channels=12",
            "trainer.training.precision=bfloat16",
        ],
    )
    assert recipe.model.mace.max_degree == 2
    assert recipe.model.mace.radial_widths == (8, 16)
    assert recipe.model.dimenet.interaction_channels == 12
    assert recipe.trainer.training.precision == "bfloat16"
    again = tmp_path / "again.toml"
    again.write_text(to_toml(recipe))
    assert "[model.mace]" in again.read_text()
    assert load_recipe(again) == recipe


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "trainer.training.epoch=3",
            "unknown recipe key 'trainer.training.epoch'; did you mean 'tra",
        ),
        ("modle.encoder=painn", "unknown recipe key 'modle'; did you mean 'model'"),
        ("trainer.loss.kind=hubber", "huber"),
        ("trainer.training.epochs=0", "epochs"),
        ("trainer.training.epochs=many", "trainer.training.epochs"),
        ("model.num_channels=-3", "num_channels is -3"),
        ("model.mace.max_degre=2", "'model.mace.max_degre'; did you mean 'model.mace.max_degree'"),
        ("model.mace.correlation=7", "model.mace: correlation is 7, expected 1 to 3"),
        ("model.dimenet.basis_channels=0", "basis_channels is 0"),
        ("model.mace=3", "model.mace"),
        ("trainer.training.precision=float16", "precision"),
        ("epochs", "is no override, expected section.key=value"),
        ("name.first=3", "'name' is not a section"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name(recipe_file, override, message):
    with pytest.raises(ValueError, match=message):
        load_recipe(recipe_file, [override])


def test_keys_of_branches_are_checked_too():
    with pytest.raises(ValueError, match=r"'branches.shard'; did you mean 'branches.shards'"):
        parse_recipe({"name": "x", "branches": [{"name": "a", "shard": "a"}]})
    with pytest.raises(ValueError, match="each name once"):
        parse_recipe({"name": "x", "branches": [{"name": "a", "shards": "a"}] * 2})
    with pytest.raises(ValueError, match="weight is -1"):
        parse_recipe({"name": "x", "branches": [{"name": "a", "shards": "a", "weight": -1}]})


def test_a_recipe_that_is_no_toml_is_refused_with_its_path(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text("name = ")
    with pytest.raises(ValueError, match=r"bad\.toml"):
        load_recipe(path)


def test_shipped_recipes_are_found_by_name_and_valid():
    assert load_recipe("mtl-all").name == "mtl-all"
    assert find_recipe("mtl-all.toml").is_file()
    with pytest.raises(ValueError, match="unknown recipe 'mtl-al'; did you mean 'mtl-all'"):
        find_recipe("mtl-al")


def test_where_structures_are_kept_is_read_written_and_free_to_change(recipe_file, tmp_path):
    words = ["store.kind=rma", "store.width=4", "store.memory_GB=20", "store.folder=/scratch"]
    recipe, plain = load_recipe(recipe_file, words), load_recipe(recipe_file)
    assert (plain.store.kind, plain.store.memory_GB) == ("auto", None)
    assert (recipe.store.kind, recipe.store.width, recipe.store.memory_GB) == ("rma", 4, 20.0)
    written = tmp_path / "written.toml"
    written.write_text(to_toml(recipe))
    assert load_recipe(written) == recipe
    refuse_changes(plain, recipe)  # it decides nothing of the weights
    with pytest.raises(ValueError, match="seed was 0, is 1"):
        refuse_changes(plain, load_recipe(recipe_file, ["seed=1"]))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("store.kind=share", "unknown store kind 'share'; did you mean 'shared'"),
        ("store.widht=2", "store.width"),
        ("store.width=-1", "store width is -1"),
        ("store.neighbors_GB=-1", "neighbors_GB is -1"),
        ("store.timeout_s=soon", "store.timeout_s"),
    ],
)
def test_a_wrong_store_is_refused_by_name(recipe_file, word, message):
    with pytest.raises(ValueError, match=message):
        load_recipe(recipe_file, [word])
