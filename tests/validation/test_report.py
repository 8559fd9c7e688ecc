"""The page stands alone: one file, nothing from elsewhere, text from data stays text."""

import re
from dataclasses import replace

import numpy as np
import pytest
from ase.build import molecule
from builders import make_model, rattled

from hydracalc.inputs import as_structure
from hydracalc.validation.evaluation import evaluate
from hydracalc.validation.report import write_report


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    base = as_structure(molecule("CH3OH"))
    structures = [
        replace(
            as_structure(rattled(molecule("CH3OH"), k), source=f"<script>{k}</script>"),
            energy=-100.0 - k,
            forces=np.full((6, 3), 0.1 * k),
        )
        for k in range(3)
    ]
    model = make_model()
    found = {
        "one.extxyz": evaluate(model, structures, branch="organic"),
        "energies.extxyz": evaluate(model, [replace(base, energy=-1.0), base], branch="organic"),
    }
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(found, path, model="a model")
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
    return path.read_text()


def test_nothing_is_loaded_from_elsewhere(page):
    sources = re.findall(r"(?:src|href)\s*=\s*['\"]?([^'\" >]{0,30})", page)
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "<script" not in page
    assert "http" not in page
    assert "@import" not in page
    assert "url(" not in page


def test_names_from_data_are_escaped(page):
    assert "&lt;script&gt;2&lt;/script&gt;" in page


def test_it_says_how_energies_are_told_and_what_was_left_out(page):
    assert "no offset is fitted" in page
    assert "no energy label" in page
    assert "energies.extxyz, answered by organic" in page
    assert "Worst forces on one atom" in page
