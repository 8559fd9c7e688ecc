"""DeepHyper's Bayesian optimization in a process of its own: requests and answers are JSON lines.

DeepHyper imports mpi4py without starting MPI, and ASE, which then finds mpi4py, calls MPI: the
process is aborted by the MPI library. So DeepHyper is imported here and nowhere else, and this file
is run (`python -m hydracalc.hpo.surrogate FOLDER`), never imported by the search.
"""

import json
import math
import os
import sys
from typing import Any

import numpy as np
from deephyper.hpo import CBO, HpProblem

# what the stream of random numbers is for, part of its seed
_SURROGATE = 3

# weight of the uncertainty in the acquisition (UCB), at the first trial and at the last one
_KAPPA = (1.96, 0.1)
_CANDIDATES = 10_000


def propose(request: dict[str, Any], folder: str) -> dict[str, Any]:
    """The point that the surrogate expects most of.

    The surrogate, extremely randomized trees, is of the logarithm of the objective, and made anew
    of all that is known: an answer depends on nothing but the request. A trial that failed counts
    as the worst that is known, one that is under way as well until it ends, so that workers do not
    crowd. The weight of the uncertainty falls as the search goes on.

    Args:
        request: axes, known and pending points, objectives, seed, number and trials.
        folder: that DeepHyper may write to.
    """
    first, last = _KAPPA
    entropy = [request["seed"], _SURROGATE, request["number"]]
    (state,) = np.random.SeedSequence(entropy).generate_state(1)
    search = CBO(
        _problem(request["axes"]),
        random_state=int(state) % 2**31,
        log_dir=folder,
        checkpoint_history_to_csv=False,
        surrogate_model="ET",
        acq_func="UCBd",
        acq_func_kwargs={
            "kappa": first * (last / first) ** min(request["number"] / request["trials"], 1.0),
            "scheduler": {"type": "constant"},
        },
        acq_optimizer="sampling",
        acq_optimizer_kwargs={
            "n_points": _CANDIDATES,
            "n_jobs": 1,
            "filter_failures": "min",
            "max_total_failures": -1,
        },
        n_initial_points=1,
    )
    gains = [None if o is None else -math.log(o) for o in request["objectives"]]
    worst = min(gain for gain in gains if gain is not None)
    told = [
        (point, "F_failed" if gain is None else gain)
        for point, gain in zip(request["known"], gains, strict=True)
    ]
    search.tell(told + [(point, worst) for point in request["pending"]])
    (found,) = search.ask(1)
    return {axis["name"]: _plain(found[axis["name"]], axis) for axis in request["axes"]}


def _problem(axes: list[dict[str, Any]]) -> HpProblem:
    problem = HpProblem()
    for axis in axes:
        given: Any = list(axis["labels"])
        if len(given) == 1:
            given = given[0]
        elif not given:
            kind = int if axis["is_integer"] else float
            prior = "log-uniform" if axis["log"] else "uniform"
            given = (kind(axis["low"]), kind(axis["high"]), prior)
        problem.add(given, axis["name"])
    return problem


def _plain(value: Any, axis: dict[str, Any]) -> int | float | str:  # noqa: ANN401  # of numpy, too
    if axis["labels"]:
        return str(value)
    return int(value) if axis["is_integer"] else float(value)


def main(folder: str) -> None:
    """Answer every line of the input until there are no more."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what others print is no answer
        for line in sys.stdin:
            answers.write(json.dumps(propose(json.loads(line), folder)) + "\n")
            answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
