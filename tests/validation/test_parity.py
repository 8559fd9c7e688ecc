"""The parity picture is written where there is something to see."""

from dataclasses import replace

import pytest
from ase.build import molecule
from builders import make_model

from hydracalc.inputs import as_structure
from hydracalc.validation.evaluation import Evaluation, evaluate
from hydracalc.validation.parity import draw


@pytest.mark.parametrize("name", ["parity.png", "parity.svg"])
def test_a_picture_is_written(tmp_path, name):
    atoms = molecule("CH3OH")
    structure = as_structure(atoms)
    structure = replace(structure, energy=-100.0)
    report = evaluate(make_model(), [structure], branch="organic", keep_pairs=True)
    draw(report, tmp_path / name)
    assert (tmp_path / name).stat().st_size > 1000


def test_nothing_to_draw_is_said(tmp_path):
    with pytest.raises(ValueError, match="no labels"):
        draw(Evaluation(), tmp_path / "parity.png")
