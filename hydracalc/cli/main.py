"""The `hydracalc` command: finds the commands, and turns errors into one message and a code."""

import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any, TextIO

import click

from hydracalc.cli.messages import BAD_INPUT, INTERRUPTED, describe_error
from hydracalc.errors import unknown

# where each command is defined; its module is imported when the command is needed
COMMANDS = {
    "bench": "hydracalc.cli.bench:bench",
    "check": "hydracalc.cli.exam:check_command",
    "data": "hydracalc.cli.data:data",
    "downstream": "hydracalc.cli.downstream:downstream",
    "ensemble": "hydracalc.cli.ensemble:ensemble",
    "eval": "hydracalc.cli.evaluate:evaluate",
    "finetune": "hydracalc.cli.finetune:finetune",
    "hpo": "hydracalc.cli.hpo:hpo",
    "info": "hydracalc.cli.info:info",
    "md": "hydracalc.cli.simulate:md",
    "models": "hydracalc.cli.models:models",
    "plan": "hydracalc.cli.plan:plan_command",
    "predict": "hydracalc.cli.simulate:predict",
    "pretrain": "hydracalc.cli.train:pretrain",
    "relax": "hydracalc.cli.simulate:relax",
    "screen": "hydracalc.cli.screen:screen",
    "transfer": "hydracalc.cli.transfer:transfer",
    "weight": "hydracalc.cli.train:weight",
}


class HydraGroup(click.Group):
    """Commands that are imported when needed, and whose errors are one message."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the help page."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; None lets click say that there is none."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names, offering the nearest name if none does."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(unknown("command", args[0], COMMANDS), ctx=ctx)
        return super().resolve_command(ctx, args)

    def main(  # type: ignore[override]  # one signature for click's two
        self,
        args: Sequence[str] | None = None,
        **options: Any,  # noqa: ANN401  # click's own
    ) -> Any:  # noqa: ANN401
        """Run one command line and exit: 0 done, 1 failed data or check, 2 bad input.

        A command that returns a whole number chooses its exit code.
        """
        given = list(sys.argv[1:] if args is None else args)
        # accepted behind the command's name, too, where it is usually added
        debug = "--debug" in given
        given = [argument for argument in given if argument != "--debug"]
        options["standalone_mode"] = False
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            try:
                result = super().main(given, **options)
            except Exception as error:
                if debug:
                    traceback.print_exc()
                sys.exit(_report(error))
        sys.exit(result if isinstance(result, int) else 0)


def _report(error: Exception) -> int:
    """Print the message of an error on stderr, return the exit code."""
    if isinstance(error, click.exceptions.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    if isinstance(error, click.UsageError):
        error.show()
        return BAD_INPUT
    message, code = describe_error(error)
    click.echo(f"error: {message}", err=True)
    return code


def _show_warning(
    message: Warning | str,
    category: type[Warning],  # the signature is Python's
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    click.echo(f"warning: {message}", err=True)


@click.group("hydracalc", cls=HydraGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hydracalc", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks of errors.")
def main() -> None:
    """Graph foundation models for atoms: predict, simulate, evaluate, train.

    Exit codes: 0 done, 1 a check or data failed, 2 the input is wrong.
    """
