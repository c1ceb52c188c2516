"""The variational autoencoder."""

import math
from collections.abc import Iterator

from torch import Tensor

from genlit.errors import GenlitError
from genlit.families.latent import LatentGaussian
from genlit.losses.likelihood import bits_per_dim
from genlit.model import Batch, Turn


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
        free_nats: what each code may cost before the player minimises it, as a mean over the images of one backward
            pass: of a process, and of a micro-batch where they accumulate.
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
        for key, value in {"beta": beta, "kl_warmup": kl_warmup, "free_nats": free_nats}.items():
            self.require(key, value, value >= 0, "0 or more")
        self.kl_warmup, self.free_nats = kl_warmup, free_nats

    def turns(self, batch: Batch) -> Iterator[Turn]:
        images, *labels = (batch[name] for name in self.needs)  # labels condition a CVAE
        posterior = self.posterior(images, *labels)
        reconstruction = self.nll(posterior.draw(), images, *labels).mean()
        divergences = posterior.kl()
        yield "autoencoder", {"reconstruction": reconstruction, "kl": self.freed(divergences)}

        kl, given = divergences.sum(1).mean(), "_given_label" if labels else ""
        elbo = -(reconstruction + kl)
        self.observe("elbo" + given, elbo)
        if self.levels:
            self.observe("bits_per_dim" + given, bits_per_dim(-elbo, math.prod(self.shape)))
        self.observe("beta", self.weight("kl"))
        if self.free_nats:  # the term is then what is minimised
            self.observe("kl", kl)

    def weight(self, term: str) -> float:
        """β rises over the warm-up."""
        return super().weight(term) * (self.ramp(self.kl_warmup) if term == "kl" else 1.0)

    def freed(self, divergences: Tensor) -> Tensor:
        """Σⱼ max(λ, E[KLⱼ]): a code is free until it costs λ nats on average."""
        return divergences.mean(0).clamp(min=self.free_nats).sum()
