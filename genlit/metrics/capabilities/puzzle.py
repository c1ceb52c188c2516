"""Whether patches are put where they belong, and kept as they are."""

import math

import torch
from torch import Tensor

from genlit.capabilities import Assembles
from genlit.data import Source
from genlit.engine.clock import derive
from genlit.engine.processes import gather
from genlit.metrics.capabilities.means import PerImage, blocks, counted, protocol
from genlit.metrics.measure import Measure

MASKS = 2000  # training masks that the constant one is found by
THRESHOLDS = 100  # of their mean that are tried


def assemblies(
    model: Assembles, source: Source, split: str, limit: int | None = None, *, seed: int = 0
) -> list[Measure]:
    """Where patches of a split's first rows are placed, beside one mask for all, and how near the images come.

    `mask-iou/n2000.test` is the mean of |M ∩ M*| / |M ∪ M*|, M being where the model's mask is above ½;
    `mask-iou-constant` that of the `constant` mask of training images; `mask-iou-ratio` their quotient. `psnr`, in dB,
    is pooled over images: `psnr/inside` of the pixels that a patch showed and `psnr/outside` of the others, which may
    be easier, say where key patches leave the background. `psnr/shown` and `psnr/hidden` are of the same pixels, those
    that only one of two draws of patches covered: by the image made of that draw, and by that of the other.
    `psnr-gain/inside` and `psnr-gain/shown` are what the first of each pair has above the second.

    Args:
        model: assembles images.
        source: of the images.
        split: a split of it.
        limit: at most this many rows.
        seed: of patches, codes and binarisation, which names carry.

    Raises:
        GenlitError: there is no such row.
    """
    same, means = constant(training_masks(model, source, seed)), PerImage(counted(source, split, limit))
    for batch, positions in blocks(source, split, means.n, model.device, seed):
        means.update(solved_twice(model, batch["image"], same, [_seed(seed, positions, k) for k in "ab"]), positions)
    found, of = means.compute(), protocol(source, means.n, split)
    measures = {f"{name}/{of}": found[name] for name in ("mask-iou", "mask-iou-constant")}
    measures[f"mask-iou-ratio/{of}"] = found["mask-iou"] / found["mask-iou-constant"]
    psnr = {w: decibels(found[f"{w}-squares"], found[f"{w}-values"]) for w in ("inside", "outside", "shown", "hidden")}
    measures |= {f"psnr/{where}.{of}": value for where, value in psnr.items()}
    for name, here, there in (("psnr-gain/inside", "inside", "outside"), ("psnr-gain/shown", "shown", "hidden")):
        if None not in (psnr[here], psnr[there]):
            measures[f"{name}.{of}"] = psnr[here] - psnr[there]
    return [Measure(name, value, means.n) for name, value in measures.items() if value is not None]


def solved_twice(model: Assembles, images: Tensor, same: Tensor, seeds: list[int]) -> dict[str, Tensor]:
    """Overlaps by the first of two draws of patches; Σ (x̂ − x)² over pixels and their number: each (B,), by name.

    Args:
        model: assembles images.
        images: x, (B, C, H, W).
        same: the constant mask, (1, 1, H, W).
        seeds: of the two draws.
    """
    (errors, mask, placed), (others, other, _) = (solved(model, images, seed) for seed in seeds)
    found = {"mask-iou": overlap(placed, mask > 0.5), "mask-iou-constant": overlap(same.to(mask.device), mask > 0.5)}
    ours, theirs = mask * (1 - other), other * (1 - mask)
    regions = {
        "inside": (errors * mask, mask),
        "outside": (errors * (1 - mask), 1 - mask),
        "shown": (errors * ours + others * theirs, ours + theirs),
        "hidden": (errors * theirs + others * ours, ours + theirs),
    }
    for where, (squares, region) in regions.items():
        found[f"{where}-squares"] = squares.flatten(1).sum(1)
        found[f"{where}-values"] = region.flatten(1).sum(1) * images.shape[1]
    return found


def solved(model: Assembles, images: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of one draw of patches: (x̂ − x)², the mask M* of their places, and whether M is above ½ there."""
    patches, mask = model.cut(images, seed=seed)
    made, placed = model.assemble(patches, seed=seed)
    return (made.double() - images.double()).square(), mask.double(), placed > 0.5


def overlap(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of boolean masks (B or 1, 1, H, W), float64 (B,); of two empty ones it is 1."""
    common, both = (each.flatten(1).sum(1).double() for each in (one & other, one | other))
    return torch.where(both > 0, common / both.clamp(min=1), 1.0)


def constant(masks: Tensor) -> Tensor:
    """Where the mean of boolean masks (N, 1, H, W) is above the threshold whose mask overlaps them most: (1, 1, H, W).

    It is what can be known of the places without a look at the patches.
    """
    mean = masks.double().mean(0, keepdim=True)
    candidates = torch.cat([mean > k / THRESHOLDS for k in range(THRESHOLDS)])
    ours, theirs = (each.flatten(1).double() for each in (candidates, masks))
    common = ours @ theirs.T
    both = ours.sum(1)[:, None] + theirs.sum(1) - common
    best = (common / both.clamp(min=1)).mean(1).argmax()
    return candidates[best][None]


def training_masks(model: Assembles, source: Source, seed: int) -> Tensor:
    """Where the patches of the first training images lie, boolean, on the CPU."""
    own = []
    for batch, positions in blocks(source, "train", counted(source, "train", MASKS), model.device, seed):
        _, mask = model.cut(batch["image"], seed=_seed(seed, positions, "a"))
        own.append((mask > 0.5).cpu())
    return torch.cat([mask for share in gather(own) for mask in share])


def decibels(squares: float, values: float) -> float | None:
    """−10 log₁₀ (mean square / 4) of values in [-1, 1]; None where there is no value."""
    if not values:
        return None
    return -10 * math.log10(squares / values / 4) if squares else math.inf


def _seed(seed: int, positions: Tensor, draw: str) -> int:
    return derive("assemblies", seed, draw, int(positions[0]))
