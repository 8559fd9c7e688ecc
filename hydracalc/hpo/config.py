"""Search files: what is searched, in which recipe, how far each trial goes, and when it ends."""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from hydracalc.errors import unknown
from hydracalc.hpo.space import Range, Space, overrides_of
from hydracalc.recipe import Recipe, find_recipe, load_recipe, load_settings, recipes_folder
from hydracalc.training.metrics import MAE_KEYS

# name of an error in search files to its key in metrics.jsonl
METRICS = {
    f"val_{key.split('_mae_')[0]}_{kind}": key.replace("_mae_", f"_{kind}_")
    for key in MAE_KEYS.values()
    for kind in ("mae", "rmse")
}


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """The one number of a trial that the search makes small.

    Attributes:
        metrics: weight of each error on the validation structures; the objective is the sum of
            weight times error.
        branches: whose errors are meant; none is all.
        over_branches: how a metric of several branches becomes one number.
    """

    metrics: dict[str, float] = field(default_factory=lambda: {"val_force_mae": 1.0})
    branches: tuple[str, ...] = ()
    over_branches: Literal["mean", "geometric"] = "mean"

    def __post_init__(self) -> None:
        for name, weight in self.metrics.items():
            if name not in METRICS:
                raise ValueError(unknown("metric", name, METRICS))
            if not weight > 0:
                raise ValueError(f"weight of {name} is {weight}, expected a positive number")
        if not self.metrics:
            raise ValueError("no metric to make small")


@dataclass(frozen=True, kw_only=True)
class FidelityConfig:
    """How far a trial goes that is not ended before.

    Attributes:
        epochs: passes over the data.
        minutes: end earlier; None goes through all epochs.
    """

    epochs: int = 10
    minutes: float | None = None

    def __post_init__(self) -> None:
        if self.epochs < 1 or (self.minutes is not None and not self.minutes > 0):
            raise ValueError(f"fidelity {self}: epochs and minutes must be positive")


@dataclass(frozen=True, kw_only=True)
class DiscardingConfig:
    """When a trial is ended before its last epoch.

    Attributes:
        rule: "none"; "median" ends a trial that is worse at a rung than the median of the others
            there; "halving" ends one that is not among the best 1 / factor of all that came to the
            rung so far, itself among them (asynchronous successive halving, arXiv:1810.05934,
            with trials that go on at once).
        rungs: parts of a whole trial, 0 to 1, after which a trial is looked at; none takes 1/4 and
            1/2 for the median, and powers of 1 / factor for halving, three at most.
        factor: of halving.
        min_trials: others that the median needs at a rung.
    """

    rule: Literal["none", "median", "halving"] = "none"
    rungs: tuple[float, ...] = ()
    factor: float = 3.0
    min_trials: int = 4

    def __post_init__(self) -> None:
        if self.factor <= 1 or self.min_trials < 1:
            raise ValueError(f"discarding {self}: expected factor above 1, min_trials at least 1")
        if list(self.rungs) != sorted(set(self.rungs)) or not all(0 < r < 1 for r in self.rungs):
            raise ValueError(f"rungs are {list(self.rungs)}, expected rising parts of 1")


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """How a trial is started.

    Attributes:
        ranks: processes of one trial.
        launcher: words before the program, in which {ranks}, {worker} (from 0) and {folder} are
            filled in; none is mpiexec where there are several ranks.
        timeout_minutes: a trial that takes longer has failed; None waits.
        stop_seconds: how long a trial that is asked to end may take to do so.
    """

    ranks: int = 1
    launcher: tuple[str, ...] = ()
    timeout_minutes: float | None = None
    stop_seconds: float = 30.0

    def __post_init__(self) -> None:
        if self.ranks < 1:
            raise ValueError(f"ranks is {self.ranks}, expected at least 1")
        if self.timeout_minutes is not None and not self.timeout_minutes > 0:
            raise ValueError(f"timeout_minutes is {self.timeout_minutes}, expected above 0")
        if self.ranks > 1 and self.launcher and "{ranks}" not in " ".join(self.launcher):
            raise ValueError(
                f"launcher {list(self.launcher)} does not say {{ranks}}, of which there are "
                f"{self.ranks}"
            )


