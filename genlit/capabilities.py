"""What a trained model can do, as small protocols: metrics, callbacks and verbs ask for these, never for a class.

Every method evaluates with the averaged (EMA) weights, in evaluation mode, without gradients, and leaves the global
random state as it was. Images are float, (B, C, H, W), in [-1, 1].
"""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Samples(Protocol):
    """Draws images; the i-th of seed s is the same image whatever `n` and `batch_size`."""

    def sample(self, n: int, *, seed: int = 0, batch_size: int = 64) -> Tensor: ...


@runtime_checkable
class Interpolates(Protocol):
    """Walks between two seeded samples in `steps` images."""

    def interpolate(self, steps: int, *, seeds: tuple[int, int] = (0, 1)) -> Tensor: ...


@runtime_checkable
class Encodes(Protocol):
    """Maps images to codes, (B, K)."""

    def encode(self, images: Tensor) -> Tensor: ...


@runtime_checkable
class Reconstructs(Protocol):
    """Maps images to their codes and back."""

    def reconstruct(self, images: Tensor) -> Tensor: ...


@runtime_checkable
class Translates(Protocol):
    """Maps images to another of its `domains`, which are also the batch's keys."""

    domains: tuple[str, ...]

    def translate(self, images: Tensor, to: str) -> Tensor: ...
