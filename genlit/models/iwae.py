"""The importance-weighted autoencoder."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from genlit.families.latent import LatentGaussian
from genlit.losses.likelihood import bits_per_dim
from genlit.model import Batch, Turn
from genlit.nn.normal import Normal


class IWAE(LatentGaussian):
    """log p(x) ≥ L_k = E[log (1/k) Σᵢ wᵢ] with wᵢ = p(x, zᵢ) / q(zᵢ|x), zᵢ ~ q(z|x): a VAE trained on k draws.

    The player minimises −L_k in nats per image. Its gradient is E[Σᵢ w̃ᵢ ∇ log wᵢ] with w̃ᵢ = wᵢ / Σⱼ wⱼ; L_1 is the
    ELBO.

    Burda et al. 2016, "Importance Weighted Autoencoders", eqs. 8 and 14, https://arxiv.org/abs/1509.00519

    Departs from the paper: batches, rates and the initial weights are the engine's and PyTorch's.

    Args:
        shape: (C, H, W).
        draws: k.
        networks: options of LatentGaussian.
    """

    terms = {"bound": 1.0}

    def __init__(self, shape: tuple[int, int, int], *, draws: int = 50, **networks):
        super().__init__(shape, **networks)
        self.require_counts(draws=draws)
        self.k = draws

    def turns(self, batch: Batch) -> Iterator[Turn]:
        images = batch["image"]
        posterior = self.posterior(images)
        log_weights = self.log_weights(images, posterior)
        bound = (torch.logsumexp(log_weights, 0) - math.log(self.k)).mean()
        yield "autoencoder", {"bound": -bound}

        elbo, kl = log_weights.mean(), posterior.kl().sum(1).mean()
        self.observe("elbo", elbo)
        self.observe("kl", kl)
        self.observe("reconstruction", -elbo - kl)
        if self.levels:
            self.observe("bits_per_dim", bits_per_dim(-bound, math.prod(self.shape)))

    def log_weights(self, images: Tensor, posterior: Normal) -> Tensor:
        """log wᵢ of every draw, (k, B), in one pass."""
        mean, log_variance = (part.repeat(self.k, 1) for part in posterior)
        repeated = images.repeat(self.k, 1, 1, 1)
        return Normal(mean, log_variance).log_weight(lambda z: self.nll(z, repeated)).view(self.k, -1)
