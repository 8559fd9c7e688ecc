"""The card of the shipped model is true: its data can be made again, its errors measured."""

from pathlib import Path

import pytest

from hydracalc import registry
from hydracalc.checkpoint import read_header
from hydracalc.ingest.catalog import load_adapter
from hydracalc.ingest.prepare import PrepareConfig, prepare
from hydracalc.ingest.splitting import SplitConfig
from hydracalc.shards.reader import open_shards
from hydracalc.shards.union import unite
from hydracalc.store.store import open_store
from hydracalc.validation.evaluation import OWN, evaluate

DATASETS = Path(__file__).parents[2] / "datasets"
SMALL = ("alexandria", "ani1x", "transition1x")
UNITED = ("ani1x",)
COMPUTED_BY = {
    "ani1x": "published labels; 6977 training structures: ANI-1x (eight networks",
    "mptrj": "published labels; 25970 training structures: SevenNet-0",
    "transition1x": "PySCF",
}


@pytest.fixture(scope="module")
def header():
    return read_header(registry.resolve("mtl-all"))


def prepared_again(name, out, *, close_pairs):
    """Shards of a slice of the repository, with the computed frames beside it, if any."""
    source, published, computed = DATASETS / name, out / "published", out / "computed"
    prepare(load_adapter(name), source / "slice", published)
    if name not in UNITED:
        return open_shards(published)
    raw = out / "raw"
    raw.mkdir()
    for file in (source / "computed").iterdir():
        if close_pairs or "close_pairs" not in file.name:
            (raw / file.name).symlink_to(file)
    config = PrepareConfig(split=SplitConfig(val=0, test=0))
    prepare(load_adapter(name), raw, computed, config=config)
    unite([published, computed], out / "united")
    return open_shards(out / "united")


@pytest.fixture(scope="module", params=SMALL)
def shards(request, tmp_path_factory):
    """What the first stage was trained on."""
    return prepared_again(request.param, tmp_path_factory.mktemp("shards"), close_pairs=False)


def check_counts(shards, provenance):
    rows = {row["branch"]: row for row in provenance["data"]}
    stated = rows[shards.branch]
    assert dict(shards.manifest.num_structures) == {s: stated[s] for s in ("train", "val", "test")}
    assert shards.manifest.dropped == stated["left_out"]


def test_the_training_data_can_be_made_again(header, shards):
    """The same structures on the same sides: equal counts, and references equal to rounding."""
    check_counts(shards, header["provenance"]["started_from"])
    (energies,) = (b["references_eV"] for b in header["branches"] if b["name"] == shards.branch)
    assert shards.references.to_json() == pytest.approx(energies, rel=1e-12)


@pytest.mark.parametrize("name", SMALL)
def test_so_can_those_of_the_second_stage(header, name, tmp_path):
    check_counts(prepared_again(name, tmp_path, close_pairs=True), header["provenance"])


def test_the_errors_on_the_card_are_measured_again(header, shards):
    (stated,) = (b["metrics"] for b in header["branches"] if b["name"] == shards.branch)
    store = open_store(shards, "test")
    structures = store.fetch(range(len(store)))
    report = evaluate(registry.load_model("mtl-all"), structures, branch=OWN).to_json()
    found = report["branches"][shards.branch]
    assert found["num_structures"] == stated["test_structures"]
    for key in ("energy_mae_eV_per_atom", "force_mae_eV_per_A", "force_rmse_eV_per_A"):
        assert found[key] == pytest.approx(stated[f"test_{key}"], rel=1e-3), key


def test_labels_that_were_computed_are_marked(header):
    cards = {branch["name"]: branch["card"] for branch in header["branches"]}
    for name, card in cards.items():
        assert card["license"]
        if name in COMPUTED_BY:
            assert COMPUTED_BY[name] in card["computed_by"]
        else:
            assert card["computed_by"] is None, name
