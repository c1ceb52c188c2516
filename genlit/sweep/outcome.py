"""What a sweep leaves behind: the trials as a table, the best as an experiment, and what mattered."""

import csv
import io
import warnings
from collections import Counter
from typing import Any

import numpy as np
import optuna
import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.table import Table

from genlit.files import write
from genlit.sweep import search
from genlit.sweep.journal import Journal, folder_of, logged
from genlit.sweep.schema import Metric, Spec
from genlit.sweep.space import Parameter

SHOWN = 10  # trials on the terminal
TICKS = 5  # values beside an axis

Row = tuple[FrozenTrial, float | None]


def write_outcome(journal: Journal, spec: Spec, based_on: list[str], flags: list[str]) -> None:
    """Writes trials.csv and, where a trial is complete, best.yaml and parameters.png; prints the best trials.

    Args:
        journal: the sweep's.
        spec: what was searched.
        based_on: the experiment and its overlays.
        flags: that every trial had beside its parameters.
    """
    rows = ranked(journal, spec.metric)
    write(journal.folder / "trials.csv", _csv(journal, spec, rows))
    complete = [trial for trial, _ in rows if trial.state == TrialState.COMPLETE]
    importances = _importances(journal.study) if complete else {}
    if complete:
        write(journal.folder / "best.yaml", _experiment(journal, spec, complete[0], based_on, flags))
        write(journal.folder / "parameters.png", picture(spec, rows, importances))
    _show(journal, spec, rows, importances)


def ranked(journal: Journal, metric: Metric) -> list[Row]:
    """Every trial with the best value that it logged: complete ones first, the best first."""
    rows = [(each, search.best(metric, logged(folder_of(journal, each.number), metric))) for each in journal.trials]
    return sorted(rows, key=lambda row: _rank(metric, *row))


def _rank(metric: Metric, trial: FrozenTrial, value: float | None) -> tuple[bool, float, int]:
    worth = float("inf") if value is None else metric.sign * value
    return (trial.state != TrialState.COMPLETE, worth, trial.number)


def _csv(journal: Journal, spec: Spec, rows: list[Row]) -> str:
    names = [parameter.name for parameter in spec.parameters]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["trial", "state", spec.metric.name, "seconds", *names, "reason"])
    for trial, value in sorted(rows, key=lambda row: row[0].number):
        values = trial.user_attrs["parameters"]
        told = [folder_of(journal, trial.number).name, trial.state.name.lower(), value, _seconds(trial)]
        table.writerow([*told, *(values[name] for name in names), trial.user_attrs.get("reason", "")])
    return text.getvalue()


def _seconds(trial: FrozenTrial) -> float | None:
    return round(trial.duration.total_seconds(), 1) if trial.duration else None


def _experiment(journal: Journal, spec: Spec, best: FrozenTrial, based_on: list[str], flags: list[str]) -> str:
    """The best trial's parameters as what they change of the experiment."""
    folder = folder_of(journal, best.number)
    args = f' ARGS="{" ".join(flags)}"' if flags else ""
    told = f"# {folder}: {spec.metric.name} {best.value:.6g}, the best of {len(journal.trials)} trials.\n"
    told += f"# make train EXP={journal.folder / 'best.yaml'}{args}\n"
    return told + yaml.safe_dump({"based_on": based_on} | nested(best.user_attrs["parameters"]), sort_keys=False)


def nested(parameters: dict[str, Any]) -> dict[str, Any]:
    """`{"model.lr": 1}` as `{"model": {"lr": 1}}`."""
    tree: dict[str, Any] = {}
    for name, value in parameters.items():
        *sections, key = name.split(".")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[key] = value
    return tree


