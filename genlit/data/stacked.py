"""Digits stacked as the channels of one image: a thousand modes that a model may miss."""

from itertools import product
from typing import Any, ClassVar

import numpy as np

from genlit.data.base import Source
from genlit.data.images import Images
from genlit.data.shipped import Digits
from genlit.data.store import Contents, Stream
from genlit.data.vision import MNIST
from genlit.errors import GenlitError


class Stacked(Source):
    """Images of three channels, each a digit of the base drawn by itself, labelled 100 a + 10 b + c: 1000 modes.

    Training digits are stacked to train on and test digits to test on: as many stacks as the base has test images.

    Metz et al. 2017, "Unrolled Generative Adversarial Networks", section 3.3.1, https://arxiv.org/abs/1611.02163

    Args:
        images: stacks to train on, at least 1.
        kwargs: those of the base.

    Raises:
        GenlitError: there are to be no stacks.
    """

    base: ClassVar[type[Source]]

    def __init__(self, images: int = 20_000, **kwargs: Any):
        super().__init__(**kwargs)
        if images < 1:
            raise GenlitError(f"data.images is {images}: it must be at least 1.")
        self.images, self._options = images, kwargs

    @property
    def single(self) -> Source:
        """The base: its digits one by one, in the same size."""
        return self.base(**self._options | {"only": None, "labelled": None})

    def identity(self) -> object:
        """Gives what the base is made of, how many stacks and what they are drawn by."""
        return [self.images, self.seed, super().identity()]

    def contents(self) -> Contents:
        """Draws the digits of every stack."""
        single = super().contents()
        ((train,), (test,)) = (single.splits[split] for split in ("train", "test"))
        splits = {"train": [self._stacks(train, self.images, 0)], "test": [self._stacks(test, len(test["label"]), 1)]}
        return Contents(splits, ["".join(digits) for digits in product(single.classes, repeat=3)])

    def _stacks(self, digits: Stream, n: int, split: int) -> Stream:
        images, labels = digits["image"], digits["label"]
        digit = images.decode if isinstance(images, Images) else images.__getitem__
        rows = np.random.default_rng([self.seed, split]).integers(len(labels), size=(n, 3))
        stacks = Images(range(n), lambda stack: np.concatenate([digit(row) for row in rows[stack]]))
        return {"image": stacks, "label": labels[rows] @ np.array([100, 10, 1])}


class StackedDigits(Stacked, Digits):
    """Stacked digits of the 12,000 that come with genlit.

    Args:
        images: stacks to train on.
        kwargs: those of Digits.
    """

    base = Digits


class StackedMNIST(Stacked, MNIST):
    """Stacked digits of all of MNIST.

    Args:
        images: stacks to train on.
        kwargs: those of MNIST.
    """

    base = MNIST
