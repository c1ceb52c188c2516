"""A small classifier that genlit trains on the data set at hand, for when FID's network is absent or out of place."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from genlit.data import Source
from genlit.errors import GenlitError
from genlit.keep import Kept, digest_of, once
from genlit.metrics.extractors.base import Extractor, Features, exact_float32
from genlit.metrics.extractors.resize import antialias
from genlit.metrics.images import fingerprint

RECIPE = {"version": 2, "images": 76_800, "batch": 64, "rate": 2e-3, "seed": 0}
SIDES = {32: "lenet", 64: "lenet-64"}  # sides that images are brought to, and what the classifier is then called
_WIDTH, _CHUNK = 128, 512

Labelled = tuple[np.ndarray, np.ndarray]
Column = Literal["label", "attributes"]


class LeNet(Extractor):
    """pool = (z − E z) / σ(z) with z the 128 outputs before the last layer, logits = W relu(pool) + b.

    Two 5 x 5 convolutions with max pooling on images of 32 x 32, after LeCun et al. 1998, figure 2,
    https://doi.org/10.1109/5.726791; one of 4 x 4 more where details of 64 x 64 tell. E and σ are BatchNorm's running
    estimates, so every feature has about unit variance.

    Args:
        channels: of the images.
        classes: K.
        side: that images are brought to, 32 or 64.
    """

    resize, channels, width = "antialias", "as they are", _WIDTH

    def __init__(self, channels: int, classes: int, side: int = 32):
        super().__init__()
        self.classes, self.reads, self.side, self.family = classes, channels, side, SIDES[side]
        kind = {"dtype": torch.float32, "device": "cpu"}  # whatever the defaults are, for they decide what is drawn
        sizes = [(channels, 16, 5), (16, 32, 5), (32, 64, 4)][: 2 + (side == 64)]  # to 5 x 5
        halves = [(nn.Conv2d(*size, **kind), nn.ReLU(), nn.MaxPool2d(2)) for size in sizes]
        self.body = nn.Sequential(
            *(layer for half in halves for layer in half),
            nn.Flatten(),
            *(nn.Linear(sizes[-1][1] * 5 * 5, _WIDTH, **kind), nn.BatchNorm1d(_WIDTH, affine=False, **kind)),
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(_WIDTH, classes, **kind))

    def network(self, images: Tensor) -> Features:
        """Describes uint8 images (B, C, H, W); in training, of any number."""
        if images.shape[1] != self.reads:
            raise GenlitError(f"lenet was trained on {self.reads} channels and is shown {images.shape[1]}.")
        pool = self.body(antialias(images, self.side) / 127.5 - 1)
        return Features(pool, self.head(pool))

    def named(self, shown: dict[str, str | float]) -> "LeNet":
        """Becomes an extractor: fixed, and named by its weights."""
        self.digest = digest_of(self.body.state_dict())
        self.variant, self.shown = self.digest[:8], shown
        return self.requires_grad_(False).eval()


def lenet(source: Source, column: Column = "label", side: int = 32) -> LeNet:
    """The classifier of a source: trained once by RECIPE, kept under the source's root.

    Of `attributes` it tells each one, by a logit of its own; those of −1 are unknown and teach it nothing.

    Args:
        source: its training rows have `image`, in bytes, and the column; its test rows, else its validation rows, give
            the accuracy that is shown.
        column: what it learns to tell.
        side: that images are brought to, 32 or 64.

    Raises:
        GenlitError: there are no labels, fewer than two classes, no held-out rows or no bytes, or nothing can be kept.
    """
    tested = "test" if "test" in source.store.splits else "val"
    train, test = (_labelled(source, split, column) for split in ("train", tested))
    path = source.root / "classifiers" / f"{_key(side, tested, *train, *test)}.safetensors"
    return _loaded(*once(path, f"a classifier of {column}s", lambda: _made(train, test, tested, side)))


def _labelled(source: Source, split: str, column: Column) -> Labelled:
    """Images (N, C, H, W), not copied, and labels (N,), or attributes (N, A), of a split.

    Of two domains both, labelled by the domain.
    """
    columns = {}
    rows = source.rows(split)
    for stream, span in zip(rows.streams, rows.spans, strict=True):
        columns |= {name: column[span.start : span.stop] for name, column in stream.items()}
    if {"a", "b"} <= set(columns):
        domains = [columns["a"], columns["b"]]
        return _checked(source, split, np.concatenate(domains), np.repeat([0, 1], [len(each) for each in domains]))
    if not {"image", column} <= set(columns):
        there = ", ".join(sorted(columns))
        raise GenlitError(
            f"lenet learns from `image` and `{column}`, and {type(source).__name__} has only {there}:"
            " choose a labelled source, or measure with inception and its weights."
        )
    return _checked(source, split, columns["image"], columns[column])


def _checked(source: Source, split: str, images: np.ndarray, labels: np.ndarray) -> Labelled:
    if images.dtype != np.uint8:
        raise GenlitError(f"lenet reads images of bytes, and {type(source).__name__} has {images.dtype} values.")
    if not len(images):
        raise GenlitError(f"lenet needs {split} rows, and {type(source).__name__} has none: set data.holdout above 0.")
    if split == "train" and len(np.unique(labels)) < 2:
        raise GenlitError(f"lenet needs two classes, and {type(source).__name__} has one: choose another extractor.")
    return images, labels


def _key(side: int, tested: str, *arrays: np.ndarray) -> str:
    content = [RECIPE, side, tested, *map(fingerprint, arrays)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _made(train: Labelled, test: Labelled, tested: str, side: int) -> Kept:
    labels = train[1]
    classes = labels.shape[1] if labels.ndim > 1 else 1 + int(max(labels.max(), test[1].max()))
    net = _trained(*train, classes, side)
    shown = {"accuracy": _accuracy(net, *test), "accuracy split": tested}
    return net.state_dict(), shown | {"channels": net.reads, "classes": net.classes, "side": side}


def _trained(images: np.ndarray, labels: np.ndarray, classes: int, side: int) -> LeNet:
    """Adam, its rate falling to 0 along a half cosine; the same bits on one machine, whatever surrounds it."""
    with undisturbed():
        torch.manual_seed(RECIPE["seed"])
        net, steps = LeNet(images.shape[1], classes, side), RECIPE["images"] // RECIPE["batch"]
        net.body.train()
        optimiser = torch.optim.Adam(net.parameters(), lr=RECIPE["rate"])
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for rows in torch.randint(len(images), (steps, RECIPE["batch"])).numpy():
            logits = net.network(torch.from_numpy(images[rows])).logits
            _loss(logits, torch.from_numpy(labels[rows])).backward()
            optimiser.step()
            optimiser.zero_grad()
            schedule.step()
    return net.requires_grad_(False).eval()


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropy, of labels (B,) or of the attributes (B, A) that are known."""
    if labels.dim() == 1:
        return cross_entropy(logits, labels)
    known = labels >= 0
    return binary_cross_entropy_with_logits(logits[known], labels[known].float()) if known.any() else logits.sum() * 0


@contextmanager
def undisturbed() -> Iterator[None]:
    """Gradients, float32 and one thread, whatever holds around; the global random state comes back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with (
            torch.random.fork_rng(devices=[]),
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast("cpu", enabled=False),
            exact_float32(),
        ):
            yield
    finally:
        torch.set_num_threads(threads)


def _accuracy(net: LeNet, images: np.ndarray, labels: np.ndarray) -> float:
    chunks = [slice(i, i + _CHUNK) for i in range(0, len(images), _CHUNK)]
    logits = np.concatenate([net(torch.tensor(images[rows])).logits.numpy() for rows in chunks])
    if labels.ndim == 1:
        return float((logits.argmax(1) == labels).mean())
    known = labels >= 0
    return float(((logits > 0) == labels)[known].mean())


def _loaded(state: dict[str, Tensor], facts: dict[str, Any]) -> LeNet:
    with torch.random.fork_rng(devices=[]):
        net = LeNet(facts["channels"], facts["classes"], facts["side"])
    net.load_state_dict(state)
    return net.named({name: facts[name] for name in ("accuracy", "accuracy split")})
