"""Extended XYZ files in ranges of frames: each once, those before a range not parsed."""

import gzip

import ase.io
import pytest
from ase.build import bulk

from hydracalc.errors import DataError
from hydracalc.readers.extxyz_parts import extxyz_frames, extxyz_parts
from hydracalc.readers.parts import Part


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "frames.xyz"
    frames = [bulk("Cu", cubic=True) * (1, 1, 1 + number % 3) for number in range(11)]
    for number, atoms in enumerate(frames):
        atoms.info["number"] = number
    ase.io.write(path, frames, format="extxyz")
    return path


def numbers(parts):
    return [(n, a.info["number"]) for part in parts for n, a in extxyz_frames(part)]


@pytest.mark.parametrize("frames_per_part", [1, 2, 4, 10, 11, 100])
def test_ranges_cover_every_frame_once(path, frames_per_part):
    parts = extxyz_parts(path, frames_per_part=frames_per_part)
    assert len(parts) == -(-11 // frames_per_part)
    assert numbers(parts) == [(n, n) for n in range(11)]


def test_there_are_never_too_many_ranges(path, tmp_path):
    many = tmp_path / "many.xyz"
    many.write_text(path.read_text() * 20)
    parts = extxyz_parts(many, frames_per_part=1)
    assert len(parts) <= 32
    assert [n for n, _ in numbers(parts)] == list(range(220))


def test_a_compressed_file_is_one_part(path):
    packed = path.with_name("frames.xyz.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    parts = extxyz_parts(packed)
    assert parts == [Part(path=packed)]
    assert numbers(parts) == [(n, n) for n in range(11)]


def test_frames_before_a_range_are_not_parsed(path):
    lines = path.read_text().splitlines(keepends=True)
    lines[2] = "Cu not a number at all\n"
    path.write_text("".join(lines))
    assert numbers([Part(path=path, start=1, stop=3)]) == [(1, 1), (2, 2)]
    with pytest.raises(DataError, match="frames.xyz, frame 0"):
        numbers([Part(path=path, start=0, stop=3)])


@pytest.mark.parametrize("removed", [1, 30, 200])
def test_a_truncated_frame_is_named(path, removed):
    path.write_bytes(path.read_bytes()[:-removed])
    with pytest.raises(DataError, match="frames.xyz, frame 10"):
        numbers(extxyz_parts(path))


@pytest.mark.parametrize("text", ["", "<html>\n" * 9])
def test_what_is_no_such_file_is_damaged(tmp_path, text):
    path = tmp_path / "frames.xyz"
    path.write_text(text)
    with pytest.raises(DataError, match="frames.xyz"):
        extxyz_parts(path)
    with pytest.raises(DataError, match="frames.xyz"):
        numbers([Part(path=path)])
