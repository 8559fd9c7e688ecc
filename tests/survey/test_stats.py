"""Statistics of shards against numbers worked out by hand."""

import json

import numpy as np
import pytest
from published import CARD, make_structure

from hydracalc import references
from hydracalc.shards.reader import open_shards
from hydracalc.shards.writer import ShardWriter
from hydracalc.survey.stats import collect_stats


@pytest.fixture
def stats(tmp_path):
    given = references.from_json({"H": -10.0, "O": -100.0})
    force = np.zeros((3, 3))
    force[1] = [3.0, 4.0, 0.0]
    structures = [
        make_structure(1, energy=-117.0, forces=force),
        make_structure(2, energy=-123.0, forces=None, total_charge=-1, spin_multiplicity=2),
        make_structure(3, (1,), energy=-10.0, forces=None, stress=-0.5 * np.eye(3)),
    ]
    with ShardWriter(tmp_path / "own", card=CARD, references=given, max_shard_bytes=1) as writer:
        for structure, split in zip(structures, ("train", "val", "train"), strict=True):
            writer.add(structure, split=split)
    return collect_stats(open_shards(tmp_path / "own"))


def test_counts(stats):
    assert stats["num_structures"] == {"train": 2, "val": 1, "test": 0}
    assert stats["elements"] == {
        "H": {"atoms": 5, "structures": 3},
        "O": {"atoms": 2, "structures": 2},
    }
    assert stats["charges"] == {-1: 1, 0: 2}
    assert stats["spin_multiplicities"] == {1: 2, 2: 1}
    assert stats["num_atoms"]["max"] == 3


def test_energies_are_per_atom_without_references(stats):
    energy = stats["normalized_energy_eV_per_atom"]
    assert (energy["min"], energy["median"], energy["max"]) == pytest.approx((-1.0, 0.0, 1.0))
    assert energy["count"] == 3


def test_forces_are_norms_of_labelled_structures(stats):
    assert stats["largest_force_eV_per_A"]["count"] == 1
    assert stats["largest_force_eV_per_A"]["max"] == 5.0
    assert stats["force_rms_eV_per_A"] == pytest.approx(np.sqrt(25 / 9))
    assert stats["largest_stress_eV_per_A3"]["max"] == 0.5


def test_forces_on_atoms_are_distributed(stats):
    assert stats["force_eV_per_A"]["count"] == 3
    assert stats["force_eV_per_A"]["mean"] == pytest.approx(5 / 3)
    histogram = stats["histograms"]["force_eV_per_A"]
    assert sum(histogram["counts"]) == 1  # two atoms without a force are below any ratio
    assert histogram["below"] == 2


def test_histograms_count_every_value(stats):
    for name in ("num_atoms", "normalized_energy_eV_per_atom", "largest_stress_eV_per_A3"):
        histogram = stats["histograms"][name]
        total = sum(histogram["counts"]) + histogram["below"] + histogram["above"]
        assert total == stats[name]["count"]


def test_references_are_as_determined_as_the_training_compositions_make_them(stats):
    assert stats["coverage"]["rank"] == 2
    assert stats["coverage"]["not_determined"] == []


def test_statistics_are_json(stats):
    assert json.loads(json.dumps(stats, allow_nan=False))["branch"] == "own"
