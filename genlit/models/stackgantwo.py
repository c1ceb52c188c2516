"""StackGAN, stage II: a trained stage I's images, enlarged and corrected."""

import logging
from itertools import pairwise

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor, nn
from torch.nn.functional import interpolate

from genlit import runs
from genlit.errors import GenlitError
from genlit.families.fromtext import AugmentsText
from genlit.models.stackgan import StackGAN
from genlit.nn.captioned import Augmented, TextGenerator
from genlit.nn.initial import normal
from genlit.nn.maps import with_maps
from genlit.nn.norm import NORMS, NormName
from genlit.nn.residual import Residual

log = logging.getLogger("genlit")

HALVINGS = 2  # of stage I's images before the residual blocks


class StackGANTwo(AugmentsText):
    """The game of FromText over G(G₁(z, c₁), c), G₁ a StackGAN's generator, which stays as it is.

    L_G = −log D(G(s, c), h) + λ KL(N(μ(h), σ²(h)) ‖ N(0, I)), s = G₁(z, c₁), c = μ(h) + σ(h) ε with μ and σ of this
    stage's own; the divergence a mean over the numbers of c and over images, λ = 2.

    Zhang et al. 2017, "StackGAN", eqs. 5 and 6 and section 3.3, https://arxiv.org/abs/1612.03242. Stage I, its words
    and its text encoder are read from a run when training begins; this model's checkpoints hold them, and as `origin`
    the path of the checkpoint that they came from.

    Departs from the paper: the reduction and λ are those of the authors' code; stage I normalises by its running
    statistics, as it does when it draws samples.

    Args:
        shape: (C, H, W), square of 4 · 2ᵏ pixels.
        stage_one: run of a StackGAN of images `factor` times smaller: a folder, a checkpoint or an experiment's name.
        factor: by which stage I's images are enlarged, a power of 2.
        blocks: residual blocks.
        latent: numbers in stage I's z.
        width: channels at stage I's resolution, of both generators.
        embedding: D, length of h.
        projected: numbers in c₁ and in c.
        norm: the normalisation of both generators.
        text: options of FromText; `words` and `encoder` as in stage I.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        stage_one: str | None = None,
        factor: int = 4,
        blocks: int = 4,
        latent: int = 100,
        width: int = 64,
        embedding: int = 256,
        projected: int = 128,
        norm: NormName = "batch",
        **text,
    ):
        super().__init__(shape, latent=latent, width=width, embedding=embedding, projected=projected, **text)
        self.require_counts(blocks=blocks)
        self.require("factor", factor, factor in (2, 4, 8, 16), "2, 4, 8 or 16")
        channels, height, side = self.shape
        self.run, self.small = stage_one, (channels, height // factor, side // factor)
        self.origin = ""  # the checkpoint of stage I
        condition = Augmented(embedding, projected)
        self.stage_one = TextGenerator(self.small, condition, latent, projected, width, norm)
        self.generator = Refiner(channels, factor, width, blocks, embedding, projected, norm)
        for frozen in (self.stage_one, self.text):
            frozen.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "StackGANTwo":
        """Leaves stage I and the text encoder in evaluation mode."""
        super().train(mode)
        self.stage_one.eval()
        self.text.eval()
        return self

    def meet(self, source: LightningDataModule) -> None:
        """Takes the networks and the words of stage I's run.

        Raises:
            GenlitError: there is none, or it does not fit.
        """
        self.require("stage_one", self.run, self.run is not None, "a run of StackGAN: --model.stage_one=stackgan")
        from genlit.loading import load  # which imports all models

        path = runs.resolve(self.run)
        first = load(path)
        if not isinstance(first, StackGAN) or first.shape != self.small:
            found = f"{type(first).__name__} of images {first.shape}"
            raise GenlitError(f"model.stage_one: {path} is a {found}; it must be a StackGAN of {self.small}")
        try:
            self.stage_one.load_state_dict(first.generator.state_dict())
            self.text.load_state_dict(first.text.state_dict())
        except RuntimeError as error:
            sizes = "latent, width, words, encoder, embedding, projected and norm"
            raise GenlitError(f"model.stage_one: {path} has other sizes; set model.{sizes} as there") from error
        self.vocabulary.set_extra_state(first.vocabulary.get_extra_state())
        self.origin = str(path)
        log.warning("stage I is %s", path)

    def prior(self, n: int, device: torch.device) -> Tensor:
        """z and ε of stage I, and ε of this one: (n, latent + 2 projected)."""
        return torch.randn(n, self.latent + 2 * self.projected, device=device)

    def generate(self, z: Tensor, text: Tensor) -> Tensor:
        return self.generator(self.coarse(z, text), z[:, -self.projected :], text)

    @torch.no_grad()
    def coarse(self, z: Tensor, text: Tensor) -> Tensor:
        """Stage I's images, (B, C, H / factor, W / factor)."""
        return self.stage_one(z[:, : -self.projected], text)

    def enlarged(self, n: int, *, seed: int = 0, start: int = 0, batch_size: int = 64) -> Tensor:
        """Stage I's images of the draws and captions of `sample`, enlarged bilinearly, (n, C, H, W) in [-1, 1]."""
        with self.evaluation():
            parts = self._draws(start, start + n, seed).to(self.device, self.dtype).split(batch_size)
            small = torch.cat([self.coarse(part[:, :-1], self.read(self._drawn(part))) for part in parts])
            return interpolate(small, size=self.shape[1:], mode="bilinear").clamp(-1, 1)

    def get_extra_state(self) -> str:
        return self.origin

    def set_extra_state(self, state: str) -> None:
        self.origin = state


