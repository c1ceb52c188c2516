"""`genlit eval`: what a trained model's capabilities allow to be measured, with its protocol and cost."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from genlit.capabilities import (
    NOT,
    Assembles,
    Bounds,
    Classifies,
    Clusters,
    Encodes,
    Enlarges,
    HasDensity,
    Illustrates,
    Reconstructs,
    Samples,
    Translates,
    codes_of,
)
from genlit.data import Source
from genlit.data.domains import by_domain
from genlit.data.stacked import Stacked
from genlit.data.store import data_root
from genlit.data.toy import Mixture
from genlit.errors import GenlitError, known
from genlit.loading import usable
from genlit.metrics.capabilities import translation
from genlit.metrics.capabilities.active import active_units
from genlit.metrics.capabilities.attributes import attribute_edits
from genlit.metrics.capabilities.captions import caption_accuracy, r_precision
from genlit.metrics.capabilities.classification import classification_error
from genlit.metrics.capabilities.clusters import cluster_scores, purity
from genlit.metrics.capabilities.conditional import label_accuracy
from genlit.metrics.capabilities.held_out import held_out_terms
from genlit.metrics.capabilities.likelihood import likelihoods
from genlit.metrics.capabilities.means import counted
from genlit.metrics.capabilities.modes import modes, stacked_modes
from genlit.metrics.capabilities.posterior import aggregated_posterior
from genlit.metrics.capabilities.probe import linear_probe
from genlit.metrics.capabilities.puzzle import assemblies
from genlit.metrics.capabilities.reconstruction import reconstructions
from genlit.metrics.capabilities.sharpness import sharpness
from genlit.metrics.extractors import Extractor, extractor, usual
from genlit.metrics.fidelity import METRICS, PUBLISHED, allowed, compare
from genlit.metrics.measure import Measure, timed
from genlit.metrics.references import published
from genlit.metrics.sets import Drawn, Pictures, Stored, Translated, opened
from genlit.metrics.statistics import Summary
from genlit.model import GenerativeModel
from genlit.report import write_page
from genlit.verbs import tables
from genlit.verbs.trained import trained

log = logging.getLogger("genlit")

POINTS, STACKS = 10_000, 26_000  # samples of mixtures in the plane, and of stacked digits, where modes are counted
CAPTIONS = 5_000  # training captions, at most, that images are drawn of


@dataclass(frozen=True)
class Request:
    """What to measure, and how.

    Args:
        split: of the data, for comparison.
        n: samples; by default as many as there are real images, and for modes 10,000 points or 26,000 stacked digits.
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

    @property
    def chooses(self) -> bool:
        """Whether it asks for other than the usual table."""
        return bool(self.metrics or self.n or self.seed)


