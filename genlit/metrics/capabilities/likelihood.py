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
from genlit.errors import GenlitError
from genlit.metrics.capabilities.means import per_image
from genlit.metrics.measure import Measure

BYTE = 2 / 255  # between the values of neighbouring bytes in [-1, 1]


def bits_per_dim(nats: float, dimensions: int, density: float = 1.0) -> float:
    """−log₂ P(x) / D = −log p(x) / (D ln 2) + log₂ ρ, in bits, where p is a density and x has ρ levels per unit.

    Theis et al. 2016, section 3.1, https://arxiv.org/abs/1511.01844

    Args:
        nats: −log p(x) of an image, or its mean over images.
        dimensions: D, pixels times channels.
        density: ρ: 256 for 256 levels over [0, 1], 128 over [-1, 1] (8 and 7 bits), 1 for probabilities of levels.
    """
    return nats / (dimensions * math.log(2)) + math.log2(density)


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
    `continuous`, and bits, which would depend on their unit, are left out.

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
    kind = _kind(model, source, split)
    rows = []
    for name, measure in _measures(model, k).items():
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


def _measures(model: Bounds | HasDensity, k: tuple[int, ...]) -> dict[str, Callable[[Tensor], Tensor]]:
    exact = {"log-prob": model.log_prob} if isinstance(model, HasDensity) else {}
    counts = k if isinstance(model, Bounds) else ()
    return exact | {f"iwae-{count}" if count > 1 else "elbo": partial(model.bound, k=count) for count in counts}


def _named(name: str, measure: Callable[[Tensor], Tensor], kind: Kind) -> Callable[[dict], dict[str, Tensor]]:
    return lambda batch: {name: measure(kind.prepare(batch["image"]))}


def _kind(model: Bounds | HasDensity, source: Source, split: str) -> Kind:
    if model.levels:
        return Kind(source.binarize or f"{model.levels}-levels", 1.0, partial(_checked, levels=model.levels))
    if source.binarize:
        raise GenlitError(
            f"data.binarize is {source.binarize}, and a density of binary images has no bound: set it to null, or "
            "choose a likelihood of binary images"
        )
    if any(stream["image"].dtype == np.uint8 for stream in source.rows(split).streams if "image" in stream):
        return Kind("dequantised", 1 / BYTE, _dequantised)
    return Kind("continuous", None, lambda images: images)


def _dequantised(images: Tensor) -> Tensor:
    return images + BYTE * (torch.rand_like(images) - 0.5)


def _checked(images: Tensor, levels: int) -> Tensor:
    steps = (images + 1) / 2 * (levels - 1)
    if (steps - steps.round()).abs().max() > 1e-3:
        raise GenlitError(
            f"the model gives probabilities of {levels} levels, and the images have values between them: set "
            "data.binarize, or choose a likelihood of their levels"
        )
    return images
