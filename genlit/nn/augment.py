"""Differentiable augmentation of what a critic sees, at a fixed or at an adaptive strength."""

from typing import Literal

import torch
from torch import Tensor, nn

from genlit.engine.processes import total
from genlit.errors import known

HORIZON = 500_000  # images that p needs from 0 to 1
INTERVAL = 4  # iterations between two changes of p

AugmentName = Literal["flip", "colour", "translation", "cutout"]


class Augmentation(nn.Module):
    """T(x): every transformation befalls every image with probability p, independently; ∂T(x)/∂x is defined.

    Zhao et al. 2020 (DiffAugment), https://arxiv.org/abs/2006.10738: p = 1. Karras et al. 2020 (ADA), section 3,
    https://arxiv.org/abs/2006.06676: p rises by n / 500,000 where r_t = E[sign(D(x))] (eq. 1), over the n training
    images of 4 iterations, is above the target, falls by it where r_t is below, and stays in [0, 1].

    Departs from the papers: the transformations are DiffAugment's for both, "colour" being one; "flip" mirrors half of
    what it befalls, so at p = 1 images are mirrored or not, evenly.

    Args:
        names: the transformations, in order.
        target: of r_t, in (-1, 1), where p adapts from 0 (ADA: 0.6); None keeps p = 1.
    """

    def __init__(self, names: tuple[AugmentName, ...], target: float | None = None):
        super().__init__()
        known("model.augment", names, TRANSFORMATIONS)
        self.names, self.target = tuple(names), target
        # whole numbers: exact, and no different in another precision
        self.register_buffer("level", torch.tensor(HORIZON if target is None else 0))  # p · HORIZON
        self.register_buffer("signs", torch.zeros(2, dtype=torch.long))  # Σ sign(D(x)) and how many, of all processes
        self.register_buffer("fresh", torch.zeros(2, dtype=torch.long), persistent=False)  # of this iteration, here

    @property
    def probability(self) -> Tensor:
        """p, on the device."""
        return self.level / HORIZON

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape; what an image loses becomes 0, grey."""
        for name in self.names:
            befallen = torch.rand(len(images), 1, 1, 1, device=images.device) < self.probability
            images = torch.where(befallen, TRANSFORMATIONS[name](images), images)
        return images

    def watch(self, logits: Tensor) -> None:
        """Adds the critic's logits on real images, any shape, to r_t; in training only."""
        if self.target is not None and self.training:
            self.fresh[0] += logits.detach().sign().long().sum()
            self.fresh[1] += logits.numel()

    def adapt(self, iteration: int) -> None:
        """Closes the iteration after `iteration` others, on every process; twice is as once. Every fourth moves p."""
        if self.target is None or not self.training:
            return
        self.signs += total(self.fresh)  # in every iteration: what a checkpoint saves is of all processes
        self.fresh.zero_()
        if (iteration + 1) % INTERVAL == 0:
            summed, count = self.signs
            direction = (summed - self.target * count).sign().long()
            self.level.add_(direction * count).clamp_(0, HORIZON)
            self.signs.zero_()


def flip(images: Tensor) -> Tensor:
    """Mirrored left to right, or not."""
    return torch.where(uniform(images, 0, 1) < 0.5, images.flip(3), images)


def colour(images: Tensor) -> Tensor:
    """Brightness x + u, u ~ U(−½, ½), then m + u (x − m): saturation, u ~ U(0, 2), and contrast, u ~ U(½, 1½).

    m is the mean over a pixel's channels for saturation, over the image for contrast.
    """
    images = images + uniform(images, -0.5, 0.5)
    for dims, low, high in (((1,), 0, 2), ((1, 2, 3), 0.5, 1.5)):
        mean = images.mean(dims, keepdim=True)
        images = mean + uniform(images, low, high) * (images - mean)
    return images


def translation(images: Tensor) -> Tensor:
    """Moved by up to an eighth of the height and of the width."""
    for dim, size in ((2, images.shape[2]), (3, images.shape[3])):
        source = counted(images, dim, -(size // 8), size // 8)
        # modulo: every pixel is read once, so that the gradient adds nothing up and is deterministic
        moved = images.gather(dim, (source % size).expand_as(images))
        images = moved.masked_fill((source < 0) | (source >= size), 0)
    return images


def cutout(images: Tensor) -> Tensor:
    """Without a square of half the side, whose centre is anywhere in the image."""
    within = torch.ones_like(images[:, :1], dtype=torch.bool)
    for dim, size in ((2, images.shape[2]), (3, images.shape[3])):
        offset = counted(images, dim, size // 4 - size + 1, size // 4)
        within = within & (offset >= 0) & (offset < size // 2)
    return images.masked_fill(within, 0)


def uniform(images: Tensor, low: float, high: float) -> Tensor:
    """u ~ U(low, high) per image, (B, 1, 1, 1), drawn finer than bfloat16 could."""
    return (low + (high - low) * torch.rand(len(images), 1, 1, 1, device=images.device)).to(images.dtype)


def counted(images: Tensor, dim: int, low: int, high: int) -> Tensor:
    """n, n + 1, n + 2, ... along `dim`, n a whole number in [low, high] per image: (B, 1, H, 1) or (B, 1, 1, W)."""
    starts = torch.randint(low, high + 1, (len(images), 1, 1, 1), device=images.device)
    return (starts + torch.arange(images.shape[dim], device=images.device)).transpose(dim, 3)


TRANSFORMATIONS = {"flip": flip, "colour": colour, "translation": translation, "cutout": cutout}
