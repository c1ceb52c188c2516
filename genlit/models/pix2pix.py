"""pix2pix: translation learned from pairs."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from genlit.errors import known
from genlit.losses.adversarial import LOSSES, LossName
from genlit.model import Batch, GenerativeModel, Turn
from genlit.nn.initial import normal
from genlit.nn.norm import InstanceNorm
from genlit.nn.shapes import refuse_unsuited
from genlit.nn.translation import patch_critic


class Pix2Pix(GenerativeModel):
    """min_G max_D E[log D(x, y)] + E[log(1 − D(x, G(x)))] + λ E‖y − G(x)‖₁, (x, y) pairs.

    The norm is a mean over images and pixels, λ = 100; the critic minimises half its loss.

    Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks", eqs. 1 to 4 and section 3.3,
    https://arxiv.org/abs/1611.07004. G's only noise is dropout.

    Departs from the paper: every layer normalises each image by itself, which is what BatchNorm by the batch at hand
    does at the paper's batch of 1, and has no learned scale; the innermost layer has no norm. `translate` leaves the
    dropout out, where the paper keeps it, so that an image has one translation. There is no jitter: the authors resize
    images to 286 pixels and crop 256 at random, and here they are mirrored only, both of a pair together.

    Args:
        shape: (C, H, W).
        to: the column that is painted, from the other of `a` and `b`.
        width: channels of the generator's first layer.
        halvings: strided layers of the generator, down to its smallest map; None takes as many as both sides halve, 8
            at most (256 pixels come to 1x1).
        dropout: share of values dropped in the three innermost layers on the way up.
        critic_width: channels of the critic's first layer.
        critic_layers: strided layers of the critic; 3 make its receptive field 70x70.
        loss: the adversarial pair.
    """

    players = {"critic": ["critic"], "generator": ["generator"]}
    terms = {"adversarial": 1.0, "reconstruction": 100.0}
    needs = ("a", "b")
    pairs = True
    averaged = ("generator",)
    domains = ("a", "b")

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        to: Literal["a", "b"] = "b",
        width: int = 64,
        halvings: int | None = None,
        dropout: float = 0.5,
        critic_width: int = 64,
        critic_layers: int = 3,
        loss: LossName = "non-saturating",
        lr: float | dict[str, float] = 2e-4,
        **engine,
    ):
        super().__init__(shape, lr=lr, **engine)
        halvings = halves(self.shape) if halvings is None else halvings
        self.require_counts(width=width, critic_width=critic_width, critic_layers=critic_layers)
        self.require("to", to, to in self.domains, "a or b")
        self.require("dropout", dropout, 0 <= dropout < 1, "at least 0 and below 1")
        multiple, least = 1 << max(halvings, 1), 4 << critic_layers
        refuse_unsuited("Pix2Pix", self.shape, halvings, critic_layers, multiple=multiple, least=least)
        self.require_counts(halvings=halvings)
        self.origin, self.target, self.multiple = "ab".replace(to, ""), to, 1 << halvings
        self.loss, channels = LOSSES[loss], self.shape[0]
        self.generator = normal(UNet(channels, width, halvings, dropout))
        self.critic = patch_critic(2 * channels, critic_width, critic_layers)

    def turns(self, batch: Batch) -> Iterator[Turn]:
        x, y = batch[self.origin], batch[self.target]
        fake = self.generator(x)

        judged = torch.cat([self.beside(x, y), self.beside(x, fake.detach())])
        yield "critic", {"adversarial": 0.5 * self.loss.critic(*self.critic(judged).chunk(2))}

        real = self.critic(self.beside(x, y)) if self.loss.relative else None
        fooled = self.loss.generator(self.critic(self.beside(x, fake)), real)
        yield "generator", {"adversarial": fooled, "reconstruction": l1_loss(fake, y)}

    def beside(self, x: Tensor, y: Tensor) -> Tensor:
        """What the critic judges: an image with its translation, as channels."""
        return torch.cat([x, y], 1)

    @property
    def directions(self) -> list[tuple[str, str]]:
        """(from, to): the one that was learned."""
        return [(self.origin, self.target)]

    def translate(self, images: Tensor, to: str) -> Tensor:
        """Images of the domain that is painted, (B, C, H, W) in (−1, 1), without dropout."""
        known("to", [to], [self.target])
        with self.evaluation():
            return self.generator(self.here(images))


class UNet(nn.Module):
    """Halves and doubles an image; each layer up also reads what its mirror image on the way down gave.

    Down C64-C128-C256-C512-…, up CD512-CD512-CD512-C512-…-C128-C64: Isola et al. 2017, appendix 6.1.1.

    Args:
        channels: of the images.
        width: of the first layer.
        halvings: layers down.
        dropout: of the first three layers up.
    """

    def __init__(self, channels: int, width: int, halvings: int, dropout: float):
        super().__init__()
        widths = [width * min(2**k, 8) for k in range(halvings)]
        self.down = nn.ModuleList([nn.Conv2d(channels, width, 4, stride=2, padding=1)])
        self.up = nn.ModuleList()
        for k in range(1, halvings):
            norm = [InstanceNorm(widths[k])] * (k < halvings - 1)
            self.down.append(nn.Sequential(nn.LeakyReLU(0.2), _down(widths[k - 1], widths[k]), *norm))
        for k in range(halvings - 1, 0, -1):
            skipped = widths[k] * (k < halvings - 1)
            noise = [nn.Dropout(dropout)] * (halvings - k <= 3)
            layers = (nn.ReLU(), _up(widths[k] + skipped, widths[k - 1]), InstanceNorm(widths[k - 1]), *noise)
            self.up.append(nn.Sequential(*layers))
        self.last = nn.Sequential(nn.ReLU(), _up(width * (1 + (halvings > 1)), channels), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        met = []
        for down in self.down:
            x = down(x)
            met.append(x)
        met.pop()
        for up in self.up:
            x = torch.cat([up(x), met.pop()], 1)
        return self.last(x)


def _down(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)


def _up(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)


def halves(shape: tuple[int, int, int], most: int = 8) -> int:
    """How often both sides halve without a remainder, `most` at most."""
    return max(k for k in range(most + 1) if shape[1] % (1 << k) == shape[2] % (1 << k) == 0)
