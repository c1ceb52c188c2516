"""Whether images are unlike those that a model was trained on, by the probability that it gives them."""

import io
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc

from genlit.logging.media import single
from genlit.losses.likelihood import bits_per_dim
from genlit.metrics.capabilities.likelihood import Kind

FORMATS = (
    {"format": "PNG", "optimize": True},
    {"format": "WEBP", "lossless": True, "exact": True, "quality": 100, "method": 6},  # colours of clear pixels too
)


@dataclass(frozen=True)
class Scores:
    """What a model says of each image.

    Args:
        nats: log p(x), or its bound, float64 (N,).
        bits: −log₂ P(x) / D per dimension, float64 (N,); NaN where p is a density of real numbers.
        complexity: L(x) / D, of the shortest lossless file, in bits per dimension, float64 (N,); None leaves it out.
    """

    nats: Tensor
    bits: Tensor
    complexity: Tensor | None = None

    @property
    def oddity(self) -> Tensor:
        """−log p(x) in nats; with a complexity, (−log₂ P(x) − L(x)) / D in bits per dimension, (N,).

        The larger, the less an image is like the training's. Of raw likelihood this fails in a known way: simple images
        get a high one whatever they show (Nalisnick et al. 2019, https://arxiv.org/abs/1810.09136). L makes up for it:
        Serrà et al. 2020, "Input Complexity and Out-of-distribution Detection", eq. 1, https://arxiv.org/abs/1909.11480.
        """
        return -self.nats if self.complexity is None else self.bits - self.complexity


@torch.no_grad()
def scores(
    log_prob: Callable[[Tensor], Tensor], kind: Kind, batches: Iterable[Tensor], *, complexity: bool = False
) -> Scores:
    """What a model says of each image of some batches.

    Args:
        log_prob: gives log p(x), or a bound, of images, see `estimates`.
        kind: of images, see `kind_of`.
        batches: images (B, C, H, W) in [-1, 1]; each is looked at under the random state in which it is given.
        complexity: whether L(x) is measured.

    Raises:
        GenlitError: the images have other values than the model speaks of.
    """
    nats, bits, lengths = [], [], []
    for images in batches:
        nats.append(log_prob(kind.prepare(images)).double().cpu())
        bits.append(bits_per_dim(-nats[-1], images[0].numel(), kind.density or math.nan))
        if complexity:
            lengths.append(compressed_bits(images) / images[0].numel())
    return Scores(torch.cat(nats), torch.cat(bits), torch.cat(lengths) if complexity else None)


def compressed_bits(images: Tensor) -> Tensor:
    """L(x): bits of the shorter of a PNG and a lossless WebP file of each image, float64 (B,).

    Args:
        images: (B, C, H, W) in [-1, 1], C = 1, 3 or 4.
    """
    return torch.tensor([8 * min(_sizes(_plain(single(image)))) for image in images], dtype=torch.float64)


def threshold(held_out: Tensor, share: float) -> float:
    """The oddity that a share of held-out images exceeds: their (1 − share)-quantile."""
    return torch.quantile(held_out, 1 - share, interpolation="lower").item()  # some may be infinite


def auroc(inside: Tensor, outside: Tensor) -> float:
    """P(o′ > o) + P(o′ = o) / 2, o′ the oddity of an outlying image and o of one that belongs: 1/2 says nothing.

    Args:
        inside: oddities of images that belong, (N,).
        outside: of images that do not, (M,).
    """
    _, ranks = torch.cat([inside, outside]).unique(return_inverse=True)
    belongs_not = torch.cat([torch.zeros(len(inside)), torch.ones(len(outside))]).long()
    # Ranks in [0, 1], because torchmetrics brings other values there by a sigmoid, under which many would be equal.
    return binary_auroc(ranks / ranks.max().clamp(min=1).double(), belongs_not).item()


def _plain(picture: Image.Image) -> Image.Image:
    """A black and white picture in one bit per pixel, which a PNG file stores in an eighth."""
    colours = picture.getcolors(2) if picture.mode == "L" else None
    return picture.convert("1") if colours and {value for _, value in colours} <= {0, 255} else picture


def _sizes(picture: Image.Image) -> list[int]:
    """Bytes of the picture's files."""
    files = [io.BytesIO() for _ in FORMATS]
    for file, options in zip(files, FORMATS):
        picture.save(file, **options)
    return [file.tell() for file in files]