class Refiner(nn.Module):
    """G(s, c): s down to a quarter of its side, c beside it everywhere, residual blocks, then up to the full size.

    Args:
        channels: of an image.
        factor: by which s is enlarged.
        width: channels at the resolution of s; they double with every halving.
        blocks: residual blocks.
        embedding: numbers in h.
        projected: numbers in c.
        norm: the normalisation.
    """

    def __init__(
        self, channels: int, factor: int, width: int, blocks: int, embedding: int, projected: int, norm: NormName
    ):
        super().__init__()
        self.condition = Augmented(embedding, projected)
        widths = [width << k for k in range(HALVINGS + 1)]
        wide, finest = widths[-1], [max(1, width >> k) for k in range(1, factor.bit_length())]
        downs = [layer for a, b in pairwise(widths) for layer in rectified(a, b, norm, halves=True)]
        residuals = [layer for _ in range(blocks) for layer in (residual(wide, norm), nn.ReLU())]
        ups = [layer for a, b in pairwise([*reversed(widths), *finest]) for layer in doubled(a, b, norm)]
        last = nn.Conv2d(finest[-1], channels, 3, padding=1)
        self.down = normal(nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), *downs))
        joint = rectified(wide + projected, wide, norm)
        self.up = normal(nn.Sequential(*joint, *residuals, *ups, last, nn.Tanh()))

    def forward(self, images: Tensor, noise: Tensor, text: Tensor) -> Tensor:
        return self.up(with_maps(self.down(images), self.condition(text, noise)))


def normed(inputs: int, outputs: int, norm: NormName, halves: bool = False) -> list[nn.Module]:
    """A 3x3 convolution that keeps the side, or a 4x4 one that halves it, and a normalisation."""
    size = {"kernel_size": 4, "stride": 2} if halves else {"kernel_size": 3}
    return [nn.Conv2d(inputs, outputs, padding=1, bias=norm == "none", **size), NORMS[norm](outputs)]


def rectified(inputs: int, outputs: int, norm: NormName, halves: bool = False) -> list[nn.Module]:
    """`normed`, then ReLU."""
    return [*normed(inputs, outputs, norm, halves), nn.ReLU()]


def doubled(inputs: int, outputs: int, norm: NormName) -> list[nn.Module]:
    """Twice the side by nearest neighbours, then a convolution."""
    return [nn.Upsample(scale_factor=2), *rectified(inputs, outputs, norm)]


def residual(width: int, norm: NormName) -> Residual:
    """x + f(x), f two convolutions."""
    return Residual(nn.Identity(), *rectified(width, width, norm), *normed(width, width, norm))