def evaluate(
    run: str, request: Request | None = None, *, out: str | None = None, trust: tuple[str, ...] = ()
) -> list[Measure]:
    """Measures a run's checkpoint (averaged weights); prints a table and saves it in the run folder and on its page.

    Args:
        run: a run folder, an experiment's name or a checkpoint; `RUN@best` for the best in training.
        request: what to measure.
        out: where the table goes; a whole one goes to `eval-<split>.json` (`eval-<split>@best.json`) in the run folder
            by default; one of chosen metrics, of another n or seed, or of a named checkpoint to the terminal alone.
        trust: packages of the user's own.

    Raises:
        GenlitError: there is no such run, its data are gone, or the experiment's claim does not hold.
    """
    request = request or Request()
    known("metrics", request.metrics or (), METRICS)
    path, folder, model, source, settings = trained(run, request.device, trust)
    with tables.busy(f"measuring {path}"):
        network = _network(model, source, request)
        measured = [row for measure in measures(model, source, request, network) for row in _measured(measure, request)]
    failed = None if request.chooses else tables.broken(settings.claim, measured)
    about = {"run": str(folder), "checkpoint": path.name, "iteration": model.iteration, "images": model.images}
    about |= {"split": request.split, "seed": request.seed}
    about |= {"claim": None if failed is None else not failed}
    about |= {"extractor": network.identity} if network else {}
    best = "@best" if run.endswith("@best") else ""
    usual = None if request.chooses or Path(run).is_file() else folder / f"eval-{request.split}{best}.json"
    tables.report(str(path), measured, about, Path(out) if out else usual)
    tables.show_closest(folder / "pictures" / f"closest{best}.png", model, source, request.seed, measured)
    if usual:
        write_page([folder])
    if failed:
        raise GenlitError(f"{path} does not hold the experiment's claim: {'; '.join(failed)}")
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
    known("metrics", request.metrics or (), METRICS)
    generated, real = opened(images, request.n), _real(against)
    name = f"vs-{Path(against).expanduser().resolve().name.removesuffix('.npz')}"
    with tables.busy(f"measuring {images} against {against}"):
        network = extractor(request.extractor or "inception", weights=request.weights).to(usable(request.device))
        metrics = request.metrics or _comparable(network, generated, real)
        measured = compare(generated, real, network, metrics, root=data_root(), against=name)
    about = {"images": images, "against": against, "extractor": network.identity}
    tables.report(f"{images} against {against}", measured, about, Path(out) if out else None)
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
    if isinstance(model, Assembles):
        offered.append(lambda: assemblies(model, source, split, seed=request.seed))
    if isinstance(model, Encodes):
        offered.append(lambda: aggregated_posterior(model, source, split, seed=request.seed))
        offered.append(lambda: active_units(model, source, split, seed=request.seed))
        offered.append(lambda: linear_probe(model, source, split, seed=request.seed))
    if isinstance(model, Classifies):
        offered.append(lambda: classification_error(model, source, split, seed=request.seed))
    if isinstance(model, Clusters):
        offered.append(lambda: cluster_scores(model, source, split, request.seed))
    offered += _by_samples(model, source, request)
    if isinstance(model, Translates):
        offered += _by_translations(model, source, request)
    return offered + fidelity


def _by_samples(model: GenerativeModel, source: Source, request: Request) -> Iterator[Callable[[], Iterable[Measure]]]:
    """What samples are measured by besides fidelity: the modes they reach, the labels and categories they show."""
    seed, device = request.seed, usable(request.device)
    toy = isinstance(source, Mixture)
    if isinstance(model, Samples) and toy:
        yield lambda: modes(model, source, request.n or POINTS, seed)
    if isinstance(model, Samples) and isinstance(source, Stacked):
        yield lambda: stacked_modes(model, source, request.n or STACKS, seed, device=device)
    if "label" in codes_of(model):
        n = request.n or (POINTS if toy else counted(source, request.split, None))
        yield lambda: label_accuracy(model, source, n, seed, device=device)
    if isinstance(model, Illustrates):
        yield lambda: r_precision(model, source, request.n or CAPTIONS, seed)
    if isinstance(model, Illustrates) and source.classes:
        yield lambda: caption_accuracy(model, source, request.split, seed, device=device)
    if isinstance(model, Clusters) and "category" in codes_of(model) and toy:
        yield lambda: purity(model, source, request.n or POINTS, seed)


def _by_translations(model: Translates, source: Source, request: Request) -> Iterator[Callable[[], Iterable[Measure]]]:
    """What translations are measured by besides fidelity: attributes, or domains whose images are told apart."""
    attributes = {name for each in source.attribute_names for name in (each, NOT + each)}
    if attributes and attributes <= {*model.domains}:
        yield lambda: attribute_edits(model, source, request.split, request.n, device=usable(request.device))
    if not translation.between_domains(model):
        return
    split, domains = request.split, by_domain(source, model.domains)
    yield lambda: translation.cycle_errors(model, domains, split)
    yield lambda: translation.target_accuracy(model, source, split, request.n, device=usable(request.device))
    if domains.paired(split):
        yield lambda: translation.paired_errors(model, domains, split)


