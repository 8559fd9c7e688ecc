"""Installed packages add encoders and datasets without a change to hydracalc."""

import json
import logging
import shutil
from pathlib import Path

import pytest
from ase.build import molecule
from builders import make_model
from click.testing import CliRunner
from plugged import Installer

from hydracalc import plugins
from hydracalc.calculator import HydraCalculator
from hydracalc.checkpoint import save_checkpoint
from hydracalc.cli.main import main
from hydracalc.ingest import catalog
from hydracalc.models.encoders import EncoderChoice, build_encoder
from hydracalc.recipe import parse_recipe

OWN = Path(__file__).parents[1] / "examples" / "own_dataset"

SHELLS = '''
"""Atoms see how many neighbors they have at which distance, and of what element."""

from torch import nn

from hydracalc.models.embedding import AtomEmbedding
from hydracalc.models.encoder import Features
from hydracalc.models.radial import BesselBasis, envelope


class Shells(nn.Module):
    def __init__(self, config):
        super().__init__()
        if config.num_channels % 2:
            raise ValueError(f"num_channels is {config.num_channels}, expected an even number")
        self.num_channels, self.num_vectors = config.num_channels, 2
        self.cutoff = config.cutoff
        self.embedding = AtomEmbedding(config.num_channels)
        self.basis = BesselBasis(config.num_radial, config.cutoff)
        self.filters = nn.Linear(config.num_radial, config.num_channels)
        self.mix = nn.Sequential(nn.Linear(config.num_channels, config.num_channels), nn.SiLU())

    def forward(self, graph):
        weights = envelope(graph.edge_lengths, self.cutoff)[:, None]
        start = self.embedding(graph)
        heard = self.filters(self.basis(graph.edge_lengths)) * start[graph.senders] * weights
        scalars = self.mix(start + graph.sum_to_receivers(heard))
        arrows = graph.edge_vectors[:, :, None] * (heard[:, None, :2] * weights[:, None])
        return Features(scalars, graph.sum_to_receivers(arrows))
'''

BROKEN = {
    "raises": ("broken:Nothing", "raise RuntimeError('no licence')\n", "RuntimeError: no licence"),
    "lacks": ("broken:Nothing", "x = 1\n", "AttributeError: .* has no attribute 'Nothing'"),
    "no module": ("broken:f", "def f(choice):\n    return 3\n", "gives int, expected a torch.nn"),
    "signature": ("broken:f", "def f():\n    return 3\n", "TypeError: f.. takes 0"),
    "half": (
        "broken:f",
        "from torch import nn\n\ndef f(choice):\n    m = nn.Linear(2, 2)\n"
        "    m.num_channels, m.num_vectors = 2, 1\n    return m\n",
        "its embedding is None, expected AtomEmbedding",
    ),
}


@pytest.fixture
def install(tmp_path, monkeypatch):
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    installer = Installer(folder)
    yield installer
    installer.forget()


@pytest.fixture
def shells(install):
    """A package that adds an encoder named "shells"."""
    install(
        "hydracalc_shells",
        {"encoder.py": SHELLS},
        {plugins.ENCODERS: {"shells": "hydracalc_shells.encoder:Shells"}},
    )
    return install


@pytest.fixture
def oxides(install):
    """A package that adds a dataset named "own_oxides": a card with keys, and its data beside."""
    card = (OWN / "card.toml").read_text().replace('"own_dataset"', '"own_oxides"', 1)
    install(
        "oxide_data",
        {"own_oxides/__init__.py": "", "own_oxides/card.toml": card},
        {plugins.DATASETS: {"own_oxides": "oxide_data.own_oxides"}},
    )
    return install.folder / "oxide_data" / "own_oxides"


def test_an_encoder_of_a_package_is_built_by_its_name(shells):
    encoder = build_encoder(EncoderChoice(encoder="shells", num_channels=8))
    assert type(encoder).__name__ == "Shells"
    assert encoder.num_channels == 8


def test_a_model_with_it_is_saved_read_and_conserves_energy(shells, tmp_path):
    """Forces are differences of the energy, through checkpoint and calculator."""
    save_checkpoint(tmp_path / "m.safetensors", make_model("shells"), provenance={})
    atoms = molecule("CH3CH2OH")
    atoms.calc = HydraCalculator(tmp_path / "m.safetensors", dtype="float64")
    forces, step = atoms.get_forces(), 1e-4
    energies = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.calc = atoms.calc
        moved.positions[2, 1] += sign * step
        energies.append(moved.get_potential_energy())
    assert abs(forces).max() > 1e-3
    assert forces[2, 1] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), abs=1e-6)


def test_recipes_take_it(shells):
    recipe = parse_recipe(
        {
            "name": "r",
            "data_dir": "shards",
            "branches": [{"name": "rmd17", "shards": "rmd17"}],
            "model": {"encoder": "shells"},
        }
    )
    assert recipe.model.encoder == "shells"


def test_a_model_whose_package_is_gone_says_which_encoder_is_missing(shells, tmp_path):
    save_checkpoint(tmp_path / "m.safetensors", make_model("shells"), provenance={})
    shutil.rmtree(shells.folder)
    with pytest.raises(ValueError, match=r"unknown encoder 'shells' \(known: dimenet, egnn"):
        HydraCalculator(tmp_path / "m.safetensors")