def _importances(study: optuna.Study) -> dict[str, float]:
    """How much of the metric's variation each parameter explains; empty where that cannot be told."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return optuna.importance.get_param_importances(study)
        except (ValueError, RuntimeError):  # a single trial, or all alike
            return {}


def picture(spec: Spec, rows: list[Row], importances: dict[str, float]) -> bytes:
    """Parallel coordinates: an axis per parameter, even in its distribution, and a line per trial, the best on top.

    Args:
        spec: what was searched.
        rows: trials with their values.
        importances: of the parameters, by name.
    """
    searched = [parameter for parameter in spec.parameters if parameter.distribution != "constant"]
    drawn = [row for row in reversed(rows) if row[1] is not None]
    figure = Figure(figsize=(2.2 * (len(searched) + 1) + 1.5, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    colours = ScalarMappable(_scale([value for _, value in drawn]), "viridis" if spec.metric.sign < 0 else "viridis_r")
    _draw_trials(axes, searched, drawn, colours)
    for position, parameter in enumerate(searched):
        _draw_axis(axes, position, parameter)
    axes.set_xticks(range(len(searched) + 1), [*(_titled(each.name, importances) for each in searched), ""])
    axes.set_yticks([])
    axes.set_xlim(-0.5, len(searched) + 0.05)
    axes.set_ylim(-0.04, 1.04)
    axes.spines[:].set_visible(False)
    axes.set_title(f"{len(rows)} trials; dotted: not complete; %: share of the variation", fontsize=10)
    figure.colorbar(colours, ax=axes, label=f"{spec.metric.name} ({spec.metric.goal})", pad=0)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return file.getvalue()


def _draw_trials(axes: Any, searched: list[Parameter], drawn: list[Row], colours: ScalarMappable) -> None:
    """A line of each trial through its parameters to its value."""
    for trial, value in drawn:
        heights = [_height(parameter, trial.params[parameter.name]) for parameter in searched]
        style = {"color": colours.to_rgba(value), "alpha": 0.85, "linewidth": 1.6}
        dashed = {} if trial.state == TrialState.COMPLETE else {"linestyle": ":"}
        axes.plot(range(len(searched) + 1), [*heights, float(colours.norm(value))], **style, **dashed)


def _scale(values: list[float]) -> Normalize:
    low, high = min(values), max(values)
    return Normalize(low, high if high > low else low + 1)


def _draw_axis(axes: Any, position: int, parameter: Parameter) -> None:
    axes.axvline(position, color="0.3", linewidth=1)
    for coordinate in _ticks(parameter):
        height, text = _height(parameter, coordinate), _text(parameter.value(coordinate))
        axes.annotate(text, (position, height), (-4, 0), textcoords="offset points", ha="right", va="center", size=8)


def _ticks(parameter: Parameter) -> list:
    """Coordinates to write values at."""
    axis = search.space([parameter])[parameter.name]
    if isinstance(axis, optuna.distributions.CategoricalDistribution):
        return list(axis.choices)
    if isinstance(axis, optuna.distributions.IntDistribution):
        return sorted({int(each) for each in np.linspace(axis.low, axis.high, TICKS)})
    return list(np.linspace(0, 1, TICKS))


def _height(parameter: Parameter, coordinate: float) -> float:
    """A coordinate as a height in [0, 1]."""
    axis = search.space([parameter])[parameter.name]
    if isinstance(axis, optuna.distributions.CategoricalDistribution):
        return coordinate / max(1, len(axis.choices) - 1)
    return (coordinate - axis.low) / max(1, axis.high - axis.low)


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)[:20]


def _titled(name: str, importances: dict[str, float]) -> str:
    return f"{name}\n{importances[name]:.0%}" if name in importances else name


def _show(journal: Journal, spec: Spec, rows: list[Row], importances: dict[str, float]) -> None:
    names = [parameter.name for parameter in spec.parameters if parameter.distribution != "constant"]
    counts = Counter(trial.state.name.lower() for trial, _ in rows)
    said = ", ".join(f"{count} {state}" for state, count in counts.items())
    table = Table("trial", spec.metric.name, *(_titled(name, importances) for name in names), title=f"{said}")
    for trial, value in [row for row in rows if row[1] is not None][:SHOWN]:
        values = [_text(trial.user_attrs["parameters"][name]) for name in names]
        table.add_row(folder_of(journal, trial.number).name, f"{value:.6g}", *values)
    console = Console()
    console.print(table)
    if counts["complete"]:
        console.print(f"make train EXP={journal.folder / 'best.yaml'}", soft_wrap=True, highlight=False)
