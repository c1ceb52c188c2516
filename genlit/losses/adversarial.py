"""Adversarial losses, each a pair: what the critic minimises and what the generator minimises.

Throughout, a = critic(x) are logits of any shape, r on real and f on generated images; sigm is the logistic function
and softplus(a) = log(1 + eᵃ) = −log sigm(−a). Every loss is the mean over all logits, in nats where it is a
log-likelihood. The pairs minimise; papers that state a maximisation have their sign flipped.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from torch import Tensor
from torch.nn.functional import relu, softplus


class AdversarialLoss(NamedTuple):
    """A game between a critic and a generator.

    Attributes:
        critic: (real logits, fake logits) -> scalar; the fakes come detached.
        generator: (fake logits, real logits or None) -> scalar.
        relative: whether the generator's loss looks at real logits too.
    """

    critic: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor | None], Tensor]
    relative: bool = False


def cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    """−E[log sigm(r)] − E[log(1 − sigm(f))]: Goodfellow et al. 2014, eq. 1, https://arxiv.org/abs/1406.2661."""
    return softplus(-real).mean() + softplus(fake).mean()


def saturating(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """E[log(1 − sigm(f))]: Goodfellow et al. 2014, eq. 1. The gradient per logit is −sigm(f): it vanishes as f → −∞."""
    return -softplus(fake).mean()


def non_saturating(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """−E[log sigm(f)]: Goodfellow et al. 2014, section 3. The gradient per logit is −(1 − sigm(f))."""
    return softplus(-fake).mean()


def least_squares_critic(real: Tensor, fake: Tensor) -> Tensor:
    """½E[(r − 1)²] + ½E[f²]: Mao et al. 2017, eq. 9, https://arxiv.org/abs/1611.04076."""
    return 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean()


def least_squares_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """E[(f − 1)²]: Zhu et al. 2017, section 3.1, https://arxiv.org/abs/1703.10593.

    Departs from Mao et al. 2017, eq. 9, which halves it: CycleGAN balances its λ = 10 against the whole square.
    """
    return (fake - 1).square().mean()


def wasserstein_critic(real: Tensor, fake: Tensor) -> Tensor:
    """E[f] − E[r]: Arjovsky et al. 2017, eq. 2, https://arxiv.org/abs/1701.07875."""
    return fake.mean() - real.mean()


def wasserstein_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """−E[f]: Arjovsky et al. 2017, eq. 2. Also the hinge game's generator."""
    return -fake.mean()


def hinge_critic(real: Tensor, fake: Tensor) -> Tensor:
    """E[max(0, 1 − r)] + E[max(0, 1 + f)]: Miyato et al. 2018, eq. 16, https://arxiv.org/abs/1802.05957."""
    return relu(1 - real).mean() + relu(1 + fake).mean()


def relativistic_critic(real: Tensor, fake: Tensor) -> Tensor:
    """−E[log sigm(r − f)], paired by position: Jolicoeur-Martineau 2018, section 4.1, https://arxiv.org/abs/1807.00734."""
    return softplus(fake - real).mean()


def relativistic_generator(fake: Tensor, real: Tensor | None) -> Tensor:
    """−E[log sigm(f − r)]: Jolicoeur-Martineau 2018, section 4.1; Huang et al. 2024, https://arxiv.org/abs/2501.05441."""
    return softplus(real - fake).mean()


LossName = Literal["minimax", "non-saturating", "least-squares", "wasserstein", "hinge", "relativistic"]

LOSSES: dict[LossName, AdversarialLoss] = {
    "minimax": AdversarialLoss(cross_entropy, saturating),
    "non-saturating": AdversarialLoss(cross_entropy, non_saturating),
    "least-squares": AdversarialLoss(least_squares_critic, least_squares_generator),
    "wasserstein": AdversarialLoss(wasserstein_critic, wasserstein_generator),
    "hinge": AdversarialLoss(hinge_critic, wasserstein_generator),
    "relativistic": AdversarialLoss(relativistic_critic, relativistic_generator, relative=True),
}
