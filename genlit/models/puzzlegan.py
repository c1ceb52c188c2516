"""Puzzle-GAN: a whole image from a few of its patches, whose places it is not told."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from genlit.families.sampling import BLOCK, rows
from genlit.losses.adversarial import cross_entropy, non_saturating
from genlit.model import Batch, GenerativeModel, Turn
from genlit.nn.convolutional import convolutional_trunk
from genlit.nn.initial import normal
from genlit.nn.norm import NORMS, NormName, still
from genlit.nn.patches import PlacesName, covered, crops, rectangles, uniforms
from genlit.nn.shapes import doublings


class PuzzleGAN(GenerativeModel):
    """N patches of an image x, each enlarged to its size and in no order, give a mask M of their places and an image x̂.

    f = Σₙ E(patchₙ), M = D_M(f), x̂ = D_I(f, M's features, z), z ~ N(0, I); with the true mask M* and another image x′

    L_spatial = ‖M − M*‖₁,  L_appearance = ‖x̂ M − x M*‖₁,  max_D min_G E[log D(x)] + E[log(1 − D(x̂))]
    + E[log(1 − D(x M* + x′ (1 − M*)))] + E[log(1 − D(x′ M* + x (1 − M*)))],

    norms being sums over channels and pixels, means over images. The generator's adversarial loss is −E[log D(x̂)].

    Lee et al. 2018, "Unsupervised Holistic Image Generation from Key Local Patches", section 3,
    https://arxiv.org/abs/1703.10730; what the composites of x and x′ are is as in the authors' code.

    Departs from the paper: key patches lie where the image has much detail instead of where a detector finds objects;
    convolutions are 4x4 instead of 5x5; the generator learns in every iteration; the weights of `spatial` and
    `appearance` stay as they are unless `fade` says so. x′ is the previous image of a process's micro-batch; one that
    is alone there has no composites.

    Args:
        shape: (C, H, W), H = W = 4 · 2ᵏ with k ≥ 1.
        patches: N in training; `assemble` takes any number.
        sides: of the shortest and the longest side of a patch, as shares of the image's.
        places: of the patches: key, where there is detail, or random.
        latent: number of the codes z.
        embedding: features of a patch as a whole.
        width: channels of the layers next to the image; they double with every halving, up to eight times as many.
        norm: the generator's normalisation.
        critic_width: channels of the critic's first layer; they double with every halving.
        critic_norm: the critic's.
        fade: images over which the weights of `spatial` and `appearance` fall, geometrically, to a hundredth; 0 keeps
            them (paper: the whole training).
    """

    players = {"critic": ["critic"], "generator": ["encoder", "placer", "painter"]}
    terms = {"adversarial": 1.0, "composites": 1.0, "spatial": 1e-2, "appearance": 1e-2}
    averaged = ("encoder", "placer", "painter")
    lacks = {"sample": "it paints around patches of an image: genlit puzzle RUN --images DIR"}

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        patches: int = 3,
        sides: tuple[float, float] = (0.25, 0.5),
        places: PlacesName = "key",
        latent: int = 128,
        embedding: int = 128,
        width: int = 64,
        norm: NormName = "batch",
        critic_width: int = 64,
        critic_norm: NormName = "batch",
        fade: int = 0,
        lr: float | dict[str, float] = 2e-4,
        channels_last: bool = True,
        **engine,
    ):
        super().__init__(shape, lr=lr, channels_last=channels_last, **engine)
        self.patches, self.sides, self.places, self.latent, self.fade = patches, tuple(sides), places, latent, fade
        self.require_counts(patches=patches, latent=latent, embedding=embedding, width=width, critic_width=critic_width)
        self.require("sides", self.sides, 0 < sides[0] <= sides[1] <= 1, "[short, long] with 0 < short <= long <= 1")
        self.require("fade", fade, fade >= 0, "at least 0")
        widths = [width << min(k, 3) for k in range(doublings(self.shape))]
        shared = [2 * wide for wide in widths]  # of a decoder's layer, with what stands beside it
        self.encoder = normal(Encoder(self.shape[0], widths, embedding, norm))
        self.placer = normal(Decoder(embedding, widths, widths, 1, nn.Sigmoid(), norm))
        self.painter = normal(Decoder(embedding + latent, widths, shared, self.shape[0], nn.Tanh(), norm))
        trunk, features = convolutional_trunk(self.shape, critic_width, critic_norm)
        self.critic = nn.Sequential(*trunk, normal(nn.Linear(features, 1)))

    def turns(self, batch: Batch) -> Iterator[Turn]:
        real = batch["image"]
        patches, mask = self.cut_out(real, uniforms(self.shape, len(real), self.patches, real.device))
        fake, placed = self.paint(patches, torch.randn(len(real), self.latent, device=real.device))
        yield "critic", self.judging(real, fake.detach(), mask)

        with still(self.critic):
            fooling = non_saturating(self.critic(fake))
        yield (
            "generator",
            {
                "adversarial": fooling,
                "spatial": l1(placed, mask),
                "appearance": l1(fake * placed, real * mask),
            },
        )

    def cut_out(self, images: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
        """Patches (B, N, C, H, W), enlarged to the image's size, and the mask of their places, 0 or 1, (B, 1, H, W)."""
        boxes = rectangles(images, uniform, self.sides, self.places)
        return crops(images, boxes), covered(boxes, images.shape[2:]).any(1, keepdim=True).to(images.dtype)

    def paint(self, patches: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """x̂, (B, C, H, W) in (−1, 1), and M, (B, 1, H, W) in (0, 1)."""
        n = patches.shape[:2]
        *features, code = (level.unflatten(0, n).sum(1) for level in self.encoder(patches.flatten(0, 1)))
        mask, placing = self.placer(code, features[::-1])
        z = z.to(code.dtype)[:, :, None, None]
        image, _ = self.painter(torch.cat([code, z], dim=1), placing)
        return image, mask

    def judging(self, real: Tensor, fake: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """The critic's losses: on images and detached fakes, and on composites of images and others, if there are."""
        terms = {"adversarial": cross_entropy(self.critic(real), self.critic(fake))}
        if len(real) < 2:
            return terms
        other = real.roll(1, 0)
        swapped = [composite(real, other, mask), composite(other, real, mask)]
        return terms | {"composites": sum(softplus(self.critic(images)).mean() for images in swapped)}

    def weight(self, term: str) -> float:
        falls = self.fade and term in ("spatial", "appearance")
        return self.weights[term] * (0.01 ** self.ramp(self.fade) if falls else 1)

    def cut(self, images: Tensor, *, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Patches of images, as in training, (B, N, C, H, W), and the mask of their places, (B, 1, H, W).

        What is drawn for the i-th image depends on i and the seed alone.
        """
        with self.evaluation():
            images = self.here(images)
            uniform = rows(lambda: uniforms(self.shape, BLOCK, self.patches), 0, len(images), "cut", seed)
            return self.cut_out(images, uniform.to(self.device))

    def assemble(self, patches: Tensor, *, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Images of patches (B, any number, C, H, W), (B, C, H, W), and where it placed them, (B, 1, H, W) in (0, 1).

        z of the i-th image depends on i and the seed alone.
        """
        with self.evaluation():
            z = rows(lambda: torch.randn(BLOCK, self.latent), 0, len(patches), "assemble", seed)
            return self.paint(self.here(patches), self.here(z))


class Encoder(nn.Module):
    """Features of patches at half their size, a quarter, ... and 4x4, and as a whole, (B, embedding, 1, 1)."""

    def __init__(self, channels: int, widths: list[int], embedding: int, norm: NormName):
        super().__init__()
        first = nn.Sequential(nn.Conv2d(channels, widths[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        last = nn.Sequential(nn.Conv2d(widths[-1], embedding, 4), nn.LeakyReLU(0.2))
        self.levels = nn.ModuleList([first, *(halve(*pair, norm) for pair in pairwise(widths)), last])

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = []
        for level in self.levels:
            x = level(x)
            levels.append(x)
        return levels


class Decoder(nn.Module):
    """An image of a code (B, K, 1, 1), with others' features beside its own at 4x4, 8x8, ... and half its size.

    Args:
        inputs: K.
        widths: channels of its own features, from half the image's side down to 4x4.
        beside: those of the others', likewise.
        outputs: channels of the image.
        bound: what brings the image into its range.
        norm: normalisation.
    """

    def __init__(
        self, inputs: int, widths: list[int], beside: list[int], outputs: int, bound: nn.Module, norm: NormName
    ):
        super().__init__()
        joined = [own + other for own, other in zip(widths, beside, strict=True)]
        first = nn.Sequential(nn.ConvTranspose2d(inputs, widths[-1], 4), NORMS[norm](widths[-1]), nn.ReLU())
        ups = [double(wide, narrow, norm) for wide, narrow in zip(joined[:0:-1], widths[-2::-1], strict=True)]
        self.levels = nn.ModuleList([first, *ups])
        self.last = nn.Sequential(nn.ConvTranspose2d(joined[0], outputs, 4, stride=2, padding=1), bound)

    def forward(self, x: Tensor, beside: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The image, and its features with the others', from 4x4 on."""
        levels = []
        for level, other in zip(self.levels, beside, strict=True):
            x = torch.cat([level(x), other], dim=1)
            levels.append(x)
        return self.last(x), levels


def halve(narrow: int, wide: int, norm: NormName) -> nn.Sequential:
    """To half the resolution."""
    return nn.Sequential(nn.Conv2d(narrow, wide, 4, stride=2, padding=1), NORMS[norm](wide), nn.LeakyReLU(0.2))


def double(wide: int, narrow: int, norm: NormName) -> nn.Sequential:
    """To twice the resolution."""
    return nn.Sequential(nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1), NORMS[norm](narrow), nn.ReLU())


def composite(inside: Tensor, outside: Tensor, mask: Tensor) -> Tensor:
    """M x + (1 − M) y."""
    return mask * inside + (1 - mask) * outside


def l1(x: Tensor, y: Tensor) -> Tensor:
    """‖x − y‖₁, summed over channels and pixels and averaged over images."""
    return (x - y).abs().flatten(1).sum(1).mean()