def test_an_unknown_encoder_offers_those_of_packages_too(shells):
    with pytest.raises(ValueError, match="did you mean 'shells'"):
        build_encoder(EncoderChoice(encoder="shell"))


def test_what_a_plugin_refuses_is_told_with_its_name(shells):
    message = r"'shells' \(hydracalc_shells.encoder:Shells\) of hydracalc_shells 1.0: num_channels"
    with pytest.raises(ValueError, match=message):
        build_encoder(EncoderChoice(encoder="shells", num_channels=7))


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_encoder_is_named_with_its_package(install, kind):
    where, source, message = BROKEN[kind]
    install("faulty", {"broken.py": source}, {plugins.ENCODERS: {"bad": f"faulty.{where}"}})
    with pytest.raises(ImportError, match=message) as raised:
        build_encoder(EncoderChoice(encoder="bad"))
    assert f"hydracalc.encoders 'bad' (faulty.{where}) of faulty 1.0" in str(raised.value)
    build_encoder(EncoderChoice(encoder="painn"))  # the others do not mind


def test_two_packages_with_one_name_are_refused(shells):
    shells("rival", {"e.py": SHELLS}, {plugins.ENCODERS: {"shells": "rival.e:Shells"}})
    with pytest.raises(ImportError, match=r"found: hydracalc_shells 1.0, rival 1.0"):
        build_encoder(EncoderChoice(encoder="shells"))


def test_no_plugin_takes_the_place_of_an_own_encoder(install):
    install("thief", {"e.py": SHELLS}, {plugins.ENCODERS: {"painn": "thief.e:Shells"}})
    assert type(build_encoder(EncoderChoice(encoder="painn"))).__name__ == "PaiNN"


def test_a_dataset_of_a_package_is_listed_and_read(oxides, caplog):
    assert catalog.list_datasets()["own_oxides"] == oxides
    assert not caplog.records
    structures = list(catalog.load_adapter("own_oxides").read(OWN))
    assert len(structures) == 156
    assert {structure.branch for structure in structures} == {"own_oxides"}


def test_the_command_line_knows_it_and_prepares_it(oxides, tmp_path):
    listed = CliRunner().invoke(main, ["data", "list", "--json"])
    assert "own_oxides" in {row["id"] for row in json.loads(listed.output)}
    command = ["data", "prepare", "own_oxides", str(OWN), "-o", str(tmp_path / "out")]
    prepared = CliRunner().invoke(main, [*command, "--limit", "40"])
    assert prepared.exit_code == 0, prepared.output
    assert (tmp_path / "out").is_dir()


def test_a_dataset_with_an_adapter_of_its_own_works_too(install):
    folder = catalog.dataset_folder("rmd17")
    card = (folder / "card.toml").read_text().replace('branch = "rmd17"', 'branch = "mine"')
    files = {
        "mine/__init__.py": "",
        "mine/card.toml": card,
        "mine/adapter.py": (folder / "adapter.py").read_text(),
    }
    install("my_data", files, {plugins.DATASETS: {"mine": "my_data.mine"}})
    structure = next(catalog.load_adapter("mine").read(folder / "sample"))
    assert structure.branch == "mine"


@pytest.mark.parametrize(
    ("name", "files", "message"),
    [
        ("bad", {"bad/__init__.py": "import nowhere_at_all"}, "No module named 'nowhere_at_all'"),
        ("bad", {"bad/__init__.py": ""}, "expected a package with a card.toml"),
        ("bad", {"bad.py": ""}, "expected a package with a card.toml"),
        ("rmd17", {"rmd17/__init__.py": ""}, "hydracalc has a dataset of that name itself"),
    ],
)
def test_a_broken_dataset_is_left_out_with_a_warning(install, caplog, name, files, message):
    known = set(catalog.list_datasets())
    install("faulty", files, {plugins.DATASETS: {name: f"faulty.{name}"}})
    with caplog.at_level(logging.WARNING):
        assert set(catalog.list_datasets()) == known
    (record,) = caplog.records
    assert f"left out: hydracalc.datasets {name!r} (faulty.{name}) of faulty 1.0" in record.message
    assert message in record.message


def test_a_broken_dataset_that_is_asked_for_raises(install):
    install("faulty", {"bad.py": "1 / 0"}, {plugins.DATASETS: {"bad": "faulty.bad"}})
    with pytest.raises(ImportError, match="'bad' .* of faulty 1.0 cannot be loaded: ZeroDivision"):
        catalog.load_adapter("bad")


def test_a_dataset_is_named_as_its_folder(install, oxides):
    entry = {plugins.DATASETS: {"other": "oxide_data.own_oxides"}}
    install("alias", {}, entry)
    with pytest.raises(ImportError, match="its folder is 'own_oxides', expected 'other'"):
        catalog.dataset_folder("other")


def test_an_unknown_dataset_offers_those_of_packages_too(oxides):
    with pytest.raises(ValueError, match="did you mean 'own_oxides'"):
        catalog.dataset_folder("own_oxide")


def test_nothing_is_imported_before_it_is_asked_for(install):
    install("loud", {"e.py": "1 / 0"}, {plugins.ENCODERS: {"loud": "loud.e:E"}})
    assert plugins.names(plugins.ENCODERS) == ["loud"]
    build_encoder(EncoderChoice(encoder="egnn"))
