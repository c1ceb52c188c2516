"""Negative log-likelihoods, in nats per image (summed over dimensions, one value per image), and divergences."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, softplus


def bernoulli(logits: Tensor, images: Tensor) -> Tensor:
    """−Σᵢ [xᵢ log sigm(aᵢ) + (1 − xᵢ) log(1 − sigm(aᵢ))] with x = (image + 1) / 2, (B,).

    Args:
        logits: a, (B, C, H, W).
        images: (B, C, H, W) in [-1, 1]; binary images hold -1 and 1. Grey values count as probabilities, and the result
            is then a cross-entropy, not a likelihood.
    """
    targets = (images + 1) / 2
    return binary_cross_entropy_with_logits(logits, targets, reduction="none").flatten(1).sum(1)


def gaussian(mean: Tensor, images: Tensor, log_variance: Tensor) -> Tensor:
    """−log N(x; μ, σ²) = ½ Σ [(x − μ)² / σ² + log σ² + log 2π], (B,); a density in the images' own units.

    Args:
        mean: μ, (B, C, H, W).
        images: x, (B, C, H, W).
        log_variance: log σ², broadcast against the images.
    """
    squares = (images - mean).square() * torch.exp(-log_variance)
    return 0.5 * (squares + log_variance + math.log(2 * math.pi)).flatten(1).sum(1)


def discretised_logistic(mean: Tensor, images: Tensor, log_scale: Tensor, levels: int = 256) -> Tensor:
    """−Σ log [sigm((x + ½δ − μ) / s) − sigm((x − ½δ − μ) / s)], (B,), δ the step between levels; open at both ends.

    The probability of the level that x stands for, so it sums to 1 over the levels. Kingma et al. 2016, appendix C.3,
    https://arxiv.org/abs/1606.04934; Salimans et al. 2017, eq. 2, https://arxiv.org/abs/1701.05517.

    Args:
        mean: μ, (B, C, H, W), in [-1, 1].
        images: x on the `levels` equally spaced values of [-1, 1], (B, C, H, W).
        log_scale: log s, broadcast against the images.
        levels: number of grey levels.
    """
    step = 2 / (levels - 1)
    above, below = ((images - mean + sign * step / 2) * torch.exp(-log_scale) for sign in (1, -1))
    # log[sigm(a) − sigm(b)] = log sigm(a) + log sigm(−b) + log(1 − e^(b−a)), finite however far μ is from x
    inside = logsigmoid(above) - softplus(below) + torch.log(-torch.expm1(below - above))
    lowest, highest = images < -1 + step / 2, images > 1 - step / 2
    likelihood = torch.where(lowest, logsigmoid(above), torch.where(highest, -softplus(below), inside))
    return -likelihood.flatten(1).sum(1)


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)) = ½ (μ² + σ² − 1 − log σ²) of every code, (B, K): Kingma & Welling 2014, appendix B.

    https://arxiv.org/abs/1312.6114

    Args:
        mean: μ, (B, K).
        log_variance: log σ², (B, K).
    """
    return 0.5 * (mean.square() + torch.exp(log_variance) - 1 - log_variance)


def bits_per_dim(nats: float | Tensor, dimensions: int, density: float = 1.0) -> float | Tensor:
    """−log₂ P(x) / D = −log p(x) / (D ln 2) + log₂ ρ, in bits, where p is a density and x has ρ levels per unit.

    Theis et al. 2016, section 3.1, https://arxiv.org/abs/1511.01844

    Args:
        nats: −log p(x) of an image, or its mean over images.
        dimensions: D, pixels times channels.
        density: ρ: 256 for bytes in steps of 1/256, 127.5 for bytes over [-1, 1] in steps of 2/255, 1 for probabilities
            of levels.
    """
    return nats / (dimensions * math.log(2)) + math.log2(density)


def streaming_logmeanexp(draw: Callable[[], Tensor], k: int) -> Tensor:
    """log (1/k) Σᵢ exp aᵢ over k draws, float64 (B,), holding one draw at a time.

    Args:
        draw: gives aᵢ, (B,), in nats; a new one at every call.
        k: number of draws, at least 1.
    """
    total = draw().double()
    for _ in range(k - 1):
        total = torch.logaddexp(total, draw().double())
    return total - math.log(k)
