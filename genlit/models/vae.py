"""The variational autoencoder."""

import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from genlit.errors import GenlitError
from genlit.losses.likelihood import (
    bernoulli,
    bits_per_dim,
    discretised_logistic,
    gaussian,
    gaussian_kl,
    streaming_logmeanexp,
)
from genlit.model import Batch, GenerativeModel, Turn
from genlit.nn.levels import checked, wide
from genlit.nn.mlp import mlp
from genlit.sampling import FromPrior


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
        self.require_counts(latent=latent, **{f"hidden.{i}": width for i, width in enumerate(hidden)})
        self.require("variance", variance, variance is None or variance > 0, "above 0, or null")
        self.require("variance", variance, not variance or likelihood == "gaussian", "null: no Gaussian likelihood")
        pixels, self.latent = math.prod(self.shape), latent
        self.encoder = nn.Sequential(nn.Flatten(), mlp(pixels, *hidden, 2 * latent))
        self.decoder = nn.Sequential(mlp(latent, *reversed(hidden), pixels), nn.Unflatten(1, self.shape))
        self.likelihood = Gaussian(variance) if variance else LIKELIHOODS[likelihood]()

    @torch.no_grad()
    def begin_at(self, images: Tensor) -> None:
        """Lets the decoder give the mean of some images, but for what its weights add."""
        self.decoder[0][-1].bias.copy_(self.likelihood.output(images.mean(0)).flatten())

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """μ and log σ² of q(z|x), each (B, K)."""
        return self.encoder((images + 1) / 2).chunk(2, dim=1)  # black pixels, the most, then move no weight

    def prior(self, n: int, device: torch.device) -> Tensor:
        return torch.randn(n, self.latent, device=device)

    def decode(self, z: Tensor) -> Tensor:
        """The mean image E[x|z]."""
        return self.likelihood.mean(self.decoder(z))

    def encode(self, images: Tensor, *, sampled: bool = False) -> Tensor:
        """μ(x), or a draw from q(z|x), (B, K)."""
        with self.evaluation():
            mean, log_variance = self.posterior(images.to(self.dtype))
            return mean + torch.exp(log_variance / 2) * torch.randn_like(mean) if sampled else mean

    def reconstruct(self, images: Tensor) -> Tensor:
        """The mean image at z = μ(x), (B, C, H, W)."""
        with self.evaluation():
            return self.decode(self.posterior(images.to(self.dtype))[0])

    @property
    def levels(self) -> int | None:
        """Grey levels that p(x|z) gives probabilities of; None for a density."""
        return self.likelihood.levels

    def bound(self, images: Tensor, k: int = 1) -> Tensor:
        """L_k = E[log (1/k) Σᵢ p(x, zᵢ) / q(zᵢ|x)] ≤ log p(x), (B,) in nats; the ELBO for k = 1, tighter for larger k.

        Burda et al. 2016, "Importance Weighted Autoencoders", eq. 8, https://arxiv.org/abs/1509.00519
        """
        with self.evaluation():
            images = checked(images.to(self.dtype), self.levels)
            mean, log_variance = self.posterior(images)
            return streaming_logmeanexp(lambda: self.ratio(images, mean, log_variance), k)

    def ratio(self, images: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        """log p(x|z) + log p(z) − log q(z|x) at one z ~ q, (B,)."""
        noise = torch.randn_like(mean)
        z = mean + torch.exp(log_variance / 2) * noise
        densities = 0.5 * (noise.square() + log_variance - z.square()).sum(1)  # the 2π cancel
        return densities - self.likelihood(self.decoder(z), images)


class VAE(LatentGaussian):
    """log p(x) ≥ ELBO = E_q(z|x)[log p(x|z)] − KL(q(z|x) ‖ p(z)), with q = N(μ(x), σ²(x)), p(z) = N(0, I), z = μ + σ ε.

    The player minimises reconstruction + β · KL, both in nats per image (summed over pixels and codes, averaged over
    images), one draw of z per image.

    Kingma & Welling 2014, "Auto-Encoding Variational Bayes", eqs. 3 and 10, https://arxiv.org/abs/1312.6114. β: Higgins
    et al. 2017. Warm-up: Sønderby et al. 2016, https://arxiv.org/abs/1602.02282. Free bits: Kingma et al. 2016,
    appendix C.8, https://arxiv.org/abs/1606.04934.

    Departs from the paper: two hidden layers, Adam instead of Adagrad, no prior over the weights.

    Args:
        shape: (C, H, W).
        beta: β.
        kl_warmup: images over which β rises linearly from 0.
        free_nats: what each code may cost before the player minimises it, as a mean over the batch.
        networks: options of LatentGaussian.
    """

    terms = {"reconstruction": 1.0, "kl": 1.0}

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        beta: float = 1.0,
        kl_warmup: int = 0,
        free_nats: float = 0.0,
        **networks,
    ):
        super().__init__(shape, **networks)
        if "kl" in (networks.get("weights") or {}):
            raise GenlitError("model.weights.kl: the weight of the divergence is β; choose --model.beta")
        self.weights["kl"] = beta
        self.kl_warmup, self.free_nats = kl_warmup, free_nats

    def turns(self, batch: Batch) -> Iterator[Turn]:
        images = batch["image"]
        mean, log_variance = self.posterior(images)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        reconstruction = self.likelihood(self.decoder(z), images).mean()
        divergences = gaussian_kl(mean, log_variance)
        yield "autoencoder", {"reconstruction": reconstruction, "kl": self.freed(divergences)}

        elbo = -(reconstruction + divergences.sum(1).mean())
        self.observe("elbo", elbo)
        if self.levels:
            self.observe("bits_per_dim", bits_per_dim(-elbo, math.prod(self.shape)))
        self.observe("beta", self.weight("kl"))

    def weight(self, term: str) -> float:
        """β rises over the warm-up."""
        return super().weight(term) * (self.ramp(self.kl_warmup) if term == "kl" else 1.0)

    def freed(self, divergences: Tensor) -> Tensor:
        """Σⱼ max(λ, E[KLⱼ]): a code is free until it costs λ nats on average."""
        return divergences.mean(0).clamp(min=self.free_nats).sum()


