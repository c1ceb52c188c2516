"""Arrays of one's own in an .npz file with MedMNIST's keys."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from genlit.data import npz
from genlit.data.base import Source
from genlit.data.store import Contents, Stream, stamps
from genlit.errors import GenlitError

SPLITS = ("train", "val", "test")


class Npz(Source):
    """An .npz file with `train_images` and, as far as they exist, `train_labels`, `val_images`, `test_images`, ...

    Images are uint8 (N, H, W) or (N, H, W, C); labels are integers (N,) or (N, 1), or 0 and 1 (N, K) for K attributes.

    Args:
        path: the file.
        kwargs: those of Source.
    """

    remedies: ClassVar[dict[str, str]] = {
        "label": "add `train_labels`, integers of shape (N,)",
        "attributes": "add `train_labels`, 0 and 1 of shape (N, K)",
    }

    def __init__(self, path: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.path = Path(path).expanduser()

    def identity(self) -> object:
        """Gives the file's stamp."""
        return stamps(self.path)

    def contents(self) -> Contents:
        """Reads the file.

        Raises:
            GenlitError: the file is missing, damaged, or holds other keys, types or shapes.
        """
        if "train_images" not in (there := npz.names(self.path)):
            raise GenlitError(f"{self.path} has the keys {', '.join(there)}: the images must be under train_images.")
        splits = {split: [self._stream(split)] for split in SPLITS if f"{split}_images" in there}
        labels = [stream.get("label", np.array([-1])).max() for (stream,) in splits.values()]
        attributes = splits["train"][0].get("attributes", np.empty((0, 0))).shape[1]
        return Contents(splits, _numbers(max(labels) + 1), _numbers(attributes))

    def _stream(self, split: str) -> Stream:
        images = self._images(f"{split}_images")
        return {"image": self.fit.arrays(images, str(self.path))} | self._labels(f"{split}_labels", len(images))

    def _images(self, key: str) -> np.ndarray:
        (images,) = npz.read(self.path, key)
        self._check(key, images.dtype == np.uint8, f"of type {images.dtype}", "bytes (uint8, 0 to 255)")
        self._check(key, images.ndim in (3, 4) and images.size, f"of shape {images.shape}", "(N, H, W) or (N, H, W, C)")
        images = images[..., None] if images.ndim == 3 else images
        first = images.shape[1] <= 4 < images.shape[3]
        self._check(key, not first, f"of shape {images.shape}", "(N, H, W, C), channels last")
        return images.transpose(0, 3, 1, 2)

    def _labels(self, key: str, n: int) -> Stream:
        if not (found := npz.read(self.path, key)):
            return {}
        (labels,) = found
        whole = labels.dtype.kind in "iub" and labels.ndim in (1, 2)
        self._check(key, whole, f"{labels.dtype} of shape {labels.shape}", "integers (N,) or (N, K)")
        self._check(key, len(labels) == n, f"{len(labels)} labels", f"as many as the images, {n}")
        if labels.ndim == 2 and labels.shape[1] > 1:
            self._check(key, np.isin(labels, (0, 1)).all(), "not all 0 and 1", "so in several columns")
            return {"attributes": labels.astype(np.float32)}
        self._check(key, labels.min() >= 0, f"as low as {labels.min()}", "0 or more")
        return {"label": labels.reshape(-1).astype(np.int64)}

    def _check(self, key: str, valid: bool, found: str, wanted: str) -> None:
        if not valid:
            raise GenlitError(f"{self.path}: {key} is {found}: it must be {wanted}.")


def _numbers(n: int) -> list[str]:
    return [str(k) for k in range(n)]
