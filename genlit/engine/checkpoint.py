"""Checkpoints that survive what happens to them: a kill at any moment, a full disk, a flipped bit, a hostile file."""

import hashlib
import io
import logging
import re
import shutil
import time
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

from genlit.engine.processes import agree
from genlit.errors import GenlitError
from genlit.files import flush, refuse_unsafe, replacing, require_space, sha256, sweep

log = logging.getLogger("genlit")


class SaveError(GenlitError):
    """A checkpoint could not be written; those before it are as they were."""


class SafeIO(CheckpointIO):
    """Writes checkpoints that are whole or absent, and loads only those whose SHA-256 agrees."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Saves atomically, with a `sha256sum`-style note beside the file.

        Args:
            checkpoint: tensors and plain containers.
            path: a local file; its folder is made.
            storage_options: unused.

        Raises:
            SaveError: the volume is full or the folder cannot be written; older checkpoints stay as they were.
        """
        path, needed = Path(path), _bytes(checkpoint)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            sweep(path.parent)
            require_space(path.parent, needed)
            _write(checkpoint, path)
        except OSError as error:
            raise SaveError(_no_room(path, needed, error)) from error
        if not path.is_file() or not path.stat().st_size:
            raise SaveError(f"{path} is missing or empty right after it was saved; check the volume it is on.")

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Loads a verified checkpoint; see `load`.

        Args:
            path: a local checkpoint.
            map_location: as in `torch.load`.
            weights_only: unused: nothing loaded ever runs code.
        """
        return load(path, map_location)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Removes a checkpoint and its note."""
        Path(path).unlink(missing_ok=True)
        _note(Path(path)).unlink(missing_ok=True)


