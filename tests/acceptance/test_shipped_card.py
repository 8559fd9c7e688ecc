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
COMPUTED_BY = {
    "ani1x": "published labels; 6977 training structures: ANI-1x (eight networks",
    "mptrj": "published labels; 25970 training structures: SevenNet-0",
    "transition1x": "PySCF",
}


@pytest.fixture(scope="module")
def header():
    return read_header(registry.resolve("mtl-all"))


@pytest.fixture(scope="module", params=SMALL)
def shards(request, tmp_path_factory):
    """Those of a slice of the repository, with the computed frames beside it, if any."""
    name, out = request.param, tmp_path_factory.mktemp("shards")
    source, folders = DATASETS / name, [out / "published"]
    prepare(load_adapter(name), source / "slice", folders[0])
    for raw in sorted(source.glob("computed*")):
        folders.append(out / raw.name)
        config = PrepareConfig(split=SplitConfig(val=0, test=0))
        prepare(load_adapter(name), raw, folders[-1], config=config)
    if len(folders) == 1:
        return open_shards(folders[0])
    unite(folders, out / "united")
    return open_shards(out / "united")


def test_the_training_data_can_be_made_again(header, shards):
    """The same structures on the same sides: equal counts, and references equal to rounding."""
    rows = {row["branch"]: row for row in header["provenance"]["data"]}
    stated = rows[shards.branch]
    assert dict(shards.manifest.num_structures) == {s: stated[s] for s in ("train", "val", "test")}
    assert shards.manifest.dropped == stated["left_out"]
    (energies,) = (b["references_eV"] for b in header["branches"] if b["name"] == shards.branch)
    assert shards.references.to_json() == pytest.approx(energies, rel=1e-12)


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
