"""Pictures of what a model can do, drawn over and over from the same inputs: a film of its training."""

from itertools import permutations
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from torch import Tensor

from genlit.capabilities import CompletesOwn, Encodes, Reconstructs, Samples, Translates
from genlit.errors import GenlitError
from genlit.logging.media import log_pictures, scatter, side_by_side, to_pil

CODES = 1000  # points in a picture of codes


class Pictures(Callback):
    """Draws samples of fixed noise, and of fixed images reconstructions, completions, translations and codes.

    Codes are drawn where there are two, of a thousand held-out images, coloured by label where they have one.

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
        self._fixed: dict[str, Any] | None = None

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
            images = self._rows(trainer, model)["image"][: self.count // 2]
            pictures["reconstructions"] = side_by_side(images, model.reconstruct(images))
        if isinstance(model, CompletesOwn):
            pictures["completions"] = _completions(model, self._rows(trainer, model)["image"][: self.count // 4])
        if isinstance(model, Encodes) and _planar(model.encode(self._rows(trainer, model)["image"])):
            rows = trainer.datamodule.first(CODES, model.device)
            pictures["codes"] = scatter(model.encode(rows["image"]), rows.get("label"))
        if isinstance(model, Translates):
            rows, paired = self._rows(trainer, model), trainer.datamodule.paired(trainer.datamodule.held_out)
            for source, target in permutations(model.domains, 2):
                images, truth = (rows[domain][: self.count // 4] for domain in (source, target))
                pictures[f"{source}-to-{target}"] = _translation(model, images, source, target, [truth] * paired)
        return pictures

    def _rows(self, trainer: Trainer, model: LightningModule) -> dict[str, Any]:
        if self._fixed is None:
            self._fixed = trainer.datamodule.first(self.count // 2, model.device)
        return self._fixed


def _completions(model: CompletesOwn, images: Tensor) -> Image.Image:
    """Images, what the model's own mask leaves of them, and three completions."""
    observed = torch.where(model.mask, images, 0.0)
    return side_by_side(images, observed, *(model.complete(images, model.mask, seed=seed) for seed in range(3)))


def _planar(codes: Tensor) -> bool:
    return codes.shape[1:] == (2,)


def _translation(model: Translates, images: Tensor, source: str, target: str, truth: list[Tensor]) -> Image.Image:
    """Input, output, back again and, of paired rows, the true counterpart."""
    output = model.translate(images, to=target)
    return side_by_side(images, output, model.translate(output, to=source), *truth)
