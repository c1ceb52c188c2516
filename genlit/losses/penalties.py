"""Penalties on the critic's slope. They differentiate twice, so torch.compile cannot take a critic under one."""

from collections.abc import Callable

import torch
from torch import Tensor

Critic = Callable[[Tensor], Tensor]


def input_gradient(critic: Critic, images: Tensor) -> Tensor:
    """∇ₓ Σ critic(x), shaped as the images and differentiable in the critic's parameters.

    A critic that scores patches is summed over them. No critic under a penalty may mix images as BatchNorm does; the
    groups of a minibatch standard deviation add their cross terms.
    """
    with torch.enable_grad():
        images = images.detach().requires_grad_(True)
        return torch.autograd.grad(critic(images).sum(), images, create_graph=True)[0]


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """E[(‖∇ critic(x̂)‖₂ − 1)²], x̂ = u x + (1 − u) x̃ with one u ~ U(0, 1) per pair of images.

    Gulrajani et al. 2017, eq. 3, https://arxiv.org/abs/1704.00028. The weight λ is the term's.
    """
    u = torch.rand(len(real), *[1] * (real.dim() - 1), dtype=real.dtype, device=real.device)
    slopes = input_gradient(critic, fake + u * (real - fake)).flatten(1).norm(dim=1)
    return (slopes - 1).square().mean()


def zero_centred(critic: Critic, images: Tensor) -> Tensor:
    """½E[‖∇ critic(x)‖₂²]: R₁ on real images, R₂ on generated ones.

    Mescheder et al. 2018, eqs. 9 and 10, https://arxiv.org/abs/1801.04406. The weight γ is the term's.
    """
    return 0.5 * input_gradient(critic, images).square().flatten(1).sum(1).mean()


def drift(real: Tensor) -> Tensor:
    """E[r²], which keeps a Wasserstein critic near 0: Karras et al. 2018, appendix A.1, https://arxiv.org/abs/1710.10196."""
    return real.square().mean()
