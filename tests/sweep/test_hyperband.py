"""The pruner against W&B's rule, stated again plainly."""

import random

from genlit.sweep import schema


def bands(told):
    """Bands of W&B's: up from min_iter by eta, or down from max_iter by eta, s times."""
    eta, found = told.get("eta", 3), []
    if "min_iter" in told:
        at = told["min_iter"]
        while len(found) < 30:
            found.append(int(at))
            at *= eta
        return found
    at = told["max_iter"]
    for _ in range(told["s"]):
        at /= eta
        if at >= 1:
            found.append(int(at))
    return found[::-1]


def stopped(told, histories, running):
    """W&B's rule: of those that run, the ones worse than the value that bounds the best 1/eta of their band."""
    ended = set()
    for name in running:
        own = histories[name]
        reached = [band for band in bands(told) if band <= len(own)]
        if not reached:
            continue
        band = reached[-1]
        there = sorted(history[band - 1] for history in histories if len(history) >= band)
        threshold = there[int((1 / told.get("eta", 3)) * len(there))]
        value = own[band - 1] if told.get("strict", True) else min(own)
        if value > threshold:
            ended.add(name)
    return ended


def rule(told):
    parameters = {"x": {"values": [1]}}
    told = {"method": "random", "metric": {"name": "loss"}, "early_terminate": told, "parameters": parameters}
    return schema.read(told).hyperband


def a_rule(chance):
    told = {"type": "hyperband", "eta": chance.choice([1.5, 2, 3, 7])} | chance.choice([{}, {"strict": False}])
    if chance.random() < 0.5:
        return told | {"min_iter": chance.randint(1, 6)}
    return told | {"max_iter": chance.randint(8, 40), "s": chance.randint(1, 4)}


def test_the_same_trials_of_300_random_sweeps_are_ended():
    chance, ended = random.Random(0), 0
    for _ in range(300):
        told = a_rule(chance)
        histories = [
            [chance.randint(0, 9) / 3 for _ in range(chance.randint(0, 40))] for _ in range(chance.randint(1, 25))
        ]
        running = [name for name in range(len(histories)) if chance.random() < 0.5]
        expected = stopped(told, histories, running)
        assert {name for name in running if rule(told).stops(histories[name], histories)} == expected
        ended += len(expected)
    assert ended > 300


def test_bands_are_those_of_wandbs_documentation():
    assert rule({"type": "hyperband", "min_iter": 3}).bands[:4] == (3, 9, 27, 81)
    assert rule({"type": "hyperband", "max_iter": 27, "s": 2}).bands == (3, 9)


def test_a_trial_that_is_alone_or_has_reached_no_band_goes_on():
    hyperband = rule({"type": "hyperband", "min_iter": 2})
    assert not hyperband.stops([5, 5], [[5, 5]])
    assert not hyperband.stops([9], [[9], [1], [2]])
