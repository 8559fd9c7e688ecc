"""docs/ is a site without a warning: nothing in it leads nowhere, and all of it can be reached."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import hydracalc

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(path.relative_to(DOCS) for path in DOCS.rglob("*.md") if "_build" not in path.parts)
LINK = re.compile(r'href="([^"#:?]+\.html)')


def build(source, folder):
    """What `make docs` does, without a browser's help."""
    options = ["--builder", "html", "--fail-on-warning", "--keep-going", "--quiet"]
    places = ["--doctree-dir", str(folder / "doctrees"), str(source), str(folder / "site")]
    command = [sys.executable, "-m", "sphinx", *options, *places]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    done = build(DOCS, folder)
    assert done.returncode == 0, done.stderr
    return folder / "site"


def linked(site, start):
    """Pages that can be reached from one by following links."""
    found, waiting = set(), [(site / start).resolve()]
    while waiting:
        page = waiting.pop()
        if page not in found and page.is_file():
            found.add(page)
            waiting += [(page.parent / link).resolve() for link in LINK.findall(page.read_text())]
    return {page.relative_to(site.resolve()) for page in found}


def test_every_page_is_reached_from_the_index(site):
    missing = {page.with_suffix(".html") for page in PAGES} - linked(site, "index.html")
    assert missing == set()
    assert len(PAGES) > 10


@pytest.mark.parametrize("name", hydracalc.__all__)
def test_every_public_name_has_an_entry(site, name):
    entries = [
        page
        for page in (site / "api").glob("*.html")
        if f'id="hydracalc.{name}"' in page.read_text()
    ]
    assert len(entries) == 1


def test_what_users_hand_over_is_described_with_its_units(site):
    """Docstrings arrive on the page: arguments, shapes and errors of the calculator."""
    text = (site / "api" / "calculators.html").read_text()
    assert "extra reach of the neighbor list" in text
    assert "eV/Angstrom, (N, 3)" in text
    assert 'href="#hydracalc.errors.DataError"' in text


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("[gone](gone.md)", "gone.md"),
        ("[gone](index.md#gone)", "gone"),
        ("{py:func}`hydracalc.no_such_name`", "hydracalc.no_such_name"),
        ("```{eval-rst}\n.. autofunction:: hydracalc.no_such_name\n```", "no_such_name"),
    ],
    ids=["page", "heading", "name", "entry"],
)
def test_what_leads_nowhere_fails(tmp_path, text, warning):
    """The test of the test."""
    source = tmp_path / "docs"
    source.mkdir()
    (source / "conf.py").write_text((DOCS / "conf.py").read_text())
    (source / "index.md").write_text(f"# Index\n\n{text}\n")
    done = build(source, tmp_path)
    assert done.returncode != 0
    assert warning in done.stderr
