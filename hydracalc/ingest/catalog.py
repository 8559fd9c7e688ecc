"""Which datasets hydracalc knows: one folder each, found by looking.

Installed packages add more by entry points of the group "hydracalc.datasets": a package whose
folder holds a card.toml and either an adapter.py or [keys], and has the name of the dataset.
"""

import importlib.util
import logging
from pathlib import Path
from types import ModuleType

from hydracalc import errors, plugins
from hydracalc.card import Card, read_card
from hydracalc.ingest.adapter import Adapter
from hydracalc.ingest.generic import GenericAdapter

_PACKAGE = Path(__file__).parent.parent

_log = logging.getLogger(__name__)


def list_datasets() -> dict[str, Path]:
    """Dataset to its folder, by name; hydracalc's own first, then those of installed packages.

    A package whose dataset cannot be found, or that uses a name of hydracalc's, is left out with a
    warning in the log; `dataset_folder` raises what is wrong with it.
    """
    known = _own_datasets()
    for name in plugins.names(plugins.DATASETS):
        try:
            folder = _added_folder(name)
        except ImportError as error:
            _log.warning("left out: %s", error)
            continue
        known[name] = folder
    return known


def _own_datasets() -> dict[str, Path]:
    """From `datasets/` beside the package in a checkout, from inside it in an installed wheel."""
    folders = (_PACKAGE.parent / "datasets", _PACKAGE / "_datasets")
    for folder in folders:
        cards = sorted(folder.glob("*/card.toml"))
        if cards:
            return {card.parent.name: card.parent for card in cards}
    return {}


def _added_folder(name: str) -> Path:
    """Folder of a dataset that an installed package adds.

    Raises:
        ImportError: it cannot be loaded, is no package with a card.toml, is named otherwise, or
            has the name of a dataset of hydracalc's own.
    """
    package = plugins.load(plugins.DATASETS, name)
    where = plugins.owner(plugins.DATASETS, name)
    if name in _own_datasets():
        raise ImportError(f"{where}: hydracalc has a dataset of that name itself")
    paths = list(getattr(package, "__path__", [])) if isinstance(package, ModuleType) else []
    folders = [Path(path) for path in paths if (Path(path) / "card.toml").is_file()]
    if len(folders) != 1:
        raise ImportError(f"{where}: expected a package with a card.toml in its folder")
    if folders[0].name != name:
        raise ImportError(f"{where}: its folder is {folders[0].name!r}, expected {name!r}")
    return folders[0]


def dataset_folder(dataset: str | Path) -> Path:
    """Folder of a known dataset; a path to a folder that holds a card.toml is taken as it is.

    Raises:
        ValueError: no dataset has that name; the message offers the nearest.
        ImportError: an installed package adds it but it cannot be loaded.
    """
    own, name = _own_datasets(), str(dataset)
    if name in own:
        return own[name]
    added = plugins.names(plugins.DATASETS)
    if name in added:
        return _added_folder(name)
    folder = Path(dataset)
    if (folder / "card.toml").is_file():
        return folder.resolve()
    raise ValueError(errors.unknown("dataset", name, [*own, *added]))


def load_card(dataset: str | Path) -> Card:
    """The card of a dataset.

    Raises:
        ValueError: the dataset is unknown, its card is invalid, or names another branch.
    """
    folder = dataset_folder(dataset)
    card = read_card(folder / "card.toml")
    if card.branch != folder.name:
        raise ValueError(
            f"{folder / 'card.toml'}: branch is {card.branch!r}, the folder is {folder.name!r}"
        )
    return card


def load_adapter(dataset: str | Path) -> Adapter:
    """The reader of a dataset, fresh, with nothing dropped yet.

    Args:
        dataset: name of a known dataset, or a folder with card.toml and either an adapter.py or
            [keys] in the card.

    Raises:
        ValueError: the dataset is unknown, has neither, or its adapter.py defines no or several
            adapters.
    """
    card = load_card(dataset)
    folder = dataset_folder(dataset)
    adapter = _adapter_class(card, folder)(card)
    adapter.folder = folder
    return adapter


def _adapter_class(card: Card, folder: Path) -> type[Adapter]:
    path = folder / "adapter.py"
    if not path.is_file() and card.keys is not None:
        return GenericAdapter
    if not path.is_file():
        raise ValueError(
            f"{folder} has no adapter.py and its card.toml no [keys]; write [keys] that say where "
            'energies are, such as energy = "calculator:energy", or a reader of your own'
        )
    spec = importlib.util.spec_from_file_location(f"hydracalc_dataset_{card.branch}", path)
    assert spec is not None  # a .py file always has a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Adapter)
        and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        names = [adapter.__name__ for adapter in found]
        raise ValueError(f"{path} must define one Adapter, it defines {names or 'none'}")
    return found[0]
