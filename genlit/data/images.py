"""Pictures become uint8 arrays (C, H, W): reading, fitting to a square, decoding lazily."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from genlit.errors import GenlitError
from genlit.pictures import opened

FITS = {"crop": ImageOps.fit, "pad": ImageOps.pad, "stretch": Image.Image.resize}
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
CHUNK = 256


def read(path: Path, channels: int = 3) -> Image.Image:
    """Reads a picture upright in 8 bits; an animation gives its first frame, transparency lies over white.

    Args:
        path: see `genlit.pictures.opened`.
        channels: 1 (grey), 3 (RGB) or 4 (RGBA, transparency kept).

    Raises:
        GenlitError: the file is damaged, too large or not a picture.
    """
    with opened(path) as image:
        return coloured(_eight_bits(ImageOps.exif_transpose(image)), channels)


def pixels(image: Image.Image) -> np.ndarray:
    """Gives an 8-bit picture as uint8 (C, H, W)."""
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


@dataclass(frozen=True)
class Fit:
    """Brings a picture to a square of `size` pixels.

    Args:
        size: the square's side in pixels; None leaves pictures as they are.
        how: crop (shorter side to `size`, centre kept), pad (longer side to `size`, black around) or stretch.
        upscale: whether a picture smaller than `size` is enlarged rather than refused.
        resample: PIL's filter; every one of them is antialiased when it shrinks.
    """

    size: int | None
    how: str
    upscale: bool
    resample: Image.Resampling

    def __call__(self, image: Image.Image, name: object) -> np.ndarray:
        """Fits one picture and gives it as uint8 (C, H, W); `name` is what an error calls it."""
        if self.size is None:
            return pixels(image)
        self._refuse_small(image, name)
        return pixels(FITS[self.how](image, (self.size, self.size), self.resample))

    def arrays(self, images: np.ndarray, name: str) -> "np.ndarray | Images":
        """Fits uint8 arrays (N, C, H, W) of any channel count, each channel by itself."""
        if self.size is None:
            return images

        def decode(row: int) -> np.ndarray:
            return np.concatenate([self(Image.fromarray(plane), f"{name}, image {row},") for plane in images[row]])

        return Images(range(len(images)), decode)

    def _refuse_small(self, image: Image.Image, name: object) -> None:
        side = max(image.size) if self.how == "pad" else min(image.size)
        if side < self.size and not self.upscale:
            raise GenlitError(
                f"{name} is too small: {image.width} x {image.height} pixels, and data.size is {self.size}; "
                "lower data.size or set data.upscale: true."
            )


class Images:
    """Pictures that are decoded only while a store is written, in order, by a few threads.

    Args:
        keys: one per picture (a path or a row); an error names it.
        decode: key -> uint8 (C, H, W), the same shape for all.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, keys: Sequence, decode: Callable[[object], np.ndarray]):
        self.keys, self.decode = keys, decode
        self.shape = (len(keys), *decode(keys[0]).shape)

    def __len__(self) -> int:
        return len(self.keys)

    def chunks(self) -> Iterator[np.ndarray]:
        """Yields all pictures in stacks of at most CHUNK."""
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(self), CHUNK):
                yield np.stack(list(pool.map(self._agreeing, self.keys[start : start + CHUNK])))

    def _agreeing(self, key: object) -> np.ndarray:
        image = self.decode(key)
        if image.shape != self.shape[1:]:
            here, first = (f"{shape[2]} x {shape[1]}" for shape in (image.shape, self.shape[1:]))
            raise GenlitError(f"{key} is {here} pixels and {self.keys[0]} is {first}: set data.size to one for all.")
        return image


def _eight_bits(image: Image.Image) -> Image.Image:
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise ValueError("its pixels are not 8-bit or 16-bit")
    return Image.fromarray((values / 257).round().astype(np.uint8))


def coloured(image: Image.Image, channels: int) -> Image.Image:
    """A picture of 1 (grey), 3 (RGB) or 4 (RGBA) channels; transparency lies over white where it is not kept."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if channels != 4:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(MODES[channels])
