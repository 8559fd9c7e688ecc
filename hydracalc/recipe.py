"""Recipes: the full description of a run in one TOML file, read strictly.

Every section is the Config of the component it configures, so a default is written beside the
component and nowhere else. An unknown key is an error that names the nearest one.
"""

import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from hydracalc.errors import unknown
from hydracalc.models.hydra import HydraConfig
from hydracalc.parallel.mesh import MeshConfig
from hydracalc.store.choice import StoreConfig
from hydracalc.training.config import TrainerConfig
from hydracalc.weighting.fit import WeightingFitConfig

Settings = TypeVar("Settings")


@dataclass(frozen=True, kw_only=True)
class BranchRecipe:
    """One branch of a run.

    Attributes:
        name: branch, the dataset's identifier.
        shards: folder made by `hydracalc data prepare`; a relative one is below `data_dir`.
        weight: of its labels in the loss.
        share: factor on how often its structures are drawn, beside n^alpha.
        part_shares: of shards that `hydracalc data unite` made, a factor for the structures of each
            folder on how often they are drawn within the share of the branch; none is all alike.
            Other shards are one part, which has all of it.
    """

    name: str
    shards: str
    weight: float = 1.0
    share: float = 1.0
    part_shares: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if any(share <= 0 for share in self.part_shares):
            raise ValueError(
                f"branch {self.name!r}: part_shares are {list(self.part_shares)}, all must be "
                "above 0"
            )
        if self.weight <= 0 or self.share <= 0:
            raise ValueError(
                f"branch {self.name!r}: weight is {self.weight} and share {self.share}, "
                "both must be above 0"
            )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides a pretraining run.

    Attributes:
        name: of the run and its model.
        seed: of the first weights.
        data_dir: where relative shards are looked for.
        threads: of torch; 0 leaves it to torch.
        references: "fitted" takes each branch's own from its shards; "aligned" shifts them onto one
            footing (`shards.alignment`), so interaction energies of branches can be compared.
        start_from: model file whose weights and references training begins with, for a second
            stage; its branches and shape are those of the recipe. "" begins with random weights.
        branches: at least one, each name once.
        model: shape of the model.
        trainer: training, schedule, loss, sampler and ema.
        weighting: how the weights of "auto" are trained.
        mesh: how branches are laid out over ranks; one process has them all.
        store: where their structures are kept meanwhile; it changes nothing of the result.
    """

    name: str
    branches: tuple[BranchRecipe, ...]
    seed: int = 0
    data_dir: str = "."
    threads: int = 0
    references: Literal["fitted", "aligned"] = "fitted"
    start_from: str = ""
    model: HydraConfig = field(default_factory=HydraConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    weighting: WeightingFitConfig = field(default_factory=WeightingFitConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    store: StoreConfig = field(default_factory=StoreConfig)

    def __post_init__(self) -> None:
        names = [branch.name for branch in self.branches]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"branches are {names}, expected at least one and each name once")
        if self.start_from and self.references == "aligned":
            raise ValueError(
                f"references is 'aligned' and start_from {self.start_from!r}, whose references are "
                "kept; give one of them"
            )

    def shards_of(self, branch: BranchRecipe) -> Path:
        """Folder of a branch's shards."""
        return Path(self.data_dir) / branch.shards


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        path: TOML file, or the name of one that comes with hydracalc.
        overrides: "section.key=value", the value as TOML writes it (text needs no quotes).

    Raises:
        ValueError: there is no such recipe, it is no TOML, or a key or value is wrong.
    """
    return load_settings(Recipe, find_recipe(path), overrides)


def load_settings(kind: type[Settings], path: Path | None, overrides: Sequence[str]) -> Settings:
    """Settings of a dataclass: those of a TOML file, changed by overrides; others as by default.

    Args:
        kind: the dataclass.
        path: of the file; None is all by default.
        overrides: "section.key=value", the value as TOML writes it (text needs no quotes).

    Raises:
        ValueError: there is no such file, it is no TOML, or a key or value is wrong.
    """
    try:
        table = tomllib.loads(path.read_text()) if path is not None else {}
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"recipe {path}: {error}") from None
    for override in overrides:
        _override(table, override)
    return _parsed(kind, table, "settings" if path is None else str(path))


def parse_recipe(table: Mapping[str, Any], source: str = "recipe") -> Recipe:
    """A recipe of a table as TOML gives it.

    Raises:
        ValueError: a key is unknown (the nearest is offered) or a value is not allowed.
    """
    return _parsed(Recipe, table, source)


def _parsed(kind: type[Settings], table: Mapping[str, Any], source: str) -> Settings:
    _check_keys(table, kind, "")
    try:
        return TypeAdapter(kind).validate_python(dict(table))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "recipe"
        message = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{source}: {where}: {message}") from None


def find_recipe(path: str | Path) -> Path:
    """The file of a recipe: the path itself, or one that comes with hydracalc.

    Raises:
        ValueError: neither exists.
    """
    given = Path(path)
    if given.is_file():
        return given
    shipped = {file.stem: file for file in recipes_folder().glob("*.toml")}
    if given.suffix in ("", ".toml") and given.stem in shipped:
        return shipped[given.stem]
    raise ValueError(unknown("recipe", str(path), shipped))


def to_toml(recipe: Recipe) -> str:
    """The resolved recipe, every default written out, as TOML that reads back equal."""
    table = asdict(recipe)
    lines = [f"{key} = {_toml(value)}" for key, value in table.items() if _is_plain(value)]
    for branch in table["branches"]:
        lines += ["", "[[branches]]"] + [f"{k} = {_toml(v)}" for k, v in branch.items()]
    for section, values in table.items():
        if isinstance(values, dict):
            lines += _section(section, values)
    return "\n".join(lines) + "\n"


def _section(name: str, values: Mapping[str, Any]) -> list[str]:
    plain = [f"{k} = {_toml(v)}" for k, v in values.items() if _is_plain(v) and v is not None]
    lines = ["", f"[{name}]", *plain] if plain else []
    for key, value in values.items():
        if isinstance(value, dict):
            lines += _section(f"{name}.{key}", value)
    return lines


def _is_plain(value: object) -> bool:
    return not isinstance(value, dict) and not (
        isinstance(value, (list, tuple)) and value and isinstance(value[0], dict)
    )


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


def _check_keys(table: Mapping[str, Any], kind: type, where: str) -> None:
    """Refuse keys that a section does not have, at any depth."""
    known = {each.name for each in fields(kind)}
    types = get_type_hints(kind)
    for key, value in table.items():
        if key not in known:
            name = f"{where}{key}"
            raise ValueError(unknown("recipe key", name, [f"{where}{each}" for each in known]))
        if isinstance(value, Mapping) and is_dataclass(types[key]):
            _check_keys(value, types[key], f"{where}{key}.")
        if key == "branches" and kind is Recipe:
            for entry in value:
                _check_keys(entry, BranchRecipe, "branches.")


def _override(table: dict[str, Any], text: str) -> None:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise ValueError(f"{text!r} is no override, expected section.key=value")
    *sections, last = key.strip().split(".")
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise ValueError(f"override {text!r}: {section!r} is not a section")
    try:
        table[last] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        table[last] = value.strip()


def recipes_folder() -> Path:
    """`recipes/` of the checkout, or the copy inside an installed wheel."""
    package = Path(sys.modules["hydracalc"].__file__ or "").parent
    installed = package / "_recipes"
    return installed if installed.is_dir() else package.parent / "recipes"


# what a resumed run may change: nothing that decides its weights
_FREE = ("name", "data_dir", "threads", "mesh", "store", "weighting")


def refuse_changes(begun: Recipe, given: Recipe) -> None:
    """Make sure that a run goes on as it was begun.

    Its end may be moved, and it may go on with other ranks.

    Raises:
        ValueError: something else was changed; the message names the keys.
    """
    free = {*_FREE, "trainer.training.epochs", "trainer.training.max_minutes"}
    free |= {"trainer.training.save_minutes", "trainer.training.validate_every"}
    old, new = (dict(_leaves(asdict(recipe))) for recipe in (begun, given))
    changed = [
        key
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key) and key not in free and key.split(".")[0] not in free
    ]
    if changed:
        told = ", ".join(f"{key} was {old.get(key)!r}, is {new.get(key)!r}" for key in changed)
        raise ValueError(f"the run was begun with another recipe: {told}")


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys with dots, and values that are no tables."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
