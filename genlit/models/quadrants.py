"""Networks that complete an image of which one, two or three quadrants are observed."""

import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from genlit.errors import GenlitError
from genlit.families.sampling import BLOCK, rows
from genlit.losses.likelihood import streaming_logmeanexp
from genlit.model import Batch, GenerativeModel, Turn
from genlit.nn.levels import checked
from genlit.nn.likelihoods import BernoulliPixels
from genlit.nn.mlp import mlp
from genlit.nn.normal import Normal


class Quadrants(GenerativeModel):
    """p(y|x) of binary images: x the observed quadrants, y the pixels of the others.

    Observed are the bottom left quadrant of `observed` = 1, the left half of 2, all but the bottom right of 3. Networks
    see x as a whole image whose unobserved pixels are 0. Every likelihood is of y alone, given x.
    """

    levels = 2
    firsts = 64
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
        self.likelihood = BernoulliPixels()

    def begin_at(self, images: Tensor) -> None:
        """Refuses images that are not binary."""
        checked(images, self.levels)

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
            filled = self.completed(self.visible(self.here(images)), seed)
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
        self.require_counts(hidden=hidden)
        pixels = math.prod(self.shape)
        self.network = nn.Sequential(nn.Flatten(), mlp(pixels, *hidden, pixels), nn.Unflatten(1, self.shape))

    def turns(self, batch: Batch) -> Iterator[Turn]:
        images = batch["image"]
        yield "network", {"nll": self.nll(self.network(self.visible(images)), images).mean()}

    def log_prob(self, images: Tensor) -> Tensor:
        """log p(y|x), in nats, (B,)."""
        with self.evaluation():
            images = checked(self.here(images), self.levels)
            return -self.nll(self.network(self.visible(images)), images)

    def completed(self, x: Tensor, seed: int) -> Tensor:
        """E[y|x], the same for every seed."""
        return self.likelihood.mean(self.network(x))


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
        self.require_counts(latent=latent, hidden=hidden)
        self.latent, pixels = latent, math.prod(self.shape)
        self.recognition_network = nn.Sequential(nn.Flatten(), mlp(pixels, *hidden, 2 * latent))
        self.prior_network = nn.Sequential(nn.Flatten(), mlp(pixels, *hidden, 2 * latent))
        self.generation_network = nn.Sequential(mlp(latent + pixels, *hidden, pixels), nn.Unflatten(1, self.shape))

    def turns(self, batch: Batch) -> Iterator[Turn]:
        images = batch["image"]
        x = self.visible(images)
        posterior, prior = self.posterior(images), self.prior_given(x)
        reconstruction = self.nll(self.generate(posterior.draw(), x), images).mean()
        kl = posterior.relative_to(prior).kl().sum(1).mean()
        yield "autoencoder", {"reconstruction": reconstruction, "kl": kl}

        self.observe(f"elbo-given-{self.given}", -(reconstruction + kl))

    def posterior(self, images: Tensor) -> Normal:
        """q(z|x,y), of whole images."""
        return Normal.of(self.recognition_network(images))

    def prior_given(self, x: Tensor) -> Normal:
        """p(z|x)."""
        return Normal.of(self.prior_network(x))

    def generate(self, z: Tensor, x: Tensor) -> Tensor:
        """Logits of p(y|x,z), (B, C, H, W)."""
        return self.generation_network(torch.cat([z, x.flatten(1)], dim=1))

    def bound(self, images: Tensor, k: int = 1) -> Tensor:
        """E[log (1/k) Σᵢ p(y|x,zᵢ) p(zᵢ|x) / q(zᵢ|x,y)] ≤ log p(y|x), zᵢ ~ q(z|x,y), (B,) in nats: section 4.1."""
        with self.evaluation():
            images = checked(self.here(images), self.levels)
            x = self.visible(images)
            posterior, prior = self.posterior(images), self.prior_given(x)
            nll = partial(self._nll_at, x=x, images=images)
            return streaming_logmeanexp(lambda: posterior.log_weight(nll, prior), k)

    def completed(self, x: Tensor, seed: int) -> Tensor:
        """E[y|x,z] at one z ~ p(z|x) for each image."""
        noise = rows(lambda: torch.randn(BLOCK, self.latent), 0, len(x), "complete", seed).to(x)
        return self.likelihood.mean(self.generate(self.prior_given(x).at(noise), x))

    def _nll_at(self, z: Tensor, x: Tensor, images: Tensor) -> Tensor:
        """−log p(y|x,z), in nats, (B,)."""
        return self.nll(self.generate(z, x), images)


def quadrants(observed: int, height: int, width: int) -> Tensor:
    """Which pixels are observed: the bottom left, the left half, or all but the bottom right; bool (H, W)."""
    bottom, left = torch.arange(height)[:, None] >= height // 2, torch.arange(width) < width // 2
    return {1: bottom & left, 2: left.expand(height, width).clone(), 3: left | ~bottom}[observed]
