"""The documents say what is true of the code beside them."""

import importlib.util
import re
from pathlib import Path

import pytest
from PIL import Image

from hydracalc.registry import find

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def test_the_table_of_datasets_is_that_of_the_cards():
    path = ROOT / "docs" / "make_datasets.py"
    spec = importlib.util.spec_from_file_location("make_datasets", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.FILE.read_text() == module.table(), "run python docs/make_datasets.py"


def test_the_picture_of_the_branches_is_that_of_the_model():
    with Image.open(ROOT / "docs" / "branches.png") as picture:
        shown = picture.info["Source"]
    assert shown == find("mtl-all").name, "run python docs/make_branches.py"


@pytest.mark.parametrize(
    "page", [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")], ids=lambda page: page.name
)
def test_links_to_files_lead_somewhere(page):
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert missing == []
