"""What verbs work with: a run's model and data, and images as the model reads them."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from torch import Tensor

from genlit import config, runs
from genlit.data import Source
from genlit.data.images import MODES, coloured, read
from genlit.engine.clock import reseed, untouched
from genlit.errors import GenlitError
from genlit.families.sampling import BLOCK
from genlit.loading import load
from genlit.metrics.capabilities.means import blocks, counted
from genlit.metrics.sets import Pictures, opened
from genlit.model import GenerativeModel

SPLITS = ("train", "val", "test")


class Trained(NamedTuple):
    """A run's model and data.

    Attributes:
        path: the checkpoint.
        folder: of the run.
        model: with its averaged weights.
        source: as in its training.
        settings: its configuration.
    """

    path: Path
    folder: Path
    model: GenerativeModel
    source: Source
    settings: config.Namespace


def trained(run: str, device: str, trust: tuple[str, ...]) -> Trained:
    """The model and the data of a run, an experiment's newest run or a checkpoint in its run folder.

    Raises:
        GenlitError: there is no such run, or its data are gone.
    """
    path = runs.resolve(run)
    model, folder = load(path, device=device, trust=trust), runs.folder_of(path)
    settings = config.parse([folder / "config.yaml"], [])
    return Trained(path, folder, model, config.source(settings), settings)


def data_of(path: Path) -> Source:
    """The data of a checkpoint's run."""
    return config.source(config.parse([runs.folder_of(path) / "config.yaml"], []))


def watched(model: GenerativeModel) -> GenerativeModel:
    """The model, which shows on a terminal how far it is where it draws pixel by pixel."""
    model.watch = _bar
    return model


def _bar(steps: Iterable, total: int) -> Iterable:
    console = Console(stderr=True)
    return track(steps, "drawing pixels", total, console=console, transient=True, disable=not console.is_terminal)


class Held:
    """The first images of a split of a run's data.

    Args:
        split: a split.
        source: of the run.
        limit: at most this many; all by default.

    Raises:
        GenlitError: there is no such image.
    """

    def __init__(self, split: str, source: Source, limit: int | None = None):
        self.place, self.source = split, source
        self.names = [f"{split}/{row:05d}" for row in range(counted(source, split, limit))]

    def rows(self, device: torch.device, seed: int) -> Iterator[dict[str, Any]]:
        """Batches of at most 64, transformed; the draws depend on the seed alone."""
        n = len(self.names)
        for batch, positions in blocks(self.source, self.place, n, device, seed):
            yield {name: column[: int((positions < n).sum())] for name, column in batch.items()}

    def images(self, device: torch.device, seed: int) -> Iterator[Tensor]:
        """The images of `rows`."""
        return (batch["image"] for batch in self.rows(device, seed))


class Own:
    """A user's images, brought to the channels, size and values (binary ones, say) of a run's data.

    Args:
        place: a folder of pictures, or an .npz file of arrays.
        source: of the run.
        limit: at most this many; all by default.

    Raises:
        GenlitError: there are no images, or the run's are not pictures.
    """

    def __init__(self, place: str, source: Source, limit: int | None = None):
        self.place, self.source, self.found = place, source, opened(place, limit)
        if source.shape[0] not in MODES:
            raise GenlitError(f"{place}: the run's data are not pictures, so no picture can be brought to their shape")

    @cached_property
    def names(self) -> list[str]:
        """Files, relative to their folder, or positions in the array."""
        if not isinstance(self.found, Pictures):
            return [f"{row:05d}" for row in range(len(self.found))]
        return [path.relative_to(Path(self.place).expanduser()).as_posix() for path in self.found.paths]

    def images(self, device: torch.device, seed: int) -> Iterator[Tensor]:
        """Batches of at most 64; the draws depend on the seed alone."""
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(self.names), BLOCK):
                rows = range(start, min(start + BLOCK, len(self.names)))
                stack = torch.from_numpy(np.stack(list(pool.map(self._fitted, rows)))).to(device)
                with untouched(device):
                    reseed(device, "own", seed, start)
                    yield self.source.transform({"image": stack}, training=False)["image"]

    def _fitted(self, row: int) -> np.ndarray:
        """An image in the shape of the run's, (C, H, W): a square of any size, another shape only as it is."""
        height, width = self.source.shape[1:]
        fit = replace(self.source.fit, size=width, upscale=True) if height == width else self.source.fit
        array = fit(self._picture(row), self.names[row])
        if array.shape != self.source.shape:
            here, there = (f"{shape[2]} x {shape[1]}" for shape in (array.shape, self.source.shape))
            raise GenlitError(f"{self.names[row]} is {here} pixels, and the run's images are {there}: cut it to that")
        return array

    def _picture(self, row: int) -> Image.Image:
        channels = self.source.shape[0]
        if isinstance(self.found, Pictures):
            return read(self.found.paths[row], channels)
        planes = self.found.array[row]
        if len(planes) not in MODES:
            raise GenlitError(f"{self.place} has images of {len(planes)} channels: they must have 1, 3 or 4")
        return coloured(Image.fromarray(planes[0] if len(planes) == 1 else planes.transpose(1, 2, 0)), channels)


def images_of(place: str, source: Source, limit: int | None = None) -> Held | Own:
    """The images of a split (`train`, `val`, `test`) of the run's data, a folder or an .npz file."""
    return (Held if place in SPLITS else Own)(place, source, limit)
