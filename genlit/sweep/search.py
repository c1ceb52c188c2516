"""Where a sweep looks next: W&B's grid, at random, or by a Gaussian process."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from genlit.sweep.schema import Metric, Spec
from genlit.sweep.space import Parameter

STARTUP = 6  # random trials, before a Gaussian process has enough to go by

Coordinates = dict[str, Any]


@dataclass(frozen=True)
class Known:
    """What search knows of an earlier trial.

    Args:
        coordinates: where it is.
        state: Optuna's: complete, pruned, failed or running.
        values: of the metric that it logged, in order.
    """

    coordinates: Coordinates
    state: TrialState
    values: Sequence[float]


def space(parameters: Sequence[Parameter]) -> dict[str, BaseDistribution]:
    """The coordinates of all parameters that are no constants, as Optuna knows them."""
    return {each.name: _dimension(each) for each in parameters if each.distribution != "constant"}


def suggest(spec: Spec, trials: Sequence[Known]) -> Coordinates | None:
    """The next trial's coordinates; None where a grid is through. The same trials lead to the same suggestion."""
    if spec.method == "grid":
        return _first_free(space(spec.parameters), [trial.coordinates for trial in trials])
    study = optuna.create_study(direction=spec.metric.goal, sampler=_sampler(spec.method, seed=len(trials)))
    if spec.method == "bayes":
        study.add_trials(_samples(spec, trials))
    return study.ask(space(spec.parameters)).params


def values(spec: Spec, coordinates: Coordinates) -> dict[str, Any]:
    """Every parameter's value."""
    return {each.name: each.value(coordinates.get(each.name)) for each in spec.parameters}


def best(metric: Metric, logged: Sequence[float]) -> float | None:
    """The best value that a trial logged, which is what W&B's search goes by."""
    return min(logged, key=lambda value: metric.sign * value, default=None)


def _dimension(parameter: Parameter) -> BaseDistribution:
    match parameter.distribution:
        case "categorical":
            return CategoricalDistribution(range(len(parameter.settings["values"])))
        case "int_uniform":
            return IntDistribution(parameter.settings["min"], parameter.settings["max"])
    return FloatDistribution(0, 1)


def _first_free(grid: dict[str, CategoricalDistribution], taken: list[Coordinates]) -> Coordinates | None:
    points = (dict(zip(grid, point)) for point in product(*(axis.choices for axis in grid.values())))
    done = {tuple(point.values()) for point in taken}
    return next((point for point in points if tuple(point.values()) not in done), None)


def _sampler(method: str, seed: int) -> optuna.samplers.BaseSampler:
    if method == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.GPSampler(seed=seed, n_startup_trials=STARTUP)


def _samples(spec: Spec, trials: Sequence[Known]) -> list[FrozenTrial]:
    """Trials as a Gaussian process sees them: a failed one has the value that `metric.impute` says."""
    known = [value for trial in trials if (value := best(spec.metric, trial.values)) is not None]
    worst = max(known, key=lambda value: spec.metric.sign * value, default=None)
    seen = [(trial, _worth(spec.metric, trial, worst)) for trial in trials]
    axes = space(spec.parameters)
    return [_sample(axes, t.coordinates, v) for t, v in seen if v is not None or not t.state.is_finished()]


def _worth(metric: Metric, trial: Known, worst: float | None) -> float | None:
    """A trial's value; None where nothing is known, or it runs and counts by its place alone."""
    if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
        return best(metric, trial.values)
    how = metric.impute if trial.state.is_finished() else metric.impute_while_running
    own = {"best": best(metric, trial.values), "latest": trial.values[-1] if trial.values else None}.get(how)
    return worst if own is None and how else own


def _sample(axes: dict[str, BaseDistribution], coordinates: Coordinates, value: float | None) -> FrozenTrial:
    state = TrialState.RUNNING if value is None else TrialState.COMPLETE
    return create_trial(state=state, value=value, params=coordinates, distributions=axes)
