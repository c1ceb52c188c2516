"""The vector-quantised variational autoencoder, with an autoregressive prior over its codes."""

import math
from collections.abc import Iterator
from itertools import product
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from genlit.engine.clock import derive
from genlit.families.sampling import FromDraws
from genlit.losses.likelihood import bits_per_dim
from genlit.model import Batch, GenerativeModel, Turn
from genlit.nn.gated import GatedStack
from genlit.nn.incremental import incremental
from genlit.nn.levels import checked, drawn, wide
from genlit.nn.likelihoods import LIKELIHOODS


class VQVAE(FromDraws, GenerativeModel):
    """log p(x) ≥ log p(x|e) + log p(k), e the codebook's vectors nearest to the encoder's, k their numbers.

    The autoencoder minimises −log p(x|e) + ‖sg[z] − e‖² + β ‖z − sg[e]‖², z the encoder's vectors and sg the stopped
    gradient; that of the reconstruction passes from e to z as if they were one. A Gated PixelCNN learns p(k) on the
    same codes, without moving them. All in nats per image, squares summed over an image's vectors.

    van den Oord et al. 2017, "Neural Discrete Representation Learning", section 3, eqs. 1 to 3,
    https://arxiv.org/abs/1711.00937

    Departs from the paper: the prior is trained beside the autoencoder instead of after it; the codebook begins with
    vectors that the encoder gives for training images, since of others only a few would ever be nearest.

    Args:
        shape: (C, H, W).
        codes: K, vectors in the codebook.
        latent: D, their dimension.
        width: channels of the encoder and the decoder.
        halvings: how often the encoder halves the sides, at most as often as both are even.
        blocks: residual blocks of the encoder, and of the decoder.
        prior_width: channels of the prior's network.
        prior_blocks: its blocks.
        likelihood: p(x|e): see VAE.
    """

    players = {"autoencoder": ["encoder", "codebook", "decoder", "likelihood"], "prior": ["prior_network"]}
    terms = {"reconstruction": 1.0, "codebook": 1.0, "commitment": 0.25, "code_nll": 1.0}
    averaged = ("encoder", "codebook", "decoder", "likelihood", "prior_network")
    firsts = 100
    tightens = False
    lacks = {"decode": "its codes are drawn one after the other"}

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        codes: int = 64,
        latent: int = 16,
        width: int = 32,
        halvings: int = 2,
        blocks: int = 2,
        prior_width: int = 32,
        prior_blocks: int = 4,
        likelihood: Literal["bernoulli", "gaussian", "logistic"] = "bernoulli",
        lr: float | dict[str, float] = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        **engine,
    ):
        super().__init__(shape, lr=lr, betas=betas, **engine)
        self.require_counts(codes=codes, latent=latent, width=width, blocks=blocks)
        self.require_counts(prior_width=prior_width, prior_blocks=prior_blocks)
        self.require("halvings", halvings, halvings >= 0, "0 or more")
        channels, height, side = self.shape
        halved = min(halvings, *(_halvings(size) for size in (height, side)))
        self.grid = height >> halved, side >> halved
        self.encoder = nn.Sequential(_down(channels, width, halved), *_body(width, blocks), nn.Conv2d(width, latent, 1))
        self.codebook = nn.Embedding(codes, latent)
        self.decoder = nn.Sequential(nn.Conv2d(latent, width, 1), *_body(width, blocks), _up(width, channels, halved))
        self.likelihood = LIKELIHOODS[likelihood]()
        self.prior_network = GatedStack(latent, codes, prior_width, prior_blocks)

    def turns(self, batch: Batch) -> Iterator[Turn]:
        images = batch["image"]
        z = self.encoder(images)
        codes = self.nearest(z)
        e = self.vectors(codes)
        reconstruction = self.likelihood(self.decoder(z + (e - z).detach()), images).mean()
        yield (
            "autoencoder",
            {
                "reconstruction": reconstruction,
                "codebook": _distance(z.detach(), e),
                "commitment": _distance(z, e.detach()),
            },
        )
        code_nll = self.code_nll(codes, self.vectors(codes).detach()).mean()  # meets the codebook that has moved
        yield "prior", {"code_nll": code_nll}

        elbo = -(reconstruction + code_nll)
        self.observe("elbo", elbo)
        if self.levels:
            self.observe("bits_per_dim", bits_per_dim(-elbo, math.prod(self.shape)))
        self.observe("codebook_perplexity", perplexity(codes, self.codebook.num_embeddings))

    @torch.no_grad()
    def begin_at(self, images: Tensor) -> None:
        """Fills the codebook with vectors of images, by the training's seed; refuses values it does not know."""
        images = checked(images, self.levels)
        vectors = self.encoder(images).movedim(1, -1).flatten(0, 2)
        generator = torch.Generator().manual_seed(derive("codebook", self.seed))
        drawn = torch.randint(len(vectors), (self.codebook.num_embeddings,), generator=generator)
        self.codebook.weight.copy_(vectors[drawn.to(vectors.device)])

    def nearest(self, z: Tensor) -> Tensor:
        """argminⱼ ‖z − eⱼ‖ of every vector, (B, D, h, w) to (B, h, w): eq. 1."""
        return torch.cdist(z.movedim(1, -1).flatten(0, 2), self.codebook.weight).argmin(1).view(z.shape[0], *self.grid)

    def vectors(self, codes: Tensor) -> Tensor:
        """The codebook's vectors, (B, D, h, w)."""
        return self.codebook(codes).movedim(-1, 1)

    def code_nll(self, codes: Tensor, vectors: Tensor) -> Tensor:
        """−log p(k) by the prior, (B,), in nats."""
        return cross_entropy(self.prior_network(vectors), codes, reduction="none").flatten(1).sum(1)

    # What the trained model can do

    def draws(self, n: int, device: torch.device) -> Tensor:
        """A uniform number for every code, (n, h · w)."""
        return torch.rand(n, math.prod(self.grid), device=device)

    def decode(self, draws: Tensor) -> Tensor:
        """The mean images E[x|e] of codes that uniform numbers draw from the prior."""
        canvas = draws.new_zeros(len(draws), self.codebook.embedding_dim, *self.grid)
        with incremental(self.prior_network, canvas) as cursor:
            for uniform, (cursor.row, cursor.column) in zip(draws.T, product(*map(range, self.grid)), strict=True):
                code = drawn(wide(self.prior_network(canvas)[:, :, 0, 0]), uniform)
                canvas[:, :, cursor.row, cursor.column] = self.codebook(code)
        return self.likelihood.mean(self.decoder(canvas))

    def encode(self, images: Tensor, *, sampled: bool = False) -> Tensor:
        """The codebook's vectors for images, (B, D · h · w); there is nothing to sample."""
        with self.evaluation():
            return self.vectors(self.nearest(self.encoder(self.here(images)))).flatten(1)

    def reconstruct(self, images: Tensor) -> Tensor:
        """The mean images of the codes of images, (B, C, H, W)."""
        with self.evaluation():
            e = self.vectors(self.nearest(self.encoder(self.here(images))))
            return self.likelihood.mean(self.decoder(e))

    @property
    def levels(self) -> int | None:
        """Grey levels that p(x|e) gives probabilities of; None for a density."""
        return self.likelihood.levels

    def bound(self, images: Tensor, k: int = 1) -> Tensor:
        """log p(x|e) + log p(k) ≤ log p(x), (B,) in nats, for any k: the codes follow from the image."""
        with self.evaluation():
            images = checked(self.here(images), self.levels)
            codes = self.nearest(self.encoder(images))
            vectors = self.vectors(codes)
            return -self.likelihood(self.decoder(vectors), images) - self.code_nll(codes, vectors)


