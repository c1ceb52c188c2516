"""Progressive GAN: a generator and a critic that grow from 4x4 images to the full size while they train."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from genlit.families.adversarial import Unconditional
from genlit.losses.adversarial import LossName
from genlit.model import Batch, Turn
from genlit.nn.equalised import EqualisedConv, EqualisedLinear, MinibatchStd, PixelNorm
from genlit.nn.shapes import doublings


class ProgressiveGAN(Unconditional):
    """WGAN-GP at 4x4, then at 8x8, 16x16, … H x W; each doubling fades in: (1 − α) · coarse + α · fine, α from 0 to 1.

    Karras et al. 2018, "Progressive Growing of GANs for Improved Quality, Stability, and Variation",
    https://arxiv.org/abs/1710.10196: section 2 and figure 2 (growing), 3 (minibatch standard deviation), 4 (equalised
    rate, pixel norm), appendix A.1 and table 2 (networks, training).

    Departs from the paper: the standard deviation is of groups of `group` images, not of the whole batch; the moving
    average's half-life, which its decay of 0.999 per batch of 16 makes 11,000 images, rises from 0 with them.

    Args:
        shape: (C, H, W), H = W = 4 · 2ᵏ.
        latent: numbers in a code, which the generator brings to the hypersphere.
        width: most channels of a level.
        row_features: channels times side of a level, where that is less: 16 channels at 1024x1024.
        stage_images: images of each phase: 4x4, then for each doubling its fade and its rest.
        stage_lr: factor of the rates by side of the image that is made; 1 for the others.
        group: images that the critic compares.
        engine: options of Adversarial and GenerativeModel.

    Raises:
        GenlitError: the images have another shape, or an option is out of range.
    """

    terms = Unconditional.terms | {"gradient_penalty": 10.0, "drift": 1e-3}

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        latent: int = 512,
        width: int = 512,
        row_features: int = 16384,
        stage_images: int = 800_000,
        stage_lr: dict[int, float] | None = None,
        group: int = 4,
        loss: LossName = "wasserstein",
        lr: float | dict[str, float] = 1e-3,
        betas: tuple[float, float] = (0.0, 0.99),
        ema: float | None = 11_000,
        **engine,
    ):
        super().__init__(shape, loss=loss, lr=lr, betas=betas, ema=ema, **engine)
        self.latent, self.stage_images, self.stage_lr = latent, stage_images, stage_lr or {}
        self.require_counts(latent=latent, width=width, stage_images=stage_images, group=group)
        self.sides = [4 << k for k in range(doublings(self.shape, least=0) + 1)]
        self.require("row_features", row_features, row_features >= self.sides[-1], f"at least {self.sides[-1]}")
        known = set(self.stage_lr) <= {*self.sides} and min(self.stage_lr.values(), default=1) > 0
        self.require("stage_lr", stage_lr, known, f"factors above 0 by side: {', '.join(map(str, self.sides))}")
        widths = [min(width, row_features // side) for side in self.sides]
        self.generator = Generator(latent, widths, self.shape[0])
        self.judge_by(Critic(self.shape[0] * self.pack, widths, group))

    def turns(self, batch: Batch) -> Iterator[Turn]:
        stage, alpha = self.growth
        self.observe("resolution", float(self.sides[stage]))
        self.observe("alpha", alpha)
        yield from super().turns(batch)

    @property
    def growth(self) -> tuple[int, float]:
        """How far the networks have grown: the stage, counted in doublings, and α."""
        return growth(self.images / self.stage_images, len(self.sides) - 1)

    def pace(self) -> float:
        return self.stage_lr.get(self.sides[self.growth[0]], 1.0)

    def reals(self, batch: Batch) -> Tensor:
        """Images at the current resolution; while it fades in, mixed with those of the previous one."""
        stage, alpha = self.growth
        images = shrunk(batch["image"], self.shape[1] // self.sides[stage])
        return images if alpha == 1 else torch.lerp(enlarged(shrunk(images)), images, alpha)

    def generate(self, z: Tensor) -> Tensor:
        """Images at the current resolution."""
        return self.generator(z, *self.growth)

    def decode(self, z: Tensor) -> Tensor:
        """Images of the full size, whose pixels are squares until the networks have grown up; cut off at -1 and 1."""
        images = self.generate(z).clamp(-1, 1)
        return enlarged(images, self.shape[1] // images.shape[2])

    def verdict(self, images: Tensor) -> Tensor:
        return self.critic(images, *self.growth)

    def criticise(self, images: Tensor) -> Tensor:
        return super().criticise(self.reals({"image": images}))

    def compilable(self) -> list[nn.Module]:
        return []  # α is a number that changes at every iteration


class Generator(nn.Module):
    """z to images of 4 · 2ˢ pixels: table 2 up to stage s, its colours mixed with the previous stage's by α.

    Args:
        latent: numbers in a code.
        widths: channels of each level, from 4x4 on.
        channels: of an image.
    """

    def __init__(self, latent: int, widths: list[int], channels: int):
        super().__init__()
        first = [PixelNorm(), EqualisedLinear(latent, widths[0] * 16), nn.Unflatten(1, (widths[0], 4, 4)), leaky()]
        self.levels = nn.ModuleList([nn.Sequential(*first, *normed(widths[0], widths[0]))])
        for coarse, fine in pairwise(widths):
            self.levels.append(nn.Sequential(*normed(coarse, fine), *normed(fine, fine)))
        self.colours = nn.ModuleList([EqualisedConv(width, channels, 1, gain=1) for width in widths])

    def forward(self, z: Tensor, stage: int, alpha: float) -> Tensor:
        x = self.levels[0](z)
        for level in self.levels[1 : stage + 1]:
            coarse, x = x, level(enlarged(x))
        image = self.colours[stage](x)
        return image if alpha == 1 else torch.lerp(enlarged(self.colours[stage - 1](coarse)), image, alpha)


class Critic(nn.Module):
    """Images of 4 · 2ˢ pixels to logits (B, 1): table 2 from stage s on, its features mixed with the previous stage's.

    Args:
        channels: of an image.
        widths: channels of each level, from 4x4 on.
        group: images that are compared.
    """

    def __init__(self, channels: int, widths: list[int], group: int):
        super().__init__()
        width = widths[0]
        self.features = nn.ModuleList([nn.Sequential(EqualisedConv(channels, wide, 1), leaky()) for wide in widths])
        self.levels = nn.ModuleList(
            [
                nn.Sequential(*rectified(fine, fine), *rectified(fine, coarse), nn.AvgPool2d(2))
                for coarse, fine in pairwise(widths)
            ]
        )
        self.judge = nn.Sequential(
            MinibatchStd(group),
            *rectified(width + 1, width),
            EqualisedConv(width, width, 4),
            leaky(),
            nn.Flatten(),
            EqualisedLinear(width, 1, gain=1),
        )

    def forward(self, images: Tensor, stage: int, alpha: float) -> Tensor:
        x = self.features[stage](images)
        for index in reversed(range(stage)):
            x = self.levels[index](x)
            if index == stage - 1 and alpha < 1:
                x = torch.lerp(self.features[index](shrunk(images)), x, alpha)
        return self.judge(x)


def growth(phases: float, doublings: int) -> tuple[int, float]:
    """The stage and α after that many phases: appendix A.1. They are stable, fade, stable, fade, …, stable."""
    phase = min(int(phases), 2 * doublings)
    return (phase + 1) // 2, phases - phase if phase % 2 else 1.0


def shrunk(images: Tensor, times: int = 2) -> Tensor:
    """Means of squares of pixels."""
    return avg_pool2d(images, times) if times > 1 else images


def enlarged(images: Tensor, times: int = 2) -> Tensor:
    """Every pixel a square of them."""
    return interpolate(images, scale_factor=times, mode="nearest") if times > 1 else images


def leaky() -> nn.Module:
    """max(0.2 a, a)."""
    return nn.LeakyReLU(0.2)


def rectified(inputs: int, outputs: int) -> list[nn.Module]:
    """A 3x3 convolution of the critic."""
    return [EqualisedConv(inputs, outputs, 3, padding=1), leaky()]


def normed(inputs: int, outputs: int) -> list[nn.Module]:
    """A 3x3 convolution of the generator."""
    return [*rectified(inputs, outputs), PixelNorm()]
