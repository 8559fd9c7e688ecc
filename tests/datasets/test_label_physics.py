"""The labels of every sample obey physics, and each kind of label is told of by a finding."""

from hydracalc.checks.card_choices import alternatives
from hydracalc.checks.label_check import check_labels

# entries of a card's labels: findings of which one at least must have been made
TOLD_BY = {
    "energy": {"forces against energy", "energy scale"},
    "length": {"distances"},
    "forces": {"forces against energy", "bonds to hydrogen"},
    "stress": {"normal stress against energy", "stress against forces"},
    "stress_order": {"shear stress against energy", "shear stress against forces"},
}


def test_the_labels_of_the_sample_obey_physics_and_show_it(dataset, structures, adapter, folder):
    """What no finding tells of could not be wrong in any way."""
    card = adapter.card_of(folder / "sample")
    report = check_labels(structures, card)
    assert report.by_verdict("failed") == []
    passed = {finding.name for finding in report.by_verdict("passed")}
    labelled = {entry for entry in TOLD_BY if alternatives(card.labels, entry)}
    assert {entry for entry in labelled if not passed & TOLD_BY[entry]} == set(), report.findings


def test_snapshots_at_high_pressure_are_compressed(sample):
    """Under pressure the energy falls on expansion: the stress is negative."""
    stresses = [s.stress.trace() for s in sample("mattersim")]
    assert sum(stress < 0 for stress in stresses) > 0.9 * len(stresses)
