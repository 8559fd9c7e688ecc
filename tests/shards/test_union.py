import json

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from builders import labelled, make_card, rattled
from click.testing import CliRunner

from hydracalc.cli.main import main
from hydracalc.shards.reader import open_shards
from hydracalc.shards.union import NOT_FOR_TRAINING, training_parts, unite
from hydracalc.shards.writer import ShardWriter
from hydracalc.store.store import open_store


def shards_of(folder, symbol, branch="metals", computed_by=None):
    """Four structures for training, one to validate and one to test with."""
    card = make_card(branch, (symbol,)).model_copy(update={"computed_by": computed_by})
    with ShardWriter(folder, card=card) as writer:
        for number in range(6):
            atoms = rattled(bulk(symbol, cubic=True), number)
            structure = labelled(atoms, EMT(), branch=branch, source=f"{symbol}-{number}")
            writer.add(structure, split=("train", "val", "test")[max(0, number - 3)])
    return folder


@pytest.fixture
def united(tmp_path):
    real = shards_of(tmp_path / "real", "Cu")
    computed = shards_of(tmp_path / "computed", "Al", computed_by="EMT 1.0")
    writer = unite([real, computed], tmp_path / "both")
    return real, computed, writer, tmp_path / "both"


def test_added_folders_are_for_training_alone(united):
    real, computed, writer, out = united
    with open_shards(out) as both, open_shards(real) as first, open_shards(computed) as second:
        assert [int((both.splits == split).sum()) for split in range(3)] == [8, 1, 1]
        found = {s.source: s for s in both.read(np.arange(len(both)))}
        wanted = first.read(np.arange(6)) + second.read(np.flatnonzero(second.splits == 0))
    assert set(found) == {structure.source for structure in wanted}
    for structure in wanted:
        assert found[structure.source].energy == structure.energy
        assert (found[structure.source].forces == structure.forces).all()
    assert writer.dropped[NOT_FOR_TRAINING] == 2


def test_training_structures_come_folder_by_folder(united):
    real, *_, out = united
    with open_shards(out) as both:
        assert training_parts(both.manifest) == (4, 4)
        found = [s.source for s in open_store(both, "train").fetch(range(8))]
    assert found == [f"{symbol}-{number}" for symbol in ("Cu", "Al") for number in range(4)]
    with open_shards(real) as one:
        assert training_parts(one.manifest) == (4,)


def test_the_card_says_what_was_computed(united):
    *_, out = united
    with open_shards(out) as both:
        assert both.card.computed_by == (
            "4 training structures: published labels; 4 training structures: EMT 1.0"
        )
        assert both.card.elements == ("Al", "Cu")
        assert both.references.supported.sum() == 2


def test_the_command_counts(tmp_path):
    folders = [str(shards_of(tmp_path / name, name)) for name in ("Cu", "Ag")]
    out = str(tmp_path / "out")
    result = CliRunner().invoke(main, ["data", "unite", *folders, "-o", out, "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output) == {
        "num_structures": {"train": 8, "val": 1, "test": 1},
        "left_out": {NOT_FOR_TRAINING: 2},
    }


def test_other_branches_and_single_folders_are_refused(tmp_path):
    one = shards_of(tmp_path / "one", "Cu")
    other = shards_of(tmp_path / "other", "Al", branch="light")
    with pytest.raises(ValueError, match=r"branches \['metals', 'light'\], expected one"):
        unite([one, other], tmp_path / "out")
    with pytest.raises(ValueError, match="1 folders of shards, expected at least two"):
        unite([one], tmp_path / "out")
    assert not (tmp_path / "out").exists()
