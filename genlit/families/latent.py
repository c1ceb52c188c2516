"""Models of continuous codes, whose prior and posterior are Gaussian."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from genlit.families.sampling import FromPrior
from genlit.losses.likelihood import streaming_logmeanexp
from genlit.model import GenerativeModel
from genlit.nn.levels import checked
from genlit.nn.likelihoods import LIKELIHOODS, GaussianPixels
from genlit.nn.mlp import mlp
from genlit.nn.normal import Normal


class LatentGaussian(FromPrior, GenerativeModel):
    """p(x) = ∫ p(x|z) p(z) dz with p(z) = N(0, I), and q(z|x) = N(μ(x), σ²(x)): all but how they are trained.

    Training begins with the mean image in the decoder's last biases: a decoder that had to learn it first would drive
    its tanh units to their ends, where they stay.

    Args:
        shape: (C, H, W).
        latent: K, the number of codes.
        hidden: widths of the encoder's layers, the decoder's in reverse; none makes both affine.
        likelihood: p(x|z): "bernoulli" on images of -1 and 1; "gaussian" and "logistic" (on 256 levels) with one
            scale for all pixels, which is learned.
        variance: s² of the Gaussian likelihood, fixed; None learns it.
    """

    players = {"autoencoder": ["encoder", "decoder", "likelihood"]}
    averaged = ("encoder", "decoder", "likelihood")
    firsts = 1000
    gaussian = True

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        latent: int = 50,
        hidden: tuple[int, ...] = (200, 200),
        likelihood: Literal["bernoulli", "gaussian", "logistic"] = "bernoulli",
        variance: float | None = None,
        lr: float | dict[str, float] = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        **engine,
    ):
        super().__init__(shape, lr=lr, betas=betas, **engine)
        self.require_counts(latent=latent, hidden=hidden)
        self.require("variance", variance, variance is None or variance > 0, "above 0, or null")
        self.require("variance", variance, not variance or likelihood == "gaussian", "null: no Gaussian likelihood")
        self.latent = latent
        self.encoder, self.decoder = self.coders(hidden)
        self.likelihood = GaussianPixels(variance) if variance else LIKELIHOODS[likelihood]()

    def coders(self, hidden: tuple[int, ...], beside: int = 0) -> tuple[nn.Module, nn.Module]:
        """An encoder of flattened images and a decoder of codes, both with `beside` numbers more to read."""
        pixels = math.prod(self.shape)
        encoder = nn.Sequential(nn.Flatten(), mlp(pixels + beside, *hidden, 2 * self.latent))
        decoder = mlp(self.latent + beside, *reversed(hidden), pixels)
        return encoder, nn.Sequential(decoder, nn.Unflatten(1, self.shape))

    @torch.no_grad()
    def begin_at(self, images: Tensor) -> None:
        """Lets the decoder give the mean of images, but for what its weights add; refuses values it does not know."""
        images = checked(images, self.levels)
        self.decoder[0][-1].bias.copy_(self.likelihood.output(images.mean(0)).flatten())

    def posterior(self, images: Tensor) -> Normal:
        """q(z|x)."""
        return Normal.of(self.encoder((images + 1) / 2))  # black pixels, the most, then move no weight

    def prior(self, n: int, device: torch.device) -> Tensor:
        return torch.randn(n, self.latent, device=device)

    def decode(self, z: Tensor) -> Tensor:
        """The mean image E[x|z]."""
        return self.likelihood.mean(self.decoder(z))

    def encode(self, images: Tensor, *, sampled: bool = False) -> Tensor:
        """μ(x), or a draw from q(z|x), (B, K)."""
        with self.evaluation():
            codes = self.posterior(self.here(images))
            return codes.draw() if sampled else codes.mean

    def reconstruct(self, images: Tensor) -> Tensor:
        """The mean image at z = μ(x), (B, C, H, W)."""
        with self.evaluation():
            return self.decode(self.posterior(self.here(images)).mean)

    @property
    def levels(self) -> int | None:
        """Grey levels that p(x|z) gives probabilities of; None for a density."""
        return self.likelihood.levels

    def bound(self, images: Tensor, k: int = 1) -> Tensor:
        """L_k = E[log (1/k) Σᵢ p(x, zᵢ) / q(zᵢ|x)] ≤ log p(x), (B,) in nats; the ELBO for k = 1, tighter for larger k.

        Burda et al. 2016, "Importance Weighted Autoencoders", eq. 8, https://arxiv.org/abs/1509.00519
        """
        with self.evaluation():
            images = checked(self.here(images), self.levels)
            posterior = self.posterior(images)
            return streaming_logmeanexp(lambda: posterior.log_weight(lambda z: self.nll(z, images)), k)

    def nll(self, z: Tensor, images: Tensor) -> Tensor:
        """−log p(x|z), in nats, (B,)."""
        return self.likelihood(self.decoder(z), images)
