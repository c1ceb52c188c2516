"""The masked autoencoder for distribution estimation."""

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from genlit.engine.clock import derive
from genlit.families.autoregressive import Autoregressive, Conditional, looks_ahead, ordering
from genlit.model import Batch, Turn


class MADE(Autoregressive):
    """p(x) = Π_d p(x_d | x_<d) of binary images, all conditionals by one pass of an autoencoder with masked weights.

    A mask gives every pixel its rank and every hidden unit a degree m; weights stay where unit k may see unit j:
    m(k) ≥ m(j) up to the last hidden layer, rank(d) > m(k) into the output, rank(d) > rank(e) for the connections from
    the input straight to the output. Of K masks each iteration trains the next,
    and p(x) = (1/K) Σ_k p_k(x): a mask is drawn for a whole image, as a class is.

    Germain et al. 2015, "MADE: Masked Autoencoder for Distribution Estimation", eqs. 12 and 13 and algorithm 1,
    https://arxiv.org/abs/1502.03509

    Departs from the paper: Adam instead of Adagrad or Adadelta.

    Args:
        shape: (C, H, W).
        hidden: widths of the hidden layers, one or more.
        masks: K.
        order: None ranks pixels by rows, in every mask; an integer seeds a random order for each.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        hidden: tuple[int, ...] = (500,),
        masks: int = 1,
        order: int | None = None,
        lr: float | dict[str, float] = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        **engine,
    ):
        super().__init__(shape, lr=lr, betas=betas, **engine)
        self.require("hidden", hidden, len(hidden) > 0, "one width or more")
        self.require_counts(masks=masks, hidden=hidden)
        self.parts = masks if masks > 1 else 0
        widths = (math.prod(self.shape), *hidden)
        self.network = MaskedMLP(widths, [self._degrees(widths, order, mask) for mask in range(masks)])

    def _degrees(self, widths: tuple[int, ...], order: int | None, mask: int) -> list[Tensor]:
        """A mask's ranks 0 … D − 1, then each hidden layer's degrees, uniform from the lowest below to D − 2."""
        pixels, generator = widths[0], torch.Generator().manual_seed(derive("mask", self.seed, mask))
        degrees = [torch.tensor(ordering(self.shape, order, mask)).argsort()]
        for width in widths[1:]:
            lowest, above = int(degrees[-1].min()), max(1, pixels - 1)
            degrees.append(torch.randint(lowest, above, (width,), generator=generator))
        return degrees

    def turns(self, batch: Batch) -> Iterator[Turn]:
        """The masks take turns, an iteration each, whose own is the term then; held-out images meet them all."""
        mask = self.iteration % self.parts if self.training and self.parts else None
        yield from super().turns(batch | {"label": mask})

    def logits(self, images: Tensor, labels: Tensor | int | None = None) -> Tensor:
        """Logits of every x_d given those before it in the order of a mask, (B, 1, C, H, W).

        Args:
            images: (B, C, H, W).
            labels: a mask for each, (B,), or one for all.
        """
        if not isinstance(labels, Tensor):
            return self.network((images.flatten(1) + 1) / 2, labels or 0).view(-1, 1, *self.shape)
        logits = torch.empty_like(images)[:, None]
        for mask, rows in _groups(labels):
            logits[rows] = self.logits(images[rows], mask)
        return logits

    def order(self, mask: int = 0) -> list[int]:
        """Positions in the flattened image in the order of a mask's factors."""
        return self.network.ranks(mask).argsort().tolist()

    def conditionals(self, canvas: Tensor, labels: Tensor | None = None) -> Iterator[Conditional]:
        """Gives each position's logits in the order of one mask, from a running sum of the first layer's inputs."""
        mask = 0 if labels is None else int(labels[0])
        (first, bias), *middle, (last, offset), (straight, _) = self.network.masked(mask)
        values, columns, running = (canvas.flatten(1) + 1) / 2, first.T.contiguous(), bias.expand(len(canvas), -1)
        for d in self.order(mask):
            h = torch.relu(running)
            for weight, shift in middle:
                h = torch.relu(linear(h, weight, shift))
            yield d, linear(h, last[d : d + 1], offset[d : d + 1]) + linear(values, straight[d : d + 1])
            values[:, d] = (canvas.flatten(1)[:, d] + 1) / 2
            running = torch.addcmul(running, values[:, d : d + 1], columns[d])

    def _looks_ahead(self, observed: Tensor) -> Tensor:
        """Whether that is so in the order of any mask."""
        orders = map(self.order, range(len(self.network.degrees)))
        return torch.stack([looks_ahead(observed, order) for order in orders]).any(0)

    def _filled(self, images: Tensor, observed: Tensor, draws: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """As in Autoregressive, the images of each mask in its order."""
        if labels is None:
            return super()._filled(images, observed, draws, None)
        filled, evidence = torch.empty_like(images), draws.new_empty(len(draws))
        for _, rows in _groups(labels):
            filled[rows], evidence[rows] = super()._filled(images[rows], observed[rows], draws[rows], labels[rows])
        return filled, evidence


class MaskedMLP(nn.Module):
    """Affine layers with ReLU between them, D to D, and a linear map beside them, masked by the degrees of their units.

    Args:
        widths: D, then the hidden layers'.
        degrees: for each mask the inputs' ranks, then the degrees of each hidden layer's units.
    """

    def __init__(self, widths: tuple[int, ...], degrees: list[list[Tensor]]):
        super().__init__()
        self.widths = widths
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise((*widths, widths[0])))
        self.straight = nn.Linear(widths[0], widths[0], bias=False)
        nn.init.zeros_(self.straight.weight)
        self.register_buffer("degrees", torch.stack([torch.cat(layers) for layers in degrees]))

    def forward(self, x: Tensor, mask: int) -> Tensor:
        *hidden, (weight, bias), (straight, _) = self.masked(mask)
        h = x
        for below, shift in hidden:
            h = torch.relu(linear(h, below, shift))
        return linear(h, weight, bias) + linear(x, straight)

    def masked(self, mask: int) -> list[tuple[Tensor, Tensor]]:
        """Each layer's weights W ⊙ M and bias, at last those of the linear map, which has none."""
        ranks, *hidden = layers = self.degrees[mask].split(self.widths)
        seen = [m[:, None] >= below for below, m in pairwise(layers)]
        seen += [ranks[:, None] > hidden[-1], ranks[:, None] > ranks]
        maps = [*self.layers, self.straight]
        return [(torch.where(kept, f.weight, 0.0), f.bias) for f, kept in zip(maps, seen, strict=True)]

    def ranks(self, mask: int) -> Tensor:
        """The place of each input in a mask's order, (D,)."""
        return self.degrees[mask, : self.widths[0]]


def _groups(labels: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Each label that occurs, and which rows have it."""
    for label in labels.unique().tolist():
        yield label, labels == label
