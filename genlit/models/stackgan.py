"""StackGAN, stage I: small images of captions."""

import torch
from torch import Tensor

from genlit.families.fromtext import AugmentsText, LearnsText
from genlit.nn.captioned import Augmented


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
