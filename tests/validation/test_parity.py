"""The parity picture is written where there is something to see."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import molecule
from builders import make_model
from matplotlib.collections import PolyCollection

from hydracalc.inputs import as_structure
from hydracalc.validation.evaluation import Evaluation, evaluate
from hydracalc.validation.parity import draw, parity_figure
from hydracalc.validation.parity_grid import ParityGrid


@pytest.mark.parametrize("name", ["parity.png", "parity.svg"])
def test_a_picture_is_written(tmp_path, name):
    atoms = molecule("CH3OH")
    structure = as_structure(atoms)
    structure = replace(structure, energy=-100.0)
    report = evaluate(make_model(), [structure], branch="organic")
    draw([report], tmp_path / name)
    assert (tmp_path / name).stat().st_size > 1000


def test_nothing_to_draw_is_said(tmp_path):
    with pytest.raises(ValueError, match="no labels"):
        draw([Evaluation()], tmp_path / "parity.png")


def test_many_points_are_hexagons_and_what_is_not_shown_is_told():
    """Counts of all pairs, a few of them far off: shading adds up to what is inside the panel."""
    rng = np.random.default_rng(0)
    structure = replace(as_structure(molecule("CH3OH")), energy=-1.0)
    report = evaluate(make_model(), [structure], branch="organic")
    errors = report.branches["organic"]
    labels = rng.normal(size=50_000)
    labels[:5] = 30.0
    errors.total.add("forces", labels, labels)
    errors.parity["forces"] = ParityGrid()
    errors.parity["forces"].add(labels, labels + rng.normal(0, 0.1, len(labels)))
    axes = parity_figure(errors).axes[1]
    (hexagons,) = (c for c in axes.collections if isinstance(c, PolyCollection))
    (told,) = (text.get_text() for text in axes.texts)
    hidden = int(told.split()[0])
    assert told == f"{hidden} of 50,000 beyond the panel"
    assert 5 <= hidden < 150
    assert hexagons.get_array().sum() == pytest.approx(50_000 - hidden, rel=2e-3)
