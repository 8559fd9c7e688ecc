"""Downstream tasks: published data, how they are split, and what is measured, in one TOML file."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from hydracalc.errors import unknown
from hydracalc.recipe import load_settings, recipes_folder
from hydracalc.training.metrics import MAE_KEYS


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How the files of a task are read.

    Attributes:
        layout: "dataset" (by the adapter of a known dataset), "frames" (anything that ASE reads,
            labels under the names below), "shards", "mvl" (JSON lists of pymatgen structures with
            outputs), "oxides" (one JSON of oxide, polymorph, functional) or "xsf" (XCrySDen files
            with the energy in a comment, in a folder or an archive).
        dataset: its identifier, for "dataset".
        energy, forces: "place:name" as in a card's keys, for "frames".
        energy_unit, force_unit: of the files, for "frames"; the other layouts have theirs.
        min_atoms: smaller structures, free atoms for example, are left out.
    """

    layout: Literal["dataset", "frames", "shards", "mvl", "oxides", "xsf"]
    dataset: str = ""
    energy: str = "calculator:energy"
    forces: str = "calculator:forces"
    energy_unit: str = "eV"
    force_unit: str = "eV/Angstrom"
    min_atoms: int = 2

    def __post_init__(self) -> None:
        if (self.layout == "dataset") != bool(self.dataset):
            raise ValueError(f"layout is {self.layout!r}, dataset {self.dataset!r}: name both")


@dataclass(frozen=True, kw_only=True)
class Part:
    """Files of a task that are for one purpose.

    Attributes:
        files: globs below the task's folder; "{variant}" stands for the variant. None of them is
            no such part.
        rows: "start:stop" or "start:stop:step" of each file's structures; "" is all.
        groups: globs of groups of structures; none is all. "{variant}" stands for the variant.
        title: of the part in tables.
    """

    files: tuple[str, ...] = ()
    rows: str = ""
    groups: tuple[str, ...] = ()
    title: str = ""

    def __post_init__(self) -> None:
        self.chosen_rows()

    def chosen_rows(self) -> slice:
        """Which structures of each file.

        Raises:
            ValueError: `rows` is no range.
        """
        try:
            bounds = [int(number) if number else None for number in self.rows.split(":")]
        except ValueError:
            bounds = []
        if self.rows and not 2 <= len(bounds) <= 3:
            raise ValueError(f"rows is {self.rows!r}, expected start:stop or start:stop:step")
        return slice(*bounds) if self.rows else slice(None)


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """What of the pool is for testing, where no test files are named.

    Attributes:
        by: "group" draws whole groups, "end" takes the last structures of the files, "published"
            keeps the split that the data come with; "" draws nothing.
        fraction: of groups or of structures.
        gap: structures between the pool and the end that are for neither.
    """

    by: Literal["", "group", "end", "published"] = ""
    fraction: float = 0.25
    gap: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.fraction < 1 or self.gap < 0:
            raise ValueError(
                f"fraction is {self.fraction} and gap {self.gap}, expected between 0 and 1, and "
                "not negative"
            )


@dataclass(frozen=True, kw_only=True)
class Task:
    """One downstream task.

    Attributes:
        name: of the task, the file's.
        title: for tables and pictures.
        shows: what a result says.
        theory: level of theory of the labels.
        license: of the data, an SPDX identifier.
        origin: where the data are published.
        folder: below the folder of data.
        reader: how files are read.
        pool: what training structures are drawn from.
        test: what errors are measured on; without files, `held_out` says.
        second_test: another one, farther away.
        held_out: of the pool for testing.
        doi: of the paper, where there is one.
        variants: parts of the task, each with models of its own; errors are averaged over them.
        from_branch: that is fine-tuned; "" chooses by the error on the training structures.
        references: choice of reference energies, as of a fine-tuning.
        sizes: numbers of labelled structures, those that choose the weights counted, growing.
        metric: error in table and plot.
        most_tested: structures that errors are measured on, spread over the test part.
        notes: on the data and the split.
    """

    name: str
    title: str
    shows: str
    theory: str
    license: str
    origin: str
    folder: str
    reader: Reader
    pool: Part
    test: Part = field(default_factory=Part)
    second_test: Part = field(default_factory=Part)
    held_out: HeldOut = field(default_factory=HeldOut)
    doi: str = ""
    variants: tuple[str, ...] = ("",)
    from_branch: str = ""
    references: str = "refit"
    sizes: tuple[int, ...] = (10, 30, 100, 300)
    metric: str = MAE_KEYS["forces"]
    most_tested: int = 300
    notes: str = ""

    def __post_init__(self) -> None:
        if not self.pool.files:
            raise ValueError(f"task {self.name!r} names no files of its pool")
        if bool(self.test.files) == bool(self.held_out.by):
            raise ValueError(
                f"task {self.name!r}: either test.files or held_out.by says what is tested, not "
                "both and not neither"
            )
        if not self.sizes or list(self.sizes) != sorted(set(self.sizes)) or self.sizes[0] < 2:
            raise ValueError(f"sizes are {list(self.sizes)}, expected growing numbers from 2 on")
        if self.metric not in MAE_KEYS.values():
            raise ValueError(unknown("metric", self.metric, MAE_KEYS.values()))
        if not self.variants or self.most_tested < 1:
            raise ValueError(f"task {self.name!r} needs a variant and a structure to test on")

    def to_json(self) -> dict[str, Any]:
        """All settings as plain numbers and text."""
        return asdict(self)


def shipped_tasks() -> dict[str, Path]:
    """Name of each task that comes with hydracalc to its file."""
    return {path.stem: path for path in sorted((recipes_folder() / "downstream").glob("*.toml"))}


def load_task(given: str | Path, overrides: tuple[str, ...] = ()) -> Task:
    """The task of a name or of a TOML file.

    Args:
        given: name of a shipped task, or path.
        overrides: "key=value", as of a recipe.

    Raises:
        ValueError: there is none, a key is unknown, or a value not allowed.
    """
    path, shipped = Path(given), shipped_tasks()
    if not path.is_file():
        if str(given) not in shipped:
            raise ValueError(unknown("task", str(given), shipped))
        path = shipped[str(given)]
    return load_settings(Task, path, overrides)
