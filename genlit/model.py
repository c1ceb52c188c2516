"""GenerativeModel: a game between players, played in turns. The one file that a reader must know.

A model names its `players` (which sub-modules each one's optimiser owns) and plays `turns`, a generator:

    class Game(GenerativeModel):
        players = {"critic": ["critic"], "generator": ["generator"]}

        def turns(self, batch):
            fake = self.generator(noise)
            yield "critic", {"adversarial": ...}        # the critic steps here ...
            yield "generator", {"adversarial": ...}     # ... so this line meets the new critic

Every yield is one update of one player on the weighted sum of its terms. What stands after a yield runs after that
update, so `turns` reads like the paper's algorithm. The base class does the rest: gradients for the player alone,
averaging over processes, accumulation, clipping, rates, moving averages, logging and the clock.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from difflib import get_close_matches
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Adam, Optimizer

from genlit.engine.clock import rate, reseed
from genlit.engine.ema import EMA
from genlit.engine.guard import Guard
from genlit.engine.logbook import Logbook
from genlit.engine.processes import gather
from genlit.engine.strategy import Players
from genlit.errors import GenlitError

Batch = dict[str, Any]
Terms = dict[str, Tensor]
Turn = tuple[str, Terms]

PRECISIONS = ("32-true", "bf16-mixed", "64-true")


class GenerativeModel(LightningModule):
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
        GenlitError: for a weight, rate or clip that names no term or player.
    """

    players: ClassVar[dict[str, list[str]]]
    terms: ClassVar[dict[str, float]]  # every term that turns may yield, with its weight's default
    needs: ClassVar[tuple[str, ...]] = ("image",)  # what a batch must hold
    averaged: ClassVar[tuple[str, ...]] = ()  # the sub-modules that the moving average follows

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
        self.automatic_optimization = False
        self.shape = tuple(shape)
        self.betas, self.accumulate, self.warmup, self.decay = tuple(betas), accumulate, warmup, decay
        self.channels_last, self.compiled, self.seed = channels_last, compile, seed
        self.lr = self._by_player("lr", lr)
        self.clip = self._by_player("clip", clip)
        if without := [player for player, value in self.lr.items() if value is None]:
            raise GenlitError(f"model.lr: no rate for player '{without[0]}'; {_list(self.players)}")
        self.weights = {**self.terms, **_known("model.weights", weights or {}, self.terms)}
        self.slot = 0  # this process's micro-batch among all of an iteration's
        self.ema_half_life = ema
        self.ema: EMA | None = None
        self.latest: dict[str, float] = {}
        self._guard, self._train_book, self._validation_book = Guard(), Logbook(), Logbook()
        self._stands_for = 1  # images that an observed mean is weighted by: a held-out batch may be short
        self._optimizers: dict[str, Optimizer] = {}
        self._parameters_of: dict[str, list[nn.Parameter]] = {}
        self._played: tuple[str, list[tuple[str, Tensor]]] = ("", [])

    # What a model defines

    def turns(self, batch: Batch) -> Iterator[Turn]:
        """Plays one iteration: yields (player, terms), each term a scalar to be minimised by that player."""
        raise NotImplementedError(f"{type(self).__name__} defines no turns")

    def optimizer(self, player: str, parameters: list[nn.Parameter]) -> Optimizer:
        """A player's optimiser; Adam (Kingma & Ba 2015, https://arxiv.org/abs/1412.6980) unless a model says more."""
        return Adam(parameters, lr=self.lr[player], betas=self.betas, fused=True)

    # What a model may use while it plays

    @property
    def iteration(self) -> int:
        """Iterations finished."""
        return self._trainer.global_step if self._trainer else 0

    @property
    def batch_images(self) -> int:
        """Images per iteration, over all processes and micro-batches."""
        return self._trainer.datamodule.batch_size if self._trainer and self._trainer.datamodule else 0

    @property
    def images(self) -> int:
        """Images seen: iterations · images per iteration."""
        return self.iteration * self.batch_images

    def every(self, n: int) -> bool:
        """Whether this is the last of `n` iterations; always in validation, which plays every turn."""
        return not self.training or (self.iteration + 1) % n == 0

    def observe(self, name: str, value: Tensor | float) -> None:
        """Logs a scalar that no player minimises."""
        self._book.add(f"{self._stage}/{name}", value, self._stands_for)

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """Averaged weights, evaluation mode, no gradients; the global random state is put back afterwards."""
        training, swapped = self.training, self.ema.swapped_into(self) if self.ema else nullcontext()
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            try:
                with swapped:
                    self.eval()
                    yield
            finally:
                self.train(training)  # after the exchange: while it lasts, the live networks are the average's

    # The game

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Plays one iteration. Its micro-batches play in lockstep, so that an update sees all of their gradients."""
        self._stands_for = 1
        games = [self._game(part, self.trainer.datamodule) for part in self._split(batch)]
        self._set_rates()
        turn = 0
        while player := self._play_turn(games, turn):
            self._update(player)
            turn += 1
        self._finish_iteration()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Plays the game on held-out images without stepping."""
        self.examine(batch, batch_idx * self.trainer.world_size + self.global_rank, self.trainer.datamodule)

    def examine(self, batch: Batch, index: int, source: LightningDataModule | None) -> None:
        """Adds the terms of the `index`-th held-out batch to the means; the draws depend on the index alone."""
        reseed(self.device, self.seed, "validation", index)
        self._stands_for = len(next(iter(batch.values())))
        for player, terms in self._game(batch, source):
            self._log_terms(player, terms)

    def _game(self, batch: Batch, source: LightningDataModule | None) -> Iterator[Turn]:
        yield from self.turns(self._inputs(batch, source))

    def _inputs(self, batch: Batch, source: LightningDataModule | None) -> Batch:
        """What the model sees of a batch: normalised and augmented on the device, in its memory format."""
        transform = getattr(source, "transform", None)
        batch = transform(batch, training=self.training) if transform else batch
        return {name: self._laid_out(value) for name, value in batch.items()}

    def _laid_out(self, value: Any) -> Any:
        image = isinstance(value, Tensor) and value.dim() == 4
        return value.contiguous(memory_format=torch.channels_last) if image and self.channels_last else value

    def _split(self, batch: Batch) -> list[Batch]:
        """Equal micro-batches, in order."""
        n = len(next(iter(batch.values())))
        if n % self.accumulate:
            raise GenlitError(
                f"model.accumulate: {self.accumulate} does not divide the {n} images that each process reads; "
                "choose a data.batch_size that it divides"
            )
        size = n // self.accumulate
        return [{name: column[i : i + size] for name, column in batch.items()} for i in range(0, n, size)]

    def _play_turn(self, games: list[Iterator[Turn]], turn: int) -> str | None:
        """Advances every game to its next yield and backpropagates it; None when the games are over."""
        moves = []
        for micro, game in enumerate(games):
            self.slot = self.global_rank * self.accumulate + micro
            reseed(self.device, self.seed, self.iteration, self.slot, turn)
            player, terms = next(game, (None, {}))
            moves.append((player, list(terms.items())))
            if player:
                self._log_terms(player, terms)
                (self.total(player, terms) / self.accumulate).backward(inputs=self._owned(player))
        player = moves[0][0]
        if any(other != player for other, _ in moves):
            raise GenlitError(f"the micro-batches of an iteration disagree on whose turn it is: {moves}")
        self._played = player, [term for _, terms in moves for term in terms]
        return player

    def total(self, player: str, terms: Terms) -> Tensor:
        """What a player minimises: Σ wᵢ termᵢ."""
        if player not in self.players:
            raise GenlitError(
                f"{type(self).__name__}: turns yielded the unknown player '{player}'; {_list(self.players)}"
            )
        _known(f"{type(self).__name__}.turns", terms, self.terms)
        return sum(self.weights[name] * value for name, value in terms.items())

    def _update(self, player: str) -> None:
        """Averages over processes, checks, clips and steps; gradients never outlive their turn."""
        optimizer = self._optimizers[player]
        self.trainer.strategy.optimizer_step(optimizer, _nothing, model=self)
        optimizer.zero_grad()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Between averaging and stepping: the guard reads losses and gradient norm, then the norm is clipped."""
        player, terms = self._played
        gradients = [p.grad for p in self._owned(player) if p.grad is not None]
        norm = get_total_norm(gradients)
        self._guard.watch(self.iteration, player, terms, norm, optimizer)
        self.observe(f"{player}/gradient_norm", norm)
        if self.clip[player]:
            clip_grads_with_norm_(self._owned(player), self.clip[player], norm)

    def _set_rates(self) -> None:
        factor = rate(self.images, self.warmup, self.decay)
        for player, optimizer in self._optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = self.lr[player] * factor

    def _finish_iteration(self) -> None:
        """Ticks the clock once, whatever the number of updates, and writes the log at its one modulus."""
        self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress.increment_ready()
        self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress.increment_completed()
        if self.ema:
            self.ema.update(self, self.batch_images, self.images)
        if self.iteration % self.trainer.log_every_n_steps == 0:
            self._guard.check()
            rates = {f"rate/{player}": opt.param_groups[0]["lr"] for player, opt in self._optimizers.items()}
            self._write(self._train_book.flush() | rates)

    # Logging

    @property
    def _stage(self) -> str:
        return "train" if self.training else "val"

    @property
    def _book(self) -> Logbook:
        return self._train_book if self.training else self._validation_book

    def _log_terms(self, player: str, terms: Terms) -> None:
        for name, value in terms.items():
            self.observe(f"{player}/{name}", value)

    def on_validation_epoch_end(self) -> None:
        """Writes the means over the held-out images."""
        self._write(self.examined())

    def examined(self) -> dict[str, float]:
        """The means over all batches examined since the last call."""
        return self._validation_book.flush()

    def _write(self, record: dict[str, float]) -> None:
        """Hands a record with its axes to every logger, on the first process."""
        self.latest = record | self.progress()
        for callback in self.trainer.callbacks:
            self.latest |= callback.metrics() if hasattr(callback, "metrics") else {}
        if self.trainer.is_global_zero:
            for logger in self.trainer.loggers:
                logger.log_metrics(self.latest, step=self.iteration)

    def progress(self) -> dict[str, float]:
        """The axes of every record: iterations, images and passes over the training images."""
        rows = getattr(self.trainer.datamodule, "train_size", 0)
        epoch = {"progress/epoch": self.images / rows} if rows else {}
        return {"progress/iter": self.iteration, "progress/images": self.images} | epoch

    # Building and keeping

    def configure_model(self) -> None:
        """What follows from the finished networks: memory format, moving average, compilation."""
        if self.channels_last:
            self.to(memory_format=torch.channels_last)
        if self.ema_half_life and self.ema is None:
            self.ema = EMA({name: self.get_submodule(name) for name in self.averaged}, self.ema_half_life)
        if self.compiled:
            for network in self.compilable():
                network.compile()

    def compilable(self) -> list[nn.Module]:
        """The networks that torch.compile may take; not one under a gradient penalty: it has no double backward."""
        return [self.get_submodule(name) for names in self.players.values() for name in names]

    def configure_optimizers(self) -> list[Optimizer]:
        """One optimiser per player; every parameter belongs to exactly one."""
        self._refuse_unowned()
        self._optimizers = {player: self.optimizer(player, self._owned(player)) for player in self.players}
        return list(self._optimizers.values())

    def _owned(self, player: str) -> list[nn.Parameter]:
        if player not in self._parameters_of:
            modules = [self.get_submodule(name) for name in self.players[player]]
            self._parameters_of[player] = [p for module in modules for p in module.parameters() if p.requires_grad]
        return self._parameters_of[player]

    def _refuse_unowned(self) -> None:
        owners: dict[int, str] = {}
        for player in self.players:
            for parameter in self._owned(player):
                if id(parameter) in owners:
                    raise GenlitError(f"players '{owners[id(parameter)]}' and '{player}' own the same parameter")
                owners[id(parameter)] = player
        orphans = [name for name, p in self.named_parameters() if p.requires_grad and id(p) not in owners]
        if orphans:
            raise GenlitError(f"{type(self).__name__}: no player owns {', '.join(orphans)}; name it in `players`")

    def on_fit_start(self) -> None:
        """Refuses what would silently train something else."""
        if not torch.cuda.is_available():
            os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)  # Lightning's: asks the driver at every step
        if (precision := self.trainer.precision) not in PRECISIONS:
            raise GenlitError(
                f"trainer.precision: {precision} is not offered: one loss scaler over several optimisers corrupts "
                f"gradients; choose one of {', '.join(PRECISIONS)}"
            )
        if self.trainer.world_size > 1 and not isinstance(self.trainer.strategy, Players):
            raise GenlitError("several processes need the strategy genlit.engine.strategy.Players")

    def on_train_start(self) -> None:
        """Sets the axes of what is shown before the first record."""
        self.latest = self.progress()

    def on_validation_start(self) -> None:
        """Gives every process rank 0's buffers, so that all evaluate the same model."""
        if isinstance(self.trainer.strategy, Players):
            self.trainer.strategy.broadcast_buffers()

    def slot_state(self) -> dict[int, Any]:
        """What a model remembers besides its networks, by slot: plain containers of tensors."""
        return {}

    def load_slot_state(self, state: dict[int, Any]) -> None:
        """Takes up what `slot_state` gave."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the class's name, every process's slots and the sums that are not logged yet. Refuses a bad state."""
        self._guard.check()
        checkpoint["model"] = type(self).__name__
        checkpoint["processes"] = gather({"slots": self.slot_state(), "logbook": self._train_book.state_dict()})

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes this process's slots and sums up again."""
        mine = checkpoint["processes"][self.global_rank]
        self._train_book.load_state_dict(mine["logbook"])
        self.load_slot_state(mine["slots"])

    def _by_player(self, name: str, value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            return dict.fromkeys(self.players) | _known(f"model.{name}", value, self.players)
        return dict.fromkeys(self.players, value)


def _known(where: str, given: dict[str, Any], allowed: dict[str, Any]) -> dict[str, Any]:
    """`given`, if all of its names are allowed; else a sentence with the nearest."""
    for name in given:
        if name not in allowed:
            near = get_close_matches(name, allowed, n=1)
            raise GenlitError(
                f"{where}: unknown name '{name}'" + (f", did you mean '{near[0]}'?" if near else f"; {_list(allowed)}")
            )
    return given


def _list(names: dict[str, Any]) -> str:
    return f"there are {', '.join(names)}"


def _nothing() -> None:
    """The optimisers' closure: the gradients are there already."""
