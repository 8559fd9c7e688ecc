"""`hydracalc data align` shows what ties branches and where their references come to lie."""

import json

import pytest
from builders import make_card
from click.testing import CliRunner
from published import make_structure

from hydracalc.cli.main import main
from hydracalc.shards.writer import ShardWriter

KINDS = ((8, 1, 1), (6, 8), (6, 1, 1))


@pytest.fixture
def folders(tmp_path):
    """Two branches of the same molecules, the second 2 eV an atom lower."""
    paths = []
    for name, shift in (("one", 0.0), ("other", -2.0)):
        card = make_card(name, ("H", "C", "O"))
        card = card.model_copy(update={"isolated_atoms": {"H": -13.6 + shift}})
        with ShardWriter(tmp_path / name, card=card) as writer:
            for seed in range(12):
                numbers = KINDS[seed % 3]
                structure = make_structure(seed, numbers, branch=name, forces=None)
                object.__setattr__(structure, "energy", structure.energy + shift * len(numbers))
                writer.add(structure, split="train")
        paths.append(str(tmp_path / name))
    return paths


def run(*arguments):
    return CliRunner().invoke(main, ["data", "align", *arguments])


def test_tied_branches_are_shown_with_their_references(folders):
    result = run(*folders)
    assert result.exit_code == 0, result.output
    assert "on one footing: one, other" in result.stdout
    report = json.loads(run(*folders, "--json").stdout)
    (pair,) = report["pairs"]
    assert pair["shared_compositions"] == 3
    assert pair["elements_tied_by_isolated_atoms"] == ["H"]
    assert pair["difference_after_eV_per_atom"] < 0.05
    one, other = (report["references_eV"][name] for name in ("one", "other"))
    assert one["H"] - other["H"] == pytest.approx(2.0, abs=1e-3)
    assert one["O"] - other["O"] == pytest.approx(2.0, abs=0.2)


def test_a_branch_given_twice_is_refused(folders):
    result = run(folders[0], folders[0])
    assert result.exit_code == 2
    assert "expected each once" in result.stderr
