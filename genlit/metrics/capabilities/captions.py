"""Whether images show what their captions say, to an encoder of text and images and to a classifier."""

import hashlib
import json
import re
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genlit.capabilities import Illustrates
from genlit.data import Source
from genlit.engine.processes import gather
from genlit.errors import GenlitError
from genlit.keep import Kept, digest_of, once
from genlit.losses.matching import matching
from genlit.metrics.capabilities.conditional import ConditionalAccuracy, reader
from genlit.metrics.capabilities.means import blocks, counted, protocol
from genlit.metrics.capabilities.retrieval import RPrecision
from genlit.metrics.extractors.lenet import undisturbed
from genlit.metrics.extractors.resize import antialias
from genlit.metrics.images import fingerprint, to_uint8
from genlit.metrics.measure import Measure
from genlit.nn.convolutional import convolutional_encoder
from genlit.nn.text import TextEncoder, Vocabulary

RECIPE = {"version": 2, "images": 38_400, "batch": 64, "rate": 1e-3, "forgotten": 0.3, "shift": 2, "seed": 0}
SIDE, WIDTH, EMBEDDING, WORDS = SIZES = 32, 32, 128, 10_000


class Matcher(nn.Module):
    """Embeds captions and images so that those that belong together are close; trained by `matching`.

    Args:
        channels: of the images.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.vocabulary, self.text = Vocabulary(WORDS), TextEncoder(WORDS, EMBEDDING)
        self.vision = convolutional_encoder((channels, SIDE, SIDE), WIDTH, EMBEDDING)

    def fixed(self) -> "Matcher":
        """Becomes a judge: fixed, and named by its weights."""
        self.digest = digest_of(dict(self.named_parameters()) | dict(self.named_buffers()))
        return self.requires_grad_(False).eval()

    def texts(self, captions: list[str]) -> Tensor:
        """Embeddings of captions, (B, D)."""
        return self.text(self.vocabulary.numbers(captions))

    def images(self, images: Tensor) -> Tensor:
        """Embeddings of uint8 images of any size, (B, D)."""
        return self.vision(antialias(images, SIDE) / 127.5 - 1)


def matcher(source: Source, split: str) -> Matcher:
    """The encoder that learns from the captions and images of a split: trained once by RECIPE, kept under its root.

    Args:
        source: its rows of the split have `image`, in bytes, and `text`.
        split: one from which the model that is judged has not learned.
    """
    rows = source.rows(split)
    images, captions = rows.streams[0]["image"][rows.spans[0].start : rows.spans[0].stop], source.captions(split)
    content = json.dumps([RECIPE, SIZES, fingerprint(images), captions], sort_keys=True)
    path = source.root / "matchers" / f"{hashlib.sha256(content.encode()).hexdigest()}.safetensors"
    return _loaded(*once(path, "an encoder of captions and images", lambda: _made(images, captions)))


def r_precision(model: Illustrates, source: Source, limit: int | None = None, seed: int = 0) -> list[Measure]:
    """`RPrecision` of images of the training images' first captions, by an encoder that learned from the test split.

    For emoji these are captions that were never drawn in training: `r-precision/matching-test-1a2b3c4d.n3990.train`.
    That of the real images by the same encoder, `r-precision-real/…`, is what a perfect model would score.

    Args:
        model: draws the images.
        source: that it learned from.
        limit: at most this many of the training images' captions.
        seed: of the images and of the captions that compete.

    Raises:
        GenlitError: there are no held-out captions, or fewer than 100 different ones to choose from.
    """
    if "test" not in source.store.splits or "text" not in source.store.splits["test"][0]:
        raise GenlitError("R-precision needs an encoder that learned from other captions: add a test split with text")
    judge, n = matcher(source, "test").to(model.device), counted(source, "train", limit)
    captions = [lines[0] for lines in source.captions("train")[:n]]
    name = f"matching-test-{judge.digest[:8]}"
    with torch.no_grad():
        embeddings = judge.texts(captions)
    found = {kind: RPrecision(captions, embeddings, seed) for kind in ("r-precision", "r-precision-real")}
    for batch, positions in blocks(source, "train", n, model.device, seed):
        told = [captions[k % n] for k in positions.tolist()]
        drawn = model.illustrate(told, seed=seed, start=int(positions[0]))
        for metric, images in zip(found.values(), (drawn, batch["image"]), strict=True):
            metric.update(judge.images(to_uint8(images.clamp(-1, 1))), positions)
    return [Measure(f"{kind}/{name}.n{n}.train", metric.compute(), n) for kind, metric in found.items()]


def caption_accuracy(
    model: Illustrates, source: Source, split: str, seed: int = 0, *, device: torch.device | str = "cpu"
) -> list[Measure]:
    """The share of images of captions that a classifier gives the label of the image that the caption was written for.

    Where labels are styles, it says how often a style word is obeyed: `caption-accuracy/lenet-1a2b3c4d.n597.test`;
    what the classifier makes of the real images stands beside it, as `caption-accuracy-ceiling/…`. `caption-swap/…` is
    the share of images, by the same draws, of captions whose label's name gave way to the next label's, that the
    classifier gives that one; it is left out where no caption names its label.

    Args:
        model: draws the images.
        source: of labelled images with captions.
        split: whose captions.
        seed: of the images.
        device: where the classifier runs.

    Raises:
        GenlitError: there is no classifier for this source, or no image of some class.
    """
    judge, n = reader(source, device), counted(source, split, None)
    told, swapped = (ConditionalAccuracy(judge.logits, source.classes) for _ in range(2))
    for batch, positions in blocks(source, split, n, model.device, seed):
        draws, label = {"seed": seed, "start": int(positions[0])}, batch["label"]
        told.update(model.illustrate(batch["text"], **draws), label)
        told.update_real(batch["image"], label)
        others, rows = swaps(batch["text"], label, source.classes)
        if rows:
            swapped.update(model.illustrate(others, **draws)[rows], (label[rows] + 1) % len(source.classes))
    found, of = told.compute(), protocol(source, n, split, judge.name)
    by_class = {label: found[f"accuracy/{label}"] for label in source.classes}
    measured = [
        Measure(f"caption-accuracy/{of}", found["accuracy"], n, {"by_class": by_class}),
        Measure(f"caption-accuracy-ceiling/{of}", found["ceiling"], n),
    ]
    confusion = sum(gather(swapped.samples))
    if named := int(confusion.sum()):
        obeyed = int(confusion.diagonal().sum()) / named
        measured.append(Measure(f"caption-swap/{protocol(source, named, split, judge.name)}", obeyed, named))
    return measured


def swaps(captions: list[str], labels: Tensor, classes: list[str]) -> tuple[list[str], list[int]]:
    """Captions whose label's name, a word in them, gave way to the next label's name; and the rows where one did."""
    names = [(classes[label], classes[(label + 1) % len(classes)]) for label in labels.tolist()]
    pairs = list(zip(captions, names, strict=True))
    others = [re.sub(rf"\b{re.escape(own)}\b", lambda _, to=to: to, caption) for caption, (own, to) in pairs]
    return others, [row for row, (caption, _) in enumerate(pairs) if others[row] != caption]


def _made(images: np.ndarray, captions: list[list[str]]) -> Kept:
    judge = _trained(images, captions)
    tensors = {name: value for name, value in judge.state_dict().items() if isinstance(value, Tensor)}
    return tensors, {"channels": images.shape[1], "words": judge.vocabulary.words}


def _loaded(state: dict[str, Tensor], facts: dict[str, Any]) -> Matcher:
    with torch.random.fork_rng(devices=[]):
        judge = Matcher(facts["channels"])
    words = {"words": facts["words"], "examples": []}  # the vocabulary's state is no tensor
    judge.load_state_dict(state | {"vocabulary._extra_state": words})
    return judge.fixed()


def _trained(images: np.ndarray, captions: list[list[str]]) -> Matcher:
    """Adam on captions that have lost some words, and images that are flipped and shifted."""
    with undisturbed():
        torch.manual_seed(RECIPE["seed"])
        judge = Matcher(images.shape[1])
        judge.vocabulary.learn((line for lines in captions for line in lines), [])
        optimiser = torch.optim.Adam(judge.parameters(), lr=RECIPE["rate"])
        for rows in torch.randint(len(images), (RECIPE["images"] // RECIPE["batch"], RECIPE["batch"])).tolist():
            told = [captions[row][int(torch.randint(len(captions[row]), ()))] for row in rows]
            loss = matching(
                judge.text(_forgetful(judge, told)), judge.images(_moved(torch.from_numpy(images[rows]))), told
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return judge


def _forgetful(judge: Matcher, captions: list[str]) -> list[list[int]]:
    """The numbers of the words, each left out by chance."""
    numbers = judge.vocabulary.numbers(captions)
    return [[n for n in caption if float(torch.rand(())) >= RECIPE["forgotten"]] for caption in numbers]


def _moved(images: Tensor) -> Tensor:
    """Each flipped by chance, and all rolled by some pixels."""
    flipped = torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, images.flip(-1), images)
    shift = torch.randint(-RECIPE["shift"], RECIPE["shift"] + 1, (2,)).tolist()
    return flipped.roll(shift, (2, 3))
