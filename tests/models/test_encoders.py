"""Encoders are found by name, and what one of them needs is not needed by the others."""

import subprocess
import sys
from pathlib import Path

import pytest
from builders import ENCODERS as TESTED
from builders import make_model

from hydracalc.checkpoint import save_checkpoint
from hydracalc.models.encoders import ENCODERS, OPTIONS, EncoderChoice, build_encoder

ROOT = Path(__file__).parents[2]


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )


def test_every_encoder_is_tested():
    assert tuple(sorted(ENCODERS)) == TESTED


def test_an_unknown_encoder_offers_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'schnet'"):
        build_encoder(EncoderChoice(encoder="schnett"))


def test_options_are_fields_of_the_choice_and_of_an_encoder():
    for name, kind in OPTIONS.items():
        assert name in ENCODERS
        assert getattr(EncoderChoice(), name) == kind()


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_says_how_many_features_it_gives(name):
    encoder = build_encoder(EncoderChoice(encoder=name, num_channels=8, num_layers=2))
    assert encoder.num_channels >= 8
    assert encoder.num_vectors >= 1


def test_options_reach_their_encoder():
    small = EncoderChoice(encoder="mace", num_channels=4, num_layers=1, num_radial=4)
    options = OPTIONS["mace"](max_degree=1, hidden_degree=1, correlation=1)
    few = EncoderChoice(encoder="mace", num_channels=4, num_layers=1, num_radial=4, mace=options)
    counts = [sum(p.numel() for p in build_encoder(c).parameters()) for c in (few, small)]
    assert counts[0] < counts[1]


def test_without_e3nn_mace_alone_is_missing_and_says_what_to_install():
    """In a process where e3nn cannot be imported."""
    build = "import sys; sys.modules['e3nn'] = None\n" + (
        "from hydracalc.models.encoders import EncoderChoice, build_encoder\n"
        "build_encoder(EncoderChoice(encoder='{}'))"
    )
    assert run(build.format("dimenet")).returncode == 0
    failed = run(build.format("mace"))
    assert failed.returncode != 0
    last = failed.stderr.strip().splitlines()[-1]
    assert last == ("ImportError: the MACE encoder needs e3nn: pip install 'hydracalc[mace]'")


def test_mace_is_not_loaded_before_it_is_built():
    code = (
        "import sys, hydracalc.models.hydra, hydracalc.recipe, hydracalc.calculator;"
        "print('e3nn' in sys.modules)"
    )
    assert run(code).stdout.strip() == "False"


def test_the_command_line_says_what_to_install_and_no_more(tmp_path):
    """A model of MACE where e3nn is missing is input that this installation cannot serve."""
    save_checkpoint(tmp_path / "m.safetensors", make_model("mace"), provenance={})
    failed = run(
        "import sys; sys.modules['e3nn'] = None\n"
        "from hydracalc.cli.main import main\n"
        f"main(['predict', 'examples/structures/ethanol.xyz', '-m', '{tmp_path}/m.safetensors',"
        f" '-o', '{tmp_path}/o.xyz'])"
    )
    assert failed.returncode == 2
    assert failed.stderr == "error: the MACE encoder needs e3nn: pip install 'hydracalc[mace]'\n"
