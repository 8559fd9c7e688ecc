"""Time of sums over ranks by the alpha-beta model: a message of n bytes takes alpha + n beta.

Costs of the algorithms are those of Thakur, Rabenseifner and Gropp 2005,
doi:10.1177/1094342005051521, sections 4.1 and 4.4; the sum itself is taken as free.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hydracalc.errors import unknown

Algorithm = Literal["ring", "tree", "best"]
ALGORITHMS = ("best", "ring", "tree")


@dataclass(frozen=True, kw_only=True)
class Network:
    """What connects ranks.

    Attributes:
        name: of the class.
        alpha: seconds of a message without content.
        beta: seconds of one byte more, where all ranks of a node send at once.
        source: where the numbers come from.
    """

    name: str
    alpha: float
    beta: float
    source: str

    def __post_init__(self) -> None:
        if self.alpha < 0 or self.beta < 0:
            raise ValueError(
                f"network {self.name!r}: alpha is {self.alpha} and beta {self.beta}, "
                "neither may be negative"
            )


NETWORKS = {
    network.name: network
    for network in (
        Network(
            name="gloo",
            alpha=1.1e-4,
            beta=1.0e-9,
            source="processes of one two-core machine, gloo over TCP, measured by "
            "benchmarks/scaling_model.py gloo, docs/scaling.md",
        ),
        Network(
            name="slingshot",
            alpha=24.1e-6,
            beta=1 / 12.5e9,
            source="Frontier User Guide: 4 network cards of 25 GB/s a node, 8 ranks share them; "
            "latency of RCCL's first tuning model (network, ring, simple), src/graph/tuning.cc",
        ),
        Network(
            name="infiniband",
            alpha=14.0e-6,
            beta=1 / 24.0e9,
            source="HDR 200 Gb/s, one port a rank: 192 Gb/s of Azure's HBv3 performance page; "
            "latency of NCCL's tuning model (network, ring, simple), src/graph/tuning.cc",
        ),
    )
}


def find_network(name: str, *, alpha: float | None = None, beta: float | None = None) -> Network:
    """A class of networks, with one's own numbers where they are given.

    Args:
        name: of the class.
        alpha: seconds.
        beta: seconds for a byte.

    Raises:
        ValueError: there is no such class, or a number is negative.
    """
    if name not in NETWORKS:
        raise ValueError(unknown("network", name, NETWORKS))
    network = NETWORKS[name]
    given = {key: n for key, n in (("alpha", alpha), ("beta", beta)) if n is not None}
    if not given:
        return network
    return replace(network, **given, source=f"{sorted(given)} given; else {network.source}")  # type: ignore[arg-type]


def all_reduce_seconds(
    num_bytes: float, num_ranks: int, network: Network, algorithm: Algorithm = "best"
) -> float:
    """Time of the sum of a tensor over ranks.

    "ring" sends 2 (R - 1) messages of 1/R of the bytes; "tree" halves and doubles: 2 log2(R)
    messages, as many bytes in all; "best" is the faster one.

    Args:
        num_bytes: of the tensor.
        num_ranks: R; one rank takes no time.
        network: what connects them.
        algorithm: which.

    Raises:
        ValueError: there is no such algorithm, or no rank.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(unknown("algorithm", algorithm, ALGORITHMS))
    if num_ranks < 1:
        raise ValueError(f"number of ranks is {num_ranks}, expected at least 1")
    if num_ranks == 1:
        return 0.0
    steps = {"ring": 2 * (num_ranks - 1), "tree": 2 * math.ceil(math.log2(num_ranks))}
    count = min(steps.values()) if algorithm == "best" else steps[algorithm]
    moved = 2 * (num_ranks - 1) / num_ranks * num_bytes
    return count * network.alpha + moved * network.beta


def fit_network(
    num_bytes: np.ndarray, seconds: np.ndarray, *, num_ranks: int
) -> tuple[float, float, float]:
    """Alpha and beta of measured sums of R ranks, and the largest factor that they are off by.

    Args:
        num_bytes: of each, (n,).
        seconds: of each, (n,).
        num_ranks: R, at least 2.
    """
    per_sum = (2 * math.ceil(math.log2(num_ranks)), 2 * (num_ranks - 1) / num_ranks)
    columns = np.column_stack([np.full(len(num_bytes), per_sum[0]), per_sum[1] * num_bytes])
    # both numbers positive: the smallest message fixes alpha, least relative error beta
    alpha = float(seconds[np.argmin(num_bytes)]) / per_sum[0]
    rest = np.maximum(seconds - columns[:, 0] * alpha, 0) / seconds
    moved = columns[:, 1] / seconds
    beta = float(rest @ moved / (moved @ moved))
    ratio = (columns @ np.array([alpha, beta])) / seconds
    return alpha, beta, float(np.exp(np.abs(np.log(ratio)).max()))
