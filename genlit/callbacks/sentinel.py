"""Watching for collapse: one warning that says what was seen and what to try."""

import logging
import shutil
from pathlib import Path
from typing import Any, Literal, NamedTuple

from lightning.pytorch import Callback, LightningModule, Trainer

from genlit.callbacks.best import forget_after
from genlit.engine import checkpoint
from genlit.engine.checkpoint import the_checkpoints

log = logging.getLogger("genlit")


class Sign(NamedTuple):
    """A sign of collapse: a value below a bound.

    Args:
        metric: the value's name begins with it.
        bound: healthy from here on.
        remedy: what to try.
    """

    metric: str
    bound: float
    remedy: str


SIGNS = (
    Sign("diversity/", 0.1, "samples are nearly alike: more instance noise, or fewer updates of the generator"),
    Sign("recall/", 0.02, "samples miss nearly all real images: try another loss (hinge, wasserstein) or a penalty"),
    Sign("saturation/", 0.02, "the critic is never wrong: lower its rate, or more noise, spectral norm or a penalty"),
    Sign(
        "active-units/",
        1,
        "the codes say nothing of the images: a smaller rate; a VAE's kl_warmup, free_nats, a smaller beta",
    ),
)


SLOW_START = 3


class Sentinel(Callback):
    """Looks at every evaluation for signs of collapse, and says so when some were there `patience` times in a row.

    The signs: samples whose features vary by less than a tenth of what real ones do, a recall under 0.02, a critic
    whose loss, one that cannot fall below 0, lies under 0.02, and codes of which none is active. Loss curves of a game
    say little by themselves: a collapsed game may look calm.

    Args:
        action: warn, stop the training, or return: stop, and set the checkpoints since the last healthy evaluation
            aside, so that the next `genlit train` goes on from there.
            Nothing is stopped that may still be starting: before the first healthy evaluation it takes three times the
            patience.
        patience: evaluations in a row, at least 1.
    """

    def __init__(self, action: Literal["warn", "stop", "return"] = "warn", patience: int = 3):
        self.action, self.patience = action, patience
        self._strikes, self._returning = 0, False
        self._losses: dict[str, float] = {}
        self._healthy: int | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.action == "return":
            self._spare(trainer)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Remembers the critics' losses of the last record that had them; saves a healthy state to return to."""
        if trainer.global_step % trainer.log_every_n_steps == 0:
            self._note(pl_module.latest)
        if self._healthy == trainer.global_step and self.action == "return":
            self._spare(trainer)
            the_checkpoints(trainer).save_now(trainer)

    def on_evaluation(self, trainer: Trainer, model: LightningModule, values: dict[str, float]) -> dict[str, float]:
        """Counts the evaluations in a row with a sign of collapse; 0 is healthy."""
        self._note(model.latest)
        seen = signs(values | {name: loss for name, loss in self._losses.items() if loss >= 0})
        self._strikes = self._strikes + 1 if seen else 0
        self._healthy = self._healthy if seen else trainer.global_step
        strikes = {"sentinel/strikes": self._strikes}
        if self._strikes == self.patience:
            self._warn(trainer, seen)
        if self._strikes == self.patience * (SLOW_START if self._healthy is None else 1) and self.action != "warn":
            self._stop(trainer)
        return strikes

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Goes back, when the last checkpoint has been written."""
        if self._returning and trainer.is_global_zero:
            set_aside(Path(trainer.default_root_dir) / "checkpoints", self._healthy)
            forget_after(Path(trainer.default_root_dir), self._healthy)

    def state_dict(self) -> dict[str, Any]:
        return {"strikes": self._strikes, "healthy": self._healthy, "losses": dict(self._losses)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._strikes, self._healthy = state_dict["strikes"], state_dict["healthy"]
        self._losses = dict(state_dict["losses"])

    def _note(self, record: dict[str, float]) -> None:
        for name, loss in critic_losses(record).items():
            if self._losses.get(name, loss) >= 0:  # one that was below 0 is of a kind that does not end there
                self._losses[name] = loss

    def _spare(self, trainer: Trainer) -> None:
        if self._healthy is not None:
            the_checkpoints(trainer).spared["healthy"] = self._healthy

    def _warn(self, trainer: Trainer, seen: list[str]) -> None:
        what = f"collapse at iteration {trainer.global_step}"
        what = what if self._healthy is not None else f"possible {what}, nothing was healthy yet"
        self._tell(trainer, f"{what}: {'; '.join(seen)}")

    def _stop(self, trainer: Trainer) -> None:
        trainer.should_stop, self._strikes = True, 0  # whoever goes on from here has all patience again
        self._returning = self.action == "return" and self._saved(trainer)
        back = f"iteration {self._healthy}" if self._returning else "the last checkpoint (none was healthy)"
        back = back if self.action == "return" else "the last checkpoint"
        self._tell(trainer, f"training stops; go on from {back} with other settings: --resume --override")

    def _tell(self, trainer: Trainer, sentence: str) -> None:
        if trainer.is_global_zero:
            log.warning(sentence)

    def _saved(self, trainer: Trainer) -> bool:
        """Whether the last healthy state can be gone back to."""
        folder = Path(trainer.default_root_dir) / "checkpoints"
        return self._healthy is not None and checkpoint.named(folder, self._healthy).is_file()


def signs(values: dict[str, float]) -> list[str]:
    """What is seen, with its value and its remedy.

    Args:
        values: by name, as an evaluation gives them.
    """
    found = ((sign, name, value) for sign in SIGNS for name, value in values.items() if name.startswith(sign.metric))
    return [f"{name} is {value:.4g} ({sign.remedy})" for sign, name, value in found if value < sign.bound]


def critic_losses(record: dict[str, float]) -> dict[str, float]:
    """`saturation/<player>` of a record of training: the adversarial losses of critics."""
    players = {name: name.split("/")[1] for name in record if name.startswith("train/critic")}
    return {f"saturation/{player}": record[name] for name, player in players.items() if name.endswith("/adversarial")}


def set_aside(folder: Path, iteration: int) -> None:
    """Moves checkpoints later than an iteration, with their checksums, into the folder's `collapsed`."""
    (folder / "collapsed").mkdir(exist_ok=True)
    for path in checkpoint.checkpoints(folder):
        if checkpoint.iteration(path) > iteration:
            for file in folder.glob(f"{path.name}*"):
                shutil.move(file, folder / "collapsed" / file.name)