class Bernoulli(nn.Module):
    """p(x|z) of binary images, the decoder giving logits."""

    levels = 2

    def forward(self, output: Tensor, images: Tensor) -> Tensor:
        """−log p(x|z), (B,), in nats."""
        return bernoulli(output, images)

    def mean(self, output: Tensor) -> Tensor:
        """E[x|z] in [-1, 1]: 2 sigm(a) − 1 = tanh(a / 2)."""
        return torch.tanh(output / 2)

    def output(self, mean: Tensor) -> Tensor:
        """The logits of a mean, kept off those that are infinite."""
        return 2 * torch.atanh(mean.clamp(-0.98, 0.98))


class Gaussian(nn.Module):
    """N(x; μ(z), s² I), s shared by all pixels.

    Args:
        variance: s²; None learns it.
    """

    levels = None

    def __init__(self, variance: float | None = None):
        super().__init__()
        self.log_variance = nn.Parameter(torch.tensor(math.log(variance or 1.0)), requires_grad=variance is None)

    def forward(self, output: Tensor, images: Tensor) -> Tensor:
        """−log p(x|z), (B,), in nats."""
        return gaussian(wide(output), images, self.log_variance)

    def mean(self, output: Tensor) -> Tensor:
        """E[x|z], within [-1, 1]."""
        return output.clamp(-1, 1)

    def output(self, mean: Tensor) -> Tensor:
        """The decoder's output for a mean."""
        return mean


class Logistic(nn.Module):
    """The logistic density of mean tanh(output) and a learned scale, integrated over each of 256 levels."""

    levels = 256

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-2.0))

    def forward(self, output: Tensor, images: Tensor) -> Tensor:
        """−log P(x|z), (B,), in nats."""
        return discretised_logistic(torch.tanh(wide(output)), images, self.log_scale)

    def mean(self, output: Tensor) -> Tensor:
        """The centre of p(x|z), in [-1, 1]."""
        return torch.tanh(output)

    def output(self, mean: Tensor) -> Tensor:
        """The decoder's output for a centre, kept off those that are infinite."""
        return torch.atanh(mean.clamp(-0.98, 0.98))


LIKELIHOODS = {"bernoulli": Bernoulli, "gaussian": Gaussian, "logistic": Logistic}
