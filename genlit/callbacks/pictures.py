"""Pictures of what a model can do, drawn over and over from the same inputs: a film of its training."""

from itertools import islice, permutations
from math import ceil
from typing import Any, NamedTuple

import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities.seed import isolate_rng
from PIL import Image
from torch import Tensor

from genlit.capabilities import Reconstructs, Samples, Translates
from genlit.errors import GenlitError
from genlit.logging.media import log_pictures, to_pil


class Rows(NamedTuple):
    """The first rows of a split: columns by name, and whether the i-th rows of all columns belong together."""

    columns: dict[str, Tensor]
    paired: bool


class Pictures(Callback):
    """Draws samples of fixed noise, reconstructions and translations of fixed images, whichever the model can do.

    Args:
        every: iterations between two drawings; there is one before training and one after it, too.
        count: images in a picture, 4 at least.

    Raises:
        GenlitError: for numbers below those.
    """

    def __init__(self, every: int, count: int = 64):
        if every < 1 or count < 4:
            raise GenlitError(f"pictures every {every} iterations of {count} images: set at least 1 and at least 4")
        self.every, self.count = every, count
        self._drawn_at: int | None = None
        self._fixed: Rows | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step == 0:
            self.draw(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if trainer.global_step % self.every == 0:
            self.draw(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step != self._drawn_at:
            self.draw(trainer, pl_module)

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws now; in the first process alone, since no other has anything to add."""
        self._drawn_at = trainer.global_step
        if trainer.is_global_zero:
            hours = {"progress/hours": pl_module.latest.get("progress/hours", 0.0)}
            log_pictures(trainer, self._pictures(trainer, pl_module), hours | pl_module.progress())

    def _pictures(self, trainer: Trainer, model: LightningModule) -> dict[str, Image.Image]:
        pictures = {}
        if isinstance(model, Samples):
            pictures["samples"] = to_pil(model.sample(self.count, seed=0))
        if isinstance(model, Reconstructs):
            images = self._rows(trainer, model).columns["image"][: self.count // 2]
            pictures["reconstructions"] = side_by_side(images, model.reconstruct(images))
        if isinstance(model, Translates):
            rows = self._rows(trainer, model)
            for source, target in permutations(model.domains, 2):
                pictures[f"{source}-to-{target}"] = _translation(model, rows, source, target, self.count // 4)
        return pictures

    def _rows(self, trainer: Trainer, model: LightningModule) -> Rows:
        if self._fixed is None:
            self._fixed = first_rows(trainer.datamodule, self.count // 2, model.device)
        return self._fixed


def first_rows(data: LightningDataModule, n: int, device: torch.device) -> Rows:
    """The first `n` rows of the validation split, or of the test split where there is none.

    Raises:
        GenlitError: when both are empty.
    """
    for split in ("val", "test"):
        if batches := list(islice(data.loader(split), ceil(n / data.batch_size))):
            return Rows(_transformed(data, _joined(batches, n), device), data.paired(split))
    raise GenlitError(f"{type(data).__name__} holds no images back to draw pictures of; set data.holdout above 0")


def side_by_side(*roles: Tensor) -> Image.Image:
    """Arranges the i-th images of every role next to each other, up to eight in a row.

    Args:
        roles: each (N, C, H, W) in [-1, 1].
    """
    return to_pil(torch.stack(roles, dim=1).flatten(0, 1), columns=8 // len(roles) * len(roles))


def _translation(model: Translates, rows: Rows, source: str, target: str, n: int) -> Image.Image:
    """Input, output, back again and, of paired rows, the true counterpart."""
    images = rows.columns[source][:n]
    output = model.translate(images, to=target)
    truth = [rows.columns[target][:n]] if rows.paired else []
    return side_by_side(images, output, model.translate(output, to=source), *truth)


def _joined(batches: list[dict[str, Any]], n: int) -> dict[str, Tensor]:
    tensors = [key for key, value in batches[0].items() if isinstance(value, Tensor)]
    return {key: torch.cat([batch[key] for batch in batches])[:n] for key in tensors}


def _transformed(data: LightningDataModule, batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    # The same draws at every resumption, and none taken from the training's.
    with isolate_rng():
        torch.manual_seed(0)
        return data.transform(move_data_to_device(batch, device), training=False)
