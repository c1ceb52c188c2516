"""What a model says of the probability of held-out images, in nats per image and bits per dimension."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from genlit.capabilities import Bounds, HasDensity
from genlit.data import Source
from genlit.data.base import BYTE
from genlit.errors import GenlitError
from genlit.losses.likelihood import bits_per_dim
from genlit.metrics.capabilities.means import per_image
from genlit.metrics.measure import Measure
from genlit.nn.levels import Levels


def likelihoods(
    model: Bounds | HasDensity,
    source: Source,
    split: str,
    k: tuple[int, ...] = (1, 50),
    limit: int | None = None,
    *,
    seed: int = 0,
) -> list[Measure]:
    """log-prob, elbo and iwae-k in nats, and each in bits per dimension, over the first rows of a split.

    Names say what the images are: `dynamic` or `threshold` for binarised ones, `256-levels` where the model gives the
    probabilities of so many levels. A density of bytes is taken at x + δ u with u uniform in [-½, ½) and δ = 2/255,
    and called `dequantised`: then ρ = 1/δ, and the bits bound those of the bytes. Data that are real numbers are
    `continuous`, and bits, which would depend on their unit, are left out. A model may say by an attribute `given` that
    its likelihood is of a part of the image given the rest: `elbo-given-1-quadrant`, again without bits.

    L_k: Burda et al. 2016, eq. 8, https://arxiv.org/abs/1509.00519; dequantisation: Theis et al. 2016, section 3.1.

    Args:
        model: bounds, or gives, the probability of images.
        source: their source.
        split: a split of it.
        k: numbers of draws of the bounds; 1 is called elbo.
        limit: at most this many rows.
        seed: of binarisation, dequantisation and draws.

    Raises:
        GenlitError: there is no such row, or the model speaks of other levels than the images have.
    """
    kind = kind_of(model, source, split)
    rows = []
    for name, measure in estimates(model, k).items():
        values, n = per_image(_named(name, measure, kind), source, split, model.device, limit=limit, seed=seed)
        protocol = f"{kind.word}.n{n}.{split}"
        rows.append(Measure(f"{name}/{protocol}", values[name], n))
        if kind.density:
            bits = bits_per_dim(-values[name], math.prod(source.shape), kind.density)
            rows.append(Measure(f"bits-per-dim/{name}.{protocol}", bits, n))
    return rows


class Kind(NamedTuple):
    """What images a likelihood is of.

    Attributes:
        word: stands in names.
        density: ρ of `bits_per_dim`, or None where bits mean nothing.
        prepare: brings images to what the model speaks of, or refuses them.
    """

    word: str
    density: float | None
    prepare: Callable[[Tensor], Tensor]


def estimates(model: Bounds | HasDensity, k: tuple[int, ...]) -> dict[str, Callable[[Tensor], Tensor]]:
    """What a model says of log p(x) of images (B, C, H, W), in nats (B,), by its name: the exact value comes first."""
    exact = {"log-prob": model.log_prob} if isinstance(model, HasDensity) else {}
    counts = (k if model.tightens else (1,)) if isinstance(model, Bounds) else ()
    bounds = {f"iwae-{count}" if count > 1 else "elbo": partial(model.bound, k=count) for count in counts}
    given = f"-given-{model.given}" if model.given else ""
    return {name + given: measure for name, measure in (exact | bounds).items()}


def _named(name: str, measure: Callable[[Tensor], Tensor], kind: Kind) -> Callable[[dict], dict[str, Tensor]]:
    return lambda batch: {name: measure(kind.prepare(batch["image"]))}


def kind_of(model: Bounds | HasDensity, source: Source, split: str) -> Kind:
    """What a model's likelihood of a split's images is of.

    Raises:
        GenlitError: it is a density, and the images are binary.
    """
    whole = not model.given  # of a part, D is not the image's
    if model.levels:
        word = source.binarize or f"{model.levels}-levels"
        return Kind(word, 1.0 if whole else None, Levels(model.levels).check)
    if source.binarize:
        raise GenlitError(
            f"data.binarize is {source.binarize}, and a density of binary images has no bound: set it to null, or "
            "choose a likelihood of binary images"
        )
    if any(stream["image"].dtype == np.uint8 for stream in source.rows(split).streams if "image" in stream):
        prepare = _as_they_are if source.dequantize else _dequantised
        return Kind("dequantised", 1 / BYTE if whole else None, prepare)
    return Kind("continuous", None, _as_they_are)


def _as_they_are(images: Tensor) -> Tensor:
    return images


def _dequantised(images: Tensor) -> Tensor:
    return images + BYTE * (torch.rand_like(images) - 0.5)
