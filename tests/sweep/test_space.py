"""Each distribution of W&B's, against scipy's by W&B's published meaning."""

import math

import numpy as np
import pytest
from scipy import stats

from genlit.sweep import schema, search

DRAWS = 4000


def uniform(low, high):
    return stats.uniform(low, high - low)


CONTINUOUS = {  # settings, and the distribution that a function of the draws has
    "uniform": ({"min": -3.0, "max": 9}, uniform(-3, 9), lambda x: x),
    "log_uniform": ({"min": -8, "max": 1}, uniform(-8, 1), np.log),
    "log_uniform_values": ({"min": 1e-5, "max": 3}, uniform(math.log(1e-5), math.log(3)), np.log),
    "inv_log_uniform": ({"min": -8, "max": 1}, uniform(-8, 1), lambda x: np.log(1 / x)),
    "inv_log_uniform_values": ({"min": 1e-5, "max": 3}, uniform(-math.log(3), math.log(1e5)), lambda x: np.log(1 / x)),
    "normal": ({"mu": 1, "sigma": 2}, stats.norm(1, 2), lambda x: x),
    "log_normal": ({"mu": 1, "sigma": 0.5}, stats.lognorm(0.5, scale=math.e), lambda x: x),
    "beta": ({"a": 2, "b": 5}, stats.beta(2, 5), lambda x: x),
}
QUANTISED = {
    "q_uniform": ({"min": 0.3, "max": 9, "q": 0.5}, uniform(0.3, 9)),
    "q_log_uniform": ({"min": -2, "max": 3, "q": 0.5}, stats.loguniform(math.exp(-2), math.exp(3))),
    "q_log_uniform_values": ({"min": 1, "max": 300, "q": 4}, stats.loguniform(1, 300)),
    "q_normal": ({"mu": 1, "sigma": 2}, stats.norm(1, 2)),
    "q_log_normal": ({"mu": 1, "sigma": 0.5, "q": 2}, stats.lognorm(0.5, scale=math.e)),
    "q_beta": ({"a": 2, "b": 5, "q": 0.1}, stats.beta(2, 5)),
}


def drawn(settings, n=DRAWS):
    """Values at n random coordinates."""
    spec = schema.read({"method": "random", "metric": {"name": "loss"}, "parameters": {"x": settings}})
    (axis,) = search.space(spec.parameters).values() or (None,)
    random = np.random.default_rng(0)
    if hasattr(axis, "choices"):
        at = random.integers(0, len(axis.choices), n)
    elif type(axis).__name__ == "IntDistribution":
        at = random.integers(axis.low, axis.high + 1, n)
    else:
        at = random.random(n)
    return [spec.parameters[0].value(coordinate.item()) for coordinate in at]


@pytest.mark.parametrize("name", CONTINUOUS)
def test_a_continuous_distribution_is_wandbs(name):
    settings, law, function = CONTINUOUS[name]
    assert stats.kstest(function(np.array(drawn(settings | {"distribution": name}))), law.cdf).pvalue > 0.01


@pytest.mark.parametrize("name", QUANTISED)
def test_a_quantised_distribution_is_the_nearest_multiple_of_q(name):
    settings, law = QUANTISED[name]
    q = settings.get("q", 1.0)
    expected = np.round(law.rvs(DRAWS, random_state=1) / q) * q
    values = drawn(settings | {"distribution": name})
    assert stats.ks_2samp(values, expected).pvalue > 0.01
    assert all(type(value) is type(q) for value in values)
    assert np.allclose(np.array(values) / q, np.round(np.array(values) / q))


def shares(values):
    return {value: values.count(value) / len(values) for value in set(values)}


def test_categories_whole_numbers_and_probabilities_have_their_shares():
    assert shares(drawn({"values": ["a", None, True, [1]][:3]})) == pytest.approx(
        {"a": 1 / 3, None: 1 / 3, True: 1 / 3}, abs=0.03
    )
    assert shares(drawn({"min": -1, "max": 2})) == pytest.approx(dict.fromkeys((-1, 0, 1, 2), 0.25), abs=0.03)
    weighted = {"values": ["a", "b", "c"], "probabilities": [0.2, 0.7, 0.1]}
    assert shares(drawn(weighted)) == pytest.approx({"a": 0.2, "b": 0.7, "c": 0.1}, abs=0.03)


def test_what_is_given_decides_the_distribution_as_in_wandb():
    def inferred(settings):
        told = {"method": "random", "metric": {"name": "loss"}, "parameters": {"x": settings}}
        return schema.read(told).parameters[0].distribution

    assert inferred({"min": 1, "max": 2}) == "int_uniform"
    assert inferred({"min": 1, "max": 2.0}) == "uniform"
    assert inferred({"value": [1]}) == "constant"
    assert inferred({"values": [1]}) == "categorical"


def test_the_ends_of_a_normal_distribution_are_finite():
    for name in ("normal", "log_normal", "q_normal"):
        spec = schema.read({"method": "bayes", "metric": {"name": "loss"}, "parameters": {"x": {"distribution": name}}})
        assert all(math.isfinite(spec.parameters[0].value(end)) for end in (0.0, 1.0))
