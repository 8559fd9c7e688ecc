"""The sample of every dataset comes back from shards to the last bit."""

from published import same_bits

from hydracalc.ingest.prepare import PrepareConfig, prepare
from hydracalc.ingest.screening import ScreenConfig
from hydracalc.ingest.splitting import SplitConfig
from hydracalc.ingest.validate import validate
from hydracalc.shards.reader import open_shards
from hydracalc.shards.writer import NO_REFERENCE

EVERYTHING = PrepareConfig(
    screen=ScreenConfig(max_force=None, min_distance=0.0, duplicates=False),
    split=SplitConfig(val=0.0, test=0.0),
)


def test_what_was_prepared_is_what_was_read(adapter, structures, folder, tmp_path):
    """Only elements that a published split keeps out of training are left out, and counted."""
    report = prepare(adapter, folder / "sample", tmp_path / "own", config=EVERYTHING)
    assert set(report.dropped) - set(adapter.dropped) <= {NO_REFERENCE}
    assert report.num_kept + report.dropped.get(NO_REFERENCE, 0) == len(structures)
    given = {structure.source: structure for structure in structures}
    with open_shards(tmp_path / "own") as shards:
        for structure in shards.read(range(len(shards))):
            assert same_bits(structure, given[structure.source]), structure.source
            published = given[structure.source].split
            assert structure.split == (published or structure.split)
    assert validate(tmp_path / "own") == []
