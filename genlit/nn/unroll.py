"""A critic some steps ahead, for a generator that looks ahead."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

Critic = Callable[..., Tensor]


def unrolled(critic: nn.Module, loss: Callable[[Critic], Tensor], steps: int, lr: float) -> Critic:
    """The critic with the weights θᴷ: θ⁰ = θ, θᵏ⁺¹ = θᵏ − lr ∂loss(θᵏ)/∂θᵏ, differentiable in all that loss depends on.

    Metz et al. 2017, "Unrolled Generative Adversarial Networks", section 2, "Unrolling GANs",
    https://arxiv.org/abs/1611.02163. The live critic, its gradients and its buffers stay as they are.

    Departs from the paper: plain gradient descent, where the paper's experiments unroll Adam.

    Args:
        critic: twice differentiable; torch.compile cannot take it.
        loss: what the critic minimises, given a critic to call.
        steps: K; 0 is the critic itself.
        lr: of the unrolled steps.
    """
    # a loaded critic is frozen; a critic may write into its buffers
    weights = {name: p if p.requires_grad else p.detach().requires_grad_() for name, p in critic.named_parameters()}
    buffers = {name: buffer.clone() for name, buffer in critic.named_buffers()}
    with torch.enable_grad():
        for _ in range(steps):
            value = loss(_called_with(critic, weights | buffers))
            slopes = torch.autograd.grad(value, list(weights.values()), create_graph=True, materialize_grads=True)
            weights = {name: weight - lr * slope for (name, weight), slope in zip(weights.items(), slopes, strict=True)}
    return _called_with(critic, weights | buffers) if steps else critic


def _called_with(critic: nn.Module, state: dict[str, Tensor]) -> Critic:
    def call(*arguments: Any, **named: Any) -> Tensor:
        return functional_call(critic, state, arguments, named)

    return call
