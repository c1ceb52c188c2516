"""The spectrally normalised GAN with residual networks."""

from torch import nn

from genlit.families.adversarial import Unconditional
from genlit.losses.adversarial import LossName
from genlit.nn.residual import glorot, residual_generator, residual_trunk


class SNGAN(Unconditional):
    """The hinge game with a residual critic whose every weight is divided by its largest singular value, W / σ(W).

    Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks", eqs. 16 and 17, table 4,
    https://arxiv.org/abs/1802.05957. The same game on DCGAN's networks: `DCGAN` with `spectral_norm`.

    Args:
        shape: (C, H, W), H = W = 4 · 2ᵏ with k ≥ 1.
        latent: number of codes, z ~ N(0, I).
        width: channels of the generator; the paper has 256.
        critic_width: channels of the critic.
        loss: the adversarial pair.
        n_critic: iterations per generator update.
        game: options of Adversarial.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        latent: int = 128,
        width: int = 256,
        critic_width: int = 128,
        loss: LossName = "hinge",
        n_critic: int = 5,
        betas: tuple[float, float] = (0.0, 0.9),
        channels_last: bool = True,
        **game,
    ):
        super().__init__(shape, loss=loss, n_critic=n_critic, betas=betas, channels_last=channels_last, **game)
        self.latent = latent
        self.require_counts(latent=latent, width=width, critic_width=critic_width)
        self.generator = residual_generator(self.shape, latent, width)
        trunk, features = residual_trunk(self.seen_shape, critic_width)
        self.judge_by(nn.Sequential(*trunk, glorot(nn.Linear(features, 1))), spectral_norm=True)
