"""What other installed packages add to hydracalc: objects named in entry points.

A package states them in its pyproject.toml,

    [project.entry-points."hydracalc.encoders"]
    mine = "my_package.encoder:Mine"

and they are imported when they are asked for by name, not before.
"""

from importlib.metadata import EntryPoint, entry_points
from typing import Any

DATASETS = "hydracalc.datasets"
ENCODERS = "hydracalc.encoders"


def names(group: str) -> list[str]:
    """Names that installed packages give to a group, each once, sorted; nothing is imported."""
    return sorted({entry.name for entry in entry_points(group=group)})


def load(group: str, name: str) -> Any:  # noqa: ANN401  # what it is, is the group's affair
    """The object that an installed package has under a name.

    Raises:
        ImportError: two packages use the name, or the package cannot be imported or lacks the
            object; the message names package and entry point.
    """
    entries = list(entry_points(group=group, name=name))
    if len(entries) != 1:
        owners = ", ".join(sorted(_package(entry) for entry in entries)) or "none"
        raise ImportError(f"{group} {name!r} must come from one installed package, found: {owners}")
    try:
        return entries[0].load()
    except Exception as error:  # what runs when it is imported may raise anything
        raise ImportError(
            f"{owner(group, name)} cannot be loaded: {type(error).__name__}: {error}"
        ) from error


def owner(group: str, name: str) -> str:
    """An entry point for messages: group, name, value, and the package that it comes from."""
    (entry,) = entry_points(group=group, name=name)
    return f"{group} {name!r} ({entry.value}) of {_package(entry)}"


def _package(entry: EntryPoint) -> str:
    return "an unnamed package" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
