"""What README.md tells people to type works: every block marked <!-- tested --> is run."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from hydracalc.cli.main import main

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"<!-- tested -->\n```(\w+)\n(.*?)```", re.DOTALL)
BLOCKS = BLOCK.findall((ROOT / "README.md").read_text())
COMMANDS = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines() if line]
SCRIPTS = [text for kind, text in BLOCKS if kind == "python"]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A copy of what README's commands read, as in a checkout."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    shutil.copytree(ROOT / "datasets", tmp_path / "datasets")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_marked_block_is_found():
    marks = (ROOT / "README.md").read_text().count("<!-- tested -->")
    assert len(BLOCKS) == marks
    assert COMMANDS
    assert SCRIPTS


def test_the_commands_of_the_readme_work_one_after_the_other(checkout):
    for line in COMMANDS:
        program, *arguments = shlex.split(line, comments=True)
        assert program == "hydracalc"
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, f"{line}\n{result.output}"


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_of_the_readme_works(checkout, script):
    exec(compile(script, "README.md", "exec"), {})
