"""`genlit complete`: hidden pixels drawn given the others."""

import re
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from genlit.capabilities import Completes, CompletesOwn, require
from genlit.data.images import pixels, read
from genlit.engine.clock import derive
from genlit.errors import GenlitError
from genlit.files import write
from genlit.logging.media import in_rows, png, save_each
from genlit.verbs.trained import images_of, trained, watched

GREY = 0.0  # between black, -1, and white, 1
MASKS = ("top", "bottom", "left", "right", "centre")  # by name


def complete(
    run: str,
    *,
    images: str | None = None,
    mask: str | None = None,
    count: int = 8,
    completions: int = 4,
    seed: int = 0,
    out: str | None = None,
    split: str = "test",
    device: str = "cpu",
    trust: tuple[str, ...] = (),
) -> Path:
    """Writes images, what is left of them, and completions: as PNGs and, side by side, in completions.png.

    Args:
        run: a run folder, an experiment's name or a checkpoint in its run folder.
        images: a folder, an .npz file or a split; by default `split`.
        mask: what is hidden, see `hidden`; by default the model's own mask, else the bottom half.
        count: images at most.
        completions: of each image; the k-th is the same whatever their number.
        seed: of the mask, the binarisation and the draws.
        out: folder of the pictures; by default `completions` in the run's.
        split: of the run's data.
        device: where the model runs.
        trust: packages of the user's own.

    Raises:
        GenlitError: the model completes nothing, or the images or the mask will not do.
    """
    for key, value in (("count", count), ("completions", completions)):
        if value < 1:
            raise GenlitError(f"--{key}: {value} images cannot be completed; ask for at least 1")
    _, folder, model, source, _ = trained(run, device, trust)
    require(model, "complete", Completes)
    originals = torch.cat(list(images_of(images or split, source, count).images(model.device, seed)))
    own = mask is None and isinstance(model, CompletesOwn)
    observed = model.mask if own else ~hidden(mask or "bottom", originals.shape, seed).to(model.device)
    watched(model)
    drawn = [model.complete(originals, observed, seed=derive("complete", seed, k)) for k in range(completions)]
    place = Path(out) if out else folder / "completions"
    save(place, originals, torch.where(observed, originals, GREY), drawn)
    print(place)
    return place


def hidden(mask: str, shape: tuple[int, int, int, int], seed: int) -> Tensor:
    """Which pixels are hidden, (B or 1, 1, H, W).

    Args:
        mask: `top`, `bottom`, `left`, `right` (a half), `centre` (half of the height and width), `random:0.5` (each
            pixel with that probability) or a picture that is white where pixels are hidden.
        shape: of the images, (B, C, H, W).
        seed: of random masks.

    Raises:
        GenlitError: it is none of these.
    """
    n, _, height, width = shape
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None]
    parts = (
        2 * rows < height + 0 * columns,
        2 * rows >= height + 0 * columns,
        2 * columns < width + 0 * rows,
        2 * columns >= width + 0 * rows,
        _middle(rows, height) & _middle(columns, width),
    )
    if mask in (named := dict(zip(MASKS, parts, strict=True))):
        return named[mask][None, None]
    if share := re.fullmatch(r"random:(0?\.\d+|[01](?:\.0*)?)", mask):
        generator = torch.Generator().manual_seed(derive("mask", seed))
        return torch.rand(n, 1, height, width, generator=generator) < float(share[1])
    if not Path(mask).is_file():
        raise GenlitError(f"--mask={mask}: choose {', '.join(MASKS)}, random:0.5 or a picture, white where hidden")
    picture = read(Path(mask), 1).resize((width, height), Image.Resampling.NEAREST)
    return torch.from_numpy(pixels(picture) > 127)[None]


def _middle(places: Tensor, n: int) -> Tensor:
    """Whether places 0 … n − 1 lie in the middle half."""
    return (2 * (2 * places + 1 - n)).abs() <= n


def save(place: Path, originals: Tensor, masked: Tensor, drawn: list[Tensor]) -> None:
    """Each image by itself, and each original, what is left of it and its completions in a row of completions.png."""
    roles = {"original": originals, "masked": masked} | {str(k): images for k, images in enumerate(drawn)}
    for role, images in roles.items():
        save_each(place, images, role)
    write(place / "completions.png", png(in_rows(*roles.values())))