def _measured(measure: Callable[[], Iterable[Measure]], request: Request) -> list[Measure]:
    """The rows of a measure; what cannot be measured is told, and refused only if it was asked for by name."""
    try:
        return timed(measure)
    except GenlitError as error:
        if request.metrics:
            raise
        log.warning("not measured: %s", error)
        return []


def _of_samples(model: Samples, source: Source, request: Request, network: Extractor) -> list[Measure]:
    """Fidelity of samples to a split; the distance of what an earlier stage drew, and their ratio, stand beside it."""
    real = Stored.of(source, request.split)
    n, seed, root = request.n or len(real), request.seed, source.root
    drawn = Drawn(model, n, seed)
    metrics = request.metrics or allowed(network, len(drawn), len(real))
    seen = Stored.of(source, "train")
    measured = compare(drawn, real, network, metrics, root=root, against=request.split, seen=seen)
    if isinstance(model, Enlarges) and "fid" in metrics:
        coarse = Drawn(model, n, seed, model.enlarged)
        (far,) = compare(coarse, real, network, ("fid",), root=root, against=f"stage-one.{request.split}")
        name = far.name.replace("stage-one.", "")
        near = next(row for row in measured if row.name == name)
        measured += [far, Measure(f"stage-one-ratio/{name.replace('/', '-')}", near.value / far.value, far.n)]
        measured += sharpness(model, real, n, seed)
    return measured


def _of_translations(model: Translates, source: Source, request: Request, network: Extractor) -> list[Measure]:
    """Fidelity of translations, and of what they were made of; KID first, since test sets for translation are small.

    `kid-ratio/kid-lenet-….a-to-b.test` is below 1 where the style comes nearer.
    """
    split, metrics, measured = request.split, request.metrics or ("kid", "fid"), []
    domains = by_domain(source, model.domains)
    for origin, target in translation.between_domains(model):
        images, real = Stored.of(domains, split, origin, request.n), Stored.of(domains, split, target)
        pairs = {"to": Translated(model, images, target), "untranslated-to": images}
        after, before = (
            compare(made, real, network, metrics, root=source.root, against=f"{origin}-{way}-{target}.{split}")
            for way, made in pairs.items()
        )
        measured += [*after, *before]
        for one, other in zip(after, before, strict=True):
            if one.name.startswith("kid/") and other.value > 0:  # an unbiased estimate may be below 0
                measured.append(Measure(f"kid-ratio/{one.name.replace('/', '-')}", one.value / other.value, one.n))
    return measured


def _network(model: GenerativeModel, source: Source, request: Request) -> Extractor | None:
    """What fidelity is measured by; None where there is nothing to measure, or nothing to measure it by."""
    pictures = isinstance(model, Samples | Translates) and not isinstance(source, Mixture)
    if pictures and (name := request.extractor or usual(source, request.weights)):
        return extractor(name, source=source, weights=request.weights).to(usable(request.device))
    reason = "the data have no labels for lenet, and FID's network needs its weights: --weights=FILE"
    if not pictures:
        reason = f"{type(model).__name__} makes no pictures of {type(source).__name__}"
    if request.metrics:
        raise GenlitError(f"{', '.join(request.metrics)} cannot be measured: {reason}")
    if pictures:
        log.warning("no fidelity is measured: %s", reason)
    return None


def _comparable(network: Extractor, generated: Stored | Pictures, real: Stored | Pictures | Summary) -> Sequence[str]:
    """The metrics that need no training images."""
    if isinstance(real, Summary):
        return PUBLISHED
    metrics = allowed(network, len(generated), len(real))
    return [metric for metric in metrics if metric not in ("fid-floor", "authenticity", "fid-infinity")]


def _real(against: str) -> Stored | Pictures | Summary:
    path = Path(against).expanduser()
    return (published(path) if path.suffix == ".npz" else None) or opened(path)
