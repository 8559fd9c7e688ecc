"""From an adapter to shards: what is kept, what is counted, and that nothing leaks."""

import math
from dataclasses import replace

import pytest
from published import CARD, ENERGIES, Handed, make_structure

from hydracalc.errors import DataError
from hydracalc.ingest import screening
from hydracalc.ingest.prepare import PrepareConfig, prepare
from hydracalc.ingest.screening import ScreenConfig
from hydracalc.ingest.splitting import SplitConfig
from hydracalc.ingest.validate import validate
from hydracalc.shards.reader import open_shards
from hydracalc.shards.writer import NO_REFERENCE

KINDS = ((8, 1, 1), (6, 1, 1, 1, 1), (6, 8), (1, 1), (8, 6, 8))


@pytest.fixture
def structures():
    """Two hundred in forty groups."""
    return [make_structure(n, KINDS[n % 5], group=f"group {n % 40}") for n in range(200)]


def kept(folder):
    shards = open_shards(folder)
    return {structure.source: structure for structure in shards.read(range(len(shards)))}


def test_everything_kept_and_everything_dropped_is_counted(tmp_path, structures):
    bad = [
        make_structure(900, energy=None),
        make_structure(901, energy=math.inf),
        make_structure(902, forces=[[200.0, 0, 0]] * 3),
        structures[7],
    ]
    report = prepare(Handed([*structures, *bad], {"no DFT label": 3}), tmp_path, tmp_path / "own")
    assert report.num_kept == 200
    assert report.num_dropped == 7
    assert report.dropped == {
        "no DFT label": 3,
        screening.DUPLICATE: 1,
        screening.LARGE_FORCE: 1,
        screening.NO_ENERGY: 1,
        screening.NOT_FINITE: 1,
    }
    manifest = open_shards(tmp_path / "own").manifest
    assert manifest.dropped == report.dropped
    assert manifest.num_structures == report.num_structures
    assert manifest.sha256 == report.sha256
    assert validate(tmp_path / "own") == []


def test_the_manifest_states_how_it_was_made(tmp_path, structures):
    config = PrepareConfig(split=SplitConfig(seed=3), screen=ScreenConfig(max_force=50.0))
    prepare(Handed(structures), tmp_path, tmp_path / "own", config=config)
    settings = open_shards(tmp_path / "own").manifest.settings
    assert settings["split"]["seed"] == 3
    assert settings["screen"]["max_force"] == 50.0


def test_no_group_trains_and_tests(tmp_path, structures):
    prepare(Handed(structures), tmp_path, tmp_path / "own")
    sides = {}
    for structure in kept(tmp_path / "own").values():
        sides.setdefault(structure.group, set()).add(structure.split)
    assert all(len(found) == 1 for found in sides.values())
    assert {side for found in sides.values() for side in found} == {"train", "val", "test"}


def test_equal_input_gives_the_same_identity(tmp_path, structures):
    one, same = (prepare(Handed(structures), tmp_path, tmp_path / name) for name in "ab")
    config = PrepareConfig(split=SplitConfig(seed=1))
    other = prepare(Handed(structures), tmp_path, tmp_path / "c", config=config)
    assert one.sha256 == same.sha256 != other.sha256


def test_the_order_of_the_data_does_not_change_the_split(tmp_path, structures):
    prepare(Handed(structures), tmp_path, tmp_path / "a")
    prepare(Handed(structures[::-1]), tmp_path, tmp_path / "b")
    one, other = kept(tmp_path / "a"), kept(tmp_path / "b")
    assert {name: s.split for name, s in one.items()} == {n: s.split for n, s in other.items()}


@pytest.mark.parametrize(("split", "changes"), [("train", True), ("val", False), ("test", False)])
def test_references_depend_on_the_training_split_alone(tmp_path, structures, split, changes):
    before = prepare(Handed(structures), tmp_path, tmp_path / "before")
    sides = {name: s.split for name, s in kept(tmp_path / "before").items()}
    moved = [
        replace(s, energy=s.energy + 500.0) if sides[s.source] == split else s for s in structures
    ]
    after = prepare(Handed(moved), tmp_path, tmp_path / "after")
    assert (before.references.to_json() != after.references.to_json()) == changes
    assert before.sha256 != after.sha256


def test_references_are_near_what_the_energies_were_made_of(tmp_path, structures):
    report = prepare(Handed(structures), tmp_path, tmp_path / "own")
    for number in (1, 6, 8):
        assert report.references.energies[number] == pytest.approx(ENERGIES[number], abs=0.2)


def test_normalized_energies_are_small_on_every_split(tmp_path, structures):
    """(E - sum of references) / N; energies themselves are thousands of eV."""
    report = prepare(Handed(structures), tmp_path, tmp_path / "own")
    for structure in kept(tmp_path / "own").values():
        normalized = report.references.normalize(structure.energy, structure.atomic_numbers)
        expected = structure.energy - sum(
            report.references.energies[z] for z in structure.atomic_numbers
        )
        assert normalized == pytest.approx(expected / structure.num_atoms, abs=1e-9)
        assert abs(normalized) < 0.5


def test_an_element_that_never_trains_is_dropped_and_counted(tmp_path, structures):
    rare = [make_structure(n, (14, 1), split="test") for n in range(500, 503)]
    report = prepare(Handed([*rare, *structures]), tmp_path, tmp_path / "own")
    assert report.dropped == {NO_REFERENCE: 3}
    assert report.num_kept == 200
    assert not report.references.supported[14]
    assert validate(tmp_path / "own") == []


def test_a_limit_reads_only_so_many(tmp_path, structures):
    seen = []
    config = PrepareConfig(limit=50)
    report = prepare(
        Handed(structures), tmp_path, tmp_path / "own", config=config, progress=seen.append
    )
    assert report.num_kept == 50
    assert seen[-1] == 50
    assert seen == sorted(seen)


def test_nothing_kept_is_a_data_error_that_says_why(tmp_path):
    with pytest.raises(DataError, match=r"no structure is kept; dropped: \{'no energy': 2\}"):
        prepare(
            Handed([make_structure(n, energy=None) for n in range(2)]), tmp_path, tmp_path / "own"
        )
    assert list(tmp_path.iterdir()) == []


def test_damaged_raw_data_leaves_nothing(tmp_path, structures):
    class Damaged(Handed):
        def structures(self, part):
            yield from structures
            raise DataError("raw.h5: truncated")

    with pytest.raises(DataError, match="truncated"):
        prepare(Damaged([]), tmp_path, tmp_path / "own")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_output_is_refused_before_anything_is_read(tmp_path):
    class Unread(Handed):
        def structures(self, part):
            raise AssertionError("was read")

    (tmp_path / "own").mkdir()
    with pytest.raises(ValueError, match="own: exists"):
        prepare(Unread([]), tmp_path, tmp_path / "own")


def test_a_limit_below_one_is_refused():
    with pytest.raises(ValueError, match="limit is 0"):
        PrepareConfig(limit=0)


def test_the_card_is_kept(tmp_path, structures):
    prepare(Handed(structures), tmp_path, tmp_path / "own")
    assert open_shards(tmp_path / "own").card == CARD
