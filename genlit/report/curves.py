"""Curves over images seen: a small chart for each metric, with all runs in it, as paths of SVG."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from matplotlib.ticker import LogLocator, MaxNLocator

from genlit.report.gather import Run

WIDTH, HEIGHT = 320, 180  # of a chart, in its own units
LEFT, RIGHT, TOP, BOTTOM = 46, 312, 10, 156  # the plot's edges
COLOURS = 8  # of runs, after which they begin again
POINTS = 240  # of a curve at most; of many runs fewer
SPOKEN = 4  # curves that a chart's description tells of
DECADES = 100  # a chart of positive values that span more than this factor is logarithmic
LOSSES, MEASURED, RATES, THROUGHPUT = "Losses of ", "Measured while training", "Learning rates", "Throughput"

Place = tuple[str, str, str]  # group, title, protocol


@dataclass(frozen=True)
class Curve:
    """A metric of a run.

    Attributes:
        run: its position among the page's runs.
        held_out: whether it is of validation images.
        points: (images, value); None where a value was not finite.
        values: all finite ones, before any were averaged.
        averaged: how many records make a point.
    """

    run: int
    held_out: bool
    points: list[tuple[float, float | None]]
    values: list[float]
    averaged: int

    @property
    def summary(self) -> dict[str, float]:
        """First, lowest, highest and last value."""
        return {
            "first": self.values[0],
            "lowest": min(self.values),
            "highest": max(self.values),
            "last": self.values[-1],
        }


@dataclass(frozen=True)
class Chart:
    """A metric of several runs, ready to be drawn.

    Attributes:
        group: under which it stands.
        title: of the metric.
        protocol: what its name says besides.
        curves: of the runs.
        end: images at the right edge.
    """

    group: str
    title: str
    protocol: str
    curves: list[Curve]
    end: float

    @property
    def name(self) -> str:
        """By which it is told from all other charts."""
        return ", ".join(filter(None, (self.group, self.title, self.protocol)))

    @property
    def averaged(self) -> int:
        """How many records make a point, at most."""
        return max(curve.averaged for curve in self.curves)

    @property
    def data(self) -> list[dict[str, Any]]:
        """What the page's script needs of the curves."""
        return [
            {
                "colour": curve.run % COLOURS,
                "held_out": curve.held_out,
                "points": [(x, None if y is None else float(f"{y:.5g}")) for x, y in curve.points],
            }
            for curve in self.curves
        ]

    def spoken(self, runs: list[Run]) -> str:
        """The chart in words, for those who do not see it; of many runs how many there are."""
        if len(self.curves) > SPOKEN:
            return f"{self.name} over images seen, {len(self.curves)} curves; their numbers are in the table below"
        return f"{self.name} over images seen. {'; '.join(_spoken(curve, runs) for curve in self.curves)}"

    @property
    def logarithmic(self) -> bool:
        """Whether the vertical axis is."""
        low, high = self._range
        return low > 0 and high > DECADES * low

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Heights and labels on the vertical axis."""
        low, high = self._range
        locator = LogLocator(numticks=5) if self.logarithmic else MaxNLocator(4, steps=[1, 2, 5, 10])
        return [(self.y(tick), short(tick)) for tick in locator.tick_values(low, high) if low <= tick <= high]

    @property
    def times(self) -> list[tuple[float, str]]:
        """Places and labels on the horizontal axis."""
        ticks = MaxNLocator(4).tick_values(0, self.end)
        return [(self.x(tick), short(tick)) for tick in ticks if 0 <= tick <= self.end]

    def path(self, curve: Curve) -> str:
        """A curve as SVG's path, broken where a value was not finite."""
        return " ".join(_stroke([(self.x(x), self.y(y)) for x, y in part]) for part in _unbroken(curve.points))

    def x(self, images: float) -> float:
        """The place of a number of images."""
        return LEFT + (RIGHT - LEFT) * images / self.end

    def y(self, value: float) -> float:
        """The height of a value."""
        scale = math.log10 if self.logarithmic else float
        low, high, value = (scale(each) for each in (*self._range, value))
        return BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low)

    @cached_property
    def _range(self) -> tuple[float, float]:
        values = [y for curve in self.curves for _, y in curve.points if y is not None]
        low, high = min(values), max(values)
        if low == high:
            margin = abs(low) / 10 or 1.0
            return low - margin, high + margin
        return low, high


