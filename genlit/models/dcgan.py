"""Deep convolutional GAN, and the variants that differ in loss, penalty or normalisation alone."""

import torch
from torch import Tensor, nn

from genlit.families.adversarial import Unconditional
from genlit.nn.convolutional import convolutional_generator, convolutional_trunk
from genlit.nn.initial import normal
from genlit.nn.norm import NormName


class DCGAN(Unconditional):
    """min_G max_D E[log D(x)] + E[log(1 − D(G(z)))], z ~ U(−1, 1)ᴷ, with convolutional G and D.

    Radford et al. 2016, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks",
    https://arxiv.org/abs/1511.06434.

    Departs from the paper: the width is halved (64), as in the authors' later code.

    Args:
        shape: (C, H, W), H = W = 4 · 2ᵏ with k ≥ 1.
        latent: K, the number of codes.
        width: channels of the layer next to the image; they double with every halving of the resolution.
        norm: the generator's normalisation.
        critic_norm: the critic's; "batch" mixes images, so not with a penalty.
        spectral_norm: divides the critic's weights by their largest singular value.
        game: options of Adversarial.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        latent: int = 100,
        width: int = 64,
        norm: NormName = "batch",
        critic_norm: NormName = "batch",
        spectral_norm: bool = False,
        lr: float | dict[str, float] = 2e-4,
        channels_last: bool = True,
        **game,
    ):
        super().__init__(shape, lr=lr, channels_last=channels_last, **game)
        self.latent = latent
        self.require_counts(latent=latent, width=width)
        self.generator = convolutional_generator(self.shape, latent, width, norm)
        trunk, features = convolutional_trunk(self.seen_shape, width, critic_norm)
        self.judge_by(nn.Sequential(*trunk, normal(nn.Linear(features, 1))), spectral_norm)

    def prior(self, n: int, device: torch.device) -> Tensor:
        return torch.rand(n, self.latent, device=device) * 2 - 1
