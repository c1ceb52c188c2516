"""Sources of images: `data.name` in a configuration is one of these classes."""

from genlit.data.arrays import Npz
from genlit.data.base import Source
from genlit.data.folder import Folder
from genlit.data.shipped import Digits, Emoji
from genlit.data.stacked import StackedDigits, StackedMNIST
from genlit.data.toy import Grid, Ring
from genlit.data.vision import CIFAR10, MNIST, CelebA, FashionMNIST

__all__ = [
    "CIFAR10", "MNIST", "CelebA", "Digits", "Emoji", "FashionMNIST", "Folder", "Grid", "Npz", "Ring", "Source",
    "StackedDigits", "StackedMNIST",
]  # fmt: skip
