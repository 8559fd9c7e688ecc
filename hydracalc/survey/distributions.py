"""How numbers are distributed, gathered piece by piece in bounded memory."""

import numpy as np

_SAMPLE = 2**20  # values kept for quantiles; up to so many they are exact
_SEED = 0
_MARGIN = 0.25  # of the range of 99 percent of the values, on both sides of it


class Distribution:
    """Count, mean, deviation, range and quantiles of numbers that come in pieces.

    All but the quantiles are exact; those are of an even random sample where there are more numbers
    than it holds, and then err by about a thousandth of the rank.
    """

    def __init__(self, sample: int = _SAMPLE) -> None:
        """Nothing is seen.

        Args:
            sample: values kept.
        """
        self._size = sample
        self._rng = np.random.default_rng(_SEED)
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0  # sum of squared deviations from the mean
        self._lowest, self._highest = np.inf, -np.inf
        self._sample = np.empty(0)
        self._keys = np.empty(0)  # the smallest ones stay

    def add(self, values: np.ndarray) -> None:
        """Take numbers; those that are not finite stand for absent ones.

        Args:
            values: of any shape.
        """
        values = values[np.isfinite(values)].astype(np.float64)
        if not len(values):
            return
        mean, new = float(values.mean()), len(values)
        squares = float(np.square(values - mean).sum())
        total = self._count + new
        shift = mean - self._mean
        self._squares += squares + shift**2 * self._count * new / total
        self._mean += shift * new / total
        self._count = total
        self._lowest = min(self._lowest, float(values.min()))
        self._highest = max(self._highest, float(values.max()))
        self._keep(values)

    def _keep(self, values: np.ndarray) -> None:
        sample = np.concatenate([self._sample, values])
        keys = np.concatenate([self._keys, self._rng.random(len(values))])
        if len(keys) > self._size:
            stay = np.argpartition(keys, self._size)[: self._size]
            sample, keys = sample[stay], keys[stay]
        self._sample, self._keys = sample, keys

    def quantiles(self, shares: tuple[float, ...]) -> list[float]:
        """Values below which these shares of the numbers are; there must be numbers."""
        return [float(value) for value in np.quantile(self._sample, shares)]

    def to_json(self) -> dict[str, float] | None:
        """The numbers by name; None if there are none."""
        if not self._count:
            return None
        low, middle, high = self.quantiles((0.01, 0.5, 0.99))
        return {
            "count": self._count,
            "mean": self._mean,
            "std": float(np.sqrt(self._squares / self._count)),
            "min": self._lowest,
            "p01": low,
            "median": middle,
            "p99": high,
            "max": self._highest,
        }

    def even_histogram(self, bins: int = 50) -> "Histogram | None":
        """An empty histogram of equal bins that leaves out what is far from all others."""
        if not self._count:
            return None
        low, high = self.quantiles((0.005, 0.995))
        margin = _MARGIN * (high - low)
        low, high = max(self._lowest, low - margin), min(self._highest, high + margin)
        if not high > low:
            low, high = low - 0.5, high + 0.5
        return Histogram(np.linspace(low, high, bins + 1))

    def log_histogram(self, bins: int = 50, decades: float = 5.0) -> "Histogram | None":
        """An empty histogram of equal ratios up to the largest value; None without a positive."""
        if not self._highest > 0:
            return None
        top = float(np.log10(self._highest))
        bottom = max(float(np.log10(max(self._lowest, 1e-300))), top - decades)
        bottom = min(bottom, top - 0.1)
        edges = np.logspace(bottom, top, bins + 1)
        edges[-1] = self._highest  # whatever the power was rounded to
        return Histogram(edges)


class Histogram:
    """How many numbers fall into each of some bins, below and above them.

    Attributes:
        edges: of the bins, ascending, (bins + 1,).
        counts: int64, (bins,); the last bin has its upper edge.
        below, above: numbers outside.
    """

    def __init__(self, edges: np.ndarray) -> None:
        """Empty bins between edges."""
        self.edges = edges
        self.counts = np.zeros(len(edges) - 1, dtype=np.int64)
        self.below = self.above = 0

    def add(self, values: np.ndarray) -> None:
        """Take numbers; those that are not finite stand for absent ones."""
        values = values[np.isfinite(values)]
        self.counts += np.histogram(values, self.edges)[0]
        self.below += int((values < self.edges[0]).sum())
        self.above += int((values > self.edges[-1]).sum())

    def to_json(self) -> dict[str, object]:
        """Edges and counts."""
        return {
            "edges": self.edges.tolist(),
            "counts": self.counts.tolist(),
            "below": self.below,
            "above": self.above,
        }