class Residual(nn.Module):
    """x + f(x), f a 3x3 and a 1x1 convolution, ReLU before each: section 4.1."""

    def __init__(self, width: int):
        super().__init__()
        self.f = nn.Sequential(nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(x)


def perplexity(codes: Tensor, n: int) -> Tensor:
    """exp(−Σ pⱼ log pⱼ), pⱼ the share of code j among `codes`: how many of the n are in use, 1 to n.

    Of fewer codes it is less: logged are means over the batches of single processes.
    """
    shares = torch.bincount(codes.flatten(), minlength=n) / codes.numel()
    return torch.special.entr(shares).sum().exp()


def _distance(z: Tensor, e: Tensor) -> Tensor:
    """‖z − e‖², summed over an image's vectors, averaged over images."""
    return (z - e).square().flatten(1).sum(1).mean()


def _body(width: int, blocks: int) -> list[nn.Module]:
    return [*(Residual(width) for _ in range(blocks)), nn.ReLU()]


def _down(channels: int, width: int, halved: int) -> nn.Sequential:
    """To `width` channels, then 4x4 convolutions with stride 2."""
    halving = (part for _ in range(halved) for part in (nn.ReLU(), nn.Conv2d(width, width, 4, 2, 1)))
    return nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), *halving)


def _up(width: int, channels: int, halved: int) -> nn.Sequential:
    """4x4 transposed convolutions with stride 2, then to `channels`."""
    doubling = (part for _ in range(halved) for part in (nn.ConvTranspose2d(width, width, 4, 2, 1), nn.ReLU()))
    return nn.Sequential(*doubling, nn.Conv2d(width, channels, 3, padding=1))


def _halvings(size: int) -> int:
    """How often a size can be halved: the zeros at the end of its binary form."""
    return (size & -size).bit_length() - 1
