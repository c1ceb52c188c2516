"""A small extractor, sets of images for it, and a model that draws some."""

import random
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from genlit.keep import digest_of
from genlit.metrics.extractors.base import Extractor, Features
from genlit.metrics.images import as_rgb
from genlit.metrics.sets import Stored


class Tiny(Extractor):
    """One convolution with random weights; it notes how many images it was given."""

    family, resize = "tiny", "none"

    def __init__(self, width=16, classes=12, seed=0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net = nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
            self.head = nn.Linear(width, classes or 1)
            nn.init.normal_(self.head.weight, std=20.0)  # or every image would seem of every class
        self.width, self.classes = width, classes
        self.given = []

    @property
    def digest(self):
        return digest_of(self.net.state_dict())

    @property
    def variant(self):
        return "genuine" if self.genuine else self.digest[:8]

    def forward(self, images):
        self.given.append(len(images))
        return super().forward(images)

    def network(self, images):
        pool = self.net(as_rgb(images).float() / 127.5 - 1)
        return Features(pool, self.head(pool) if self.classes else None)


class Genuine(Tiny):
    """Passes for FID's own network."""

    family, variant, resize, genuine = "inception", "tf1", "tf1", True


class Painter:
    """Draws patterns, each from its own seed."""

    device = torch.device("cpu")

    def __init__(self):
        self.drawn = []

    def sample(self, n, *, seed=0, start=0, batch_size=64):
        self.drawn.append((start, n, batch_size))
        pictures = [pattern(np.random.default_rng([seed, k])) for k in range(start, start + n)]
        return torch.from_numpy(np.stack(pictures)).float() / 127.5 - 1


def pattern(generator, channels=3, side=8):
    """A picture of 2 x 2 colours with noise on it, uint8."""
    coarse = generator.integers(256, size=(channels, 2, 2)).repeat(side // 2, 1).repeat(side // 2, 2)
    return (0.8 * coarse + 0.2 * generator.integers(256, size=coarse.shape)).astype(np.uint8)


def patterns(n, seed=0, channels=3, side=8):
    """n of them, (n, C, H, W)."""
    generator = np.random.default_rng(seed)
    return np.stack([pattern(generator, channels, side) for _ in range(n)])


def stored(n, seed=0, **shape):
    """n of them as a set."""
    return Stored(f"patterns-{seed}", patterns(n, seed, **shape))


@contextmanager
def nothing_drawn():
    """A block that must leave every global random state alone."""
    before = random_states()
    yield
    assert random_states() == before


def random_states():
    return torch.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate()
