"""Sets of images to compare: of a data source, a folder, a file of arrays, or drawn from a model.

A set gives its images in blocks of consecutive positions; process r of w takes blocks r, r + w, ... So the images of a
block, and the noise they are drawn from, do not depend on the number of processes, and none is given twice.
"""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import ExifTags
from torch import Tensor

from genlit.capabilities import Samples, Translates
from genlit.data import Source, npz
from genlit.data.folder import pictures
from genlit.data.images import pixels, read
from genlit.engine.processes import rank, world_size
from genlit.errors import GenlitError
from genlit.families.sampling import BLOCK
from genlit.metrics.images import fingerprint, to_float, to_uint8
from genlit.pictures import opened as opened_picture

Block = tuple[Tensor, Tensor]  # uint8 images (B, C, H, W) and their positions (B,)


class ImageSet(Protocol):
    """A set of images: how many they are, and this process's blocks of them."""

    def __len__(self) -> int: ...

    def blocks(self) -> Iterator[Block]: ...


class Stored:
    """The first images of an array.

    Args:
        name: of the set.
        array: uint8, or real in [-1, 1], (N, C, H, W); it may be a memory map.
        limit: how many at most.
    """

    def __init__(self, name: str, array: np.ndarray, limit: int | None = None):
        self.name, self.array = name, array[:limit]

    @classmethod
    def of(cls, source: Source, split: str, column: str = "image", limit: int | None = None) -> "Stored":
        """The images of a split, as they lie in the store: neither flipped nor binarised.

        Raises:
            GenlitError: there is no such split, or no such column in it.
        """
        rows = source.rows(split)
        for stream, span in zip(rows.streams, rows.spans, strict=True):
            if column in stream:
                return cls(split, stream[column][span.start : span.stop], limit)
        raise GenlitError(f"the data have no `{column}` in their {split} split to compare with")

    def __len__(self) -> int:
        return len(self.array)

    def blocks(self) -> Iterator[Block]:
        """This process's blocks."""
        for positions in owned(len(self)):
            yield to_uint8(torch.from_numpy(np.array(self.array[positions.numpy()]))), positions

    def fingerprint(self) -> str:
        """SHA-256 of type, shape and every pixel."""
        return fingerprint(self.array)


class Pictures:
    """The picture files of a folder, by name, each in its own size; transparency lies over white.

    Args:
        folder: where they lie, at any depth.
        limit: how many at most.

    Raises:
        GenlitError: there is no such folder, or no picture in it.
    """

    def __init__(self, folder: Path, limit: int | None = None):
        if not folder.is_dir():
            raise GenlitError(f"{folder} is not there: give a folder of images or an .npz file")
        self.name = folder.resolve().name
        self.paths = pictures(folder)[:limit]
        self.sizes = [_size(path) for path in self.paths]

    def __len__(self) -> int:
        return len(self.paths)

    def blocks(self) -> Iterator[Block]:
        """This process's blocks, each of one size of pictures."""
        with ThreadPoolExecutor() as pool:
            for positions in owned(len(self), self.sizes):
                arrays = pool.map(self._pixels, positions.tolist())
                yield torch.from_numpy(np.stack(list(arrays))), positions

    def fingerprint(self) -> str:
        """SHA-256 of every picture's size and pixels."""
        digest = hashlib.sha256()
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(self), BLOCK):  # no more pictures in memory than a block
                for array in pool.map(self._pixels, range(start, min(start + BLOCK, len(self)))):
                    digest.update(f"{array.shape}".encode() + array.tobytes())
        return digest.hexdigest()

    def _pixels(self, position: int) -> np.ndarray:
        return pixels(read(self.paths[position]))


class Drawn:
    """n samples of a model.

    Args:
        model: draws them.
        n: how many.
        seed: of the row they are drawn from.
        draw: what draws them; by default the model's `sample`.
    """

    def __init__(self, model: Samples, n: int, seed: int, draw: Callable[..., Tensor] | None = None):
        self.draw, self.n, self.seed = draw or model.sample, n, seed

    def __len__(self) -> int:
        return self.n

    def blocks(self) -> Iterator[Block]:
        """This process's blocks; whole ones are drawn, so that the rounding is the same for any n."""
        for positions in owned(self.n):
            images = self.draw(BLOCK, seed=self.seed, start=int(positions[0]), batch_size=BLOCK)
            yield to_uint8(images[: len(positions)].clamp(-1, 1)), positions  # a density's may lie beyond


class Translated:
    """A set's images, translated.

    Args:
        model: translates them.
        images: where they come from.
        to: the domain they go to.
    """

    def __init__(self, model: Translates, images: Stored, to: str):
        self.model, self.images, self.to = model, images, to

    def __len__(self) -> int:
        return len(self.images)

    def blocks(self) -> Iterator[Block]:
        """This process's blocks."""
        for images, positions in self.images.blocks():
            yield to_uint8(self.model.translate(to_float(images.to(self.model.device)), self.to)), positions


def owned(n: int, sizes: list[tuple[int, int]] | None = None) -> Iterator[Tensor]:
    """The positions of this process's blocks among n images, of which those in a block have one size."""
    runs = [list(range(n))]
    if sizes:
        in_order = sorted(range(n), key=lambda k: sizes[k])
        runs = [list(run) for _, run in groupby(in_order, key=lambda k: sizes[k])]
    blocks = [run[i : i + BLOCK] for run in runs for i in range(0, len(run), BLOCK)]
    return (torch.tensor(block) for block in blocks[rank() :: world_size()])


def opened(path: str | Path, limit: int | None = None) -> Stored | Pictures:
    """The images of a folder or an .npz file.

    Args:
        path: of the .npz file, `images` or `arr_0` (or the test or train images of a data set) are taken, uint8
            (N, H, W, C), (N, H, W) or (N, C, H, W).
        limit: how many images at most.

    Raises:
        GenlitError: there is no such file, or no images in it.
    """
    path = Path(path).expanduser()
    if path.suffix != ".npz":
        return Pictures(path, limit)
    for key in ("images", "arr_0", "test_images", "train_images"):
        if arrays := npz.read(path, key):
            return Stored(path.stem, _channels_first(path, key, arrays[0]), limit)
    raise GenlitError(
        f"{path} has no images: an array of them must be called `images`, `arr_0`, `test_images` or `train_images`"
    )


def _channels_first(path: Path, key: str, array: np.ndarray) -> np.ndarray:
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or not len(array):
        raise GenlitError(f"{path}: {key} is {array.dtype} {array.shape}; images must be uint8 (N, H, W, C)")
    if array.ndim == 3:
        return array[:, None]
    return array.transpose(0, 3, 1, 2) if array.shape[3] in (1, 3, 4) else array


def _size(path: Path) -> tuple[int, int]:
    """Of the picture upright, which may be stored on its side."""
    with opened_picture(path) as image:
        on_its_side = 5 <= image.getexif().get(ExifTags.Base.Orientation, 1) <= 8
        return image.size[::-1] if on_its_side else image.size
