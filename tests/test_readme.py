"""What README.md and docs/ tell people to type works: every block marked <!-- tested --> is run."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from hydracalc.cli.main import main

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"<!-- tested -->\n```(\w+)\n(.*?)```", re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page, kind):
    return [text for found, text in BLOCK.findall(page.read_text()) if found == kind]


SCRIPTS = [text for page in PAGES for text in blocks(page, "python")]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A copy of what README's commands read, as in a checkout."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    shutil.copytree(ROOT / "datasets", tmp_path / "datasets")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_marked_block_is_found(page):
    text = page.read_text()
    assert len(BLOCK.findall(text)) == text.count("<!-- tested -->")


def test_the_readme_has_commands_and_scripts():
    assert blocks(PAGES[0], "bash")
    assert blocks(PAGES[0], "python")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_work_one_after_the_other(checkout, page):
    for line in "".join(blocks(page, "bash")).splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "hydracalc"
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, f"{line}\n{result.output}"


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_of_a_page_works(checkout, script):
    exec(compile(script, "page", "exec"), {})
