"""A labelled source as sources of two domains are: a column of images for each label."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from genlit.data.base import Source


class ByDomain:
    """The images of each label, in their order, as a column by the label's name.

    Args:
        source: has `image` and `label`.
        names: of labels.
    """

    def __init__(self, source: Source, names: tuple[str, ...]):
        self.source, self.names, self.binarize, self.root = source, names, source.binarize, source.root

    def rows(self, split: str) -> "DomainRows":
        """The rows of a split."""
        return DomainRows(self.source, split, self.names)

    def first(self, n: int, device: torch.device, split: str | None = None) -> dict[str, Tensor]:
        """The first images of each label in a split; see Source."""
        return Source.first(self, n, device, split)

    def paired(self, split: str) -> bool:
        """Tells whether the images of one row are counterparts."""
        return self.source.counterparts(split)

    @property
    def held_out(self) -> str:
        """The split to show while training."""
        return self.source.held_out

    def transform(self, batch: dict[str, Any], training: bool) -> dict[str, Tensor]:
        """Brings every column from bytes to what models read."""
        return {name: self.source.transform({"image": images}, training)["image"] for name, images in batch.items()}


class DomainRows:
    """Rows of a split by label: a list of row arrays, one per label, becomes one batch of numpy columns."""

    def __init__(self, source: Source, split: str, names: tuple[str, ...]):
        rows = source.rows(split)
        (stream,), (span,) = rows.streams, rows.spans
        labels = stream["label"][span.start : span.stop]
        self.images = stream["image"]
        self.places = {name: span.start + np.flatnonzero(labels == source.classes.index(name)) for name in names}

    @property
    def sizes(self) -> list[int]:
        """Number of images of each label."""
        return [len(places) for places in self.places.values()]

    def __getitem__(self, rows: list[np.ndarray]) -> dict[str, np.ndarray]:
        pairs = zip(self.places.items(), rows, strict=True)
        return {name: self.images.take(places[chosen], axis=0) for (name, places), chosen in pairs}

    @property
    def streams(self) -> list[dict[str, np.ndarray]]:
        """The images of each label."""
        return [{name: self.images[places]} for name, places in self.places.items()]

    @property
    def spans(self) -> list[range]:
        """Which of them take part: all."""
        return [range(size) for size in self.sizes]


def by_domain(source: Source, names: tuple[str, ...]) -> Source | ByDomain:
    """A source by the domains that a model knows: as it is where these are its columns, and not its labels."""
    return ByDomain(source, names) if {*names} <= {*source.classes} else source
