"""Preparation in pieces: the same shards from any number of processes, continued after a kill."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from published import CARD, Handed, make_structure

from hydracalc.errors import DataError
from hydracalc.ingest import screening
from hydracalc.ingest.catalog import load_adapter
from hydracalc.ingest.pieces import make_pieces
from hydracalc.ingest.prepare import PrepareConfig, prepare
from hydracalc.ingest.splitting import SplitConfig
from hydracalc.ingest.validate import validate
from hydracalc.ingest.workspace import workspace_of
from hydracalc.parallel.workers import Processes
from hydracalc.readers.parts import Part
from hydracalc.shards.manifest import read_manifest
from hydracalc.shards.reader import open_shards

ROOT = Path(__file__).parents[2]
MPIEXEC = Path(sys.prefix) / "bin" / "mpiexec"
ATOMS = ([6, 8, 1], [6, 6, 1], [6, 1, 1], [8, 8, 1], [6, 8, 8], [8, 6, 6])
SEED = 2  # puts some of the formulas on every side
SMALL = PrepareConfig(piece_bytes=1)  # every part is a piece


class Parts(Handed):
    """Hands out lists of structures, each a part by itself."""

    def __init__(self, *parts):
        super().__init__([])
        self._parts = [list(part) for part in parts]

    def parts(self, raw):
        return [Part(path=raw, start=i, stop=i + 1) for i in range(len(self._parts))]

    def structures(self, part):
        yield from self._parts[part.start]


@pytest.fixture
def raw(tmp_path):
    """Six files in ANI-1x's layout, with rows that repeat each other across files."""
    folder = tmp_path / "raw"
    folder.mkdir()
    rng = np.random.default_rng(0)
    line = np.arange(3)[:, None] * [1.5, 0, 0]
    shared = line + rng.normal(0, 0.05, (5, 3, 3))
    for number in range(6):
        with h5py.File(folder / f"ani1x_{number}.h5", "w") as file:
            for name, atoms in (("water", [8, 1, 1]), (f"molecule{number}", ATOMS[number])):
                group = file.create_group(f"{name}{number}")
                positions = line + rng.normal(0, 0.05, (40, 3, 3))
                energies = -76.0 + rng.normal(0, 0.01, 40)
                if name == "water":
                    positions[:5], energies[:5] = shared, -76.0
                group["atomic_numbers"] = atoms
                group["coordinates"] = positions
                group["wb97x_dz.energy"] = energies
                group["wb97x_dz.forces"] = rng.normal(0, 0.02, (40, 3, 3))
    return folder


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_shards_are_the_same_from_any_number_of_processes(raw, tmp_path):
    config = PrepareConfig(piece_bytes=1, split=SplitConfig(seed=SEED))
    reports = {}
    for count in (1, 2, 3):
        out = tmp_path / str(count)
        workers = Processes(count)
        reports[count] = prepare(load_adapter("ani1x"), raw, out, config=config, workers=workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "2") == contents(tmp_path / "3")
    assert reports[1].sha256 == reports[2].sha256 == reports[3].sha256
    assert all(reports[1].num_structures.values())
    assert reports[1].dropped == reports[3].dropped == {screening.DUPLICATE: 25}
    assert validate(tmp_path / "3") == []
    assert len(open_shards(tmp_path / "1").manifest.shards) > 3


@pytest.mark.mpi
@pytest.mark.parametrize("count", [3])
def test_ranks_of_mpi_make_the_same_shards(raw, tmp_path, count):
    arguments = ["data", "prepare", "ani1x", str(raw), "--json", "-o"]
    hydracalc = [sys.executable, "-m", "hydracalc", *arguments]
    alone = subprocess.run(
        [*hydracalc, str(tmp_path / "alone")], capture_output=True, text=True, check=True, cwd=ROOT
    )
    command = [MPIEXEC, "-n", str(count), *hydracalc, str(tmp_path / "ranks")]
    several = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert json.loads(several.stdout)["sha256"] == json.loads(alone.stdout)["sha256"]
    assert contents(tmp_path / "ranks") == contents(tmp_path / "alone")


@pytest.mark.mpi
def test_damage_that_one_rank_finds_is_reported_once(raw, tmp_path):
    path = raw / "ani1x_3.h5"
    path.write_bytes(path.read_bytes()[:1000])
    hydracalc = [sys.executable, "-m", "hydracalc", "data", "prepare", "ani1x", str(raw)]
    command = [MPIEXEC, "-n", "2", *hydracalc, "-o", str(tmp_path / "own")]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode != 0
    assert result.stderr.count("error:") == 1
    assert "ani1x_3.h5" in result.stderr
    assert not (tmp_path / "own").exists()


