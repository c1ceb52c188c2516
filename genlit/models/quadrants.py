"""Networks that complete an image of which one, two or three quadrants are observed."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from genlit.engine.clock import derive
from genlit.errors import GenlitError
from genlit.losses.likelihood import gaussian_kl, streaming_logmeanexp
from genlit.model import Batch, GenerativeModel, Turn
from genlit.models.vae import Bernoulli
from genlit.nn.levels import checked
from genlit.nn.mlp import mlp


class Quadrants(GenerativeModel):
    """p(y|x) of binary images: x the observed quadrants, y the pixels of the others.

    Observed are the bottom left quadrant of `observed` = 1, the left half of 2, all but the bottom right of 3. Networks
    see x as a whole image whose unobserved pixels are 0. Every likelihood is of y alone, given x.
    """

    levels = 2
    lacks = {"sample": "it draws the other quadrants of an image given some; use `complete`"}

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        observed: int = 1,
        lr: float | dict[str, float] = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        **engine,
    ):
        super().__init__(shape, lr=lr, betas=betas, **engine)
        self.require("observed", observed, observed in (1, 2, 3), "1, 2 or 3 quadrants")
        self.given = f"{observed}-quadrant" + "s" * (observed > 1)  # stands in the names of likelihoods
        self.register_buffer("mask", quadrants(observed, *self.shape[1:]), persistent=False)
        self.likelihood = Bernoulli()

    def completed(self, x: Tensor, seed: int) -> Tensor:
        """An image for each x, whatever it holds in the place of x."""
        raise NotImplementedError(f"{type(self).__name__} completes no image")

    def visible(self, images: Tensor) -> Tensor:
        """x, with 0 for the pixels of y, (B, C, H, W)."""
        return torch.where(self.mask, images, 0.0)

    def nll(self, output: Tensor, images: Tensor) -> Tensor:
        """−log p(y) of the unobserved pixels by their logits, in nats, (B,)."""
        return self.likelihood(output[:, :, ~self.mask], images[:, :, ~self.mask])

    def complete(self, images: Tensor, mask: Tensor, *, seed: int = 0) -> Tensor:
        """The observed pixels as they are, the others as the model expects them, (B, C, H, W).

        Args:
            images: (B, C, H, W) in [-1, 1]; what is not observed is not read.
            mask: the model's own `mask`, broadcast against the images.
            seed: of the draws.

        Raises:
            GenlitError: other pixels are observed than those that the model was trained for.
        """
        with self.evaluation():
            if not torch.equal(mask.to(self.device).bool().expand(images.shape), self.mask.expand(images.shape)):
                raise GenlitError(f"mask: this model completes {self.given} only; pass its own `model.mask`")
            filled = self.completed(self.visible(images.to(self.device, self.dtype)), seed)
            return torch.where(self.mask.to(images.device), images, filled.to(images))


class QuadrantNetwork(Quadrants):
    """p(y|x) = Π Bern(yᵢ; sigm(fᵢ(x))): one deterministic guess, the baseline that a QuadrantCVAE must beat.

    Sohn et al. 2015, "Learning Structured Output Representation using Deep Conditional Generative Models", section 5.1,
    https://papers.nips.cc/paper/5775-learning-structured-output-representation-using-deep-conditional-generative-models

    Args:
        shape: (C, H, W).
        observed: how many quadrants are observed: 1, 2 or 3.
        hidden: widths of the layers.
        lr: learning rate.
        betas: of Adam.
        engine: options of GenerativeModel.
    """

    players = {"network": ["network"]}
    terms = {"nll": 1.0}
    averaged = ("network",)

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        observed: int = 1,
        hidden: tuple[int, ...] = (500, 500),
        lr: float | dict[str, float] = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        **engine,
    ):
        super().__init__(shape, observed=observed, lr=lr, betas=betas, **engine)
        pixels = math.prod(self.shape)
        self.network = nn.Sequential(nn.Flatten(), mlp(pixels, *hidden, pixels), nn.Unflatten(1, self.shape))

    def turns(self, batch: Batch) -> Iterator[Turn]:
        images = batch["image"]
        yield "network", {"nll": self.nll(self.network(self.visible(images)), images).mean()}

    def log_prob(self, images: Tensor) -> Tensor:
        """log p(y|x), in nats, (B,)."""
        with self.evaluation():
            images = checked(images.to(self.dtype), self.levels)
            return -self.nll(self.network(self.visible(images)), images)

    def completed(self, x: Tensor, seed: int) -> Tensor:
        """E[y|x], the same for every seed."""
        return self.likelihood.mean(self.network(x))


Normal = tuple[Tensor, Tensor]  # mean and log-variance of independent codes, (B, K) each


class QuadrantCVAE(Quadrants):
    """log p(y|x) ≥ E_q(z|x,y)[log p(y|x,z)] − KL(q(z|x,y) ‖ p(z|x)), each of the three a network.

    Recognition q(z|x,y) = N(μ, σ²) and prior p(z|x) = N(m, s²) have diagonal covariances; one draw of z per image.

    Sohn et al. 2015, "Learning Structured Output Representation using Deep Conditional Generative Models", section 4,
    https://papers.nips.cc/paper/5775-learning-structured-output-representation-using-deep-conditional-generative-models

    Departs from the paper: tanh instead of ReLU, and no recurrent connection: the prior and the generation network do
    not see the baseline's guess.

    Args:
        shape: (C, H, W).
        observed: how many quadrants are observed: 1, 2 or 3.
        latent: K, the number of codes.
        hidden: widths of each network's layers.
        lr: learning rate.
        betas: of Adam.
        engine: options of GenerativeModel.
    """

    players = {"autoencoder": ["recognition_network", "prior_network", "generation_network"]}
    terms = {"reconstruction": 1.0, "kl": 1.0}
    averaged = ("recognition_network", "prior_network", "generation_network")

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        observed: int = 1,
        latent: int = 50,
        hidden: tuple[int, ...] = (500, 500),
        lr: float | dict[str, float] = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        **engine,
    ):
        super().__init__(shape, observed=observed, lr=lr, betas=betas, **engine)
        self.require_counts(latent=latent)
        self.latent, pixels = latent, math.prod(self.shape)
        self.recognition_network = nn.Sequential(nn.Flatten(), mlp(pixels, *hidden, 2 * latent))
        self.prior_network = nn.Sequential(nn.Flatten(), mlp(pixels, *hidden, 2 * latent))
        self.generation_network = nn.Sequential(mlp(latent + pixels, *hidden, pixels), nn.Unflatten(1, self.shape))

    def turns(self, batch: Batch) -> Iterator[Turn]:
        images = batch["image"]
        x = self.visible(images)
        posterior, prior = self.posterior(images), self.prior_given(x)
        z = drawn(posterior, torch.randn_like(posterior[0]))
        reconstruction = self.nll(self.generate(z, x), images).mean()
        kl = divergences(posterior, prior).sum(1).mean()
        yield "autoencoder", {"reconstruction": reconstruction, "kl": kl}

        self.observe(f"elbo-given-{self.given}", -(reconstruction + kl))

    def posterior(self, images: Tensor) -> Normal:
        """q(z|x,y), of whole images."""
        return tuple(self.recognition_network(images).chunk(2, dim=1))

    def prior_given(self, x: Tensor) -> Normal:
        """p(z|x)."""
        return tuple(self.prior_network(x).chunk(2, dim=1))

    def generate(self, z: Tensor, x: Tensor) -> Tensor:
        """Logits of p(y|x,z), (B, C, H, W)."""
        return self.generation_network(torch.cat([z, x.flatten(1)], dim=1))

    def bound(self, images: Tensor, k: int = 1) -> Tensor:
        """E[log (1/k) Σᵢ p(y|x,zᵢ) p(zᵢ|x) / q(zᵢ|x,y)] ≤ log p(y|x), zᵢ ~ q(z|x,y), (B,) in nats: section 4.1."""
        with self.evaluation():
            images = checked(images.to(self.dtype), self.levels)
            x = self.visible(images)
            posterior, prior = self.posterior(images), self.prior_given(x)
            return streaming_logmeanexp(lambda: self._ratio(images, x, posterior, prior), k)

    def completed(self, x: Tensor, seed: int) -> Tensor:
        """E[y|x,z] at one z ~ p(z|x) for each image."""
        torch.manual_seed(derive("complete", seed))
        noise = torch.randn(len(x), self.latent).to(x)  # on the CPU: every device sees the same
        return self.likelihood.mean(self.generate(drawn(self.prior_given(x), noise), x))

    def _ratio(self, images: Tensor, x: Tensor, posterior: Normal, prior: Normal) -> Tensor:
        """log p(y|x,z) + log p(z|x) − log q(z|x,y) at one z ~ q, (B,)."""
        noise = torch.randn_like(posterior[0])
        z = drawn(posterior, noise)
        mean, log_variance = whitened(posterior, prior)
        u = drawn((mean, log_variance), noise)  # (z − m) / s
        return 0.5 * (noise.square() + log_variance - u.square()).sum(1) - self.nll(self.generate(z, x), images)


def quadrants(observed: int, height: int, width: int) -> Tensor:
    """Which pixels are observed: the bottom left, the left half, or all but the bottom right; bool (H, W)."""
    bottom, left = torch.arange(height)[:, None] >= height // 2, torch.arange(width) < width // 2
    return {1: bottom & left, 2: left.expand(height, width).clone(), 3: left | ~bottom}[observed]


def drawn(normal: Normal, noise: Tensor) -> Tensor:
    """μ + σ ε."""
    mean, log_variance = normal
    return mean + torch.exp(log_variance / 2) * noise


def whitened(posterior: Normal, prior: Normal) -> Normal:
    """N(μ, σ²) in units in which the prior N(m, s²) is N(0, 1): N((μ − m) / s, σ² / s²)."""
    (mean, log_variance), (origin, log_unit) = posterior, prior
    return (mean - origin) * torch.exp(-log_unit / 2), log_variance - log_unit


def divergences(posterior: Normal, prior: Normal) -> Tensor:
    """KL(N(μ, σ²) ‖ N(m, s²)) = ½ [((μ − m)² + σ²) / s² − 1 − log σ² / s²] of every code, (B, K)."""
    return gaussian_kl(*whitened(posterior, prior))
