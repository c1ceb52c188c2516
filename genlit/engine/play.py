"""The engine: plays a model's turns inside Lightning's loop, and keeps the clock, the log and the checkpoint right."""

import os
from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from genlit.engine.clock import Batches, rate, reseed
from genlit.engine.ema import EMA
from genlit.engine.guard import Guard
from genlit.engine.logbook import Logbook
from genlit.engine.memory import memory_for
from genlit.engine.processes import gather
from genlit.engine.strategy import SyncAtStep
from genlit.errors import GenlitError, known

Batch = dict[str, Any]
Terms = dict[str, Tensor]
Turn = tuple[str, Terms]

PRECISIONS = ("32-true", "bf16-mixed", "64-true")


class Engine(LightningModule):
    """What every game needs and no model should say: see GenerativeModel, which defines what is played.

    Manual optimisation: one training_step is one iteration, whatever the number of updates in it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.slot = 0  # this process's micro-batch among all of an iteration's
        self.ema: EMA | None = None
        self.latest: dict[str, float] = {}
        self._guard, self._train_book, self._validation_book = Guard(), Logbook(), Logbook()
        self._stands_for = 1  # images that an observed mean is weighted by: a held-out batch may be short
        self._optimizers: dict[str, Optimizer] = {}
        self._parameters_of: dict[str, list[nn.Parameter]] = {}
        self._played: tuple[str, list[tuple[str, Tensor]]] = ("", [])

    # One iteration

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Plays one iteration. Its micro-batches play in lockstep, so that an update sees all of their gradients."""
        self._stands_for = 1
        games = [self._game(part, self.trainer.datamodule) for part in self._split(batch)]
        self._set_rates()
        turn = 0
        with memory_for(len(next(iter(batch.values()))), self.iteration):
            while player := self._play_turn(games, turn):
                self._update(player)
                turn += 1
        self._finish_iteration()

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
        self._refuse_uneven(n)
        size = n // self.accumulate
        return [{name: column[i : i + size] for name, column in batch.items()} for i in range(0, n, size)]

    def _refuse_uneven(self, n: int) -> None:
        if n % self.accumulate:
            raise GenlitError(
                f"model.accumulate: {self.accumulate} does not divide the {n} images that each process reads; "
                "choose a data.batch_size that it divides"
            )

    def _play_turn(self, games: list[Iterator[Turn]], turn: int) -> str | None:
        """Advances every game to its next yield and backpropagates it; None when the games are over."""
        moves = []
        for micro, game in enumerate(games):
            self.slot = self.global_rank * self.accumulate + micro
            reseed(self.device, self.seed, self.iteration, self.slot, turn)
            player, terms = next(game, (None, {}))
            moves.append((player, list(terms.items())))
            if player:
                self._observe_terms(player, terms)
                (self.total(player, terms) / self.accumulate).backward(inputs=self._owned(player))
        player = moves[0][0]
        if any(other != player for other, _ in moves):
            raise GenlitError(f"the micro-batches of an iteration disagree on whose turn it is: {moves}")
        self._played = player, [term for _, terms in moves for term in terms]
        return player

    def total(self, player: str, terms: Terms) -> Tensor:
        """What a player minimises: Σ wᵢ termᵢ."""
        known(f"{type(self).__name__}.turns: player", [player], self.players)
        known(f"{type(self).__name__}.turns: term", terms, self.terms)
        return sum(self.weight(name) * value for name, value in terms.items())

    def _update(self, player: str) -> None:
        """Averages over processes, checks, clips and steps; gradients never outlive their turn."""
        optimizer = self._optimizers[player]
        self.trainer.strategy.optimizer_step(optimizer, _gradients_are_there, model=self)
        optimizer.zero_grad()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Between averaging and stepping: the guard reads losses and gradient norm, then the norm is clipped."""
        player, terms = self._played
        norm = get_total_norm([p.grad for p in self._owned(player) if p.grad is not None])
        self._guard.watch(self.iteration, player, terms, norm, optimizer)
        self.observe(f"{player}/gradient_norm", norm)
        if self.clip[player]:
            clip_grads_with_norm_(self._owned(player), self.clip[player], norm)

    def _set_rates(self) -> None:
        factor = rate(self.images, self.warmup, self.decay) * self.pace()
        for player, optimizer in self._optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = self.lr[player] * factor

    def _finish_iteration(self) -> None:
        """Ticks the clock once, whatever the number of updates, and writes the log at its one modulus."""
        played = self.batch_images
        self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress.increment_ready()
        self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress.increment_completed()
        if self.ema:
            self.ema.update(self, played, self.images)
        if self.iteration % self.trainer.log_every_n_steps == 0:
            self._guard.check()
            rates = {f"rate/{player}": opt.param_groups[0]["lr"] for player, opt in self._optimizers.items()}
            self.record(self._train_book.flush() | rates)

    # Held-out images

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Plays the game on held-out images without stepping, with the averaged weights."""
        with self.evaluation():
            self.examine(batch, batch_idx * self.trainer.world_size + self.global_rank, self.trainer.datamodule)

    def examine(self, batch: Batch, index: int, source: LightningDataModule | None) -> None:
        """Adds the terms of the `index`-th held-out batch to the means; the draws depend on the index alone."""
        reseed(self.device, self.seed, "validation", index)
        self._stands_for = len(next(iter(batch.values())))
        for player, terms in self._game(batch, source):
            self._observe_terms(player, terms)

    def examined(self) -> dict[str, float]:
        """The means over all batches examined since the last call."""
        return self._validation_book.flush()

    def on_validation_start(self) -> None:
        """Makes all processes evaluate the same model."""
        self.unite()

    def unite(self) -> None:
        """Gives every process rank 0's buffers (batch statistics), the only tensors that differ."""
        if isinstance(self.trainer.strategy, SyncAtStep):
            self.trainer.strategy.broadcast_buffers()

    def on_validation_epoch_end(self) -> None:
        """Writes the means over the held-out images."""
        self.record(self.examined())

    # The clock

    def _clocked(self, iteration: int) -> tuple[int, int]:
        """Images before an iteration, and its own; none where the training has no source."""
        return batches.at(iteration) if (batches := self._batches) else (0, 0)

    @property
    def _batches(self) -> Batches | None:
        source = self._trainer.datamodule if self._trainer else None
        return source.batches if source else None

    # The log

    def observe(self, name: str, value: Tensor | float) -> None:
        """Logs a scalar that no player minimises, as train/<name> or val/<name>."""
        book, stage = (self._train_book, "train") if self.training else (self._validation_book, "val")
        book.add(f"{stage}/{name}", value, self._stands_for)

    def _observe_terms(self, player: str, terms: Terms) -> None:
        for name, value in terms.items():
            self.observe(f"{player}/{name}", value)

    def record(self, values: dict[str, float]) -> None:
        """Hands values with their axes to every logger, on the first process."""
        self.latest = values | self.progress()
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

    # Beginning and resuming

    def configure_model(self) -> None:
        """What follows from the finished networks: memory format, moving average, compilation."""
        if self.channels_last:
            self.to(memory_format=torch.channels_last)
        if self.ema_half_life and self.ema is None:
            self.ema = EMA({name: self.get_submodule(name) for name in self.averaged}, self.ema_half_life)
        if self.compiled:
            for network in self.compilable():
                network.compile()

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
        self._ask_no_driver()
        if (precision := self.trainer.precision) not in PRECISIONS:
            raise GenlitError(
                f"trainer.precision: {precision} is not offered: one loss scaler over several optimisers corrupts "
                f"gradients; choose one of {', '.join(PRECISIONS)}"
            )
        if self.trainer.world_size > 1 and not isinstance(self.trainer.strategy, SyncAtStep):
            raise GenlitError("several processes need the strategy genlit.engine.strategy.SyncAtStep")
        for size in batches.sizes.values() if (batches := self._batches) else []:
            self._refuse_uneven(size // self.trainer.world_size)
        end, _ = self._clocked(max(0, self.trainer.max_steps))
        if self.decay and self.decay[1] < end:
            raise GenlitError(
                f"model.decay: the rates are 0 from image {self.decay[1]:,} on, but training goes to {end:,}; "
                f"set --model.decay=null or its end to {end}"
            )

    @staticmethod
    def _ask_no_driver() -> None:
        # Lightning sets this, and every step of an optimiser then looks for GPUs through the driver
        if not torch.cuda.is_available():
            os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)

    def on_train_start(self) -> None:
        """Sets the axes of what is shown first; optimisers follow the configuration, not the checkpoint."""
        self.latest = self.progress()
        if self.firsts and self.iteration == 0:
            self.begin_at(self.trainer.datamodule.first(self.firsts, self.device, "train")["image"])
        for optimizer in self._optimizers.values():
            for group in optimizer.param_groups:
                group |= {name: value for name, value in optimizer.defaults.items() if name != "lr"}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what loading needs, every process's slots and the sums not logged yet. Refuses a bad state."""
        self._guard.check()
        checkpoint["model"], checkpoint["images"] = type(self).__name__, self.images
        checkpoint["processes"] = gather({"slots": self.slot_state(), "logbook": self._train_book.state_dict()})

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes this process's slots and sums up again.

        Raises:
            GenlitError: another number of processes saved it, whose slots and batch statistics these cannot continue.
        """
        saved, now = len(checkpoint["processes"]), self.trainer.world_size
        if saved != now:
            raise GenlitError(f"{saved} processes saved this checkpoint and {now} would resume it; use {saved} again")
        mine = checkpoint["processes"][self.global_rank]
        self._train_book.load_state_dict(mine["logbook"])
        self.load_slot_state(mine["slots"])


def _gradients_are_there() -> None:
    """The optimisers' closure."""