def test_copies_in_other_pieces_are_found(tmp_path):
    first, again = make_structure(1), make_structure(1, source="again")
    other = make_structure(1, energy=-1.0, source="other energy")
    train = [make_structure(n) for n in range(10, 40)]
    adapter = Parts([first, *train], [again], [other, make_structure(2)])
    report = prepare(adapter, tmp_path, tmp_path / "own", config=SMALL)
    assert report.dropped == {screening.DUPLICATE: 1, screening.RELABELLED: 1}
    sources = [s.source for s in open_shards(tmp_path / "own").read(range(report.num_kept))]
    assert sources[0] == "structure 1"
    assert len(set(sources)) == 32
    assert validate(tmp_path / "own") == []


def test_a_published_split_in_one_piece_holds_in_all(tmp_path):
    parts = [[make_structure(n, group="one")] for n in range(4)]
    parts += [
        [make_structure(n) for n in range(50, 90)],
        [make_structure(9, group="one", split="test")],
    ]
    prepare(Parts(*parts), tmp_path, tmp_path / "own", config=SMALL)
    shards = open_shards(tmp_path / "own")
    sides = {s.split for s in shards.read(range(len(shards))) if s.group == "one"}
    assert sides == {"test"}
    assert validate(tmp_path / "own") == []


def test_published_splits_that_divide_a_group_over_pieces_are_an_error(tmp_path):
    parts = [[make_structure(1, group="one", split=side, source=side)] for side in ("train", "val")]
    with pytest.raises(
        DataError, match="structure val: .*'val', but its group 'one' is in 'train'"
    ):
        prepare(Parts(*parts), tmp_path, tmp_path / "own", config=SMALL)
    assert list(tmp_path.iterdir()) == []


def test_an_element_that_trains_in_no_piece_is_left_out_of_all(tmp_path):
    rare = [make_structure(n, (14, 1), split="test") for n in (1, 2)]
    adapter = Parts(rare[:1], [make_structure(n) for n in range(10, 50)], rare[1:])
    report = prepare(adapter, tmp_path, tmp_path / "own", config=SMALL)
    assert report.dropped == {"element without reference": 2}
    assert report.num_kept == 40
    assert validate(tmp_path / "own") == []


def test_a_limit_counts_over_pieces(tmp_path):
    parts = [[make_structure(10 * n + k) for k in range(10)] for n in range(4)]
    config = PrepareConfig(piece_bytes=1, limit=25)
    report = prepare(Parts(*parts), tmp_path, tmp_path / "own", config=config)
    assert report.num_kept == 25


def test_references_do_not_depend_on_pieces(tmp_path):
    structures = [make_structure(n, ((8, 1, 1), (6, 8), (6, 1))[n % 3]) for n in range(90)]
    whole = prepare(Parts(structures), tmp_path, tmp_path / "whole")
    parts = [structures[:7], structures[7:60], [], structures[60:]]
    pieces = prepare(Parts(*parts), tmp_path, tmp_path / "pieces", config=SMALL)
    assert pieces.num_structures == whole.num_structures
    np.testing.assert_allclose(
        pieces.references.energies[[1, 6, 8]], whole.references.energies[[1, 6, 8]], rtol=1e-12
    )


def test_small_parts_are_put_together(tmp_path):
    files = [tmp_path / f"{n}.bin" for n in range(5)]
    for file in files:
        file.write_bytes(bytes(100))
    parts = [Part(path=file) for file in files]
    assert [len(piece) for piece in make_pieces(parts, 200)] == [2, 2, 1]
    assert [len(piece) for piece in make_pieces(parts, 10**9)] == [5]
    assert [len(piece) for piece in make_pieces(parts, 1)] == [1] * 5
    halves = [Part(path=files[0], start=i, stop=i + 1) for i in range(4)]
    assert [len(piece) for piece in make_pieces(halves, 50)] == [2, 2]


class Breaks(Parts):
    """Is interrupted when the third part is read, for the first time."""

    broken = False
    reads = 0

    def structures(self, part):
        if part.start == 2 and not Breaks.broken:
            Breaks.broken = True
            raise DataError("third.h5: truncated")
        Breaks.reads += 1
        yield from super().structures(part)


def test_a_broken_preparation_is_continued_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(Breaks, "broken", False)
    monkeypatch.setattr(Breaks, "reads", 0)
    parts = [[make_structure(10 * n + k) for k in range(10)] for n in range(4)]
    adapter, seen = Breaks(*parts), []
    with pytest.raises(DataError, match="truncated"):
        prepare(adapter, tmp_path, tmp_path / "own", config=SMALL)
    assert not (tmp_path / "own").exists()
    assert Breaks.reads == 2
    prepare(adapter, tmp_path, tmp_path / "own", config=SMALL, progress=seen.append)
    assert Breaks.reads == 4
    assert seen[:3] == [10, 20, 20]
    assert seen[-1] == 40
    whole = prepare(Parts(*parts), tmp_path, tmp_path / "whole", config=SMALL)
    assert whole.sha256 == read_manifest(tmp_path / "own").sha256
    assert not workspace_of(tmp_path / "own").exists()


