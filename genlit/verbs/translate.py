"""`genlit translate`: a folder of one's own images in another domain."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from genlit import runs
from genlit.capabilities import Translates, require
from genlit.data.images import MODES, pixels, read
from genlit.errors import GenlitError
from genlit.files import write
from genlit.loading import load
from genlit.logging.media import png, side_by_side, single
from genlit.metrics.images import to_float
from genlit.metrics.sets import Pictures

PAGE, SHOWN, CELL = "side-by-side.png", 64, 128  # the page, images on it at most, and the pixels of each


def translate(
    run: str, *, images: str, to: str, out: str | None = None, device: str = "cpu", trust: tuple[str, ...] = ()
) -> Path:
    """Writes every picture of a folder, translated, under its name as a PNG; returns their folder.

    `side-by-side.png` shows the first 64 beside their originals.

    Args:
        run: a run folder, an experiment's name or a checkpoint.
        images: a folder of pictures of any size and number.
        to: the domain to translate to, by the model's name for it.
        out: the folder; by default `translations/<to>` in the run's.
        device: where the model runs.
        trust: packages of the user's own.

    Raises:
        GenlitError: the model does not translate, or not to that domain, or the pictures will not do.
    """
    path = runs.resolve(run)
    model = load(path, device=device, trust=trust)
    require(model, "translate", Translates)
    origin = Path(images).expanduser()
    folder = Path(out).expanduser() if out else runs.folder_of(path) / "translations" / to
    if folder.resolve().is_relative_to(origin.resolve()):
        raise GenlitError(f"{folder} lies among the images that are translated: choose another folder with --out")
    paths, shown = Pictures(origin).paths, []
    for file, name in zip(paths, names(paths, origin), strict=True):
        original = picture(file, model.shape[0])
        translated = fitted(model, original.to(model.device), to)
        write(folder / name, png(single(translated)))
        if len(shown) < 2 * SHOWN:
            shown += [cell(single(original)), cell(single(translated))]
    write(folder / PAGE, png(side_by_side(torch.stack(shown[::2]), torch.stack(shown[1::2]))))
    print(folder)
    return folder


def names(paths: list[Path], origin: Path) -> list[Path]:
    """The file of each translation: its picture's name below `origin`, with .png in place of the suffix; behind the
    suffix where two names would be one."""
    below = [path.relative_to(origin) for path in paths]
    bare = [path.with_suffix(".png") for path in below]
    return bare if len({Path(PAGE), *bare}) > len(bare) else [Path(f"{path}.png") for path in below]


def picture(file: Path, channels: int) -> Tensor:
    """A picture's values in [-1, 1], (C, H, W).

    Raises:
        GenlitError: the model's images are no pictures, or the file is damaged.
    """
    if channels not in MODES:
        raise GenlitError(f"the model translates images of {channels} channels, and pictures have 1, 3 or 4")
    return to_float(torch.from_numpy(np.array(pixels(read(file, channels)))))


def fitted(model: Translates, image: Tensor, to: str) -> Tensor:
    """The translation of an image of any size, (C, H, W).

    It is reflected around its borders until its sides are as long as in training and multiples of what the model
    halves; that margin is cut off again.
    """
    before, after = zip(*(margins(*sides, model.multiple) for sides in zip(image.shape[1:], model.shape[1:])))
    width = [(0, 0), *zip(before, after, strict=True)]
    padded = torch.from_numpy(np.pad(image.cpu().numpy(), width, mode="reflect")).to(image)
    (top, left), (height, breadth) = before, image.shape[1:]
    return model.translate(padded[None], to)[0, :, top : top + height, left : left + breadth]


def margins(side: int, least: int, multiple: int) -> tuple[int, int]:
    """How many pixels to add before and after a side."""
    more = -(-max(side, least) // multiple) * multiple - side
    return more // 2, more - more // 2


def cell(image: Image.Image) -> Tensor:
    """A picture of the page: as large as fits, over white."""
    square = ImageOps.pad(image.convert("RGB"), (CELL, CELL), Image.Resampling.LANCZOS, color="white")
    return to_float(torch.from_numpy(np.array(pixels(square))))