def charts(runs: list[Run]) -> list[Chart]:
    """The charts of all metrics: losses player by player, what was measured, rates, throughput."""
    end = max((run.images for run in runs), default=0) or 1
    found: dict[Place, list[Curve]] = defaultdict(list)
    for index, run in enumerate(runs):
        for name in dict.fromkeys(name for record in run.records for name in record):
            place, held_out = _place(name)
            if place and (curve := _curve(run, index, name, held_out, _points(len(runs)))):
                found[place].append(curve)
    return [Chart(*place, found[place], end) for place in sorted(found, key=_order)]


def short(value: float) -> str:
    """A number in few characters: 12k, 1.5M, 0.00025."""
    for unit, least, size in (("M", 1e6, 1e6), ("k", 1e4, 1e3)):
        if abs(value) >= least:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}"


def _place(name: str) -> tuple[Place | None, bool]:
    """Where a metric is shown, and whether it is of validation; an axis is not shown."""
    match name.split("/"):
        case ["progress", *_]:
            return None, False
        case ["train" | "val" as stage, player, *term]:
            return (f"{LOSSES}{player}", _words("/".join(term) or player), ""), stage == "val"
        case ["rate", player]:
            return (RATES, player, ""), False
        case ["throughput", *what]:
            return (THROUGHPUT, _words("/".join(what)), ""), False
        case [metric, *protocol]:
            return (MEASURED, metric, "/".join(protocol)), False


def _order(place: Place) -> tuple[int, str]:
    """Losses player by player, measurements, rates, throughput; otherwise as they come."""
    groups = (LOSSES, MEASURED, RATES, THROUGHPUT)
    return next(i for i, group in enumerate(groups) if place[0].startswith(group)), place[0]


def _points(runs: int) -> int:
    """Points of a curve, fewer where many runs share the page."""
    return max(20, POINTS * COLOURS // max(COLOURS, runs))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _curve(run: Run, index: int, name: str, held_out: bool, limit: int) -> Curve | None:
    """A metric of a run, in means of as many records as keep its points few; None without a finite value."""
    points = [(record["progress/images"], record[name]) for record in run.records if name in record]
    values = [value for _, value in points if value is not None]
    averaged = math.ceil(len(points) / limit)
    means = [_mean(points[start : start + averaged]) for start in range(0, len(points), averaged)]
    return Curve(index, held_out, means, values, averaged) if values else None


def _mean(points: list[tuple[float, float | None]]) -> tuple[float, float | None]:
    """The last place of some points, and the mean of their finite values."""
    values = [value for _, value in points if value is not None]
    return points[-1][0], sum(values) / len(values) if values else None


def _spoken(curve: Curve, runs: list[Run]) -> str:
    whose = f"{runs[curve.run].name}, " if len(runs) > 1 else ""
    numbers = ", ".join(f"{name} {short(value)}" for name, value in curve.summary.items())
    return f"{whose}{'validation' if curve.held_out else 'training'}: {numbers}"


def _unbroken(points: list[tuple[float, float | None]]) -> Iterable[list[tuple[float, float]]]:
    return (list(part) for finite, part in groupby(points, lambda point: point[1] is not None) if finite)


def _stroke(points: list[tuple[float, float]]) -> str:
    """A line through points; of one point a dot, which a round line cap shows."""
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f"M{line}" if len(points) > 1 else f"M{line} h0"
