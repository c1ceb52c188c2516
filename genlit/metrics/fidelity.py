"""How generated images compare with real ones: every metric from one pass over each set."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genlit.engine.play import known
from genlit.engine.processes import broadcast, rank
from genlit.errors import GenlitError
from genlit.metrics.extractors.base import Extractor
from genlit.metrics.frechet import fd_infinity, frechet
from genlit.metrics.kernel import kernel_distance
from genlit.metrics.measure import Measure, timed
from genlit.metrics.neighbours import authenticity, neighbourhoods
from genlit.metrics.references import reference, summarise
from genlit.metrics.score import SPLITS
from genlit.metrics.sets import ImageSet, Pictures, Stored
from genlit.metrics.statistics import Summary

Row = tuple[str, float, dict[str, Any]]  # metric, value, details


@dataclass(frozen=True)
class Pair:
    """Generated images, the real ones to compare them with, and those that they may be copies of."""

    generated: Summary
    real: Summary
    seen: Summary | None = None


def _frechet(pair: Pair) -> Iterator[Row]:
    distance = frechet(pair.generated.moments, pair.real.moments)
    yield "fid", distance.value, {"negative_spectrum": distance.negative}


def _infinity(pair: Pair) -> Iterator[Row]:
    yield "fid-infinity", fd_infinity(pair.generated.features, pair.real.moments), {}


def _kernel(pair: Pair) -> Iterator[Row]:
    distance = kernel_distance(pair.generated.features, pair.real.features)
    drawn = distance.size < max(len(pair.generated.features), len(pair.real.features))  # else all subsets are the same
    yield "kid", distance.mean, {"subset_size": distance.size} | ({"std": distance.std} if drawn else {})


def _score(pair: Pair) -> Iterator[Row]:
    score = pair.generated.score
    yield "is", score.mean, {"std": score.std, "splits": SPLITS}


def _neighbours(pair: Pair) -> Iterator[Row]:
    found = neighbourhoods(pair.generated.features, pair.real.features, pair.real.radii)
    for metric, k in zip(found._fields, (*found.k[:1] * 2, *found.k[1:] * 2), strict=False):
        yield metric, getattr(found, metric), {"k": k}


def _authenticity(pair: Pair) -> Iterator[Row]:
    seen = pair.seen or pair.real
    yield "authenticity", authenticity(pair.generated.features, seen.features).share, {"n_seen": seen.moments.n}


def _diversity(pair: Pair) -> Iterator[Row]:
    """tr Σ_generated / tr Σ_real: 1 where generated images are as different from each other as real ones are."""
    yield "diversity", pair.generated.moments.trace / pair.real.moments.trace, {}


METRICS: dict[str, Callable[[Pair], Iterator[Row]]] = {
    "fid": _frechet, "diversity": _diversity, "kid": _kernel, "precision": _neighbours, "recall": _neighbours,
    "density": _neighbours, "coverage": _neighbours, "authenticity": _authenticity, "is": _score,
    "fid-infinity": _infinity,
}  # fmt: skip
STREAMED = ("fid", "diversity", "is")  # these need no feature to be kept
USUAL = tuple(metric for metric in METRICS if metric != "fid-infinity")


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
        real: the images to compare with, or their published statistics, which serve `fid` and `diversity` alone.
        extractor: of the features.
        metrics: names of METRICS.
        root: of the data, for the cache of real statistics.
        against: the split or set that the names carry.
        seen: images that the model was trained on, for `authenticity`; `real` by default.

    Raises:
        GenlitError: a metric is unknown, or cannot be had from these weights or statistics.
    """
    metrics = list(metrics)
    known("metrics", metrics, METRICS)
    features = not set(metrics) <= set(STREAMED)
    if isinstance(real, Summary) and set(metrics) - {"fid", "diversity"}:
        raise GenlitError(f"published statistics allow fid and diversity, not {', '.join(metrics)}: give the images")
    begin = time.perf_counter()
    summary = real if isinstance(real, Summary) else reference(real, extractor, root, features=features)
    asked = seen if "authenticity" in metrics else None
    training = reference(asked, extractor, root, features=True) if asked else None
    middle = time.perf_counter()
    drawn = summarise(generated, extractor, features=features, score="is" in metrics)
    passes = {"real_seconds": round(middle - begin, 3), "pass_seconds": round(time.perf_counter() - middle, 3)}
    if rank():
        return broadcast(None)
    shared = {"n_real": summary.moments.n, "against": against} | passes

    def measure(row: Row) -> Measure:
        metric, value, details = row
        return Measure(named(metric, extractor, len(generated), against), value, len(generated), details | shared)

    return broadcast(_measured(Pair(drawn, summary, training), metrics, measure))


def named(metric: str, extractor: Extractor, n: int, against: str) -> str:
    """A metric's name with its protocol; only FID's own network and resize make a Fréchet distance `fid`.

    `fid/inception-tf1.n10000.test`, `fd-lenet/1a2b3c4d.n2000.test`, `kid/lenet-1a2b3c4d.n2000.test`.
    """
    protocol = f"{extractor.family}-{extractor.variant}"
    if metric.startswith("fid") and not extractor.genuine:
        metric, protocol = metric.replace("fid", f"fd-{extractor.family}"), extractor.variant
    return f"{metric}/{protocol}.n{n}.{against}"


def _measured(pair: Pair, metrics: list[str], measure: Callable[[Row], Measure]) -> list[Measure]:
    """Calls what gives the metrics asked for, each once."""
    functions = dict.fromkeys(METRICS[metric] for metric in metrics)
    rows = (timed(lambda give=give: [measure(row) for row in give(pair) if row[0] in metrics]) for give in functions)
    return [row for group in rows for row in group]
