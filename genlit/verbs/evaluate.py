"""`genlit eval`: what a trained model's capabilities allow to be measured, with its protocol and cost."""

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from genlit import config, runs
from genlit.capabilities import Bounds, Encodes, HasDensity, Reconstructs, Samples, Translates
from genlit.data import Source
from genlit.data.store import data_root
from genlit.data.toy import Mixture
from genlit.errors import GenlitError
from genlit.files import write
from genlit.loading import load
from genlit.logging.media import png, side_by_side
from genlit.metrics import translation
from genlit.metrics.extractors import Extractor, extractor, usual
from genlit.metrics.fidelity import USUAL, compare
from genlit.metrics.held_out import held_out_terms
from genlit.metrics.likelihood import likelihoods
from genlit.metrics.measure import Measure, timed
from genlit.metrics.modes import modes
from genlit.metrics.posterior import aggregated_posterior
from genlit.metrics.reconstruction import reconstructions
from genlit.metrics.references import published
from genlit.metrics.sets import Drawn, Pictures, Stored, Translated, opened
from genlit.metrics.statistics import Summary
from genlit.model import GenerativeModel

log = logging.getLogger("genlit")

ALONE = ("fid", "kid", "precision", "recall", "density", "coverage")  # what folders are compared by


@dataclass(frozen=True)
class Request:
    """What to measure, and how.

    Args:
        split: of the data, for comparison.
        n: samples; by default as many as there are real images.
        seed: of samples and draws.
        metrics: of fidelity; all usual ones by default.
        extractor: its name; by default FID's own network for colour images where its weights lie, else lenet.
        weights: a file of the extractor's weights.
        device: where models and extractors run.
    """

    split: str = "test"
    n: int | None = None
    seed: int = 0
    metrics: tuple[str, ...] | None = None
    extractor: str | None = None
    weights: str | None = None
    device: str = "cpu"


def evaluate(
    run: str, request: Request | None = None, *, out: str | None = None, trust: tuple[str, ...] = ()
) -> list[Measure]:
    """Measures a run's checkpoint (averaged weights); prints a table and saves it in the run folder.

    Args:
        run: a run folder, an experiment's name or a checkpoint; `RUN@best` for the best in training.
        request: what to measure.
        out: where the table goes; `eval-<split>.json` (`eval-<split>@best.json`) in the run folder by default.
        trust: packages of the user's own.

    Raises:
        GenlitError: there is no such run, its data are gone, or the experiment's claim does not hold.
    """
    request = request or Request()
    path = runs.resolve(run)
    folder, model = path.parent.parent, load(path, device=request.device, trust=trust)
    settings = config.parse([folder / "config.yaml"], [])
    source = config.source(settings)
    network = _network(model, source, request)
    measured = [row for measure in measures(model, source, request, network) for row in _measured(measure, request)]
    claim = _claim(settings.claim, measured, request)
    about = {"run": str(folder), "checkpoint": path.name, "iteration": model.iteration, "images": model.images}
    about |= {"split": request.split, "seed": request.seed, "claim": claim}
    about |= {"extractor": network.identity} if network else {}
    name = f"eval-{request.split}{'@best' if run.endswith('@best') else ''}.json"
    _report(str(path), measured, about, Path(out) if out else folder / name)
    _show_closest(folder / "pictures" / "closest.png", model, source, request, measured)
    if claim is False:
        raise GenlitError(f"{path} does not hold the experiment's claim: {settings.claim.as_dict()}")
    return measured


def compare_sets(images: str, against: str, request: Request | None = None, *, out: str | None = None) -> list[Measure]:
    """Compares two folders or .npz files of images, without any model; prints a table.

    Args:
        images: the generated ones.
        against: the real ones; an .npz file of `mu` and `sigma` holds others' statistics of them.
        request: what to measure, and by which network: FID's own by default.
        out: a file for the table.

    Raises:
        GenlitError: a file cannot be read, or the network cannot be had.
    """
    request = request or Request()
    generated, real = opened(images, request.n), _real(against)
    network = extractor(request.extractor or "inception", weights=request.weights).to(request.device)
    metrics = request.metrics or (("fid",) if isinstance(real, Summary) else ALONE)
    against = f"vs-{Path(against).expanduser().resolve().stem}"
    measured = compare(generated, real, network, metrics, root=data_root(), against=against)
    about = {"images": images, "against": against, "extractor": network.identity}
    _report(f"{images} {against}", measured, about, Path(out) if out else None)
    return measured


def measures(
    model: GenerativeModel, source: Source, request: Request, network: Extractor | None
) -> list[Callable[[], Iterable[Measure]]]:
    """What this model on these data allows; of fidelity alone where metrics are named."""
    fidelity = []
    if network:
        compared = _of_translations if isinstance(model, Translates) else _of_samples
        fidelity.append(lambda: compared(model, source, request, network))
    if request.metrics:
        return fidelity
    split, offered = request.split, [lambda: held_out_terms(model, source, request.split)]
    if isinstance(model, Bounds | HasDensity):
        offered.append(lambda: likelihoods(model, source, split, seed=request.seed))
    if isinstance(model, Reconstructs):
        offered.append(lambda: reconstructions(model, source, split, seed=request.seed))
    if isinstance(model, Encodes):
        offered.append(lambda: aggregated_posterior(model, source, split, seed=request.seed))
    if isinstance(model, Samples) and isinstance(source, Mixture):
        offered.append(lambda: modes(model, source, request.n or 10_000, request.seed))
    if isinstance(model, Translates):
        offered.append(lambda: translation.cycle_errors(model, source, split))
    if isinstance(model, Translates) and source.paired(split):
        offered.append(lambda: translation.paired_errors(model, source, split))
    return offered + fidelity


