"""Full sets through torchvision, read from its own folders."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from filelock import FileLock
from PIL import Image
from torchvision import datasets

from genlit.data.base import Source
from genlit.data.images import Images, read
from genlit.data.store import Contents, Stream, stamps
from genlit.errors import GenlitError


class Vision(Source):
    """A set of torchvision's.

    Args:
        folder: where the raw files lie, arranged as torchvision does; by default `raw` under the data root.
        download: whether missing files are fetched.
        kwargs: those of Source.
    """

    dataset: ClassVar[Callable[..., Any]]
    where: ClassVar[str]

    def __init__(self, folder: str | None = None, download: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.folder = Path(folder).expanduser() if folder else self.root / "raw"
        self.download = download

    def identity(self) -> object:
        """Gives the stamps of the raw files, fetched first if asked."""
        if self.download:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / f".{self._name}.lock"):
                self._opened("train", download=True)
        return stamps(self.folder / self.where)

    def contents(self) -> Contents:
        """Reads the raw files."""
        opened = {split: self._opened(split) for split in ("train", "test")}
        streams = {split: [self._stream(one)] for split, one in opened.items()}
        return Contents(streams, list(opened["train"].classes))

    def _stream(self, opened: Any) -> Stream:
        images = np.asarray(opened.data)
        images = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
        return {"image": self.fit.arrays(images, self._name), "label": np.asarray(opened.targets, np.int64)}

    def _opened(self, split: str, download: bool = False) -> Any:
        return self._found(train=split == "train", download=download)

    def _found(self, **arguments: Any) -> Any:
        try:
            return self.dataset(self.folder, **arguments)
        except Exception as error:  # what is missing, cut off or not the pinned file raises many types
            raise GenlitError(
                f"{self._name} is not complete under {self.folder / self.where} ({error}): put its files there, or set "
                "data.download: true."
            ) from error


class MNIST(Vision):
    """70,000 handwritten digits, 28 x 28, grey, brought to other sizes bilinearly (LeCun, Cortes, Burges).

    Args:
        upscale: whether sizes above 28 are allowed.
        kwargs: those of Vision.
    """

    dataset = datasets.MNIST
    where = "MNIST/raw"
    resample = Image.Resampling.BILINEAR

    def __init__(self, upscale: bool = True, **kwargs: Any):
        super().__init__(upscale=upscale, **kwargs)


class FashionMNIST(MNIST):
    """70,000 articles of clothing in MNIST's place and format (Xiao et al. 2017)."""

    dataset = datasets.FashionMNIST
    where = "FashionMNIST/raw"


class CIFAR10(Vision):
    """60,000 photographs of 10 classes, 32 x 32 (Krizhevsky 2009); torchvision pins the files' checksums."""

    dataset = datasets.CIFAR10
    where = "cifar-10-batches-py"


class CelebA(Vision):
    """202,599 faces with 40 attributes, 178 x 218 (Liu et al. 2015); `fit: crop` takes the centred square."""

    dataset = datasets.CelebA
    where = "celeba"

    def contents(self) -> Contents:
        """Reads the raw files."""
        opened = {split: self._opened(split) for split in ("train", "val", "test")}
        names = [name for name in opened["train"].attr_names if name]
        return Contents({split: [self._stream(one)] for split, one in opened.items()}, attributes=names)

    def _stream(self, opened: Any) -> Stream:
        pictures = self.folder / self.where / "img_align_celeba"
        images = Images([pictures / name for name in opened.filename], lambda path: self.fit(read(path), path))
        return {"image": images, "attributes": opened.attr.numpy().astype(np.float32)}

    def _opened(self, split: str, download: bool = False) -> Any:
        return self._found(split={"val": "valid"}.get(split, split), target_type="attr", download=download)
