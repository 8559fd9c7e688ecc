"""The two ways input can be wrong, and the message for a name nobody knows."""

from collections.abc import Iterable
from difflib import get_close_matches


class DataError(ValueError):
    """Data or a file is damaged, incomplete or fails a check (exit code 1 on the command line)."""


def unknown(kind: str, given: str, known: Iterable[str]) -> str:
    """Message for a name that does not exist: offers the nearest one and lists all.

    Args:
        kind: what is named, "branch" or "recipe key".
        given: the name as written.
        known: names that exist.
    """
    names = sorted(known)
    nearest = get_close_matches(given, names, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return f"unknown {kind} {given!r}{hint} (known: {', '.join(names) or 'none'})"
