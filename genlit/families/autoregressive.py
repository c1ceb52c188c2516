"""Models that draw an image pixel by pixel: what follows from their conditionals alone."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar

import torch
from torch import Tensor

from genlit.engine.clock import derive
from genlit.families.sampling import FromDraws
from genlit.losses.likelihood import bits_per_dim
from genlit.model import Batch, GenerativeModel, Turn
from genlit.nn.levels import Levels

ROWS = 1024  # images that are completed at once
Conditional = tuple[int, Tensor]  # a position in the flattened image, and its logits (B, outputs)


class Autoregressive(FromDraws, GenerativeModel):
    """log p(x) = Σ_d log p(x_d | x_<d), every x_d one of `levels` equally spaced values in [-1, 1].

    A model defines `logits`, all conditionals at once; training, log p(x), sampling and completion follow. One that
    gets at the next pixel's conditional for less than all of them overrides `conditionals` too.

    A model of `classes` is p(x|y), and p(x) = Σ_y p(x|y) / K.
    """

    players: ClassVar[dict[str, list[str]]] = {"model": ["network"]}
    terms: ClassVar[dict[str, float]] = {"nll": 1.0}
    averaged: ClassVar[tuple[str, ...]] = ("network",)
    firsts = 64
    levels = 2
    classes = 0
    watch: Callable[[Iterable[Conditional], int], Iterable[Conditional]] = staticmethod(lambda steps, total: steps)

    def logits(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits of every x_d given those before it, (B, outputs, C, H, W): see Levels."""
        raise NotImplementedError(f"{type(self).__name__} defines no logits")

    def conditionals(self, canvas: Tensor, labels: Tensor | None = None) -> Iterator[Conditional]:
        """Gives each position's logits in the model's order; the caller writes its value before it goes on."""
        for position in self.order():
            yield position, self.logits(canvas, labels).flatten(2)[..., position]

    def order(self) -> list[int]:
        """Positions in the flattened image in the order of the factors: by rows, and a pixel's channels in turn."""
        return torch.arange(math.prod(self.shape)).view(self.shape).permute(1, 2, 0).flatten().tolist()

    def turns(self, batch: Batch) -> Iterator[Turn]:
        nll = self.nll(batch["image"], batch["label"] if self.classes else None).mean()  # given labels, of p(x|y)
        yield "model", {"nll": nll}
        self.observe("bits_per_dim", bits_per_dim(nll, math.prod(self.shape)))

    def begin_at(self, images: Tensor) -> None:
        """Refuses images of other values than the model knows."""
        self.pixels.check(images)

    @property
    def pixels(self) -> Levels:
        """The values of pixels."""
        return Levels(self.levels)

    def nll(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """−log p(x), or of a model of classes with `labels` −log p(x|y), in nats, (B,)."""
        if not self.classes or labels is not None:
            return self.pixels.nll(self.logits(images, labels), images)
        given = [self.nll(images, torch.full_like(images[:, 0, 0, 0], y).long()) for y in range(self.classes)]
        return math.log(self.classes) - torch.stack(given).neg().logsumexp(0)

    def log_prob(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """log p(x), or of a model of classes with `labels` log p(x|y), in nats, (B,)."""
        with self.evaluation():
            known = labels is None or bool(self.classes)
            self.require("labels", "given", known, "left out: this model knows no classes")
            return -self.nll(self.pixels.check(self.here(images)), labels)

    # Drawing

    def draws(self, n: int, device: torch.device) -> Tensor:
        """Uniform numbers, (n, D): one for each pixel's channel, and with classes a last one for the class."""
        return torch.rand(n, math.prod(self.shape) + bool(self.classes), device=device)

    def decode(self, draws: Tensor, label: int | None = None) -> Tensor:
        """The images that uniform numbers draw from the conditionals, see Levels.draw; of one class, if given."""
        nothing = draws.new_zeros(len(draws), *self.shape)
        return self._filled(nothing, nothing.bool(), draws, self._labels(draws, label))[0]

    def complete(
        self, images: Tensor, mask: Tensor, *, seed: int = 0, particles: int = 32, label: int | None = None
    ) -> Tensor:
        """Images with the observed pixels as they are and the others drawn given them, (B, C, H, W).

        Pixels observed before all others condition exactly. Where some come later, one of `particles` fillings is drawn
        with odds Π p(x_d | x_<d) over the observed d (sampling importance resampling, Rubin 1987): exact as their
        number grows.

        Args:
            images: (B, C, H, W) in [-1, 1]; what is not observed is not read.
            mask: which pixels are observed, broadcast against the images.
            seed: of the draws.
            particles: fillings per image.
            label: their class, of a model of classes; drawn for each filling otherwise.

        Raises:
            GenlitError: an observed value is none of the model's levels.
        """
        self.require_counts(particles=particles)
        with self.evaluation():
            observed = mask.to(self.device).bool().expand_as(images)
            known = self.pixels.check(torch.where(observed, self.here(images), -1.0))
            mixed = bool(self.classes) and label is None
            copies = particles if mixed or self._looks_ahead(observed) else 1
            draws, noise = self._draws(0, len(images) * copies, seed).to(known), _gumbel(len(images), copies, seed)
            at_once = max(1, ROWS // copies)
            parts = zip(*(x.split(at_once) for x in (known, observed, draws.unflatten(0, (-1, copies)), noise)))
            filled = torch.cat([self._completed(*part, label) for part in parts])
            return torch.where(mask.to(images.device).bool(), images, filled.to(images))

    def _completed(self, known: Tensor, observed: Tensor, draws: Tensor, noise: Tensor, label: int | None) -> Tensor:
        """One of each image's fillings by draws (B, particles, K), chosen by odds and Gumbel noise (B, particles)."""
        repeated = (x.repeat_interleave(draws.shape[1], 0) for x in (known, observed))
        filled, odds = self._filled(*repeated, draws.flatten(0, 1), self._labels(draws.flatten(0, 1), label))
        chosen = (odds.view(noise.shape) + noise.to(odds)).argmax(1)
        return filled.unflatten(0, noise.shape)[torch.arange(len(known)), chosen]

    def _filled(self, images: Tensor, observed: Tensor, draws: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """The images with what is not observed drawn, and log Π p(x_d | x_<d) over what is, (B,)."""
        canvas = images.clone(memory_format=torch.contiguous_format)
        values, kept, odds = canvas.view(len(canvas), -1), observed.flatten(1), draws.new_zeros(len(draws))
        anywhere = kept.any(0).tolist()
        for d, logits in self.watch(self.conditionals(canvas, labels), values.shape[1]):
            drawn = self.pixels.draw(logits, draws[:, d])
            if anywhere[d]:
                drawn = torch.where(kept[:, d], values[:, d], drawn)
                odds += self.pixels.log_prob(logits, drawn) * kept[:, d]
            values[:, d] = drawn
        return canvas, odds

    def _labels(self, draws: Tensor, label: int | None) -> Tensor | None:
        if not self.classes:
            self.require("label", label, label is None, "left out: this model knows no classes")
            return None
        within = label is None or 0 <= label < self.classes
        self.require("label", label, within, f"one of the {self.classes} classes 0 to {self.classes - 1}")
        drawn = (draws[:, -1] * self.classes).long().clamp(max=self.classes - 1)
        return drawn if label is None else torch.full_like(drawn, label)

    def _looks_ahead(self, observed: Tensor) -> bool:
        """Whether some image has a pixel observed that comes after one that is not."""
        return looks_ahead(observed, self.order())


def shuffled(n: int, seed: int, which: int = 0) -> list[int]:
    """The `which`-th random order of n positions that a seed gives."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(derive("order", seed, which))).tolist()


def looks_ahead(observed: Tensor, order: list[int]) -> bool:
    """Whether in an order some image (B, C, H, W) has a pixel observed that comes after one that is not."""
    return bool((observed.flatten(1)[:, order].int().diff(dim=1) > 0).any())


def _gumbel(n: int, m: int, seed: int) -> Tensor:
    """Noise whose largest sum with log-odds falls on each column as often as the odds say, (n, m)."""
    return -torch.log(-torch.log(torch.rand(n, m, generator=torch.Generator().manual_seed(derive("choose", seed)))))
