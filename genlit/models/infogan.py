"""InfoGAN: codes that say what an image shows, learned without labels."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from genlit.families.adversarial import Unconditional
from genlit.families.sampling import one_of
from genlit.model import Batch
from genlit.nn.networks import NETWORKS, NetworksName
from genlit.nn.norm import NormName


class InfoGAN(Unconditional):
    """min_{G,Q} max_D V(D, G) − λ L_I(G, Q), L_I = E[log Q(c|G(z, c))] + H(c) ≤ I(c; G(z, c)) ≤ H(c).

    Codes c: one of K categories, cₖ ~ Cat(1/K), and continuous ones, cⱼ ~ U(−1, 1). Q shares all but its last layers
    with the critic and is the critic player's; Q(cⱼ|x) = N(μⱼ(x), 1). The terms are −L_I in nats.

    Chen et al. 2016, "InfoGAN", eqs. 3 to 6, https://arxiv.org/abs/1606.03657

    Departs from the paper: Q learns in both turns as there, and the generator in its own, but Q's step is the critic's
    alone; the variance of Q(cⱼ|x) is 1, as in the authors' code.

    Args:
        shape: (C, H, W), multiples of 4 pixels for the networks dense, squares of 4 · 2ᵏ for dcgan and resnet.
        categories: K; 0 leaves the categorical code out.
        continuous: number of continuous codes.
        latent: number of the other codes, z ~ N(0, I).
        networks: the paper's for MNIST (dense), or those of GAN (mlp), DCGAN (dcgan) or SNGAN (resnet).
        width: channels next to the image (dense, dcgan), of each block (resnet), or of the two hidden layers (mlp).
        q_width: of Q's own hidden layer.
        norm: the generator's normalisation, in dense and dcgan.
        critic_norm: the critic's, in dense and dcgan.
        spectral_norm: divides the critic's weights by their largest singular value.
        lr: learning rates.
        game: options of Adversarial; `pack` must be 1.
    """

    terms = Unconditional.terms | {"category": 1.0, "continuous": 0.1}

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        categories: int = 10,
        continuous: int = 2,
        latent: int = 62,
        networks: NetworksName = "dense",
        width: int = 64,
        q_width: int = 128,
        norm: NormName = "batch",
        critic_norm: NormName = "batch",
        spectral_norm: bool = False,
        lr: float | dict[str, float] = {"critic": 2e-4, "generator": 1e-3},  # noqa: B006 (never changed)
        channels_last: bool = True,
        **game,
    ):
        super().__init__(shape, lr=lr, channels_last=channels_last, **game)
        self.categories, self.continuous, self.latent = categories, continuous, latent
        self.require_counts(latent=latent, width=width, q_width=q_width)
        self.require("categories", categories, categories != 1 and categories >= 0, "at least 2, or 0 for none")
        self.require(
            "continuous", continuous, continuous >= 0 and categories + continuous > 0, "at least 0, and a code"
        )
        self.require("pack", self.pack, self.pack == 1, "1: the images of a pack would have several codes")
        pair = NETWORKS[networks]
        self.generator = pair.generator(self.shape, latent + categories + continuous, width, norm)
        self.judge_by(
            Judge(*pair.trunk(self.shape, width, critic_norm), q_width, categories + continuous), spectral_norm
        )

    def condition(self, batch: Batch) -> dict[str, Tensor]:
        """The codes that this iteration's samples have, (B, K + continuous)."""
        return {"codes": self.codes(torch.rand(len(batch["image"]), 1 + self.continuous, device=self.device))}

    def generate(self, z: Tensor, codes: Tensor) -> Tensor:
        return self.generator(torch.cat([z, codes.to(z.dtype)], 1))

    def verdict(self, images: Tensor, codes: Tensor | None = None) -> Tensor:
        return self.critic(images)

    def beside(self, said: Tensor, codes: Tensor) -> dict[str, Tensor]:
        """−L_I of the categorical and of the continuous codes, in nats: means over the batch, sums over codes."""
        k, terms = self.categories, {}
        if k:
            terms["category"] = cross_entropy(said[:, :k], codes[:, :k].to(said.dtype)) - math.log(k)
        if self.continuous:
            log_q = -0.5 * (said[:, k:] - codes[:, k:]).square() - 0.5 * math.log(2 * math.pi)
            terms["continuous"] = -(log_q + math.log(2)).sum(1).mean()
        return terms

    def codes(self, uniform: Tensor, category: int | None = None) -> Tensor:
        """One-hot categories and continuous codes, (B, K + continuous), of uniform numbers (B, 1 + continuous)."""
        continuous = uniform[:, 1:] * 2 - 1
        if not self.categories:
            return continuous
        drawn = one_hot(one_of(self.categories, uniform[:, 0], category, "category"), self.categories)
        return torch.cat([drawn.to(uniform.dtype), continuous], 1)

    # Samples, and what their codes are

    def draws(self, n: int, device: torch.device) -> Tensor:
        """Codes z and uniform numbers for the category and the continuous codes, (n, latent + 1 + continuous)."""
        return torch.cat([self.prior(n, device), torch.rand(n, 1 + self.continuous, device=device)], 1)

    def decode(self, draws: Tensor, category: int | None = None) -> Tensor:
        """Images of draws; all of one category, if given."""
        return self.generate(draws[:, : self.latent], self.codes(draws[:, self.latent :], category))

    @property
    def traversals(self) -> tuple[str, ...]:
        """ "category", "continuous-0", "continuous-1", …, as far as there are such codes."""
        return ("category",) * bool(self.categories) + tuple(f"continuous-{j}" for j in range(self.continuous))

    def span(self, code: str, steps: int) -> Sequence[float]:
        """The first categories, or values of a continuous code from −1 to 1."""
        return range(min(steps, self.categories)) if code == "category" else torch.linspace(-1, 1, steps).tolist()

    def varied(self, draws: Tensor, code: str, value: float) -> Tensor:
        if code == "category":
            return self.decode(draws, category=value)
        column = self.latent + 1 + int(code.removeprefix("continuous-"))
        return self.decode(draws.index_fill(1, torch.tensor(column, device=draws.device), (value + 1) / 2))

    def cluster(self, images: Tensor) -> Tensor:
        """Q(c|x) of the categories, (B, K)."""
        with self.evaluation():
            return self.critic(self.here(images))[:, 1 : 1 + self.categories].softmax(1)


class Judge(nn.Module):
    """The logit of D and the parameters of Q, (B, 1 + codes), from the same features.

    Args:
        trunk: images to features.
        features: their number.
        width: of Q's own hidden layer.
        codes: number of Q's outputs.
    """

    def __init__(self, trunk: nn.Module, features: int, width: int, codes: int):
        super().__init__()
        self.trunk, self.head = trunk, nn.Linear(features, 1)
        self.recognition = nn.Sequential(nn.Linear(features, width), nn.LeakyReLU(0.2, True), nn.Linear(width, codes))

    def forward(self, images: Tensor) -> Tensor:
        seen = self.trunk(images)
        return torch.cat([self.head(seen), self.recognition(seen)], 1)
