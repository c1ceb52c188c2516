"""Models of binary pixels in any one order."""

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from genlit.families.autoregressive import Autoregressive, ordering


class InOrder(Autoregressive):
    """p(x) = Π_d p(x_d | x_<d) of binary pixels in any one order; `network` sees them as rows in it, of 0 and 1.

    The network maps (B, D) to logits (B, D).

    Args:
        shape: (C, H, W).
        order: a seed of a random order, the same for every image; None takes the pixels by rows.
        weight_decay: λ of the penalty λ/2 Σ θ² that Adam adds to the loss, over all parameters.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        order: int | None = None,
        weight_decay: float = 0.0,
        lr: float | dict[str, float] = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        **engine,
    ):
        super().__init__(shape, lr=lr, betas=betas, **engine)
        self.require("weight_decay", weight_decay, weight_decay >= 0, "at least 0")
        self.weight_decay = weight_decay
        self.register_buffer("positions", torch.tensor(ordering(self.shape, order)))

    def optimizer(self, player: str, parameters: list[nn.Parameter]) -> Optimizer:
        return Adam(parameters, lr=self.lr[player], betas=self.betas, weight_decay=self.weight_decay, fused=True)

    def order(self) -> list[int]:
        return self.positions.tolist()

    def in_order(self, images: Tensor) -> Tensor:
        """The pixels in the order of the factors, -1 as 0, (B, D)."""
        return (images.flatten(1)[:, self.positions] + 1) / 2

    def logits(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.network(self.in_order(images))[:, self.positions.argsort()].view(-1, 1, *self.shape)

    def newest(self, canvas: Tensor, position: int) -> Tensor:
        """The value just written at a position, -1 as 0, (B,)."""
        return (canvas.flatten(1)[:, position] + 1) / 2