def test_other_settings_do_not_continue_and_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr(Breaks, "broken", False)
    parts = [[make_structure(10 * n + k) for k in range(10)] for n in range(4)]
    with pytest.raises(DataError):
        prepare(Breaks(*parts), tmp_path, tmp_path / "own", config=SMALL)
    other = PrepareConfig(piece_bytes=1, split=SplitConfig(seed=1))
    message = "was begun with other settings and is not finished; remove it"
    with pytest.raises(ValueError, match=message):
        prepare(Breaks(*parts), tmp_path, tmp_path / "own", config=other)


@pytest.mark.parametrize("damage", ["shard", "rows", "summary"])
def test_what_was_damaged_meanwhile_is_read_again(tmp_path, monkeypatch, damage):
    monkeypatch.setattr(Breaks, "broken", False)
    parts = [[make_structure(10 * n + k) for k in range(10)] for n in range(4)]
    with pytest.raises(DataError):
        prepare(Breaks(*parts), tmp_path, tmp_path / "own", config=SMALL)
    folder = workspace_of(tmp_path / "own")
    path = {
        "shard": folder / "shard-00001-00000.bp" / "data.0",
        "rows": folder / "shard-00001-00000.npz",
        "summary": folder / "piece-00001.json",
    }[damage]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    prepare(Breaks(*parts), tmp_path, tmp_path / "own", config=SMALL)
    whole = prepare(Parts(*parts), tmp_path, tmp_path / "whole", config=SMALL)
    assert whole.sha256 == read_manifest(tmp_path / "own").sha256


def test_a_mended_file_is_read_and_the_others_are_not_again(raw, tmp_path):
    path = raw / "ani1x_3.h5"
    with h5py.File(path, "r+") as file:
        del file["water3/wb97x_dz.energy"]
    with pytest.raises(DataError, match="ani1x_3"):
        prepare(load_adapter("ani1x"), raw, tmp_path / "own", config=SMALL)
    finished = sorted(workspace_of(tmp_path / "own").glob("piece-*.json"))
    assert [file.name for file in finished] == [f"piece-0000{n}.json" for n in range(3)]
    times = [file.stat().st_mtime_ns for file in finished]
    with h5py.File(path, "r+") as file:
        file["water3/wb97x_dz.energy"] = np.full(40, -76.0)

    class Looks(type(load_adapter("ani1x"))):
        def conformers(self, part):
            assert [file.stat().st_mtime_ns for file in finished] == times
            yield from super().conformers(part)

    prepare(Looks(load_adapter("ani1x").card), raw, tmp_path / "own", config=SMALL)
    assert len(read_manifest(tmp_path / "own").shards) == 6


def killed(command, folder, wanted):
    """Run a command and kill it when so many pieces are finished; how many were."""
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 60
        while len(list(folder.glob("piece-*.json"))) < wanted and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
    return len(list(folder.glob("piece-*.json")))


SLOW = """
import sys, time
sys.path.insert(0, "tests")
from published import Handed, make_structure
from hydracalc.readers.parts import Part
from hydracalc.ingest.prepare import PrepareConfig, prepare

class Slow(Handed):
    def parts(self, raw):
        return [Part(path=raw, start=i) for i in range(6)]
    def structures(self, part):
        for k in range(10):
            time.sleep({pause})
            yield make_structure(10 * part.start + k)

prepare(Slow([]), {raw!r}, {out!r}, config=PrepareConfig(piece_bytes=1))
"""


def test_a_kill_leaves_nothing_that_looks_finished_and_is_continued(tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "own"
    raw.mkdir()
    code = SLOW.format(pause=0.01, raw=str(raw), out=str(out))
    finished = killed([sys.executable, "-c", code], workspace_of(out), 2)
    assert finished >= 2
    assert not out.exists()
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["raw"]
    assert not (workspace_of(out) / "manifest.json").exists()
    quick = SLOW.format(pause=0, raw=str(raw), out=str(out))
    subprocess.run([sys.executable, "-c", quick], cwd=ROOT, check=True)
    assert validate(out) == []
    fresh = SLOW.format(pause=0, raw=str(raw), out=str(tmp_path / "fresh"))
    subprocess.run([sys.executable, "-c", fresh], cwd=ROOT, check=True)
    assert contents(out) == contents(tmp_path / "fresh")


def test_two_at_once_are_told_apart(tmp_path):
    class Asks(Parts):
        def structures(self, part):
            with pytest.raises(ValueError, match="another process is making it"):
                prepare(Parts([make_structure(1)]), tmp_path, tmp_path / "own")
            yield from super().structures(part)

    prepare(Asks([make_structure(n) for n in range(20)]), tmp_path, tmp_path / "own")
    assert len(open_shards(tmp_path / "own")) == 20


def test_the_shard_names_tell_the_piece(raw, tmp_path):
    prepare(load_adapter("ani1x"), raw, tmp_path / "own", config=SMALL)
    names = [shard.name for shard in read_manifest(tmp_path / "own").shards]
    assert all(re.fullmatch(r"shard-0000[0-5]-00000\.bp", name) for name in names)
    assert CARD.branch == "own"
