"""Which published set a test structure is from, and whose its labels are."""

from hydracalc.assessment.subsets import PUBLISHED, SUBSETS, gather, origin
from hydracalc.shards.reader import open_shards
from hydracalc.shards.union import unite


def test_sets_are_told_apart_by_stress_and_by_source(shards):
    sets, left_out = gather(shards)
    assert [(each.name, len(each.structures)) for each in sets] == [
        ("MPtrj random frames", 2),
        ("MPtrj highest stress", 2),
        ("MatterSim mpf-TP", 1),
        ("MatterSim mpf-alkali-TP", 1),
        ("MatterSim random-TP", 1),
    ]
    assert sets[0].bar.force_meV_per_A == 75
    ((reason, count),) = left_out.items()
    assert count == 1
    assert reason.startswith("mattersim: of none of MatterSim mpf-TP")


def test_computed_labels_are_told_from_published_ones(shards):
    labels = {each.branch: each.labels for each in gather(shards)[0]}
    assert labels == {"mptrj": PUBLISHED, "mattersim": "a test"}


def test_of_united_folders_the_test_labels_are_those_of_the_first(shards, computed, tmp_path):
    """Computed structures added for training do not make the test labels computed ones."""
    with open_shards(shards[0]) as first:
        assert origin(first.manifest) == PUBLISHED
    unite([shards[0], computed], tmp_path / "united")
    unite([computed, shards[0]], tmp_path / "other")
    with open_shards(tmp_path / "united") as united, open_shards(tmp_path / "other") as other:
        assert united.manifest.card.computed_by is not None
        assert origin(united.manifest) == PUBLISHED
        assert origin(other.manifest) == "somebody"


def test_names_are_unique():
    assert len({subset.name for subset in SUBSETS}) == len(SUBSETS)
