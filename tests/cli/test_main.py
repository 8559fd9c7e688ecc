"""One message and the right exit code for every kind of error; a help page that is quick."""

import json
import subprocess
import sys
import warnings
from importlib import metadata

import click
import pytest
from click.testing import CliRunner

from hydracalc.cli import main as cli
from hydracalc.errors import DataError

RAISED = {
    ValueError("unknown branch 'x'"): (2, "error: unknown branch 'x'"),
    DataError("shard 3 is damaged"): (1, "error: shard 3 is damaged"),
    FileNotFoundError(2, "No such file or directory", "in.xyz"): (
        2,
        "error: in.xyz: No such file or directory",
    ),
    OSError("disk is full"): (2, "error: disk is full"),
    click.FileError("out.xyz", "read-only"): (2, "read-only"),
    click.BadParameter("must be positive"): (2, "must be positive"),
    click.ClickException("check failed"): (1, "error: check failed"),
    KeyboardInterrupt(): (130, "interrupted"),
    TypeError("oops"): (70, "error: TypeError: oops (unexpected; --debug shows where)"),
}


@pytest.fixture
def run(monkeypatch):
    """Runs `hydracalc` with a command "probe" that does what the test gives it to do."""

    def invoke(*arguments, action=None):
        probe = click.Command("probe", callback=action)
        monkeypatch.setitem(cli.COMMANDS, "probe", "here:probe")
        known = cli.HydraGroup.get_command
        monkeypatch.setattr(
            cli.HydraGroup,
            "get_command",
            lambda self, ctx, name: probe if name == "probe" else known(self, ctx, name),
        )
        return CliRunner().invoke(cli.main, arguments)

    return invoke


def raising(error):
    def action():
        raise error

    return action


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_an_error_is_one_message_and_its_exit_code(run, error):
    result = run("probe", action=raising(error))
    code, message = RAISED[error]
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("arguments", [("--debug", "probe"), ("probe", "--debug")])
def test_debug_shows_the_traceback_and_keeps_the_code(run, arguments):
    result = run(*arguments, action=raising(ValueError("bad cell")))
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "error: bad cell" in result.stderr


def test_success_is_zero_and_a_command_may_choose_its_code(run):
    assert run("probe", action=lambda: None).exit_code == 0
    assert run("probe", action=lambda: click.get_current_context().exit(1)).exit_code == 1
    assert run("probe", action=lambda: sys.exit(1)).exit_code == 1


@pytest.mark.filterwarnings("default")
def test_a_warning_is_one_line_on_stderr(run):
    result = run("probe", action=lambda: warnings.warn("atoms overlap", stacklevel=1))
    assert result.stderr == "warning: atoms overlap\n"


def test_an_unknown_command_offers_the_nearest(run):
    result = run("model")
    assert result.exit_code == 2
    assert "unknown command 'model'; did you mean 'models'?" in result.stderr


def test_a_wrong_option_is_a_usage_error(run):
    result = run("info", "--jsn")
    assert result.exit_code == 2
    assert "No such option" in result.stderr


def test_version(run):
    assert run("--version").stdout == f"hydracalc {metadata.version('hydracalc')}\n"


def test_the_package_runs_as_a_module():
    command = [sys.executable, "-m", "hydracalc", "--version"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.startswith("hydracalc ")


def test_help_lists_every_command_with_a_summary(run):
    result = run("--help")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    for name in cli.COMMANDS:
        if name != "probe":
            assert any(line[:1] == [name] and len(line) > 1 for line in lines), name


def test_help_imports_nothing_heavy():
    """The help page is there at once: no torch, no ASE."""
    code = (
        "import sys\nfrom hydracalc.cli.main import main\n"
        "try:\n    main(['--help'])\nfinally:\n"
        "    print([m for m in ('torch', 'ase', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"


def test_info_as_json_and_as_text(run):
    found = json.loads(run("info", "--json").stdout)
    assert found["packages"]["torch"].startswith("2.")
    assert found["threads"] >= 1
    assert found["devices"][0]["name"] == "cpu"
    text = run("info").stdout
    assert f"torch             {found['packages']['torch']}" in text
