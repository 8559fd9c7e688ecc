"""Where the next trial is: a surrogate of those before finds a minimum sooner than chance."""

import math

import numpy as np
import pytest

from hydracalc.hpo import sampler
from hydracalc.hpo.sampler import Known, Surrogate, Turn, draw_evenly, num_initial, spread
from hydracalc.hpo.space import Range, Space

SPACE = Space(
    {
        "rate": Range(low=1e-5, high=3e-3, log=True),
        "layers": Range(low=2, high=6),
        "channels": Range(low=8, high=64, log=True),
        "kind": Range(choices=("huber", "l1")),
    }
)
TRIALS = 20


def error(point):
    """A bowl in the logarithms, as errors of trainings are."""
    rate, channels = math.log10(point["rate"]), math.log2(point["channels"])
    bowl = 0.5 * (rate + 2.8) ** 2 + 0.03 * (point["layers"] - 4) ** 2
    return math.exp(bowl + 0.05 * (channels - 6) ** 2 + 0.2 * (point["kind"] == '"huber"'))


def best_of_search(surrogate, seed):
    """Smallest error of twenty trials, two at a time, every seventh of which fails."""
    known, pending = [], []
    for number in range(TRIALS):
        turn = Turn(seed=seed, number=number, trials=TRIALS)
        if surrogate is None:
            point = draw_evenly(SPACE, turn)
        elif number < num_initial(SPACE, initial=0, trials=TRIALS):
            point = spread(SPACE, turn)
        else:
            point = surrogate.ask(SPACE, known, pending, turn=turn)
        pending.append(point)
        if len(pending) == 2:
            done = pending.pop(0)
            known.append(Known(point=done, objective=None if number % 7 == 6 else error(done)))
    return min(each.objective for each in known if each.objective)


def test_the_surrogate_beats_chance_in_the_same_number_of_trials(tmp_path):
    with Surrogate(tmp_path) as surrogate:
        found = [best_of_search(surrogate, seed) for seed in range(5)]
        by_chance = [best_of_search(None, seed) for seed in range(5)]
        assert np.median(found) < np.median(by_chance)
        # an answer depends on nothing but the question
        known = [
            Known(point=draw_evenly(SPACE, Turn(seed=0, number=n, trials=9)), objective=n + 1)
            for n in range(5)
        ]
        turn = Turn(seed=4, number=5, trials=9)
        answers = [surrogate.ask(SPACE, known, [], turn=turn) for _ in range(2)]
        assert answers[0] == answers[1]
        assert SPACE.locate(SPACE.values(answers[0])) == answers[0]
        with pytest.raises(RuntimeError, match="DeepHyper failed"):
            surrogate.ask(SPACE, [], [], turn=turn)


def test_points_depend_on_seed_and_number_alone():
    turn = Turn(seed=1, number=3, trials=9)
    assert draw_evenly(SPACE, turn) == draw_evenly(SPACE, turn)
    assert spread(SPACE, turn) == spread(SPACE, turn)
    assert spread(SPACE, turn) != spread(SPACE, Turn(seed=2, number=3, trials=9))
    points = [spread(SPACE, Turn(seed=1, number=n, trials=9)) for n in range(8)]
    assert [point["kind"] for point in points].count('"l1"') == 4
    assert num_initial(SPACE, initial=0, trials=20) == 6
    assert num_initial(SPACE, initial=0, trials=4) == 2
    assert num_initial(SPACE, initial=9, trials=4) == 9


def test_without_deephyper_the_message_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(sampler, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install hydracalc\[hpo\]"):
        Surrogate(tmp_path)
