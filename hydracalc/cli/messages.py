"""What an error is called on the command line, and the exit code that it gives."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from hydracalc.errors import DataError

if TYPE_CHECKING:
    from hydracalc.parallel.workers import Workers

DATA_FAILED = 1
BAD_INPUT = 2
UNEXPECTED = 70  # a defect of hydracalc itself, as sysexits.h numbers it
INTERRUPTED = 130
OTHER_RANK_FAILED = 1


def describe_error(error: BaseException) -> tuple[str, int]:
    """Message and exit code of an error."""
    if not isinstance(error, Exception) or isinstance(error, click.exceptions.Abort):
        return "interrupted", INTERRUPTED
    if isinstance(error, DataError):
        return _message(error), DATA_FAILED
    if isinstance(error, ValueError | OSError | ImportError | click.FileError):
        return _message(error), BAD_INPUT
    code = error.exit_code if isinstance(error, click.ClickException) else UNEXPECTED
    return _message(error), code


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, ValueError | OSError | ImportError):
        return str(error)
    return f"{type(error).__name__}: {error} (unexpected; --debug shows where)"


@contextmanager
def root_speaks(workers: "Workers") -> Iterator[None]:
    """An error that all ranks have is told by the root; the others end without a word."""
    try:
        yield
    except Exception:
        if not workers.is_root:
            raise SystemExit(OTHER_RANK_FAILED) from None
        raise
