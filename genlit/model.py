"""GenerativeModel: a game between players, played in turns. The one file that a reader must know.

A model names its `players` (which sub-modules each one's optimiser owns) and plays `turns`, a generator:

    class Game(GenerativeModel):
        players = {"critic": ["critic"], "generator": ["generator"]}
        terms = {"adversarial": 1.0}

        def turns(self, batch):
            fake = self.generator(noise)
            yield "critic", {"adversarial": ...}        # the critic steps here ...
            yield "generator", {"adversarial": ...}     # ... so this line meets the new critic

Every yield is one update of one player on the weighted sum of its terms. What stands after a yield runs after that
update, so `turns` reads like the paper's algorithm. The engine does the rest: gradients for the player alone,
averaging over processes, accumulation, clipping, rates, moving averages, logging and the clock.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from genlit.engine import clock
from genlit.engine.play import Batch, Engine, Turn
from genlit.errors import GenlitError, known

__all__ = ["Batch", "GenerativeModel", "Turn"]


class GenerativeModel(Engine):
    """A generative model whose training is a game.

    One iteration plays all turns of one global batch; Lightning's `global_step` counts iterations. Every number drawn
    in an iteration is a function of (seed, iteration, slot, turn), a slot being one process's micro-batch.

    Args:
        shape: (C, H, W) of the images.
        lr: learning rate, for all players or by player.
        betas: Adam's decay rates (β₁, β₂) of the first and second moments.
        weights: factors of the terms in a player's total, over the class's defaults; logs show terms unweighted.
        clip: largest L2 norm of a player's gradient, for all players or by player; None leaves it alone.
        accumulate: micro-batches that an iteration's batch is split into, to save memory.
        warmup: images over which the rates rise from 0.
        decay: (start, end) in images: the rates fall linearly from `start` to 0 at `end`.
        ema: half-life of the moving average of the weights, in images; None keeps none.
        channels_last: lay images and convolutions out as (B, H, W, C).
        compile: compile the networks with torch.compile.
        seed: of everything drawn in training.

    Raises:
        GenlitError: a weight, rate or clip names no term or player, or a number is out of range.
    """

    players: ClassVar[dict[str, list[str]]]
    terms: ClassVar[dict[str, float]]  # every term that turns may yield, with its weight's default
    needs: ClassVar[tuple[str, ...]] = ("image",)  # what a batch must hold
    averaged: ClassVar[tuple[str, ...]] = ()  # the sub-modules that the moving average follows
    firsts: ClassVar[int] = 0  # training images that `begin_at` is shown
    given: ClassVar[str] = ""  # what of an image its likelihood takes as known: "1-quadrant"
    tightens: ClassVar[bool] = True  # whether its bound depends on the number of draws
    unlabelled: ClassVar[bool] = False  # whether it takes labels of -1, unknown
    pairs: ClassVar[bool] = False  # whether `a` and `b` of a training row must be counterparts
    lacks: ClassVar[dict[str, str]] = {}  # why it cannot do what others can: {"sample": "it has no prior; train a VAE"}

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        lr: float | dict[str, float] = 2e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        weights: dict[str, float] | None = None,
        clip: float | dict[str, float] | None = None,
        accumulate: int = 1,
        warmup: int = 0,
        decay: tuple[int, int] | None = None,
        ema: float | None = None,
        channels_last: bool = False,
        compile: bool = False,
        seed: int = 0,
    ):
        super().__init__()
        self.save_hyperparameters()
        self.shape = tuple(shape)
        self.betas, self.accumulate, self.warmup, self.decay = tuple(betas), accumulate, warmup, decay
        self.ema_half_life, self.channels_last, self.compiled, self.seed = ema, channels_last, compile, seed
        self.lr, self.clip = self._by_player("lr", lr), self._by_player("clip", clip)
        known("model.weights", weights or {}, self.terms)
        self.weights = self.terms | (weights or {})
        self._evaluating = False
        self._past = (0, 0)  # iterations and images of a model that was loaded
        for key, values in (("lr", self.lr), ("clip", self.clip)):
            for value in values.values():
                self.require(key, value, value is None or value > 0, "above 0")
        self.require_counts(accumulate=accumulate)
        self.require("decay", decay, not decay or 0 <= decay[0] < decay[1], "null or [start, end] with start < end")
        self.require("lr", lr, None not in self.lr.values(), f"a rate for each of {', '.join(self.players)}")
        for key, value in {"clip": clip, "decay": decay, "warmup": warmup or None}.items():
            self.require(key, value, value is None or bool(self.players), "left out: this model minimises nothing")
        self.require("ema", ema, ema is None or ema > 0, "above 0, or null")
        self.require("ema", ema, not ema or bool(self.averaged), "null: this model names no `averaged` networks")

    # What a model defines

    def turns(self, batch: Batch) -> Iterator[Turn]:
        """Plays one iteration: yields (player, terms), each term a scalar to be minimised by that player."""
        raise NotImplementedError(f"{type(self).__name__} defines no turns")

    def begin_at(self, images: Tensor) -> None:
        """Meets `firsts` training images before the first iteration: initial values that depend on them, refusals."""

    def optimizer(self, player: str, parameters: list[nn.Parameter]) -> Optimizer:
        """A player's optimiser; Adam (Kingma & Ba 2015, https://arxiv.org/abs/1412.6980) unless a model says more."""
        return Adam(parameters, lr=self.lr[player], betas=self.betas, fused=True)

    def weight(self, term: str) -> float:
        """A term's factor in its player's total; constant unless a model says more."""
        return self.weights[term]

    def pace(self) -> float:
        """A factor of all rates at this moment, besides warmup and decay; 1 unless a model says more."""
        return 1.0

    def compilable(self) -> list[nn.Module]:
        """The networks that torch.compile may take; not one under a gradient penalty: it has no double backward."""
        return [self.get_submodule(name) for names in self.players.values() for name in names]

    def slot_state(self) -> dict[int, Any]:
        """What a model remembers besides its networks, by slot: plain containers of tensors on the CPU."""
        return {}

    def load_slot_state(self, state: dict[int, Any]) -> None:
        """Takes up what `slot_state` gave."""

    # What a model may use while it plays

    @property
    def iteration(self) -> int:
        """Iterations finished."""
        return self._trainer.global_step if self._trainer else self._past[0]

    @property
    def batch_images(self) -> int:
        """Images of this iteration, over all processes and micro-batches."""
        return self._clocked(self.iteration)[1]

    @property
    def images(self) -> int:
        """Images seen in the iterations finished."""
        return self._clocked(self.iteration)[0] if self._trainer else self._past[1]

    def every(self, n: int) -> bool:
        """Whether this is the last of `n` iterations; always in validation, which plays every turn."""
        return not self.training or (self.iteration + 1) % n == 0

    def ramp(self, duration: float) -> float:
        """Rises linearly from 0 to 1 over the first `duration` images."""
        return clock.ramp(self.images, duration)

    def fall(self, start: float, end: float) -> float:
        """1 until `start` images, then linearly down to 0 at `end`."""
        return clock.fall(self.images, start, end)

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """Averaged weights, evaluation mode, no gradients; the global random state is put back afterwards.

        Within another one it changes nothing: the averaged weights are there already.
        """
        if self._evaluating:
            yield
            return
        training, swapped = self.training, self.ema.swapped_into(self) if self.ema else nullcontext()
        with clock.untouched(self.device), torch.no_grad():
            try:
                self._evaluating = True
                with swapped:
                    self.eval()
                    yield
            finally:
                self._evaluating = False
                self.train(training)  # after the exchange: while it lasts, the live networks are the average's

    def here(self, images: Tensor) -> Tensor:
        """Images on the model's device and in its precision."""
        return images.to(self.device, self.dtype)

    # What a model's constructor may use

    def require_counts(self, **counts: int | tuple[int, ...]) -> None:
        """Refuses a count below 1, alone or among several, by its key."""
        for key, count in counts.items():
            each = {f"{key}.{i}": one for i, one in enumerate(count)} if isinstance(count, Sequence) else {key: count}
            for name, one in each.items():
                self.require(name, one, one >= 1, "at least 1")

    def require(self, key: str, value: Any, valid: bool, rule: str) -> None:
        """Refuses a value that is out of range, by its key."""
        if not valid:
            raise GenlitError(f"model.{key} is {value}: it must be {rule}")

    def require_argument(self, name: str, value: Any, valid: bool, rule: str) -> None:
        """Refuses a method's argument."""
        if not valid:
            raise GenlitError(f"{name} is {value}: it must be {rule}")

    def _by_player(self, key: str, value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            known(f"model.{key}", value, self.players)
            return dict.fromkeys(self.players) | value
        return dict.fromkeys(self.players, value)
