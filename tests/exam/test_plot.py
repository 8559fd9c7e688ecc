"""The picture of an exam."""

import pytest
import subjects

from hydracalc.exam.plot import draw

KINDS = {"png": b"\x89PNG", "svg": b"<?xml"}


@pytest.mark.parametrize("ending", KINDS)
def test_dimers_are_drawn(run, tmp_path, ending):
    result = run(subjects.Sound(), only=["dimers"])
    assert [curve.label for curve in result.curves] == ["Ne-Ne", "Ar-Ar", "Ne-Ar"]
    for curve in result.curves:
        deepest = min(curve.y)
        assert curve.y[-1] == 0
        assert -1.1 * subjects.DEPTH < deepest < -0.3 * subjects.DEPTH
    path = tmp_path / f"curves.{ending}"
    draw(result, path)
    assert path.read_bytes().startswith(KINDS[ending])
