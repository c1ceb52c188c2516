"""Models that draw an image pixel by pixel: what follows from their conditionals alone."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from genlit.engine.clock import derive
from genlit.families.sampling import FromDraws, one_of
from genlit.losses.likelihood import bits_per_dim
from genlit.model import Batch, GenerativeModel, Turn
from genlit.nn.levels import Levels

ROWS = 1024  # images that are completed at once
Conditional = tuple[int, Tensor]  # a position in the flattened image, and its logits (B, outputs)


class Autoregressive(FromDraws, GenerativeModel):
    """log p(x) = Σ_d log p(x_d | x_<d), every x_d one of `levels` equally spaced values in [-1, 1].

    A model defines `logits`, all conditionals at once; training, log p(x), sampling and completion follow. One that
    gets at the next pixel's conditional for less than all of them overrides `conditionals` too.

    A model of several `parts` is p(x) = Σ_k p_k(x) / K: its parts are the `classes` y of p(x|y), or masks.
    """

    players: ClassVar[dict[str, list[str]]] = {"model": ["network"]}
    terms: ClassVar[dict[str, float]] = {"nll": 1.0}
    averaged: ClassVar[tuple[str, ...]] = ("network",)
    firsts = 64
    lacks: ClassVar[dict[str, str]] = {"decode": "its pixels are drawn one after the other"}
    levels = 2
    parts = 0
    classes = 0
    watch: Callable[[Iterable[Conditional], int], Iterable[Conditional]] = staticmethod(lambda steps, total: steps)

    def logits(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits of every x_d given those before it, (B, outputs, C, H, W): see Levels; labels (B,) tell parts."""
        raise NotImplementedError(f"{type(self).__name__} defines no logits")

    def conditionals(self, canvas: Tensor, labels: Tensor | None = None) -> Iterator[Conditional]:
        """Gives each position's logits in the model's order; the caller writes its value before it goes on."""
        for position in self.order():
            yield position, self.logits(canvas, labels).flatten(2)[..., position]

    def order(self) -> list[int]:
        """Positions in the flattened image in the order of the factors; by rows unless a model says more."""
        return ordering(self.shape)

    def turns(self, batch: Batch) -> Iterator[Turn]:
        nll = self.nll(batch["image"], batch["label"] if self.parts else None).mean()  # given labels, of p(x|y)
        yield "model", {"nll": nll}
        given = "_given_label" if self.classes else ""
        self.observe("bits_per_dim" + given, bits_per_dim(nll, math.prod(self.shape)))

    def begin_at(self, images: Tensor) -> None:
        """Refuses images of other values than the model knows."""
        self.pixels.check(images)

    @property
    def pixels(self) -> Levels:
        """The values of pixels."""
        return Levels(self.levels)

    def nll(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """−log p(x), or of a model of parts with `labels` −log p_k(x), in nats, (B,)."""
        if not self.parts or labels is not None:
            return self.pixels.nll(self.logits(images, labels), images)
        given = [self.nll(images, torch.full_like(images[:, 0, 0, 0], k).long()) for k in range(self.parts)]
        return math.log(self.parts) - torch.stack(given).neg().logsumexp(0)

    def log_prob(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """log p(x), or of a model of classes with `labels` log p(x|y), in nats, (B,)."""
        with self.evaluation():
            if labels is not None:
                self.require_argument("labels", "given", bool(self.classes), "left out: this model knows no classes")
                labels = labels.to(self.device)
            return -self.nll(self.pixels.check(self.here(images)), labels)

    # Drawing

    def draws(self, n: int, device: torch.device) -> Tensor:
        """Uniform numbers, (n, D): one for each pixel's channel, and with parts a last one for the part."""
        return torch.rand(n, math.prod(self.shape) + bool(self.parts), device=device)

    def decode(self, draws: Tensor, label: int | None = None) -> Tensor:
        """The images that uniform numbers draw from the conditionals, see Levels.draw; of one class, if given."""
        nothing = draws.new_zeros(len(draws), *self.shape)
        return self._filled(nothing, nothing.bool(), draws, self._parts(draws, label))[0]

    def grid(self, draws: Tensor, code: str, values: Sequence[float]) -> Tensor:
        """All columns in one pass, which takes hardly longer than one of them alone."""
        labels = torch.cat([one_of(self.parts, draws[:, -1], value) for value in values])
        nothing = draws.new_zeros(len(labels), *self.shape)
        images = self._filled(nothing, nothing.bool(), draws.repeat(len(values), 1), labels)[0]
        return images.unflatten(0, (len(values), -1)).transpose(0, 1)

    def complete(
        self, images: Tensor, mask: Tensor, *, seed: int = 0, particles: int = 32, label: int | None = None
    ) -> Tensor:
        """Images with the observed pixels as they are and the others drawn given them, (B, C, H, W).

        Pixels observed before all others condition exactly. Where some come later, or the part is not known, one of
        `particles` fillings is drawn in proportion to Π p(x_d | x_<d) over the observed d (sampling importance
        resampling, Rubin 1987): exact as their number grows. An image's completion depends on no other's.

        Args:
            images: (B, C, H, W) in [-1, 1]; what is not observed is not read.
            mask: which pixels are observed, broadcast against the images.
            seed: of the draws.
            particles: fillings per image.
            label: their class, of a model of classes; drawn for each filling otherwise.

        Raises:
            GenlitError: an observed value is none of the model's levels.
        """
        self.require_argument("particles", particles, particles >= 1, "at least 1")
        with self.evaluation():
            observed = mask.to(self.device).bool().expand_as(images)
            known = self.pixels.check(torch.where(observed, self.here(images), -1.0))
            weighed = self._looks_ahead(observed) | (bool(self.parts) and label is None)
            fillings, filled = torch.where(weighed, particles, 1), torch.empty_like(known)
            for copies in fillings.unique().tolist():
                draws = self._draws(0, len(images) * copies, seed).to(known).unflatten(0, (-1, copies))
                noise = _gumbel(len(images), copies, seed).to(known)
                for part in (fillings == copies).nonzero()[:, 0].split(max(1, ROWS // copies)):
                    filled[part] = self._completed(known[part], observed[part], draws[part], noise[part], label)
            return torch.where(mask.to(images.device).bool(), images, filled.to(images))

    def _completed(self, known: Tensor, observed: Tensor, draws: Tensor, noise: Tensor, label: int | None) -> Tensor:
        """One of each image's fillings by draws (B, particles, K), by its evidence and Gumbel noise (B, particles)."""
        repeated = (x.repeat_interleave(draws.shape[1], 0) for x in (known, observed))
        filled, evidence = self._filled(*repeated, draws.flatten(0, 1), self._parts(draws.flatten(0, 1), label))
        chosen = (evidence.view(noise.shape) + noise).argmax(1)
        return filled.unflatten(0, noise.shape)[torch.arange(len(known)), chosen]

    def _filled(self, images: Tensor, observed: Tensor, draws: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """The images with what is not observed drawn, and log Π p(x_d | x_<d) over what is, (B,)."""
        canvas = images.clone(memory_format=torch.contiguous_format)
        values, kept, evidence = canvas.view(len(canvas), -1), observed.flatten(1), draws.new_zeros(len(draws))
        anywhere = kept.any(0).tolist()
        for d, logits in self.watch(self.conditionals(canvas, labels), values.shape[1]):
            drawn = self.pixels.draw(logits, draws[:, d])
            if anywhere[d]:
                drawn = torch.where(kept[:, d], values[:, d], drawn)
                evidence += self.pixels.log_prob(logits, drawn) * kept[:, d]
            values[:, d] = drawn
        return canvas, evidence

    def _parts(self, draws: Tensor, label: int | None) -> Tensor | None:
        """Which part each row is drawn from, (B,); None if there is only one."""
        if label is not None:
            self.require_argument("label", label, bool(self.classes), "left out: this model knows no classes")
        return one_of(self.parts, draws[:, -1], label) if self.parts else None

    def _looks_ahead(self, observed: Tensor) -> Tensor:
        """Whether an image has a pixel observed that comes after one that is not, (B,)."""
        return looks_ahead(observed, self.order())


def ordering(shape: tuple[int, int, int], seed: int | None = None, which: int = 0) -> list[int]:
    """Positions in the flattened image by rows, a pixel's channels in turn, or a seed's `which`-th random order."""
    if seed is None:
        return torch.arange(math.prod(shape)).view(shape).permute(1, 2, 0).flatten().tolist()
    generator = torch.Generator().manual_seed(derive("order", seed, which))
    return torch.randperm(math.prod(shape), generator=generator).tolist()


def looks_ahead(observed: Tensor, order: list[int]) -> Tensor:
    """Whether in an order an image (B, C, H, W) has a pixel observed that comes after one that is not, (B,)."""
    return (observed.flatten(1)[:, order].int().diff(dim=1) > 0).any(1)


def _gumbel(n: int, m: int, seed: int) -> Tensor:
    """Noise whose largest sum with log-odds falls on each column as often as the odds say, (n, m)."""
    return -torch.log(-torch.log(torch.rand(n, m, generator=torch.Generator().manual_seed(derive("choose", seed)))))
