"""The alpha-beta model."""

import numpy as np
import pytest

from hydracalc.planning.networks import (
    NETWORKS,
    Network,
    all_reduce_seconds,
    find_network,
    fit_network,
)

NETWORK = Network(name="made up", alpha=1e-5, beta=1e-9, source="")


def test_one_rank_takes_no_time():
    assert all_reduce_seconds(1e9, 1, NETWORK) == 0


def test_costs_are_those_of_the_paper():
    """2 (R - 1) messages of n / R bytes; or 2 log2 R messages."""
    ring = all_reduce_seconds(8e6, 8, NETWORK, "ring")
    assert ring == pytest.approx(2 * 7 * (1e-5 + 1e-9 * 1e6))
    tree = all_reduce_seconds(8e6, 8, NETWORK, "tree")
    assert tree == pytest.approx(2 * 3 * 1e-5 + 2 * 7 / 8 * 8e6 * 1e-9)
    assert all_reduce_seconds(8e6, 8, NETWORK) == min(ring, tree)


@pytest.mark.parametrize("algorithm", ["ring", "tree", "best"])
def test_more_ranks_and_more_bytes_take_longer(algorithm):
    over_ranks = [all_reduce_seconds(1e6, n, NETWORK, algorithm) for n in (1, 2, 4, 64, 2048)]
    assert over_ranks == sorted(over_ranks)
    assert over_ranks[0] < over_ranks[1]
    over_bytes = [all_reduce_seconds(n, 8, NETWORK, algorithm) for n in (1e3, 1e6, 1e9)]
    assert over_bytes == sorted(over_bytes)
    assert over_bytes[0] < over_bytes[1]


def test_many_ranks_move_twice_the_bytes_at_most():
    no_latency = Network(name="made up", alpha=0.0, beta=1e-9, source="")
    assert all_reduce_seconds(1e9, 10_000, no_latency) == pytest.approx(2, rel=1e-3)


def test_a_fit_finds_what_made_the_times():
    sizes = np.array([4.0**k for k in range(1, 13)])
    times = np.array([all_reduce_seconds(n, 4, NETWORK, "tree") for n in sizes])
    alpha, beta, factor = fit_network(sizes, times, num_ranks=4)
    assert alpha == pytest.approx(1e-5, rel=1e-3)
    assert beta == pytest.approx(1e-9, rel=1e-3)
    assert factor == pytest.approx(1, abs=1e-3)


def test_own_numbers_replace_those_of_the_class():
    assert find_network("slingshot") is NETWORKS["slingshot"]
    own = find_network("slingshot", alpha=1e-6)
    assert (own.alpha, own.beta) == (1e-6, NETWORKS["slingshot"].beta)
    assert own.source.startswith("['alpha'] given")
    assert all(network.source for network in NETWORKS.values())


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="'slingshot'"):
        find_network("slingshut")
    with pytest.raises(ValueError, match="neither may be negative"):
        find_network("gloo", alpha=-1.0)
    with pytest.raises(ValueError, match="'rings'"):
        all_reduce_seconds(1, 2, NETWORK, "rings")
    with pytest.raises(ValueError, match="ranks is 0"):
        all_reduce_seconds(1, 0, NETWORK)
