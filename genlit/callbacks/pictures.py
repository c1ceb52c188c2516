"""Pictures of what a model can do, drawn over and over from the same inputs: a film of its training."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from torch import Tensor

from genlit.capabilities import (
    Assembles,
    CompletesOwn,
    Criticises,
    Encodes,
    Illustrates,
    Reconstructs,
    Samples,
    Translates,
    codes_of,
    directions,
)
from genlit.data import Source
from genlit.data.domains import ByDomain, by_domain
from genlit.errors import GenlitError
from genlit.logging.media import captioned, in_rows, log_pictures, puzzle, side_by_side, to_pil, traversal
from genlit.logging.plane import POINT, density, field, scatter

CODES = 1000  # points in a picture of codes
POINTS, FEW = 2000, 200  # samples of the plane, and those of them in a picture that shows something else, too


class Pictures(Callback):
    """Draws samples of fixed noise, and of fixed images reconstructions, completions, translations and codes.

    Samples of captions have these under them. Codes are drawn where there are two, of a thousand held-out images,
    coloured by label where they have one. A code that a model can vary, such as a label, has its values beside each
    other. Samples that are points of the plane lie over held-out ones, and on what a critic thinks of the plane.

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
        if isinstance(model, Samples) and model.shape == POINT:
            pictures |= _of_points(model, trainer.datamodule.first(POINTS, model.device)["image"])
        elif isinstance(model, Samples):
            pictures["samples"] = _samples(model, self.count)
        for code in codes_of(model):
            rows = FEW if model.shape == POINT else max(1, self.count // 8)
            pictures[f"traverse-{code}"] = traversal(model.traverse(code, rows))
        if isinstance(model, Reconstructs):
            images = self._rows(trainer, model)["image"][: self.count // 2]
            pictures["reconstructions"] = side_by_side(images, model.reconstruct(images))
        if isinstance(model, CompletesOwn):
            pictures["completions"] = _completions(model, self._rows(trainer, model)["image"][: self.count // 4])
        if isinstance(model, Assembles):
            pictures["puzzle"] = _puzzle(model, self._rows(trainer, model)["image"][: self.count // 4])
        if isinstance(model, Encodes) and _planar(model.encode(self._rows(trainer, model)["image"])):
            rows = trainer.datamodule.first(CODES, model.device)
            pictures["codes"] = scatter(model.encode(rows["image"]), rows.get("label"))
        if isinstance(model, Translates):
            pictures |= self._translations(model, by_domain(trainer.datamodule, model.domains))
        return pictures

    def _translations(self, model: Translates, source: Source | ByDomain) -> dict[str, Image.Image]:
        """Each direction between two domains; of more domains, every input in each of them."""
        rows = source.first(self.count // 2, model.device)
        if len(model.domains) > 2:
            return {"domains": matrix(model, rows, self.count // 8)}
        paired = source.paired(source.held_out)
        pairs = {f"{a}-to-{b}": (a, b) for a, b in directions(model)}
        return {name: _translation(model, rows, *pair, self.count // 4, paired) for name, pair in pairs.items()}

    def _rows(self, trainer: Trainer, model: LightningModule) -> dict[str, Any]:
        if self._fixed is None:
            self._fixed = trainer.datamodule.first(self.count // 2, model.device)
        return self._fixed


def _of_points(model: Samples, real: Tensor) -> dict[str, Image.Image]:
    """Samples of the plane over real points, and over what the critic thinks of it."""
    samples = model.sample(POINTS, seed=0)
    pictures = {"density": density(samples, real)}
    if isinstance(model, Criticises):
        pictures["field"] = field(model.criticise, samples[:FEW], real[:FEW])
    return pictures


def _samples(model: Samples, count: int) -> Image.Image:
    """Samples, with the captions of which they are."""
    images = model.sample(count, seed=0)
    return captioned(images, model.captions(count)) if isinstance(model, Illustrates) else to_pil(images)


def _completions(model: CompletesOwn, images: Tensor) -> Image.Image:
    """Images, what the model's own mask leaves of them, and three completions."""
    observed = torch.where(model.mask, images, 0.0)
    return side_by_side(images, observed, *(model.complete(images, model.mask, seed=seed) for seed in range(3)))


def _puzzle(model: Assembles, images: Tensor) -> Image.Image:
    """Patches, the mask of their places as it is guessed and as it is, what is made of them, and their image."""
    patches, mask = model.cut(images)
    image, places = model.assemble(patches)
    return puzzle(patches, places, mask, image, images)


def _planar(codes: Tensor) -> bool:
    return codes.shape[1:] == (2,)


def _translation(
    model: Translates, rows: dict[str, Tensor], source: str, target: str, count: int, paired: bool
) -> Image.Image:
    """Input, output, back again where the model knows the way and, of paired rows, the true counterpart."""
    images = rows[source][:count]
    output = model.translate(images, to=target)
    back = [model.translate(output, to=source)] if (target, source) in directions(model) else []
    truth = [rows[target][:count]] if paired and target in rows else []
    return side_by_side(images, output, *back, *truth)


def matrix(model: Translates, rows: dict[str, Tensor], count: int) -> Image.Image:
    """Images in rows, as they are and then in every domain; about `count`, as many of each kind that it takes."""
    kinds = dict.fromkeys(kind for kind, _ in directions(model))
    images = torch.cat([rows[kind][: max(1, count // len(kinds))] for kind in kinds])
    return in_rows(images, *(model.translate(images, to=domain) for domain in model.domains))
