"""StackGAN, stage I: small images of captions."""

import torch
from torch import Tensor, nn

from genlit.families.fromtext import FromText, LearnsText
from genlit.nn.normal import Normal


class Augmented(nn.Module):
    """c = μ(h) + σ(h) ε: conditioning augmentation, section 3.2.

    Args:
        embedding: numbers in h.
        projected: numbers in c.
    """

    def __init__(self, embedding: int, projected: int):
        super().__init__()
        self.parameters_of = nn.Linear(embedding, 2 * projected)

    def forward(self, text: Tensor, noise: Tensor) -> Tensor:
        return self.normal(text).at(noise)

    def normal(self, text: Tensor) -> Normal:
        """N(μ(h), σ²(h))."""
        return Normal.of(self.parameters_of(text))


class AugmentsText(FromText):
    """Adds λ KL(N(μ(h), σ²(h)) ‖ N(0, I)) to the loss of a generator whose condition is Augmented."""

    terms = FromText.terms | {"kl": 2.0}

    def generator_terms(self, fake: Tensor, real: Tensor, text: Tensor) -> dict[str, Tensor]:
        kl = self.generator.condition.normal(text).kl().mean()
        return super().generator_terms(fake, real, text=text) | {"kl": kl}


class StackGAN(AugmentsText, LearnsText):
    """The game of FromText with conditioning augmentation: G(z, c), c = μ(h) + σ(h) ε, ε ~ N(0, I).

    L_G = −log D(G(z, c), h) + λ KL(N(μ(h), σ²(h)) ‖ N(0, I)), the divergence a mean over the numbers of c and over
    images, λ = 2.

    Zhang et al. 2017, "StackGAN", eqs. 2 to 4 and section 3.4 (matching-aware critic),
    https://arxiv.org/abs/1612.03242. Stage II is StackGANTwo.

    Departs from the paper: the reduction and λ are those of the authors' code; DCGAN's transposed convolutions, where
    the paper enlarges by nearest neighbours; μ and log σ² are linear in h, where the authors' code bends μ and log σ by
    a LeakyReLU; h is learned beside the game.

    The options are those of LearnsText; `projected` numbers are in c.
    """

    reduces = Augmented
    terms = LearnsText.terms | AugmentsText.terms

    def prior(self, n: int, device: torch.device) -> Tensor:
        """z and ε, (n, latent + projected)."""
        return torch.randn(n, self.latent + self.projected, device=device)