def _measured(measure: Callable[[], Iterable[Measure]], request: Request) -> list[Measure]:
    """The rows of a measure; what cannot be measured is told, and refused only if it was asked for by name."""
    try:
        return timed(measure)
    except GenlitError as error:
        if request.metrics or request.extractor:
            raise
        log.warning("not measured: %s", error)
        return []


def _of_samples(model: Samples, source: Source, request: Request, network: Extractor) -> list[Measure]:
    """Fidelity of samples to a split."""
    real = Stored.of(source, request.split)
    drawn = Drawn(model, request.n or len(real), request.seed)
    metrics = request.metrics or _given_by(network)
    seen = Stored.of(source, "train", limit=10_000)
    return compare(drawn, real, network, metrics, root=source.root, against=request.split, seen=seen)


def _of_translations(model: Translates, source: Source, request: Request, network: Extractor) -> list[Measure]:
    """KID first: test sets for translation are small, where a Fréchet distance says little."""
    split, metrics, measured = request.split, request.metrics or ("kid", "fid"), []
    for origin, target in translation.directions(model):
        images = Translated(model, Stored.of(source, split, origin), target)
        real, against = Stored.of(source, split, target), f"{origin}-to-{target}.{split}"
        measured += compare(images, real, network, metrics, root=source.root, against=against)
    return measured


def _network(model: GenerativeModel, source: Source, request: Request) -> Extractor | None:
    """What fidelity is measured by; None where there is nothing to measure, or nothing to measure it by."""
    pictures = isinstance(model, Samples | Translates) and not isinstance(source, Mixture)
    if pictures and (name := request.extractor or usual(source, request.weights)):
        return extractor(name, source=source, weights=request.weights).to(request.device)
    reason = "the data have no labels for lenet, and FID's network needs its weights: --weights=FILE"
    if not pictures:
        reason = f"{type(model).__name__} makes no pictures of {type(source).__name__}"
    if request.metrics:
        raise GenlitError(f"{', '.join(request.metrics)} cannot be measured: {reason}")
    if pictures:
        log.warning("no fidelity is measured: %s", reason)
    return None


def _given_by(network: Extractor) -> tuple[str, ...]:
    return tuple(metric for metric in USUAL if metric != "is" or network.classes)


def _real(against: str) -> Stored | Pictures | Summary:
    path = Path(against).expanduser()
    return (published(path) if path.suffix == ".npz" else None) or opened(path)


def _report(title: str, measured: list[Measure], about: dict[str, Any], out: Path | None) -> None:
    table = Table(title=title, caption=_said_of(about.get("extractor", {})))
    table.add_column("metric", overflow="fold")
    for column in ("value", "±", "n", "seconds"):
        table.add_column(column, justify="right", no_wrap=True)  # a narrow screen may cut no number
    for row in measured:
        spread = f"{row.details['std']:.2g}" if "std" in row.details else ""
        table.add_row(row.name, f"{row.value:.6g}", spread, str(row.n), f"{row.seconds:.3g}")
    Console().print(table)
    if out:
        record = about | {"metrics": [row.record() for row in measured]}
        write(out, json.dumps(record, indent=2) + "\n")


def _show_closest(
    file: Path, model: GenerativeModel, source: Source, request: Request, measured: list[Measure]
) -> None:
    """Writes the samples that are most like training images, each beside the one it is nearest to."""
    for row in measured:
        if closest := row.details.get("closest"):
            samples = [model.sample(1, seed=request.seed, start=start) for start, _, _ in closest]
            rows = [position for _, position, _ in closest]
            images = torch.from_numpy(Stored.of(source, "train").array[rows])
            write(file, png(side_by_side(torch.cat(samples).cpu(), images.float() / 127.5 - 1)))


def _said_of(network: dict[str, Any]) -> str | None:
    """The extractor in a line: what it is, and how good a classifier."""
    if not network:
        return None
    accuracy = f", right on {network['accuracy']:.1%} of {network['accuracy split']}" if "accuracy" in network else ""
    return f"{network['family']} {network['digest'][:8]}, {network['resize']}, {network['dtype']}{accuracy}"


def _claim(claim: config.Namespace | None, measured: list[Measure], request: Request) -> bool | None:
    """Whether the experiment's claim holds of every metric that its name begins; None without one, or unasked."""
    if claim is None:
        return None
    values = [row.value for row in measured if row.name.startswith(claim.metric)]
    if not values and request.metrics:
        return None
    if not values:
        raise GenlitError(f"claim.metric: nothing measured is called '{claim.metric}'")
    low = claim.at_least if claim.at_least is not None else float("-inf")
    high = claim.at_most if claim.at_most is not None else float("inf")
    return all(low <= value <= high for value in values)
