"""The rate of reading CIFAR-size images, against a torchvision-style data set behind a DataLoader."""

import os
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from genlit.data import Npz

IMAGES, BATCH, ROUNDS = 50_000, 64, 5


class Torchvision(Dataset):
    """What torchvision's CIFAR10 does: an array, and a PIL image and two transforms per item."""

    def __init__(self, images: np.ndarray, labels: np.ndarray):
        self.images, self.labels = images, labels
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[row])), int(self.labels[row])


def rate(batches: Iterable) -> float:
    """Give images per second of wall time over one epoch."""
    start, seen = time.perf_counter(), 0
    for images in islice(batches, IMAGES // BATCH):
        seen += len(images)
    return seen / (time.perf_counter() - start)


def ready(source: Npz) -> Iterator[torch.Tensor]:
    """Yield what a model reads: float images in [-1, 1]."""
    return (source.transform(batch, training=True)["image"] for batch in source.train_dataloader())


def measure() -> list[dict]:
    """Read one epoch by each, in turns, and compare the medians."""
    threads = torch.get_num_threads()
    random = np.random.default_rng(0)
    images = random.integers(256, size=(IMAGES, 32, 32, 3), dtype=np.uint8)
    labels = random.integers(10, size=IMAGES)
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "cifar.npz", train_images=images, train_labels=labels)
        source = Npz(path=f"{folder}/cifar.npz", holdout=0, batch_size=BATCH, root=folder)
        source.prepare_data()
        theirs = DataLoader(Torchvision(images, labels), BATCH, shuffle=True, num_workers=2, drop_last=True)
        torch.set_num_threads(1)  # as in their workers; threads stall each other where cores are shared
        rates = [(rate(ready(source)), rate(batch for batch, _ in theirs)) for _ in range(ROUNDS)]
    torch.set_num_threads(threads)
    ours, theirs = (statistics.median(column) for column in zip(*rates, strict=True))
    print(f"images/s: genlit {ours:,.0f}, torchvision with 2 workers {theirs:,.0f}, on {os.cpu_count()} cores")
    return [{"name": "data rate vs torchvision DataLoader", "ratio": ours / theirs, "bound": 10.0, "better": "higher"}]


if __name__ == "__main__":
    for line in measure():
        print(line)
