"""The first generative adversarial network: fully connected."""

from torch import Tensor, nn

from genlit.families.adversarial import Unconditional
from genlit.nn.mlp import mlp_generator, mlp_trunk
from genlit.nn.norm import still
from genlit.nn.unroll import unrolled


class GAN(Unconditional):
    """min_G max_D E[log D(x)] + E[log(1 − D(G(z)))], z ~ N(0, I), with fully connected G and D.

    Goodfellow et al. 2014, "Generative Adversarial Networks", eq. 1, https://arxiv.org/abs/1406.2661; `loss: minimax`
    is that equation, the default its non-saturating form (section 3).

    Departs from the paper: normal codes, LeakyReLU in place of maxout and dropout, Adam.

    Args:
        shape: (C, H, W); points of the plane are (2, 1, 1), and not bounded by (−1, 1) as images are.
        latent: number of codes.
        hidden: widths of the generator's layers, and of the critic's.
        spectral_norm: divides the critic's weights by their largest singular value.
        unroll: the generator plays against the critic that so many steps would lead to: Metz et al. 2017, eqs. 7 to 9,
            https://arxiv.org/abs/1611.02163; by gradient descent where they have Adam.
        unroll_lr: the rate of those steps.
        game: options of Adversarial.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        latent: int = 100,
        hidden: tuple[int, ...] = (256, 256),
        spectral_norm: bool = False,
        unroll: int = 0,
        unroll_lr: float = 0.1,
        **game,
    ):
        super().__init__(shape, **game)
        self.latent, self.unroll, self.unroll_lr = latent, unroll, unroll_lr
        self.require_counts(latent=latent, hidden=hidden)
        self.require("hidden", hidden, len(hidden) > 0, "one width at least")
        self.require("unroll", unroll, unroll >= 0, "at least 0")
        self.require("unroll", unroll, not (unroll and self.pays()), "0: the steps ahead would leave the penalties out")
        self.require("unroll_lr", unroll_lr, unroll_lr > 0, "above 0")
        self.generator = mlp_generator(self.shape, latent, hidden)
        trunk, features = mlp_trunk(self.seen_shape, hidden)
        self.judge_by(nn.Sequential(*trunk, nn.Linear(features, 1)), spectral_norm)

    def generator_terms(self, fake: Tensor, real: Tensor) -> dict[str, Tensor]:
        if not self.unroll:
            return super().generator_terms(fake, real)
        real = self.shown(real)
        with still(self.critic):
            future = unrolled(
                self.critic, lambda critic: self.loss.critic(critic(real), critic(fake)), self.unroll, self.unroll_lr
            )
            return {"adversarial": self.loss.generator(future(fake), future(real) if self.loss.relative else None)}

    def compilable(self) -> list[nn.Module]:
        return [self.generator] if self.unroll else super().compilable()
