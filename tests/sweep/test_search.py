"""Where a sweep looks next."""

import math

import pytest
from optuna.trial import TrialState
from scipy import stats

from genlit.sweep import schema, search
from genlit.sweep.search import Known


def spec(method, parameters, **metric):
    return schema.read({"method": method, "metric": {"name": "loss"} | metric, "parameters": parameters})


def played(sweep, n, objective=lambda values: 0.0):
    """The values of n suggestions, each told its objective."""
    trials, all_values = [], []
    while len(trials) < n and (at := search.suggest(sweep, trials)) is not None:
        all_values.append(search.values(sweep, at))
        trials.append(Known(at, TrialState.COMPLETE, [objective(all_values[-1])]))
    return all_values


def test_a_grid_is_whole_once_each_and_its_last_name_varies_fastest():
    tree = {
        "z": {"values": [3, 1, 3, 1.0]},
        "a": {"min": 1, "max": 2},
        "n": {"parameters": {"b": {"values": ["x", "y"]}}},
    }
    tree |= {"q": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.5}, "c": {"value": 7}}
    points = played(spec("grid", tree), 100)
    expected = [(a, 7, b, q, z) for a in (1, 2) for b in "xy" for q in (0, 0.5) for z in (3, 1)]
    assert [tuple(point[name] for name in ("a", "c", "n.b", "q", "z")) for point in points] == expected


def test_a_grid_of_constants_is_one_trial():
    assert played(spec("grid", {"x": {"value": 1}}), 9) == [{"x": 1}]


def test_values_that_are_lists_and_maps_are_on_a_grid_too():
    values = [[64, 128], {"critic": 1e-4}, None, True, 1]
    assert [point["x"] for point in played(spec("grid", {"x": {"values": values}}), 9)] == values


def test_random_search_draws_evenly_and_the_same_again():
    sweep = spec("random", {"x": {"min": 0.0, "max": 1.0}, "y": {"min": 0.0, "max": 1.0}})
    points = played(sweep, 200)
    for name in "xy":
        assert stats.kstest([point[name] for point in points], "uniform").pvalue > 0.01
    assert points[:5] == played(sweep, 5)


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_bayesian_search_finds_an_optimum_in_a_distribution_of_its_own(goal):
    tree = {"lr": {"distribution": "log_uniform_values", "min": 1e-6, "max": 1.0}, "kind": {"values": ["bad", "good"]}}
    sign = 1 if goal == "minimize" else -1
    points = played(
        spec("bayes", tree, goal=goal),
        20,
        lambda at: sign * ((math.log10(at["lr"]) + 3) ** 2 + 5 * (at["kind"] == "bad")),
    )
    near = [point for point in points[-6:] if abs(math.log10(point["lr"]) + 3) < 0.5 and point["kind"] == "good"]
    assert len(near) >= 4


def test_a_failed_trial_teaches_what_the_file_says():
    def worth(trial, **metric):
        at, good = {"x": 0.5}, Known({"x": 0.1}, TrialState.COMPLETE, [3.0, 1.0, 2.0])
        bad = Known({"x": 0.2}, TrialState.PRUNED, [7.0])
        sweep = spec("bayes", {"x": {"min": 0.0, "max": 1.0}}, **metric)
        return [sample.value for sample in search._samples(sweep, [good, bad, Known(at, *trial)])][2:]

    failed = (TrialState.FAIL, [5.0, 4.0, 6.0])
    assert worth(failed) == [7]  # the worst of all trials' best
    assert worth(failed, impute="best") == [4]
    assert worth(failed, impute="latest") == [6]
    assert worth((TrialState.FAIL, []), impute="latest") == [7]
    assert worth((TrialState.RUNNING, [5.0])) == [None]
    assert worth((TrialState.RUNNING, [5.0]), impute_while_running="best") == [5]


def test_failures_before_any_result_are_left_out():
    sweep = spec("bayes", {"x": {"min": 0.0, "max": 1.0}})
    assert search.suggest(sweep, [Known({"x": 0.5}, TrialState.FAIL, [])] * 9).keys() == {"x"}
