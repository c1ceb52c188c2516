"""Networks that describe images by features; every distance between sets of images is one between their features."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from genlit.data import Source
from genlit.errors import GenlitError, known
from genlit.metrics.extractors.base import Extractor, Features
from genlit.metrics.extractors.inception import Inception, available
from genlit.metrics.extractors.lenet import LeNet, lenet
from genlit.metrics.extractors.transformers import CLIP, CLIP_FAMILIES, DINOV2_FAMILIES, DINOv2

__all__ = ["CLIP", "EXTRACTORS", "DINOv2", "Extractor", "Features", "Inception", "LeNet", "extractor", "lenet", "usual"]

PRETRAINED: dict[str, Callable[..., Extractor]] = {
    "inception": Inception,
    "inception-clean": partial(Inception, resize="clean"),
    "inception-bf16": partial(Inception, dtype=torch.bfloat16),
    **{family: partial(DINOv2, family) for family in DINOV2_FAMILIES},
    **{family: partial(CLIP, family) for family in CLIP_FAMILIES},
}
EXTRACTORS = ("lenet", *PRETRAINED)


def extractor(
    name: str, *, source: Source | None = None, weights: str | Path | None = None, resize: str | None = None
) -> Extractor:
    """Builds an extractor.

    Args:
        name: one of EXTRACTORS.
        source: what lenet learns from; the others need none.
        weights: a file for a pretrained network; by default the published one.
        resize: one of `genlit.metrics.extractors.resize.RESIZES`; by default the network's own.

    Raises:
        GenlitError: there is no such extractor, it cannot be had, or it does not take what was given.
    """
    known("extractor", [name], EXTRACTORS)
    chosen = {"resize": resize} if resize else {}
    if name != "lenet":
        return PRETRAINED[name](weights=weights, **chosen)
    if weights or resize:
        raise GenlitError("lenet is trained on the data at hand and takes neither weights nor a resize: drop them.")
    if source is None:
        raise GenlitError("lenet learns from a labelled data set and none is at hand: choose inception with --weights.")
    return lenet(source)


def usual(source: Source, weights: str | Path | None = None) -> str | None:
    """The extractor to measure a source by: FID's network, given weights, or colour and the weights in torch's cache;
    else lenet, given labels or two domains; else None. Nothing is fetched.

    Args:
        source: of the images.
        weights: a file that the user gave.
    """
    if weights or (available() and source.shape[0] == 3):
        return "inception"
    columns = {name for stream in source.rows("train").streams for name in stream}
    return "lenet" if "label" in columns or {"a", "b"} <= columns else None
