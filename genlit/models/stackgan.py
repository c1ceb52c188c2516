"""StackGAN, stage I: small images of captions."""

import torch
from torch import Tensor, nn

from genlit.families.fromtext import LearnsText
from genlit.nn.convolutional import convolutional_generator
from genlit.nn.norm import NormName
from genlit.nn.normal import Normal


class StackGAN(LearnsText):
    """The game of FromText with conditioning augmentation: G(z, c), c = μ(h) + σ(h) ε, ε ~ N(0, I).

    L_G = −log D(G(z, c), h) + λ KL(N(μ(h), σ²(h)) ‖ N(0, I)), the divergence a mean over the numbers of c and over
    images, λ = 2.

    Zhang et al. 2017, "StackGAN", eqs. 2 to 4 and section 3.4 (matching-aware critic),
    https://arxiv.org/abs/1612.03242. Stage II is StackGANTwo.

    Departs from the paper: the reduction and λ are those of the authors' code; DCGAN's transposed convolutions, where
    the paper enlarges by nearest neighbours; h is learned beside the game.

    Args:
        shape: (C, H, W), square of 4 · 2ᵏ pixels.
        latent: numbers in z ~ N(0, I).
        width: channels of the generator next to the image.
        embedding: D, length of h.
        projected: numbers in c.
        norm: the generator's normalisation, and that of the network that embeds images.
        text: options of LearnsText.
    """

    terms = LearnsText.terms | {"kl": 2.0}

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        latent: int = 100,
        width: int = 64,
        embedding: int = 256,
        projected: int = 128,
        norm: NormName = "batch",
        **text,
    ):
        sizes = {"latent": latent, "width": width, "embedding": embedding, "projected": projected}
        super().__init__(shape, norm=norm, **sizes, **text)
        self.generator = Generator(self.shape, norm=norm, **sizes)

    def prior(self, n: int, device: torch.device) -> Tensor:
        """z and ε, (n, latent + projected)."""
        return torch.randn(n, self.latent + self.projected, device=device)

    def generator_terms(self, fake: Tensor, real: Tensor, text: Tensor) -> dict[str, Tensor]:
        kl = self.generator.condition(text).kl().mean()
        return super().generator_terms(fake, real, text=text) | {"kl": kl}


class Condition(nn.Module):
    """N(μ(h), σ²(h)): conditioning augmentation, section 3.2.

    Args:
        embedding: numbers in h.
        projected: numbers in μ and in σ.
    """

    def __init__(self, embedding: int, projected: int):
        super().__init__()
        self.parameters_of = nn.Linear(embedding, 2 * projected)

    def forward(self, text: Tensor) -> Normal:
        return Normal.of(self.parameters_of(text))


class Generator(nn.Module):
    """Stage I: DCGAN's generator of z beside c.

    Args:
        shape: (C, H, W).
        latent: numbers in z.
        width: channels next to the image.
        embedding: numbers in h.
        projected: numbers in c.
        norm: the normalisation.
    """

    def __init__(
        self, shape: tuple[int, int, int], latent: int, width: int, embedding: int, projected: int, norm: NormName
    ):
        super().__init__()
        self.latent, self.condition = latent, Condition(embedding, projected)
        self.network = convolutional_generator(shape, latent + projected, width, norm)

    def forward(self, noise: Tensor, text: Tensor) -> Tensor:
        """Images of z and ε, (B, latent + projected), and of texts."""
        z, epsilon = noise[:, : self.latent], noise[:, self.latent :]
        return self.network(torch.cat([z, self.condition(text).at(epsilon)], 1))
