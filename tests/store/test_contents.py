"""What structures have is told without reading all of them, by ranks that look at a part each."""

import pytest

from hydracalc.shards.reader import open_shards
from hydracalc.store.contents import contents_of
from hydracalc.store.store import open_store


def test_contents_are_those_of_the_structures(folder):
    with open_shards(folder) as shards:
        found = contents_of(shards)
        for split in ("train", "val", "test"):
            store = open_store(shards, split)
            structures = store.fetch(range(len(store)))
            assert found[split].charges == tuple(sorted({s.total_charge for s in structures}))
            spins = tuple(sorted({s.spin_multiplicity for s in structures}))
            assert found[split].spin_multiplicities == spins
            assert found[split].has_stress == any(s.stress is not None for s in structures)
    assert len(found["train"].charges) > 1  # else this could not fail
    assert found["train"].has_stress
    assert not found["val"].charges


@pytest.mark.mpi
def test_ranks_look_at_a_part_each_and_all_hear_of_a_failure(mpiexec, folder):
    code = f"""
from hydracalc.shards.reader import open_shards
from hydracalc.store.contents import contents_of
shards = open_shards({str(folder)!r})
asked = []
columns = shards.columns
shards.columns = lambda number, names: asked.append(number) or columns(number, names)
assert contents_of(shards, place) == contents_of(open_shards({str(folder)!r}))
assert sorted(sum(place.all_of(asked), [])) == list(range(len(shards.manifest.shards)))
assert 0 < len(asked) < len(shards.manifest.shards)

def broken(number, names):
    raise DataError("shard is gone")

if place.rank == 1:
    shards.columns = broken
message = message_of(lambda: contents_of(shards, place), DataError)
assert message == ("shard is gone" if place.rank == 1 else "rank 1: shard is gone")
say("fine")
"""
    result = mpiexec(code, 2)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["fine", "fine"]
