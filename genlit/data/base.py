"""What all sources share: the store, the split, the loaders and the transform that runs on the device."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import astuple
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities.seed import isolate_rng
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_convert

from genlit.data.images import FITS, Fit, Images
from genlit.data.order import ClockedBatches, Order, OrderedBatches
from genlit.data.store import IMAGE_COLUMNS, LAYOUT, Contents, Store, data_root, obtain
from genlit.data.workers import ShieldedLoader
from genlit.engine.clock import Batches
from genlit.errors import GenlitError, known

BYTE = 2 / 255  # between the values of neighbouring bytes in [-1, 1]
LABELLED = "labelled_"  # before the columns of the stream of images whose labels are known


class Rows(Dataset):
    """Rows of a split: a list of row arrays, one per stream, becomes one batch of numpy columns.

    Args:
        store: where the rows lie.
        split: a split of the store.
        spans: which rows of each stream take part.
    """

    def __init__(self, store: Store, split: str, spans: list[range]):
        self.store, self.split, self.spans = store, split, spans

    @property
    def streams(self) -> list[dict[str, np.ndarray | list[str]]]:
        """The columns of each stream, over all rows of the split."""
        return self.store.splits[self.split]

    @property
    def sizes(self) -> list[int]:
        """Number of rows of each stream."""
        return [len(span) for span in self.spans]

    def __len__(self) -> int:
        return max(self.sizes)

    def __getitem__(self, rows: list[np.ndarray]) -> dict[str, np.ndarray | list[str]]:
        batch = {}
        for stream, span, chosen in zip(self.streams, self.spans, rows, strict=True):
            batch |= {name: _take(column, chosen + span.start) for name, column in stream.items()}
        return batch


class Disclosed(Rows):
    """Rows of which only some show their label in training, the others' being -1; these are a stream of their own, too.

    Args:
        rows: all.
        known: positions of those that show it, int64 (M,).
        streamed: whether a batch holds as many of them besides, as `labelled_image` and `labelled_label`.
    """

    def __init__(self, rows: Rows, known: np.ndarray, streamed: bool):
        super().__init__(rows.store, rows.split, rows.spans)
        self.known, self.streamed = known, streamed

    @property
    def sizes(self) -> list[int]:
        """Number of rows of each stream."""
        return super().sizes + [len(self.known)] * self.streamed

    def __getitem__(self, rows: list[np.ndarray]) -> dict[str, np.ndarray | list[str]]:
        batch = super().__getitem__(rows[:1])
        batch["label"] = np.where(np.isin(rows[0], self.known), batch["label"], -1)
        if not self.streamed:
            return batch
        labelled = super().__getitem__([self.known[rows[1]]])
        return batch | {LABELLED + name: labelled[name] for name in ("image", "label")}


class Source(LightningDataModule):
    """A source of images: decoded once into a store, read in an order that only the seed and the iteration fix.

    Args:
        size: side in pixels to which images are brought; None keeps theirs, on which all must then agree.
        fit: crop (shorter side to `size`, centre kept), pad (longer side to `size`, black around) or stretch.
        upscale: whether images smaller than `size` are enlarged rather than refused.
        batch_size: images per iteration, over all processes and accumulated micro-batches; or several, by the images
            seen from which on they hold: {0: 64, 40000: 32}. Held-out images come in the largest.
        mirror: whether training images are flipped left to right, each with probability 1/2.
        binarize: pixels become -1 or +1: dynamic (+1 with probability u/255 for the byte u) or threshold (u > 127).
        dequantize: bytes become real numbers, by uniform noise as wide as a byte's step: what a density needs.
        holdout: share of the training rows, the last ones, kept for validation where the source has no such split.
        labelled: training images whose labels a model sees, drawn once and as many of each class; the others' are -1 in
            its batches. None shows all.
        only: labels whose images are kept, in every split, and numbered from 0; None keeps all.
        attributes: names of the attributes that batches hold, in this order; None shows all that there are.
        workers: processes that read batches; 0 reads in the training process, which is fastest for what fits in memory.
        seed: fixes the order.
        root: folder of the decoded stores; by default the variable GENLIT_DATA, else ~/.cache/genlit.

    Raises:
        GenlitError: an argument is out of its range.
    """

    licence: ClassVar[str] = ""  # of the images, and whose they are, where it is known
    resample: ClassVar[Image.Resampling] = Image.Resampling.LANCZOS
    remedies: ClassVar[dict[str, str]] = {}
    spared: ClassVar[int] = 0  # captions of an image, the first, that training never draws where there are more

    def __init__(
        self,
        size: int | None = None,
        fit: Literal["crop", "pad", "stretch"] = "crop",
        upscale: bool = False,
        batch_size: int | dict[int, int] = 64,
        mirror: bool = False,
        binarize: Literal["dynamic", "threshold"] | None = None,
        dequantize: bool = False,
        holdout: float = 0.05,
        labelled: int | None = None,
        only: list[int] | None = None,
        attributes: list[str] | None = None,
        workers: int = 0,
        seed: int = 0,
        root: str | None = None,
    ):
        super().__init__()
        _require("size", size, size is None or size >= 1, "at least 1")
        _require("fit", fit, fit in FITS, "crop, pad or stretch")
        _require("binarize", binarize, binarize in (None, "dynamic", "threshold"), "dynamic, threshold or null")
        _require("dequantize", dequantize, not (dequantize and binarize), "false where binarize is set")
        _require("holdout", holdout, 0 <= holdout < 1, "at least 0 and below 1")
        _require("labelled", labelled, labelled is None or labelled >= 1, "at least 1, or null")
        _require("only", only, only is None or len(only) > 0, "labels, or null")
        _require("workers", workers, workers >= 0, "at least 0")
        _require("seed", seed, seed >= 0, "at least 0")
        self.fit, self.batches = Fit(size, fit, upscale, self.resample), Batches(batch_size)
        self.batch_size, self.mirror, self.binarize, self.holdout = batch_size, mirror, binarize, holdout
        self.labelled, self.only, self.dequantize, self.workers, self.seed = labelled, only, dequantize, workers, seed
        self.attributes, self.root = attributes, data_root(root)
        self.needs: tuple[str, ...] = ()
        self._store: Store | None = None

    def require(self, needs: Iterable[str]) -> Self:
        """Says which columns the model reads; a source that has two arrangements chooses by them."""
        self.needs, self._store = (*needs, *["label"] * (self.labelled is not None)), None
        return self

    def identity(self) -> object:
        """Gives plain data that change whenever the decoded content would, the shared arguments aside."""
        raise NotImplementedError

    def contents(self) -> Contents:
        """Reads the source."""
        raise NotImplementedError

    def prepare_data(self) -> None:
        """Builds or opens the store; may be called by any process at any time.

        Raises:
            GenlitError: the data cannot be read, or lack what the model needs.
        """
        if self._store is None:
            store = obtain(self._folder(), self._kept if self.only else self.contents)
            self._refuse_lacking(_columns(store))
            known("data.attributes", self.attributes or (), store.meta["attributes"])
            self._store = store

    @property
    def store(self) -> Store:
        """The opened store."""
        self.prepare_data()
        return self._store

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        columns = _columns(self.store)
        return next(columns[name].shape[1:] for name in IMAGE_COLUMNS if name in columns)

    @property
    def classes(self) -> list[str]:
        """Name of each label; empty where there are none."""
        return self.store.meta["classes"]

    @property
    def attribute_names(self) -> list[str]:
        """Name of each attribute that batches hold; empty where there are none."""
        return self.attributes or self.store.meta["attributes"]

    def captions(self, split: str) -> list[list[str]]:
        """All captions of every image of a split."""
        rows = self.rows(split)
        (lines,) = [_take(stream["text"], span) for stream, span in zip(rows.streams, rows.spans, strict=True)]
        return [line.split("\n") for line in lines]

    def paired(self, split: str) -> bool:
        """Tells whether `a` and `b` of one row are counterparts."""
        return any({"a", "b"} <= set(stream) for stream in self.rows(split).streams)

    def counterparts(self, split: str) -> bool:
        """Tells whether the k-th images of all labels are counterparts."""
        return False

    def rows(self, split: Literal["train", "val", "test"]) -> Rows:
        """Gives the rows of a split.

        Raises:
            GenlitError: the data have no such split.
        """
        splits = self.store.splits
        stored = split if split in splits or split != "val" else "train"
        if stored not in splits:
            raise GenlitError(f"{self._name} has no {split} split: add one, or evaluate on val.")
        spans = [self._span(split, len(next(iter(stream.values())))) for stream in splits[stored]]
        return Rows(self.store, stored, spans)

    @property
    def held_out(self) -> Literal["val", "test"]:
        """The split to show while training: val, or test where no row is kept for validation.

        Raises:
            GenlitError: both are empty.
        """
        for split in ("val", "test"):
            if (split == "val" or split in self.store.splits) and min(self.rows(split).sizes):
                return split
        raise GenlitError(f"{self._name} holds no images back to draw pictures of; set data.holdout above 0")

    def first(self, n: int, device: torch.device, split: str | None = None) -> dict[str, Any]:
        """Gives the first rows of a split, transformed by the same draws every time.

        Args:
            n: how many, or all where there are fewer.
            device: where they go.
            split: `held_out` by default.

        Raises:
            GenlitError: there is no such row.
        """
        rows = self.rows(split or self.held_out)
        chosen = np.arange(min(n, *rows.sizes))
        batch = default_convert(rows[[chosen] * len(rows.sizes)])
        with isolate_rng():  # none of the draws is taken from the training's
            torch.manual_seed(0)
            return self.transform(move_data_to_device(batch, device), training=False)

    @property
    def train_size(self) -> int:
        """Number of training images, of the larger set where there are two: an epoch."""
        return len(self.rows("train"))

    def loader(self, split: Literal["train", "val", "test"]) -> DataLoader:
        """Gives a loader of a split: train is endless, val and test give every row once, in order."""
        rows, rank, world = self._disclosed(split), *self._rank_and_world()
        if split == "train":
            sampler = ClockedBatches(rows.sizes, self.batch_size, self.seed, rank, world, self._iteration)
        else:
            sampler = OrderedBatches(rows.sizes, self.batches.largest, rank, world)
        return self._loader(rows, sampler)

    def train_dataloader(self) -> DataLoader:
        """Gives the endless training batches of this process: uint8 images, int64 labels, float32 attributes, text."""
        return self.loader("train")

    def val_dataloader(self) -> DataLoader:
        """Gives this process's share of the validation batches."""
        return self.loader("val")

    def test_dataloader(self) -> DataLoader:
        """Gives this process's share of the test batches."""
        return self.loader("test")

    def transform(self, batch: dict[str, Any], training: bool) -> dict[str, Any]:
        """Brings a batch from bytes to what models read, on its device, by torch's global random numbers.

        x = (u / 255 - 1/2) / (1/2), in [-1, 1], plus noise where `dequantize` says so; images that are real numbers
        already keep their values. Of several captions of an image (lines), one is drawn in training, none of those that
        are `spared`, and the first is given otherwise.

        Args:
            batch: uint8 or real images (B, C, H, W) under `image`, `a`, `b`; other columns of B rows.
            training: whether the draws of training (mirror, caption) are made.
        """
        names = [name for name in batch if name.removeprefix(LABELLED) in IMAGE_COLUMNS]
        if training and self.mirror and names == ["a", "b"] and self.paired("train"):  # counterparts turn together
            both = self._real(torch.cat([batch["a"], batch["b"]], 1), training)
            images = dict(zip(names, both.chunk(2, 1), strict=True))
        else:
            images = {name: self._real(batch[name], training) for name in names}
        text = {"text": [self._caption(lines, training) for lines in batch["text"]]} if "text" in batch else {}
        return batch | images | text | self._chosen(batch)

    def _chosen(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """The attributes asked for."""
        if not self.attributes or "attributes" not in batch:
            return {}
        names = self.store.meta["attributes"]
        return {"attributes": batch["attributes"][:, [names.index(name) for name in self.attributes]]}

    def _disclosed(self, split: str) -> Rows:
        """Rows with the labels that a model may know: in training those of `labelled` images, elsewhere all."""
        rows, streamed = self.rows(split), LABELLED + "image" in self.needs
        if not streamed and (split != "train" or self.labelled is None):
            return rows
        labels = _take(rows.streams[0]["label"], np.asarray(rows.spans[0]))
        hides = split == "train" and self.labelled is not None
        return Disclosed(rows, self._known(labels) if hides else np.arange(len(labels)), streamed)

    def _known(self, labels: np.ndarray) -> np.ndarray:
        """Positions of the training images whose labels are shown: a function of the seed and of the labels."""
        classes, counts = np.unique(labels, return_counts=True)
        share, least = self.labelled // len(classes), counts.min()
        rule = f"a multiple of the {len(classes)} classes, and at most {least} of each"
        _require("labelled", self.labelled, self.labelled % len(classes) == 0 and share <= least, rule)
        order = Order(len(labels), self.seed, LABELLED).permutation(0)
        return np.concatenate([order[labels[order] == one][:share] for one in classes])

    def _real(self, x: Tensor, training: bool) -> Tensor:
        dtype = torch.get_default_dtype()
        if x.is_floating_point():
            return x.to(dtype)
        if self.mirror and training:
            flipped = torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5
            x = torch.where(flipped, x.flip(-1), x)
        if self.binarize == "threshold":
            return (x > 127).to(dtype).mul_(2).sub_(1)
        if self.binarize == "dynamic":
            return torch.bernoulli(x.to(dtype).div_(255)).mul_(2).sub_(1)
        real = x.to(dtype).div_(255).sub_(0.5).div_(0.5)
        return real.add_(torch.rand_like(real).sub_(0.5), alpha=BYTE) if self.dequantize else real

    def _caption(self, lines: str, training: bool) -> str:
        captions = lines.split("\n")
        drawn = captions[self.spared :] or captions
        return drawn[int(torch.randint(len(drawn), ())) if len(drawn) > 1 else 0] if training else captions[0]

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _kept(self) -> Contents:
        """The contents whose labels are among `only`."""
        contents = self.contents()
        for split, streams in contents.splits.items():
            if any("label" not in stream for stream in streams):
                raise GenlitError(f"data.only is {self.only}, and the {split} images of {self._name} have no labels.")
            kept = [np.flatnonzero(np.isin(stream["label"], self.only)) for stream in streams]
            _require("only", self.only, all(map(len, kept)), f"labels that occur in {split}")
            taken = zip(streams, kept, strict=True)
            contents.splits[split] = [{k: _take(column, rows) for k, column in s.items()} for s, rows in taken]
            for stream in contents.splits[split]:
                stream["label"] = np.searchsorted(sorted(self.only), stream["label"])
        contents.classes = [contents.classes[k] for k in sorted(self.only)] if contents.classes else []
        return contents

    def _folder(self) -> Path:
        kept = [sorted(self.only)] if self.only else []
        content = json.dumps([LAYOUT, self._name, self.identity(), astuple(self.fit), *kept], sort_keys=True)
        return self.root / f"{self._name.lower()}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"

    def _refuse_lacking(self, columns: dict[str, Any]) -> None:
        for need in self.needs:
            if need.removeprefix(LABELLED) not in columns:
                remedy = self.remedies.get(need, f"choose a source that has `{need}`, or another model")
                raise GenlitError(
                    f"The model needs `{need}`, and {self._name} has only {', '.join(sorted(columns))}: {remedy}."
                )

    def _span(self, split: str, n: int) -> range:
        if split == "test" or "val" in self.store.splits:
            return range(n)
        kept = n - self._held(n)
        return range(kept) if split == "train" else range(kept, n)

    def _held(self, n: int) -> int:
        return max(1, round(n * self.holdout)) if self.holdout else 0

    def _rank_and_world(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _iteration(self) -> int:
        return self.trainer.global_step if self.trainer else 0

    def _loader(self, rows: Rows, sampler: Sampler) -> DataLoader:
        return ShieldedLoader(
            rows,
            batch_size=None,
            sampler=sampler,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            timeout=120 if self.workers else 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # its own: a loader draws a seed when it starts
        )


def _require(key: str, value: object, valid: bool, rule: str) -> None:
    if not valid:
        raise GenlitError(f"data.{key} is {value}: it must be {rule}.")


def _take(column: np.ndarray | Images | list[str], rows: np.ndarray) -> np.ndarray | Images | list[str]:
    if isinstance(column, Images):
        return Images([column.keys[row] for row in rows], column.decode)
    return [column[row] for row in rows] if isinstance(column, list) else column.take(rows, axis=0)


def _columns(store: Store) -> dict[str, np.ndarray | list[str]]:
    return {name: column for stream in store.splits["train"] for name, column in stream.items()}
