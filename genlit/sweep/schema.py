"""W&B's sweep schema: read, checked, and as a search space."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from genlit.errors import GenlitError, known
from genlit.sweep.hyperband import Hyperband, bands_from, bands_up_to
from genlit.sweep.space import Parameter, listed

KEYS = (
    "name", "description", "program", "command", "method", "metric", "parameters", "early_terminate", "run_cap",
    "entity", "project", "apiVersion", "kind", "controller",
)  # fmt: skip
METHODS = ("bayes", "random", "grid")
GOALS = ("minimize", "maximize")
IMPUTED = ("worst", "best", "latest")
NEEDED = "(needed)"
_RANGE = {"min": NEEDED, "max": NEEDED}
_BELL = {"mu": 0.0, "sigma": 1.0}
_SHAPE = {"a": 1.0, "b": 1.0}
_STEP = {"q": 1.0}
SETTINGS = {  # of each distribution, with W&B's defaults
    "constant": {"value": NEEDED},
    "categorical": {"values": NEEDED},
    "categorical_w_probabilities": {"values": NEEDED, "probabilities": NEEDED},
    "int_uniform": _RANGE,
    "uniform": _RANGE,
    "log_uniform": _RANGE,
    "log_uniform_values": _RANGE,
    "inv_log_uniform": _RANGE,
    "inv_log_uniform_values": _RANGE,
    "normal": _BELL,
    "log_normal": _BELL,
    "beta": _SHAPE,
    "q_uniform": _RANGE | _STEP,
    "q_log_uniform": _RANGE | _STEP,
    "q_log_uniform_values": _RANGE | _STEP,
    "q_normal": _BELL | _STEP,
    "q_log_normal": _BELL | _STEP,
    "q_beta": _SHAPE | _STEP,
}


@dataclass(frozen=True)
class Metric:
    """What a sweep seeks.

    Args:
        name: of the metric, as a claim names it: `fd-lenet` is every `fd-lenet/...`.
        goal: minimize or maximize.
        target: the sweep ends when a trial reaches it.
        impute: what search takes a failed trial's value for: the worst of all, or its own best or latest.
        impute_while_running: the same for a trial that runs; None lets search know only where it is.
    """

    name: str
    goal: str
    target: float | None
    impute: str
    impute_while_running: str | None

    @property
    def sign(self) -> int:
        """What makes the lower the better."""
        return 1 if self.goal == "minimize" else -1

    def reached(self, value: float) -> bool:
        """Whether a value is as good as the target."""
        return self.target is not None and self.sign * value <= self.sign * self.target


@dataclass(frozen=True)
class Spec:
    """A sweep as its file says.

    Args:
        method: grid, random or bayes.
        metric: what is sought.
        parameters: by name, in the order of a grid: the last varies fastest.
        hyperband: when a trial is ended early; None never.
        run_cap: how many trials there are at most; None sets no bound.
        command: what a trial runs instead of a training, with W&B's macros.
        program: what the macro `${program}` stands for.
        local: whether W&B's server is left out.
        content: the file's.
    """

    method: str
    metric: Metric
    parameters: tuple[Parameter, ...]
    hyperband: Hyperband | None
    run_cap: int | None
    command: list[str] | None
    program: str | None
    local: bool
    content: dict[str, Any]


def read(content: dict[str, Any]) -> Spec:
    """A sweep from the content of its file.

    Raises:
        GenlitError: an unknown key, or a value that the schema does not allow; the key and the nearest are named.
    """
    known("the sweep", content, KEYS)
    method = _one_of("method", content.get("method"), METHODS)
    metric = _metric(content.get("metric"))
    tree = content.get("parameters")
    if not isinstance(tree, dict) or not tree:
        raise GenlitError(
            "parameters: the sweep has none; write `parameters:` and under it `model.lr: {min: ..., max: ...}`"
        )
    parameters = tuple(_parameters(tree, "parameters", ""))
    _refuse_repeats(parameters)
    if method == "grid":
        parameters = tuple(_on_grid(parameter) for parameter in parameters)
    program, command = content.get("program"), content.get("command")
    return Spec(
        method,
        metric,
        parameters,
        _hyperband(content.get("early_terminate")),
        _count("run_cap", content.get("run_cap")),
        _command(command, program),
        program,
        _local(content.get("controller", {"type": "cloud"})),
        content,
    )


def _metric(given: Any) -> Metric:
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise GenlitError("metric: the sweep says not what it seeks; write `metric: {name: fd-lenet, goal: minimize}`")
    known("metric", given, ("name", "goal", "target", "impute", "impute_while_running"))
    target = given.get("target")
    running = str(given.get("impute_while_running", "false")).lower()
    return Metric(
        given["name"],
        _one_of("metric.goal", given.get("goal", "minimize"), GOALS),
        None if target is None else _number("metric.target", target),
        _one_of("metric.impute", given.get("impute", "worst"), IMPUTED),
        None if running == "false" else _one_of("metric.impute_while_running", running, IMPUTED),
    )


def _parameters(tree: dict[str, Any], where: str, prefix: str) -> Iterator[Parameter]:
    """Every parameter in the order of their names; what lies under `parameters` has dotted names."""
    for key, settings in sorted(tree.items(), key=lambda item: str(item[0])):
        place = f"{where}.{key}"
        if not isinstance(settings, dict):
            raise GenlitError(f"{place} is {settings!r}: write `{key}: {{value: {settings!r}}}` for a constant")
        if "parameters" in settings:
            known(place, settings, ("parameters",))
            if not isinstance(settings["parameters"], dict):
                raise GenlitError(f"{place}.parameters must hold parameters by name")
            yield from _parameters(settings["parameters"], f"{place}.parameters", f"{prefix}{key}.")
        else:
            yield _parameter(f"{prefix}{key}", place, settings)


def _parameter(name: str, where: str, settings: dict[str, Any]) -> Parameter:
    distribution = _distribution(where, settings)
    allowed = SETTINGS[distribution]
    given = {key: value for key, value in settings.items() if key != "distribution"}
    known(f"{where} ({distribution})", given, tuple(allowed))
    if missing := [key for key, default in allowed.items() if default is NEEDED and key not in given]:
        raise GenlitError(f"{where}: {distribution} needs {' and '.join(missing)}")
    filled = allowed | given
    _check(where, distribution, filled)
    return Parameter(name, distribution, filled)


def _distribution(where: str, settings: dict[str, Any]) -> str:
    """The distribution that is named, or that W&B infers from the other keys."""
    if "distribution" in settings:
        named = str(settings["distribution"])
        known(f"{where}.distribution", [named], tuple(SETTINGS))
        return named
    if "value" in settings:
        return "constant"
    if "values" in settings:
        return "categorical_w_probabilities" if "probabilities" in settings else "categorical"
    if {"min", "max"} <= settings.keys():
        return "int_uniform" if all(type(settings[key]) is int for key in ("min", "max")) else "uniform"
    known(
        where,
        settings,
        ("value", "values", "probabilities", "min", "max", "distribution", "q", "mu", "sigma", "a", "b"),
    )
    raise GenlitError(f"{where}: give a value, values, min and max, or a distribution ({', '.join(SETTINGS)})")


def _check(where: str, distribution: str, settings: dict[str, Any]) -> None:
    """Refuses settings that no distribution has."""
    if "values" in settings:
        _check_values(where, settings["values"], settings.get("probabilities"))
        return
    if distribution == "constant":
        return
    for key, value in settings.items():
        _number(f"{where}.{key}", value)
        if (key == "sigma" and value < 0) or (key in ("q", "a", "b") and value <= 0):
            raise GenlitError(f"{where}.{key} is {value}: it must be above 0")
        if distribution == "int_uniform" and type(value) is not int:
            raise GenlitError(f"{where}.{key} is {value}: int_uniform takes whole numbers, uniform takes any")
    if "min" in settings and settings["min"] >= settings["max"]:
        raise GenlitError(f"{where}: min {settings['min']} is not below max {settings['max']}")
    if distribution.endswith("_values") and settings["min"] <= 0:
        raise GenlitError(f"{where}.min is {settings['min']}: {distribution} takes values above 0")


def _check_values(where: str, values: Any, probabilities: Any) -> None:
    if not isinstance(values, list) or not values:
        raise GenlitError(f"{where}.values is {values!r}: it must be a list of at least one value")
    if probabilities is None:
        return
    if not isinstance(probabilities, list) or len(probabilities) != len(values):
        raise GenlitError(f"{where}.probabilities must be a list of {len(values)} numbers, one for each value")
    if any(_number(f"{where}.probabilities", each) < 0 for each in probabilities):
        raise GenlitError(f"{where}.probabilities: {min(probabilities)} is below 0")
    if not math.isclose(sum(probabilities), 1, rel_tol=1e-5):
        raise GenlitError(f"{where}.probabilities sum to {sum(probabilities):g}: they must sum to 1")


def _refuse_repeats(parameters: tuple[Parameter, ...]) -> None:
    names = [parameter.name for parameter in parameters]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise GenlitError(f"parameters: {repeated} is given twice, dotted and nested; remove one")


def _on_grid(parameter: Parameter) -> Parameter:
    on_grid = listed(parameter)
    if on_grid.distribution not in ("categorical", "constant"):
        raise GenlitError(
            f"parameters.{parameter.name}: a grid has no {parameter.distribution}; list its values, or choose method: "
            "random"
        )
    return on_grid


def _hyperband(given: Any) -> Hyperband | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        raise GenlitError("early_terminate: write `early_terminate: {type: hyperband, min_iter: 3}`")
    known("early_terminate", given, ("type", "min_iter", "max_iter", "s", "eta", "strict"))
    known("early_terminate.type", [str(given.get("type"))], ("hyperband",))
    eta, strict = _number("early_terminate.eta", given.get("eta", 3)), given.get("strict", True)
    if eta <= 1:
        raise GenlitError(f"early_terminate.eta is {eta}: it must be above 1")
    if not isinstance(strict, bool):
        raise GenlitError(f"early_terminate.strict is {strict!r}: it must be true or false")
    return Hyperband(_bands(given, eta), eta, strict)


def _bands(given: dict[str, Any], eta: float) -> tuple[int, ...]:
    if (longest := _count("early_terminate.max_iter", given.get("max_iter"))) is not None:
        if "s" not in given:
            raise GenlitError("early_terminate.s is missing: with max_iter it says how many bands there are")
        bands = bands_up_to(longest, _number("early_terminate.s", given["s"]), eta)
        if not bands:
            raise GenlitError("early_terminate leaves no band: raise max_iter or s, or lower eta")
        return bands
    if (first := _count("early_terminate.min_iter", given.get("min_iter"))) is None:
        raise GenlitError("early_terminate needs min_iter, or max_iter and s")
    return bands_from(first, eta)


def _command(command: Any, program: str | None) -> list[str] | None:
    if command is None:
        return ["${env}", "${interpreter}", "${program}", "${args}"] if program else None
    if not isinstance(command, list) or not command:
        raise GenlitError("command must be a list of words, such as [python, train.py, '${args}']")
    return [str(word) for word in command]


def _local(controller: Any) -> bool:
    if not isinstance(controller, dict):
        raise GenlitError(f"controller is {controller!r}: write `controller: {{type: local}}`")
    known("controller", controller, ("type",))
    return _one_of("controller.type", controller.get("type"), ("cloud", "local")) == "local"


def _one_of(where: str, value: Any, allowed: tuple[str, ...]) -> str:
    known(where, [str(value)], allowed)
    return str(value)


def _number(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise GenlitError(f"{where} is {value!r}: it must be a finite number")
    return value


def _count(where: str, value: Any) -> int | None:
    if value is not None and (type(value) is not int or value < 1):
        raise GenlitError(f"{where} is {value!r}: it must be a whole number of at least 1")
    return value
