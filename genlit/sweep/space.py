"""W&B's distributions, each by its inverse cumulative distribution function.

A coordinate is where in its distribution a value lies: u in [0, 1] for most, the position among a categorical
parameter's values, an integer itself. Search happens over coordinates, so every distribution is flat to it, as in W&B's
own Bayesian search (https://docs.wandb.ai/guides/sweeps/sweep-config-keys).
"""

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from scipy.special import betaincinv, ndtri

_TAIL = 1e-6  # normal laws have no end: their quantiles are cut here, at 4.75 standard deviations

Law = Callable[..., float]


def uniform(u: float, min: float, max: float) -> float:
    """min + u · (max - min)."""
    return min + u * (max - min)


def log_uniform(u: float, min: float, max: float) -> float:
    """exp(min + u · (max - min)): the bounds are exponents of e."""
    return math.exp(uniform(u, min, max))


def log_uniform_values(u: float, min: float, max: float) -> float:
    """log x is uniform between log min and log max."""
    return log_uniform(u, math.log(min), math.log(max))


def inv_log_uniform(u: float, min: float, max: float) -> float:
    """log 1/x is uniform between min and max."""
    return math.exp(-uniform(1 - u, min, max))


def inv_log_uniform_values(u: float, min: float, max: float) -> float:
    """log 1/x is uniform between log 1/max and log 1/min."""
    return inv_log_uniform(u, -math.log(max), -math.log(min))


def normal(u: float, mu: float, sigma: float) -> float:
    """μ + σ · Φ⁻¹(u)."""
    return mu + sigma * float(ndtri(min(max(u, _TAIL), 1 - _TAIL)))


def log_normal(u: float, mu: float, sigma: float) -> float:
    """log x is normal."""
    return math.exp(normal(u, mu, sigma))


def beta(u: float, a: float, b: float) -> float:
    """The inverse of the regularised incomplete beta function I_x(a, b)."""
    return float(betaincinv(a, b, u))


def quantised(law: Law) -> Law:
    """A law's values as the nearest multiples of q: round(x / q) · q, whole numbers where q is one."""

    def quantised_law(u: float, q: float, **settings: float) -> float:
        multiple = float(np.round(law(u, **settings) / q)) * q
        return int(multiple) if isinstance(q, int) else multiple

    return quantised_law


LAWS: dict[str, Law] = {
    "uniform": uniform,
    "log_uniform": log_uniform,
    "log_uniform_values": log_uniform_values,
    "inv_log_uniform": inv_log_uniform,
    "inv_log_uniform_values": inv_log_uniform_values,
    "normal": normal,
    "log_normal": log_normal,
    "beta": beta,
    "q_uniform": quantised(uniform),
    "q_log_uniform": quantised(log_uniform),
    "q_log_uniform_values": quantised(log_uniform_values),
    "q_normal": quantised(normal),
    "q_log_normal": quantised(log_normal),
    "q_beta": quantised(beta),
}


@dataclass(frozen=True)
class Parameter:
    """A parameter and where its values come from.

    Args:
        name: the command line's: `model.lr`.
        distribution: W&B's name of it.
        settings: what W&B's schema has beside it: min, max, q, mu, sigma, a, b, value, values, probabilities.
    """

    name: str
    distribution: str
    settings: dict[str, Any]

    def value(self, coordinate: float | int | None) -> Any:
        """The value at a coordinate; a constant has none."""
        match self.distribution:
            case "constant":
                return self.settings["value"]
            case "categorical":
                return self.settings["values"][coordinate]
            case "categorical_w_probabilities":
                return _by_share(coordinate, **self.settings)
            case "int_uniform":
                return int(coordinate)
        return LAWS[self.distribution](coordinate, **self.settings)


def listed(parameter: Parameter) -> Parameter:
    """A parameter of a grid as W&B lists its values: a range of integers, multiples of q from min up to below max."""
    settings = parameter.settings
    match parameter.distribution:
        case "int_uniform":
            values = list(range(settings["min"], settings["max"] + 1))
        case "q_uniform":
            values = np.arange(settings["min"], settings["max"], settings["q"]).tolist()
        case "categorical":
            values = _once_each(settings["values"])
        case _:
            return parameter
    return Parameter(parameter.name, "categorical", {"values": values})


def _by_share(u: float, values: list, probabilities: list[float]) -> Any:
    return values[min(bisect_right(list(accumulate(probabilities)), u), len(values) - 1)]


def _once_each(values: list) -> list:
    """The values without repeats; 1.0 is 1 and neither is true."""
    alike = {repr(int(v) if isinstance(v, float) and v.is_integer() else v): v for v in reversed(values)}
    return list(reversed(alike.values()))
