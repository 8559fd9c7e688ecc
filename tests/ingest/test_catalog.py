"""Datasets are found by folder."""

import shutil
from pathlib import Path

import pytest

from hydracalc.checks.physics import energy_against_work
from hydracalc.ingest import catalog
from hydracalc.ingest.generic import GenericAdapter

ROOT = Path(__file__).parents[2]


def test_every_folder_with_a_card_is_listed():
    expected = {path.parent.name for path in (ROOT / "datasets").glob("*/card.toml")}
    assert set(catalog.list_datasets()) == expected
    assert {"ani1x", "qm7x", "transition1x", "mptrj", "alexandria"} <= expected


def test_an_unknown_dataset_offers_the_nearest():
    with pytest.raises(ValueError, match="unknown dataset 'mptrk'; did you mean 'mptrj'"):
        catalog.load_adapter("mptrk")


def test_adapters_share_no_state():
    first, second = catalog.load_adapter("ani1x"), catalog.load_adapter("ani1x")
    first.dropped["test"] += 1
    assert not second.dropped


def copied(tmp_path, name="mydata", adapter=None):
    folder = tmp_path / name
    shutil.copytree(ROOT / "datasets" / "ani1x", folder, ignore=shutil.ignore_patterns("s[al]*"))
    card = folder / "card.toml"
    card.write_text(card.read_text().replace('branch = "ani1x"', 'branch = "mydata"'))
    if adapter is not None:
        (folder / "adapter.py").write_text(adapter)
    return folder


def test_a_folder_of_the_user_is_a_dataset_too(tmp_path):
    adapter = catalog.load_adapter(copied(tmp_path))
    structure = next(adapter.read(ROOT / "datasets" / "ani1x" / "sample"))
    assert structure.branch == "mydata"


def test_a_card_that_names_another_branch_is_refused(tmp_path):
    with pytest.raises(ValueError, match="branch is 'mydata', the folder is 'yours'"):
        catalog.load_adapter(copied(tmp_path, "yours"))


def test_an_adapter_file_must_define_exactly_one(tmp_path):
    import_only = "from hydracalc.ingest.adapter import Adapter\n"
    with pytest.raises(ValueError, match="must define one Adapter, it defines none"):
        catalog.load_adapter(copied(tmp_path, adapter=import_only))


def test_a_folder_without_adapter_and_keys_is_refused(tmp_path):
    folder = copied(tmp_path)
    (folder / "adapter.py").unlink()
    with pytest.raises(ValueError, match=r"has no adapter.py and its card.toml no \[keys\]") as e:
        catalog.load_adapter(folder)
    assert str(folder) in str(e.value)
    assert 'energy = "calculator:energy"' in str(e.value)


def test_keys_in_a_card_are_enough(tmp_path):
    folder = copied(tmp_path)
    (folder / "adapter.py").unlink()
    with (folder / "card.toml").open("a") as card:
        card.write('[keys]\nenergy = "info:e"\nforces = "arrays:f"\ngroup = "formula"\n')
    adapter = catalog.load_adapter(folder)
    assert isinstance(adapter, GenericAdapter)
    assert adapter.folder == folder


def test_an_adapter_goes_before_keys(tmp_path):
    folder = copied(tmp_path)
    with (folder / "card.toml").open("a") as card:
        card.write('[keys]\nenergy = "info:e"\ngroup = "formula"\n')
    assert type(catalog.load_adapter(folder)).__name__ == "Ani1x"


def test_the_example_of_own_data_is_read_and_obeys_physics():
    folder = ROOT / "examples" / "own_dataset"
    structures = list(catalog.load_adapter(folder).read(folder))
    assert len(structures) == 156
    assert len({structure.group for structure in structures}) == 15
    result = energy_against_work(structures, max_displacement=0.2)
    assert result.slope == pytest.approx(1, abs=0.02)
    assert result.correlation > 0.999


def test_a_wheel_reads_them_from_inside_the_package(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "hydracalc"
    shutil.copytree(copied(tmp_path), package / "_datasets" / "mydata")
    monkeypatch.setattr(catalog, "_PACKAGE", package)
    assert list(catalog.list_datasets()) == ["mydata"]
    assert catalog.load_adapter("mydata").card.branch == "mydata"
