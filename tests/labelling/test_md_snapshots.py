"""Structures from dynamics: equal seeds give equal bits, temperatures are felt."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from published import same_bits

from hydracalc.labelling.md_snapshots import FAILED, Dynamics, DynamicsConfig
from hydracalc.structure import from_atoms

COPPER = replace(from_atoms(bulk("Cu", cubic=True) * 2, source="copper"), group="copper")
SHORT = {"interval": 10, "equilibration": 50, "timestep": 5.0}


def run(config, parent=COPPER, numbers=None, dropped=None):
    dynamics = Dynamics(config, lambda _: EMT())
    numbers = range(dynamics.num_children) if numbers is None else numbers
    return list(dynamics.children(parent, numbers, Counter() if dropped is None else dropped))


def test_equal_seeds_give_equal_bits_and_others_do_not():
    config = DynamicsConfig(temperatures=(300.0, 900.0), snapshots=2, **SHORT)
    together = run(config)
    alone = run(config, numbers=range(1, 2))
    assert [c.source for c in together] == [
        "copper/md-300K-0000",
        "copper/md-300K-0001",
        "copper/md-900K-0000",
        "copper/md-900K-0001",
    ]
    assert all(same_bits(a, b) for a, b in zip(together[2:], alone, strict=True))
    assert not np.allclose(run(replace(config, seed=1))[0].positions, together[0].positions)
    assert {c.group for c in together} == {"copper"}


def test_hotter_atoms_move_farther():
    config = DynamicsConfig(temperatures=(100.0, 1000.0), snapshots=4, **SHORT)
    moves = [child.positions - COPPER.positions for child in run(config)]
    moves = [move - move.mean(axis=0) for move in moves]
    cold, hot = np.std(moves[:4]), np.std(moves[4:])
    assert 2.0 < hot / cold < 5.0  # about the root of the ratio of temperatures


def test_a_calculator_that_fails_ends_a_trajectory_which_is_counted():
    tungsten = from_atoms(bulk("W", cubic=True), source="w")  # EMT does not know it
    dropped = Counter()
    config = DynamicsConfig(temperatures=(300.0,), snapshots=3, **SHORT)
    with pytest.raises(NotImplementedError):
        EMT().get_potential_energy(bulk("W"))
    assert run(config, tungsten, dropped=dropped) == []
    assert dropped == {f"{FAILED} (NotImplementedError)": 3}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temperatures": ()}, "temperatures are"),
        ({"temperatures": (300.0, 300.0)}, "each once"),
        ({"snapshots": 0}, "snapshots is 0"),
        ({"equilibration": -1}, "equilibration is -1"),
        ({"timestep": 0}, "timestep is 0"),
    ],
)
def test_settings_without_sense_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        DynamicsConfig(**values)
