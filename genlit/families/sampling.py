"""Seeded samples for models that decode draws."""

from collections.abc import Callable, Sequence
from inspect import signature

import torch
from torch import Tensor

from genlit.engine.clock import derive
from genlit.errors import GenlitError

BLOCK = 64  # draws per seed: a constant, so that neither n nor batch_size changes an image


class FromDraws:
    """Gives `sample` to a GenerativeModel that defines `draws` and `decode`."""

    def draws(self, n: int, device: torch.device) -> Tensor:
        """n draws of what images are made from, (n, K), with torch's global random state."""
        raise NotImplementedError(f"{type(self).__name__} defines no draws")

    def decode(self, draws: Tensor) -> Tensor:
        """Images of draws: (B, K) to (B, C, H, W) in [-1, 1]."""
        raise NotImplementedError(f"{type(self).__name__} defines no decoder")

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        start: int = 0,
        batch_size: int = 64,
        truncation: float | None = None,
        **condition,
    ) -> Tensor:
        """n images of a seed's endless row, from the `start`-th on; the i-th is the same for every n and start.

        Passes are always full, so at one batch size even the rounding does not depend on n. What the model is
        conditioned on, if on anything, goes to `decode`: a `label`, say. `truncation` is the largest absolute value of
        a code, see `truncated`.

        Raises:
            GenlitError: nothing of this model depends on that.
        """
        with self.evaluation():
            whole = -(-n // batch_size) * batch_size
            return self._images(self._draws(start, start + whole, seed, truncation), batch_size, **condition)[:n]

    @property
    def traversals(self) -> tuple[str, ...]:
        """The codes that `traverse` varies: the label, of a model of `classes` whose `decode` takes one."""
        classes = getattr(self, "classes", 0)
        return ("label",) if classes and "label" in signature(self.decode).parameters else ()

    def traverse(
        self, code: str, rows: int, *, steps: int = 10, seed: int = 0, values: Sequence[float] | None = None
    ) -> Tensor:
        """Images of the first draws of a seed, a row each, at several values of a code: (rows, values, C, H, W).

        Args:
            code: one of `traversals`.
            rows: number of draws.
            steps: how many of the code's values; fewer where it has fewer.
            seed: of the draws.
            values: others than those of `span`.

        Raises:
            GenlitError: the model has no such code, or the code no such value.
        """
        self.require_argument("code", code, code in self.traversals, f"one of {', '.join(self.traversals) or 'none'}")
        with self.evaluation():
            draws = self._draws(0, rows, seed).to(self.device, self.dtype)
            chosen = self.span(code, steps) if values is None else values
            return self.grid(draws, code, chosen)

    def grid(self, draws: Tensor, code: str, values: Sequence[float]) -> Tensor:
        """The images of draws in rows, at values of a code in columns, one column after the other."""
        return torch.stack([self.varied(draws, code, value) for value in values], dim=1)

    def span(self, code: str, steps: int) -> Sequence[float]:
        """Values of a code to show: the first labels, unless a model has other codes."""
        return range(min(steps, self.classes))

    def varied(self, draws: Tensor, code: str, value: float) -> Tensor:
        """The images of draws whose code has that value; `decode` takes it by the code's name unless a model says more.

        Raises:
            GenlitError: the code has no such value.
        """
        return self.decode(draws, **{code: value})

    def _draws(self, start: int, stop: int, seed: int, truncation: float | None = None) -> Tensor:
        """Draws start <= i < stop, made on the CPU, so that every device sees the same."""
        drawn = rows(lambda: self.draws(BLOCK, torch.device("cpu")), start, stop, "sample", seed)
        return drawn if truncation is None else self._narrowed(drawn, truncation)

    def _narrowed(self, draws: Tensor, truncation: float) -> Tensor:
        """Draws whose codes are truncated; a model without a Gaussian prior has none that could be."""
        self.require_argument("truncation", truncation, False, "left out: this model has no Gaussian prior")

    def _images(self, draws: Tensor, batch_size: int, **condition) -> Tensor:
        for key, value in condition.items():
            known = key in signature(self.decode).parameters
            self.require_argument(key, value, known, f"left out: this model knows no {key}")
        parts = draws.split(batch_size)
        return torch.cat([self.decode(part.to(self.device, self.dtype), **condition) for part in parts])


class FromPrior(FromDraws):
    """Gives `sample` and `interpolate` to a GenerativeModel whose `decode` turns codes from a `prior` into images."""

    gaussian = False  # whether the prior is N(0, I)

    def prior(self, n: int, device: torch.device) -> Tensor:
        """n codes from the prior, (n, K), with torch's global random state."""
        raise NotImplementedError(f"{type(self).__name__} defines no prior")

    def draws(self, n: int, device: torch.device) -> Tensor:
        """What `decode` takes: codes alone, unless a model needs more, such as a label."""
        return self.prior(n, device)

    def interpolate(
        self, steps: int, *, seeds: tuple[int, int] = (0, 1), truncation: float | None = None, **condition
    ) -> Tensor:
        """`steps` images on the straight line between two seeds' codes; what else is drawn is the first's."""
        with self.evaluation():
            start, end = (self._draws(0, 1, seed, truncation) for seed in seeds)
            walk = torch.lerp(start, end, torch.linspace(0, 1, steps)[:, None])
            walk[:, self._codes :] = start[:, self._codes :]
            return self._images(walk, steps, **condition)

    @property
    def _codes(self) -> int:
        """The first columns of draws, which are codes."""
        return self.prior(1, torch.device("cpu")).shape[1]

    def _narrowed(self, draws: Tensor, truncation: float) -> Tensor:
        if not self.gaussian:
            return super()._narrowed(draws, truncation)
        self.require_argument("truncation", truncation, truncation > 0, "above 0, in standard deviations of the prior")
        return torch.cat([truncated(draws[:, : self._codes], truncation), draws[:, self._codes :]], dim=1)


def truncated(z: Tensor, t: float) -> Tensor:
    """Φ⁻¹(Φ(−t) + Φ(z) (Φ(t) − Φ(−t))): N(0, 1) becomes N(0, 1) given |z| ≤ t, and the order of codes stays.

    The distribution is that of the truncation trick, which draws codes beyond t again: Brock et al. 2019, "Large Scale
    GAN Training for High Fidelity Natural Image Synthesis", section 3.1, https://arxiv.org/abs/1809.11096.

    Args:
        z: draws from N(0, 1).
        t: above 0; small ones trade variety for images near the likeliest.
    """
    low, high = torch.special.ndtr(torch.tensor([-t, t], dtype=torch.float64))
    return torch.special.ndtri(torch.lerp(low, high, torch.special.ndtr(z.double()))).clamp(-t, t).to(z.dtype)


def rows(draw: Callable[[], Tensor], start: int, stop: int, *key: str | int) -> Tensor:
    """Rows start <= i < stop of an endless row, each the same for every start and stop.

    Args:
        draw: gives a block of 64 rows by torch's global random state, which is not put back.
        start: the first row.
        stop: the row after the last.
        key: of the seed, which the block's number completes.
    """
    first, blocks = start // BLOCK, []
    for block in range(first, -(-stop // BLOCK)):
        torch.manual_seed(derive(*key, block))
        blocks.append(draw())
    return torch.cat(blocks)[start - first * BLOCK : stop - first * BLOCK]


def one_of(n: int, uniform: Tensor, label: int | None = None, name: str = "label") -> Tensor:
    """The labels 0 … n − 1 that uniform numbers (B,) draw with equal probabilities, or the given one, int64 (B,).

    Args:
        n: how many there are.
        uniform: in [0, 1].
        label: the given one.
        name: what it is called.

    Raises:
        GenlitError: the given one is none of these.
    """
    if label is not None and not 0 <= label < n:
        raise GenlitError(f"{name} is {label}: it must be one of the {n} classes 0 to {n - 1}")
    drawn = (uniform * n).long().clamp(max=n - 1)  # rounding may bring the number to 1
    return drawn if label is None else torch.full_like(drawn, label)
