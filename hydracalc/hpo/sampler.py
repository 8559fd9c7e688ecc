"""Where the next trial is: drawn evenly, or where a surrogate of all trials so far expects most.

Both are functions of what is known: the surrogate is fitted anew for every point from the trials
that have ended and those under way, which takes some hundredths of a second. So a search that goes
on after a kill continues as if nothing had happened, with nothing to restore.
"""

import json
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

import numpy as np
from scipy.stats import qmc

from hydracalc.hpo.space import Space

Point = Mapping[str, int | float | str]

# what a stream of random numbers is for, part of its seed
_EVEN, _SPREAD = 1, 2


@dataclass(frozen=True, kw_only=True)
class Known:
    """A point that the surrogate knows.

    Attributes:
        point: where.
        objective: positive, less is better; None where the trial failed.
    """

    point: Point
    objective: float | None


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Where a search is.

    Attributes:
        seed: of the search.
        number: of the trial whose point is wanted.
        trials: that there are to be.
    """

    seed: int
    number: int
    trials: int


def draw_evenly(space: Space, turn: Turn) -> dict[str, int | float | str]:
    """Point of random search for a trial."""
    return space.draw(np.random.default_rng([turn.seed, _EVEN, turn.number]))


def spread(space: Space, turn: Turn) -> dict[str, int | float | str]:
    """Point of a trial before the surrogate is asked: a scrambled Sobol sequence."""
    axes = space.axes
    rng = np.random.default_rng([turn.seed, _SPREAD])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of lengths that are no power of two
        parts = qmc.Sobol(len(axes), rng=rng).random(turn.number + 1)[turn.number]
    return {axis.name: axis.at(float(part)) for axis, part in zip(axes, parts, strict=True)}


def num_initial(space: Space, *, initial: int, trials: int) -> int:
    """Points that are drawn before the surrogate is asked."""
    return initial or max(2, min(len(space.axes) + 2, trials // 3))


class Surrogate:
    """Bayesian optimization by DeepHyper, in a process that ends with the with statement.

    Args:
        folder: that DeepHyper may write to.

    Raises:
        ImportError: DeepHyper is not installed.
    """

    def __init__(self, folder: Path) -> None:
        if find_spec("deephyper") is None:
            raise ImportError("sampler 'cbo' needs DeepHyper: pip install hydracalc[hpo]")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hydracalc.hpo.surrogate", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a signal for the search lets it end what it began
        )

    def __enter__(self) -> "Surrogate":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """It has nothing to lose."""
        self._process.kill()
        self._process.communicate()

    def ask(
        self, space: Space, known: Sequence[Known], pending: Sequence[Point], *, turn: Turn
    ) -> dict[str, int | float | str]:
        """Point of the next trial.

        Args:
            space: what is searched.
            known: trials that have ended, of this search and of those it was warmed up with; one at
                least has not failed.
            pending: points of trials that are under way.
            turn: where the search is.

        Raises:
            RuntimeError: DeepHyper failed.
        """
        request = {
            "axes": [asdict(axis) for axis in space.axes],
            "known": [dict(each.point) for each in known],
            "objectives": [each.objective for each in known],
            "pending": [dict(point) for point in pending],
            **asdict(turn),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError(f"DeepHyper failed: {self._process.stderr.read().strip()}")
        point: dict[str, int | float | str] = json.loads(answer)
        return point
