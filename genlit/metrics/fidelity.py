"""How generated images compare with real ones: every metric from one pass over each set."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from genlit.engine.processes import agreed, broadcast, rank
from genlit.errors import GenlitError, known
from genlit.metrics.distances.frechet import Moments, fd_infinity, frechet, require_comparable
from genlit.metrics.distances.kernel import kernel_distance
from genlit.metrics.distances.neighbours import K_DENSITY, K_MANIFOLD, authenticity, neighbourhoods
from genlit.metrics.distances.score import SPLITS
from genlit.metrics.extractors.base import Extractor
from genlit.metrics.measure import Measure, timed
from genlit.metrics.references import reference, summarise
from genlit.metrics.sets import ImageSet, Pictures, Stored
from genlit.metrics.statistics import Summary

CLOSEST = 16  # samples that are told, with the image that each is nearest to and the distance


@dataclass(frozen=True)
class Pair:
    """Generated images, the real ones to compare them with, and those that they may be copies of."""

    generated: Summary
    real: Summary
    seen: Summary | None = None


def _frechet(pair: Pair) -> Iterator[Measure]:
    distance = frechet(pair.generated.moments, pair.real.moments)
    yield _row("fid", distance.value, negative_spectrum=distance.negative)


def _floor(pair: Pair) -> Iterator[Measure]:
    """The distance of as many training images: what no model of this many samples need be asked to go below."""
    real = Moments.of(pair.seen.features[: pair.generated.moments.n])
    yield Measure("fid-floor", frechet(real, pair.real.moments).value, real.n)


def _infinity(pair: Pair) -> Iterator[Measure]:
    yield _row("fid-infinity", fd_infinity(pair.generated.features, pair.real.moments))


def _kernel(pair: Pair) -> Iterator[Measure]:
    distance = kernel_distance(pair.generated.features, pair.real.features)
    drawn = distance.size < max(len(pair.generated.features), len(pair.real.features))  # else all subsets are the same
    yield _row("kid", distance.mean, subset_size=distance.size, **({"std": distance.std} if drawn else {}))


def _score(pair: Pair) -> Iterator[Measure]:
    score = pair.generated.score
    yield _row("is", score.mean, std=score.std, splits=SPLITS)


def _neighbours(pair: Pair) -> Iterator[Measure]:
    found = neighbourhoods(pair.generated.features, pair.real.features, pair.real.radii)
    for metric in ("precision", "recall"):
        yield _row(metric, getattr(found, metric), k=K_MANIFOLD)
    for metric in ("density", "coverage"):
        yield _row(metric, getattr(found, metric), k=K_DENSITY)


def _authenticity(pair: Pair) -> Iterator[Measure]:
    seen = pair.seen or pair.real
    told = {"against": "train", "n_real": pair.seen.moments.n} if pair.seen else {}
    found = authenticity(pair.generated.features, seen.features)
    distances, samples = found.distance.topk(min(CLOSEST, len(found.distance)), largest=False)
    closest = list(zip(samples.tolist(), found.nearest[samples].tolist(), distances.tolist(), strict=True))
    yield _row("authenticity", found.share, closest=closest, **told)


def _diversity(pair: Pair) -> Iterator[Measure]:
    """tr Σ_generated / tr Σ_real: 1 where generated images are as different from each other as real ones are."""
    if not (spread := pair.real.moments.trace):
        raise GenlitError("the real images are all alike: there is nothing to compare with")
    yield _row("diversity", pair.generated.moments.trace / spread)


def _row(metric: str, value: float, **details: Any) -> Measure:
    return Measure(metric, value, 0, details)


METRICS: dict[str, Callable[[Pair], Iterator[Measure]]] = {
    "fid": _frechet, "fid-floor": _floor, "diversity": _diversity, "kid": _kernel, "precision": _neighbours,
    "recall": _neighbours, "density": _neighbours, "coverage": _neighbours, "authenticity": _authenticity,
    "is": _score, "fid-infinity": _infinity,
}  # fmt: skip
STREAMED = ("fid", "diversity", "is")  # these need no feature to be kept
PUBLISHED = ("fid", "diversity")  # these need no image to compare with


def compare(
    generated: ImageSet,
    real: Stored | Pictures | Summary,
    extractor: Extractor,
    metrics: Iterable[str],
    *,
    root: Path,
    against: str,
    seen: Stored | None = None,
) -> list[Measure]:
    """Measures generated images against real ones; the same numbers in every process, all of which must call it.

    Args:
        generated: every image goes through the extractor once, whatever is measured.
        real: the images to compare with, or their published statistics: these serve `fid` and `diversity` alone, and
            the names say `-published`, because nobody knows their protocol.
        extractor: of the features.
        metrics: names of METRICS.
        root: of the data, for the cache of real statistics.
        against: the split or set that the names carry.
        seen: images that the model was trained on, for `authenticity`; `real` by default.

    Raises:
        GenlitError: a metric is unknown, or cannot be had from these weights or statistics.
    """
    metrics = list(metrics)
    _refuse(metrics, generated, real, extractor, seen)
    features = not set(metrics) <= set(STREAMED)
    begin = time.perf_counter()
    summary = real if isinstance(real, Summary) else reference(real, extractor, root, features=features)
    asked = seen if {"authenticity", "fid-floor"} & set(metrics) else None
    training = reference(asked, extractor, root, features=True) if asked else None
    middle = time.perf_counter()
    drawn = summarise(generated, extractor, features=features, score="is" in metrics)
    shared = time.perf_counter() - middle
    with agreed():
        measures = None
        if rank() == 0:
            details = {"n_real": summary.moments.n, "against": against, "real_seconds": round(middle - begin, 3)}
            rows = _rows(Pair(drawn, summary, training), metrics, shared)
            theirs = "-published" if isinstance(real, Summary) else ""
            measures = [_named(row, extractor, len(generated), details, theirs) for row in rows]
    return broadcast(measures)


def allowed(extractor: Extractor, n: int, n_real: int) -> tuple[str, ...]:
    """The metrics that an extractor and so many images allow.

    Args:
        extractor: of the features.
        n: generated images.
        n_real: real ones.
    """
    enough = [metric for metric in METRICS if n >= least(metric, extractor)]
    enough = [metric for metric in enough if METRICS[metric] is not _neighbours or n_real > K_DENSITY]
    return tuple(metric for metric in enough if metric != "is" or extractor.classes)


def least(metric: str, extractor: Extractor) -> int:
    """How many generated images a metric needs."""
    if METRICS[metric] is _neighbours:
        return K_DENSITY + 1
    return {"is": SPLITS, "fid-infinity": 2 * (extractor.width + 1)}.get(metric, 2)


def _refuse(
    metrics: list[str], generated: ImageSet, real: ImageSet | Summary, extractor: Extractor, seen: Stored | None
) -> None:
    """Refuses what cannot be measured, before any image is looked at."""
    known("metrics", metrics, METRICS)
    for metric in metrics:
        if isinstance(real, Summary) and metric not in PUBLISHED:
            raise GenlitError(f"published statistics allow fid and diversity, not {metric}: give the images")
        if metric == "is" and extractor.classes is None:
            raise GenlitError(f"the weights of {extractor.family} lack the final layer that the Inception Score needs")
        if metric == "fid-floor" and seen is None:
            raise GenlitError("fid-floor compares training images with real ones: it can be measured of a run alone")
        if len(generated) < (needed := least(metric, extractor)):
            raise GenlitError(f"{metric} needs at least {needed} images, and there are {len(generated)}")
    if isinstance(real, Summary):
        require_comparable(torch.empty(1, extractor.width), real.moments.mean[None], 1)


def named(metric: str, extractor: Extractor, n: int, against: str) -> str:
    """A metric's name with its protocol; only FID's own network and resize make a Fréchet distance `fid`.

    `fid/inception-tf1.n10000.test`, `fd-lenet/1a2b3c4d.n2000.test`, `kid/lenet-1a2b3c4d.n2000.test`.
    """
    protocol = f"{extractor.family}-{extractor.variant}"
    if metric.startswith("fid") and not extractor.genuine:
        metric, protocol = metric.replace("fid", f"fd-{extractor.family}"), extractor.variant
    return f"{metric}/{protocol}.n{n}.{against}"


def _rows(pair: Pair, metrics: list[str], shared: float) -> list[Measure]:
    """The metrics asked for, by their own names; what gives several of them is called once."""
    functions = dict.fromkeys(METRICS[metric] for metric in metrics)
    rows = [row for give in functions for row in timed(partial(give, pair), shared)]
    return [row for row in rows if row.name in metrics]


def _named(row: Measure, extractor: Extractor, n: int, details: dict[str, Any], suffix: str) -> Measure:
    n, details = row.n or n, details | row.details
    name = named(row.name + suffix, extractor, n, details["against"])
    return replace(row, name=name, n=n, details=details)
