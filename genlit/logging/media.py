"""Pictures for people: grids of images; points of the plane are plotted, see `plane`."""

import io
from collections.abc import Sequence
from math import ceil
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from genlit.errors import known
from genlit.files import write
from genlit.logging.plane import POINT, scatter

FILMS = {".webp": {"format": "WEBP", "quality": 90}, ".gif": {"format": "GIF"}}  # by suffix
FRAME = 50  # ms that a picture of a film stands
FONT, LINES = 11, 4  # px of captions, and lines of one at most
LEGIBLE = 512  # px: grids narrower than this are enlarged


def to_pil(images: Tensor, columns: int = 8) -> Image.Image:
    """Arranges images in a grid, small ones enlarged by a whole factor.

    u = round(255 (x + 1) / 2), x clamped to [-1, 1] and NaN shown as grey.

    Args:
        images: (N, C, H, W) in [-1, 1]; of C other than 1, 3 or 4 the first channel is shown; points (N, 2, 1, 1)
            become a scatter plot.
        columns: images in a row.
    """
    if images.shape[1:] == POINT:
        return scatter(images)
    if images.shape[1] not in (1, 3, 4):
        images = images[:, :1]
    columns = min(columns, len(images))
    pixels = _enlarged(_uint8(images), ceil(LEGIBLE / (columns * images.shape[-1])))
    return to_pil_image(make_grid(pixels, nrow=columns, pad_value=255))


def side_by_side(*roles: Tensor) -> Image.Image:
    """Arranges the i-th images of every role next to each other, up to eight in a row.

    Args:
        roles: each (N, C, H, W) in [-1, 1].
    """
    return to_pil(torch.stack(roles, dim=1).flatten(0, 1), columns=8 // len(roles) * len(roles))


def in_rows(*roles: Tensor) -> Image.Image:
    """Arranges the i-th images of every role in a row of their own.

    Args:
        roles: each (N, C, H, W) in [-1, 1].
    """
    return to_pil(torch.stack(roles, dim=1).flatten(0, 1), columns=len(roles))


def captioned(images: Tensor, captions: list[str], columns: int = 8) -> Image.Image:
    """Arranges images in a grid, each with its caption under it; what does not fit is cut off.

    Args:
        images: (N, C, H, W) in [-1, 1].
        captions: N.
        columns: images in a row.
    """
    scale, columns = max(1, ceil(96 / images.shape[-1])), min(columns, len(images))
    font = ImageFont.load_default(FONT)
    wide, high = (side * scale + 4 for side in (images.shape[-1], images.shape[-2]))
    tall = high + LINES * (FONT + 2)
    page = Image.new("RGB", (columns * wide, ceil(len(images) / columns) * tall), "white")
    draw = ImageDraw.Draw(page)
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        x, y = index % columns * wide, index // columns * tall
        picture = single(image)
        page.paste(picture.resize((wide - 4, high - 4), Image.Resampling.NEAREST), (x + 2, y + 2))
        draw.multiline_text((x + 2, y + high), _wrapped(caption, font, wide - 4), "black", font, spacing=2)
    return page


def traversal(images: Tensor) -> Image.Image:
    """Draws in rows, each at the values of a code in columns; points of the plane coloured by the value instead.

    Args:
        images: (rows, values, C, H, W) in [-1, 1].
    """
    values, flat = images.shape[1], images.flatten(0, 1)
    if flat.shape[1:] == POINT:
        return scatter(flat, torch.arange(values).repeat(len(images)))
    return to_pil(flat, columns=values)


def puzzle(patches: Tensor, places: Tensor, mask: Tensor, image: Tensor, original: Tensor) -> Image.Image:
    """In a row each: patches, where they were placed, where they belong, what was made of them, their image.

    Args:
        patches: (B, N, C, H, W) in [-1, 1].
        places: mask of where they were placed, (B, 1, H, W) in [0, 1].
        mask: of where they belong, likewise.
        image: (B, C, H, W) in [-1, 1].
        original: likewise.
    """
    masks = ((2 * each - 1).expand_as(image) for each in (places, mask))
    return in_rows(*patches.unbind(1), *masks, image, original)


def single(image: Tensor) -> Image.Image:
    """One image, (C, H, W) in [-1, 1], in its own size."""
    return to_pil_image(_uint8(image))


def save_each(folder: Path, images: Tensor, role: str = "") -> None:
    """Writes every image by itself in its own size, as `<number>.png`, or `<number>-<role>.png`.

    Args:
        folder: where to.
        images: (N, C, H, W) in [-1, 1].
        role: what they are, where a folder holds several sets.
    """
    for index, image in enumerate(images):
        write(folder / (f"{index:05d}-{role}.png" if role else f"{index:05d}.png"), png(single(image)))


def log_pictures(trainer: Trainer, pictures: dict[str, Image.Image], record: dict[str, float]) -> None:
    """Saves `pictures/<name>/it-<iteration>.png` in the run folder and hands them to the loggers that show pictures.

    Args:
        trainer: of the run; other processes than the first do nothing.
        pictures: by name.
        record: the `progress/` axes that they are shown over.
    """
    if not trainer.is_global_zero:
        return
    for name, picture in pictures.items():
        write(Path(trainer.default_root_dir, "pictures", name, f"it-{trainer.global_step:08d}.png"), png(picture))
    for logger in trainer.loggers:
        if hasattr(logger, "log_pictures"):
            logger.log_pictures(pictures, record)


def png(picture: Image.Image) -> bytes:
    """A picture as the content of a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def film(pictures: Sequence[Image.Image], suffix: str) -> bytes:
    """Pictures one after the other, over and over, as the content of a file.

    Args:
        pictures: of one size.
        suffix: .webp or .gif.

    Raises:
        GenlitError: it is neither.
    """
    known("films", [suffix], FILMS)
    buffer, (first, *others) = io.BytesIO(), pictures
    first.save(buffer, save_all=True, append_images=others, duration=FRAME, loop=0, **FILMS[suffix])
    return buffer.getvalue()


def _wrapped(text: str, font: ImageFont.ImageFont, width: float) -> str:
    """The text in at most LINES lines of that width, broken between words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        lines = [*lines[:-1], longer] if font.getlength(longer) <= width else [*lines, word]
    return "\n".join([line for line in lines if line][:LINES])


def _uint8(images: Tensor) -> Tensor:
    return images.detach().float().nan_to_num().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8).cpu()


def _enlarged(pixels: Tensor, factor: int) -> Tensor:
    return pixels.repeat_interleave(factor, dim=-2).repeat_interleave(factor, dim=-1)
