"""Text2Image: images of captions."""

import torch
from torch import Tensor, nn

from genlit.families.fromtext import LearnsText
from genlit.nn.convolutional import convolutional_generator
from genlit.nn.norm import NormName


class Text2Image(LearnsText):
    """GAN-INT-CLS: the game of FromText, and in the generator's loss texts that nobody wrote.

    L_G = −log D(G(z, h), h) − log D(G(z, h̃), h̃), h̃ = β h₁ + (1 − β) h₂ between the texts of two images, β = ½.

    Reed et al. 2016, "Generative Adversarial Text to Image Synthesis", sections 4.1 to 4.3 and eq. 5,
    https://arxiv.org/abs/1605.05396. The weight of "interpolated" is 0 in GAN-CLS, that of "wrong" in GAN-INT, whose
    "fake" then weighs 1.

    Departs from the paper: the non-saturating loss, as in the authors' code; h is learned beside the game.

    Args:
        shape: (C, H, W), square of 4 · 2ᵏ pixels.
        latent: number of codes, z ~ N(0, I).
        width: channels of the generator next to the image.
        embedding: D, length of h.
        projected: numbers that each network reduces h to.
        norm: the generator's normalisation, and that of the network that embeds images.
        text: options of LearnsText.
    """

    terms = LearnsText.terms | {"interpolated": 1.0}

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

    def generator_terms(self, fake: Tensor, real: Tensor, text: Tensor) -> dict[str, Tensor]:
        terms = super().generator_terms(fake, real, text=text)
        if not self.weights["interpolated"]:
            return terms
        between = torch.lerp(text, text.roll(1, 0), 0.5)
        images = self.shown(self.generate(self.prior(len(text), self.device), between))
        return terms | {"interpolated": super().generator_terms(images, real, text=between)["adversarial"]}


class Generator(nn.Module):
    """G(z, h): DCGAN's generator of z beside h, projected.

    Args:
        shape: (C, H, W).
        latent: numbers in z.
        width: channels next to the image.
        embedding: numbers in h.
        projected: numbers that it is reduced to.
        norm: the normalisation.
    """

    def __init__(
        self, shape: tuple[int, int, int], latent: int, width: int, embedding: int, projected: int, norm: NormName
    ):
        super().__init__()
        self.project = nn.Sequential(nn.Linear(embedding, projected), nn.LeakyReLU(0.2, True))
        self.network = convolutional_generator(shape, latent + projected, width, norm)

    def forward(self, z: Tensor, text: Tensor) -> Tensor:
        return self.network(torch.cat([z, self.project(text)], 1))
