"""Statistics of real images: computed once, kept under a key of everything that they depend on."""

import hashlib
import json
from contextlib import ExitStack
from pathlib import Path

import torch

from genlit.data import npz
from genlit.engine.processes import agreed, broadcast, rank
from genlit.errors import GenlitError
from genlit.keep import held, keep, kept
from genlit.metrics.distances.frechet import Moments
from genlit.metrics.distances.neighbours import K_DENSITY, radii
from genlit.metrics.extractors.base import Extractor
from genlit.metrics.sets import ImageSet, Pictures, Stored
from genlit.metrics.statistics import Collector, Summary

PARTS = ("mean", "factor", "covariance", "features", "radii")
VERSION = 1  # part of every key: raise it when what is computed from the same images changes


def summarise(images: ImageSet, extractor: Extractor, *, features: bool = False, score: bool = False) -> Summary | None:
    """A set's statistics, on the first process; all must call it."""
    collector = Collector(extractor, len(images), features=features, score=score)
    with agreed():
        for block, positions in images.blocks():
            collector.update(block, positions)
    return collector.compute()


def reference(images: Stored | Pictures, extractor: Extractor, root: Path, *, features: bool = False) -> Summary | None:
    """A real set's statistics, on the first process, from the cache where they are in it; all processes must call it.

    The key is the SHA-256 of the pixels, their number and the extractor's identity (network, weights, resize, type,
    channels): one changed pixel or weight is a miss. The covariance's root and the radii are kept with it.

    Args:
        images: the set.
        extractor: of the features.
        root: of the data; the cache is its folder `statistics`.
        features: whether they are needed too.

    Raises:
        GenlitError: the cache cannot be written.
    """
    with ExitStack() as stack:
        path = found = None
        with agreed():
            if rank() == 0:
                path = _path(images, extractor, root, features)
                stack.enter_context(held(path))  # who comes second waits, and finds what the first one wrote
                found = _kept(path) or (None if features else _kept(_path(images, extractor, root, True)))
        if broadcast(found is not None):
            return found
        summary = summarise(images, extractor, features=features)
        with agreed():
            return _keep(path, summary, features) if rank() == 0 else None


def published(path: Path) -> Summary | None:
    """Statistics that others published: `mu` (D,) and `sigma` (D, D) of an .npz file; None where it has none.

    Their file says nothing of the images, their number, or the resize: a distance to them carries the file's name.

    Raises:
        GenlitError: the file cannot be read, or the arrays do not fit together.
    """
    arrays = npz.read(path, "mu", "sigma")
    if not arrays:
        return None
    mean, covariance = (torch.from_numpy(array).double() for array in arrays)
    finite = mean.isfinite().all() and covariance.isfinite().all()
    if mean.dim() != 1 or covariance.shape != (len(mean), len(mean)) or not finite:
        shapes = f"{tuple(mean.shape)} and {tuple(covariance.shape)}"
        raise GenlitError(f"{path}: mu and sigma are {shapes}; they must be (D,) and (D, D), and finite")
    return Summary(Moments(None, mean, None, covariance).rooted())


def _path(images: Stored | Pictures, extractor: Extractor, root: Path, features: bool) -> Path:
    depends = [VERSION, images.fingerprint(), len(images), extractor.identity, features]
    key = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()
    return root / "statistics" / f"{key[:32]}.safetensors"


def _keep(path: Path, summary: Summary, features: bool) -> Summary | None:
    """Gives it as it is read, in the layout that it will have next time: sums depend on that in the last bit."""
    moments = summary.moments.rooted()
    parts = {"mean": moments.mean, "factor": moments.factor, "covariance": moments.covariance}
    if features:
        reach = radii(summary.features) if moments.n > K_DENSITY else None
        parts |= {"features": summary.features, "radii": reach}
    facts = {"n": moments.n, "negative": moments.negative}
    keep(path, {name: tensor for name, tensor in parts.items() if tensor is not None}, facts)
    return _kept(path)


def _kept(path: Path) -> Summary | None:
    if (found := kept(path)) is None:
        return None
    tensors, facts = found
    mean, factor, covariance, rows, reach = map(tensors.get, PARTS)
    return Summary(Moments(facts["n"], mean, factor, covariance, facts["negative"]), rows, reach)