@dataclass(frozen=True, kw_only=True)
class EnergyConfig:
    """How energy is counted where no counter can be read.

    Attributes:
        watts_per_core: of a busy core, its share of memory and fans included.
        watts_per_gpu: of a GPU whose own counter cannot be read.
        sample_seconds: between readings of the counters.
        powercap: folder of the kernel's RAPL counters.
    """

    watts_per_core: float = 10.0
    watts_per_gpu: float = 400.0
    sample_seconds: float = 1.0
    powercap: str = "/sys/class/powercap"

    def __post_init__(self) -> None:
        if not (self.watts_per_core > 0 and self.watts_per_gpu > 0 and self.sample_seconds > 0):
            raise ValueError(f"energy {self}: watts and sample_seconds must be positive")


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Everything that decides a search.

    Attributes:
        name: of the search.
        recipe: name or file of what each trial trains; a relative file is looked for beside the
            search file first.
        overrides: keys of the recipe that are the same in all trials, "section.key=value".
        space: keys of the recipe that are searched.
        objective: what is made small.
        fidelity: how far trials go.
        discarding: when they end before.
        trial: how they are started.
        energy: how their energy is counted.
        trials: how many there are to be, failed and discarded ones among them.
        workers: trials at the same time.
        seed: of the points that are drawn.
        sampler: "cbo" is Bayesian optimization by DeepHyper, "random" draws all points evenly.
        initial: points drawn before the surrogate is asked, evenly spread; 0 is two more than
            there are axes, a third of the trials at most.
        warm_start: folders of searches whose trials the surrogate knows from the beginning.
    """

    name: str
    recipe: str
    space: dict[str, Range]
    overrides: tuple[str, ...] = ()
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    fidelity: FidelityConfig = field(default_factory=FidelityConfig)
    discarding: DiscardingConfig = field(default_factory=DiscardingConfig)
    trial: TrialConfig = field(default_factory=TrialConfig)
    energy: EnergyConfig = field(default_factory=EnergyConfig)
    trials: int = 20
    workers: int = 1
    seed: int = 0
    sampler: Literal["cbo", "random"] = "cbo"
    initial: int = 0
    warm_start: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.space:
            raise ValueError("space is empty, expected at least one key of the recipe")
        if self.trials < 1 or self.workers < 1 or self.initial < 0:
            raise ValueError(
                f"trials is {self.trials}, workers {self.workers}, initial {self.initial}; "
                "expected at least 1, 1 and 0"
            )

    def trial_recipe(self, values: dict[str, Any], *, name: str) -> Recipe:
        """The recipe of a trial.

        Raises:
            ValueError: it does not allow the values.
        """
        found = load_recipe(self.recipe, [*self.overrides, *overrides_of(values)])
        training = replace(
            found.trainer.training,
            epochs=self.fidelity.epochs,
            max_minutes=self.fidelity.minutes,
            validate_every=1,
        )
        return replace(found, name=name, trainer=replace(found.trainer, training=training))

    def to_json(self) -> dict[str, Any]:
        """All settings, as JSON reads them back."""
        table: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return table


def shipped_searches() -> dict[str, Path]:
    """Name of each search that comes with hydracalc to its file."""
    return {path.stem: path for path in sorted((recipes_folder() / "hpo").glob("*.toml"))}


def load_search(given: str | Path, overrides: Sequence[str] = ()) -> SearchConfig:
    """The search of a file or of a name that comes with hydracalc, its recipe found.

    Args:
        given: TOML file or name.
        overrides: of the search, "section.key=value".

    Raises:
        ValueError: there is none; a key is unknown, of the search or of its recipe; or a value is
            not allowed.
    """
    path, shipped = Path(given), shipped_searches()
    if not path.is_file():
        if path.suffix not in ("", ".toml") or path.stem not in shipped:
            raise ValueError(unknown("search", str(given), shipped))
        path = shipped[path.stem]
    _check_ranges(path)
    config = load_settings(SearchConfig, path, overrides)
    beside = path.parent / config.recipe
    recipe = find_recipe(beside if beside.is_file() else config.recipe)
    config = load_settings(SearchConfig, path, [*overrides, f"recipe={json.dumps(str(recipe))}"])
    _check_keys(config)
    return config


def _check_ranges(path: Path) -> None:
    """Refuse keys that a range does not have: a section of any names is not looked into."""
    try:
        space = tomllib.loads(path.read_text()).get("space", {})
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"search {path}: {error}") from None
    known = [each.name for each in fields(Range)]
    for key, given in space.items() if isinstance(space, dict) else ():
        for name in given if isinstance(given, dict) else ():
            if name not in known:
                raise ValueError(unknown(f"key of the range of {key!r}", name, known))


def _check_keys(config: SearchConfig) -> None:
    """Make sure that the recipe has every key, and takes each value that ends a range.

    What it refuses only together with other values is a failed trial.
    """
    space = Space(config.space)
    for axis in space.axes:
        for part in (0.0, 1.0 - 1e-9):
            point = {each.name: each.at(part if each == axis else 0.0) for each in space.axes}
            value = space.values(point)[axis.key]
            try:
                config.trial_recipe({axis.key: value}, name=config.name)
            except ValueError as error:
                raise ValueError(f"search {config.name}, space: {axis.key}: {error}") from None
