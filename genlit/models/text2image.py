"""Text2Image: images of captions."""

import torch
from torch import Tensor

from genlit.families.fromtext import LearnsText
from genlit.nn.captioned import Reduced


class Text2Image(LearnsText):
    """GAN-INT-CLS: the game of FromText, and in the generator's loss texts that nobody wrote.

    L_G = −log D(G(z, h), h) − log D(G(z, h̃), h̃), h̃ = β h₁ + (1 − β) h₂ between the texts of two images, β = ½.

    Reed et al. 2016, "Generative Adversarial Text to Image Synthesis", sections 4.1 to 4.3 and eq. 5,
    https://arxiv.org/abs/1605.05396. The weight of "interpolated" is 0 in GAN-CLS, that of "wrong" in GAN-INT, whose
    "fake" then weighs 1. The two images are neighbours in a process's micro-batch; of a batch of one, h̃ = h.

    Departs from the paper: the non-saturating loss, as in the authors' code; h is learned beside the game.

    The options are those of LearnsText.
    """

    reduces = Reduced
    terms = LearnsText.terms | {"interpolated": 1.0}

    def generator_terms(self, fake: Tensor, real: Tensor, text: Tensor) -> dict[str, Tensor]:
        terms = super().generator_terms(fake, real, text=text)
        if not self.weights["interpolated"]:
            return terms
        between = torch.lerp(text, text.roll(1, 0), 0.5)
        images = self.shown(self.generate(self.prior(len(text), self.device), between))
        return terms | {"interpolated": super().generator_terms(images, real, text=between)["adversarial"]}
