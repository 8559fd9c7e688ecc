"""Which datasets hydracalc knows: one folder each, found by looking."""

import importlib.util
from pathlib import Path

from hydracalc import errors
from hydracalc.card import Card, read_card
from hydracalc.ingest.adapter import Adapter
from hydracalc.ingest.generic import GenericAdapter

_PACKAGE = Path(__file__).parent.parent


def list_datasets() -> dict[str, Path]:
    """Dataset to its folder, by name.

    They are read from `datasets/` beside the package in a checkout, from inside the package in an
    installed wheel.
    """
    folders = (_PACKAGE.parent / "datasets", _PACKAGE / "_datasets")
    for folder in folders:
        cards = sorted(folder.glob("*/card.toml"))
        if cards:
            return {card.parent.name: card.parent for card in cards}
    return {}


def dataset_folder(dataset: str | Path) -> Path:
    """Folder of a known dataset; a path to a folder that holds a card.toml is taken as it is.

    Raises:
        ValueError: no dataset has that name; the message offers the nearest.
    """
    known = list_datasets()
    if str(dataset) in known:
        return known[str(dataset)]
    folder = Path(dataset)
    if (folder / "card.toml").is_file():
        return folder.resolve()
    raise ValueError(errors.unknown("dataset", str(dataset), known))


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