def load(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Loads a checkpoint after its SHA-256 has been verified, running no code from it.

    Args:
        path: a local checkpoint with its `.sha256` note beside it.
        map_location: as in `torch.load`.

    Raises:
        GenlitError: the path is an address, the file is missing, damaged or holds more than tensors and plain
            containers, or the environment forces unsafe loading.
    """
    if "://" in str(path):
        raise GenlitError(f"{path} is an address: download it first, verify it, then load the file.")
    refuse_unsafe(path)
    if fault := damage(Path(path)):
        raise GenlitError(fault)
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # whatever a file that is no checkpoint makes of the reader
        reason = str(error).partition("\n")[0]
        raise GenlitError(f"{path} is not a checkpoint of tensors and plain containers ({reason}); refused.") from error


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint, in a sentence, or None when its bytes agree with its note.

    Args:
        path: a checkpoint file.
    """
    if not path.is_file():
        return f"{path} does not exist; check the path."
    note = _note(path)
    if not note.is_file():
        return f"{path} has no {note.name} beside it; copy the two together, or vouch for it with `sha256sum`."
    if sha256(path) != note.read_text(errors="replace").partition(" ")[0].strip():
        return f"{path} does not match its {note.name}: it is damaged; use an older checkpoint or a fresh copy."
    return None


def named(folder: Path, it: int) -> Path:
    """The path of an iteration's checkpoint: `it-00000500.ckpt` for 500."""
    return folder / f"it-{it:08d}.ckpt"


def iteration(path: Path) -> int | None:
    """The iteration in a checkpoint's name: 500 for `it-00000500.ckpt`, None for any other name."""
    match = re.fullmatch(r"it-(\d{8,})\.ckpt", path.name)
    return int(match[1]) if match else None


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, good or not, newest iteration first."""
    return sorted((path for path in folder.glob("it-*.ckpt") if iteration(path) is not None), key=iteration)[::-1]


def newest(folder: Path) -> Path | None:
    """The newest good checkpoint of a folder; newer ones that are damaged are named in a warning.

    Args:
        folder: where checkpoints named `it-00000500.ckpt` lie; it may be missing.
    """
    for path in checkpoints(folder):
        fault = damage(path)
        if not fault:
            return path
        log.warning("skipped a checkpoint: %s", fault)
    return None


def owes_validation(path: Path) -> bool:
    """Whether a run that resumes from a checkpoint starts with the validation of its iteration.

    Args:
        path: a good checkpoint of `Checkpoints`.
    """
    return load(path, "meta")["callbacks"][Checkpoints.__name__]["owes_validation"]


def probe(folder: Path) -> None:
    """Writes a small file into a folder (made if missing), reads it back and removes it.

    Raises:
        GenlitError: the folder cannot be written or does not give back what was written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / ".probe"
        with replacing(path) as file:
            file.write(b"genlit")
        faithful = path.read_bytes() == b"genlit"
        path.unlink()
    except OSError as error:
        raise GenlitError(f"{folder} cannot be written ({error.strerror}); choose another folder.") from error
    if not faithful:
        raise GenlitError(f"{folder} does not give back what is written to it; choose another folder.")


class Checkpoints(Checkpoint):
    """Saves `<run>/checkpoints/it-00000500.ckpt` at iteration boundaries, where the run is the trainer's root folder.

    A save due at an iteration that validates waits for the validation's end, so that a resumed run neither repeats
    nor loses it. The last iteration is always saved.

    Args:
        every: iterations between saves.
        minutes: also save when so much wall time has passed since the last save.
        keep: how many checkpoints stay, besides the iterations that other callbacks put into `spared` under a name of
            theirs; the oldest goes only when a newer one has been verified.

    Raises:
        GenlitError: an argument is not positive.
    """

    def __init__(self, every: int = 1000, minutes: float | None = None, keep: int = 2) -> None:
        for name, value in {"every": every, "minutes": minutes, "keep": keep}.items():
            if value is not None and not value > 0:
                raise GenlitError(f"{name} of the checkpoints is {value}; give a number above 0.")
        self.every, self.minutes, self.keep = every, minutes, keep
        self.spared: dict[str, int] = {}
        self._saved, self._since = 0, 0.0
        self._due = self._owes_validation = False
        self._playing = 0  # iterations before the one in play

    def state_dict(self) -> dict[str, Any]:
        """Whether the iteration of the checkpoint still has its validation before it."""
        return {"owes_validation": self._owes_validation}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores `state_dict`'s value."""
        self._owes_validation = state_dict["owes_validation"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Counts from here; a checkpoint that came before its validation is followed by it.

        Raises:
            GenlitError: the model has an option that no checkpoint could give back.
        """
        _refuse_unloadable(pl_module.hparams)
        self._since, self._saved = time.monotonic(), trainer.global_step
        self._playing = trainer.global_step
        if self._owes_validation:
            _validate_first(trainer.fit_loop.epoch_loop)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *batch: Any) -> None:
        """Knows that an iteration is in play, which cannot be saved before it has ended."""
        self._playing = trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *batch: Any) -> None:
        """Saves if it is time and no validation follows."""
        self._due = self._time_to_save(trainer)
        if self._due and not validation_follows(trainer):
            self.save(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves what waited for this validation."""
        if self._due:
            self.save(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Saves the last iteration when something else breaks after it: a data worker that was killed, say.

        Not with several processes, of which one that broke is no longer there to save with, nor where genlit refused.
        """
        broken = isinstance(exception, Exception) and not isinstance(exception, GenlitError)
        if broken and trainer.world_size == 1 and trainer.global_step > self._playing:
            self.save_now(trainer)
            log.warning("saved at iteration %d, because of %s", trainer.global_step, type(exception).__name__)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the last iteration of a run that a callback stopped early."""
        self.save(trainer)

    def save(self, trainer: Trainer, owes_validation: bool = False) -> None:
        """Saves this iteration on every process, unless it is saved already, and drops the oldest checkpoints.

        Args:
            trainer: the trainer, at an iteration boundary.
            owes_validation: this iteration validates, but has not yet; the resumed run then starts with it.

        Raises:
            SaveError: the checkpoint could not be written; every process raises it.
        """
        if trainer.global_step == self._saved:
            return
        self._owes_validation, self._due = owes_validation, False
        path = named(Path(trainer.default_root_dir) / "checkpoints", trainer.global_step)
        _save_together(trainer, path)
        self._saved, self._since = trainer.global_step, time.monotonic()
        if trainer.is_global_zero:
            self._drop_oldest(trainer, path)

    def save_now(self, trainer: Trainer) -> None:
        """Saves this iteration although it is not due, as a run that resumes from it needs it."""
        self.save(trainer, owes_validation=validation_follows(trainer))

    def _time_to_save(self, trainer: Trainer) -> bool:
        it = trainer.global_step
        return it % self.every == 0 or it == trainer.max_steps or self._minutes_passed(trainer)

    def _minutes_passed(self, trainer: Trainer) -> bool:
        if self.minutes is None:
            return False
        passed = trainer.is_global_zero and time.monotonic() - self._since >= 60 * self.minutes
        return bool(agree(trainer, int(passed)))

    def _drop_oldest(self, trainer: Trainer, latest: Path) -> None:
        if fault := damage(latest):
            log.warning("kept the older checkpoints: %s", fault)
            return
        past = [path for path in checkpoints(latest.parent) if iteration(path) <= iteration(latest)]
        for path in past[self.keep :]:
            if iteration(path) not in self.spared.values():
                trainer.strategy.remove_checkpoint(path)


def the_checkpoints(trainer: Trainer) -> Checkpoints:
    """The trainer's `Checkpoints`."""
    return next(callback for callback in trainer.checkpoint_callbacks if isinstance(callback, Checkpoints))


def validation_follows(trainer: Trainer) -> bool:
    """Whether a validation follows the training batch that has just ended."""
    loop = trainer.fit_loop.epoch_loop
    return loop._should_check_val_fx(trainer.fit_loop._data_fetcher) and not loop.val_loop.skip  # nothing held out


def _refuse_unloadable(options: dict[str, Any]) -> None:
    """Before a training, not at its resumption: what `load` gives back is tensors and plain containers."""
    for name, value in options.items():
        stream = io.BytesIO()
        try:
            torch.save(value, stream)
            stream.seek(0)
            torch.load(stream, weights_only=True)
        except Exception as error:  # whatever cannot be pickled, and what pickle needs code for
            raise GenlitError(
                f"model.{name} is a {type(value).__name__}, which no checkpoint can give back: take words or numbers"
            ) from error


def _validate_first(loop: _TrainingEpochLoop) -> None:
    # Lightning skips the validation of an iteration saved before it, but finishes one that was interrupted.
    loop.val_loop._restart_stage = "restarted_mid_evaluation"
    loop.val_loop.restarting = False
    loop._batches_that_stepped -= 1


def _save_together(trainer: Trainer, path: Path) -> None:
    fault = None
    try:
        trainer.save_checkpoint(path, weights_only=False)  # optimisers and progress too
    except SaveError as error:
        fault = str(error)
        trainer.strategy.barrier("Trainer.save_checkpoint")  # where the other processes wait
    if fault := trainer.strategy.broadcast(fault):
        raise SaveError(fault)


def _write(checkpoint: dict[str, Any], path: Path) -> None:
    with replacing(path) as file:
        stream = _Hashing(file)
        stream.save(checkpoint)
        flush(file)
        # Before the checkpoint takes its name: a kill here leaves a note without its file, never the reverse.
        with replacing(_note(path)) as note:
            note.write(f"{stream.sha256.hexdigest()}  {path.name}\n".encode())


class _Hashing:
    """A stream that hashes what it writes and remembers why it could not."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.sha256, self.fault = file, hashlib.sha256(), None

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        try:
            return self.file.write(data)
        except OSError as error:
            self.fault = self.fault or error
            raise

    def flush(self) -> None:
        self.file.flush()

    def save(self, checkpoint: dict[str, Any]) -> None:
        try:
            torch.save(checkpoint, self)
        except RuntimeError as error:  # torch wraps a full disk in "unexpected pos"
            raise self.fault or error from None


def _bytes(state: Any) -> int:
    if isinstance(state, torch.Tensor):
        return state.untyped_storage().nbytes()
    if isinstance(state, dict):
        return sum(map(_bytes, state.values()))
    return sum(map(_bytes, state)) if isinstance(state, list | tuple) else 0


def _no_room(path: Path, needed: int, error: OSError) -> str:
    folder = next(parent for parent in path.absolute().parents if parent.is_dir())
    volume = next(parent for parent in (folder, *folder.parents) if parent.is_mount())
    return (
        f"{path} cannot be written ({error.strerror}): it needs at least {needed:,} bytes and the volume {volume} has "
        f"{shutil.disk_usage(folder).free:,} free; make room or choose another folder."
    )


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")
