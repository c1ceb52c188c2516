"""What a trained model can do, as small protocols: metrics, callbacks and verbs ask for these, never for a class.

Every method evaluates with the averaged (EMA) weights, in evaluation mode, without gradients, and leaves the global
random state as it was. Images are float, (B, C, H, W), in [-1, 1].
"""

from collections.abc import Sequence
from itertools import permutations
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from genlit.errors import GenlitError

NOT = "not-"  # before an attribute's name: the domain of images without it


@runtime_checkable
class Samples(Protocol):
    """Draws images: n of a seed's endless row from the `start`-th on, each the same whatever the other arguments."""

    def sample(self, n: int, *, seed: int = 0, start: int = 0, batch_size: int = 64) -> Tensor: ...


@runtime_checkable
class Traverses(Protocol):
    """Varies a code of fixed draws: `rows` draws by values of the code, (rows, values, C, H, W).

    `traversals` names the codes. A model with "label" among them has so many `classes`, and `sample` takes a `label`;
    with "category" among them, `sample` takes a `category`. Where it names none, there is nothing to vary. `span` gives
    values of a code, at most so many.
    """

    traversals: tuple[str, ...]

    def traverse(
        self, code: str, rows: int, *, steps: int = 10, seed: int = 0, values: Sequence[float] | None = None
    ) -> Tensor: ...

    def span(self, code: str, steps: int) -> Sequence[float]: ...


@runtime_checkable
class Interpolates(Protocol):
    """Walks between two seeded samples in `steps` images."""

    def interpolate(self, steps: int, *, seeds: tuple[int, int] = (0, 1)) -> Tensor: ...


@runtime_checkable
class Illustrates(Protocol):
    """Draws an image of each caption, by a seed's draws from the `start`-th on.

    `captions` are those of its samples where no `text` is asked. `sample` takes a `text`; of its `vocabulary` one can
    learn which words it does not know.
    """

    vocabulary: Any

    def captions(self, n: int, *, seed: int = 0) -> list[str]: ...

    def illustrate(self, captions: list[str], *, seed: int = 0, start: int = 0, batch_size: int = 64) -> Tensor: ...


@runtime_checkable
class Enlarges(Protocol):
    """Paints over what an earlier stage painted of the same draws: `enlarged` gives that, at the full size."""

    def enlarged(self, n: int, *, seed: int = 0, start: int = 0, batch_size: int = 64) -> Tensor: ...


@runtime_checkable
class Encodes(Protocol):
    """Maps images to codes, (B, K): the best one, or `sampled` from q(z|x) by torch's random state."""

    def encode(self, images: Tensor, *, sampled: bool = False) -> Tensor: ...


@runtime_checkable
class Reconstructs(Protocol):
    """Maps images to their codes and back."""

    def reconstruct(self, images: Tensor) -> Tensor: ...


@runtime_checkable
class Translates(Protocol):
    """Maps images to another of its `domains`: columns of the batch, or names of its labels or attributes.

    An attribute that is there or not leads to two domains, its name and NOT and its name. Sides are multiples of
    `multiple`. Where not every domain leads to every other, `directions` says which (from, to)
    there are; "from" is the column `image` where images of any kind are taken.
    """

    domains: tuple[str, ...]
    multiple: int

    def translate(self, images: Tensor, to: str) -> Tensor: ...


@runtime_checkable
class Completes(Protocol):
    """Fills in the pixels that a mask does not mark as observed; the others stay as they are, to the bit."""

    def complete(self, images: Tensor, mask: Tensor, *, seed: int = 0) -> Tensor: ...


@runtime_checkable
class CompletesOwn(Completes, Protocol):
    """Completes images of which a mask of its own is observed, (H, W), and no others."""

    mask: Tensor


@runtime_checkable
class Assembles(Protocol):
    """Cuts patches out of images, and makes images of patches whose places it is not told.

    Patches are (B, N, C, H, W), each enlarged to the images' size; masks of their places are (B, 1, H, W) in [0, 1].
    """

    def cut(self, images: Tensor, *, seed: int = 0) -> tuple[Tensor, Tensor]: ...

    def assemble(self, patches: Tensor, *, seed: int = 0) -> tuple[Tensor, Tensor]: ...


@runtime_checkable
class Classifies(Protocol):
    """Gives the probabilities of an image's labels, (B, K)."""

    def classify(self, images: Tensor) -> Tensor: ...


@runtime_checkable
class Clusters(Protocol):
    """Gives the probabilities of an image's categories, (B, K), that were found without labels."""

    def cluster(self, images: Tensor) -> Tensor: ...


@runtime_checkable
class Criticises(Protocol):
    """Gives a critic's logit of each image, (B,): the larger, the more it takes it for a real one."""

    def criticise(self, images: Tensor) -> Tensor: ...


@runtime_checkable
class HasDensity(Protocol):
    """Gives log p(x), (B,), in nats: of `levels` equally spaced values, or a density in x's units where it is None.

    Where `given` says what of an image is known, log p is of the rest.
    """

    levels: int | None
    given: str

    def log_prob(self, images: Tensor) -> Tensor: ...


@runtime_checkable
class Bounds(Protocol):
    """Bounds log p(x) from below, (B,), in nats, the tighter the more draws `k` unless it never `tightens`.

    `levels` and `given` are as in HasDensity.
    """

    levels: int | None
    given: str
    tightens: bool

    def bound(self, images: Tensor, k: int = 1) -> Tensor: ...


@runtime_checkable
class HasPrior(Protocol):
    """Draws codes from the prior, (n, K), with torch's global random state."""

    def prior(self, n: int, device: torch.device) -> Tensor: ...


@runtime_checkable
class Decodes(Protocol):
    """Makes images of draws, (B, K) to (B, C, H, W); `draws` gives n of them by torch's global random state."""

    def draws(self, n: int, device: torch.device) -> Tensor: ...

    def decode(self, draws: Tensor) -> Tensor: ...


def directions(model: Translates) -> list[tuple[str, str]]:
    """Every (from, to) that a model knows."""
    return getattr(model, "directions", None) or list(permutations(model.domains, 2))


def codes_of(model: Any) -> tuple[str, ...]:
    """The codes that a model can vary; most models have none."""
    return model.traversals if isinstance(model, Traverses) else ()


def require(model: Any, act: str, *capabilities: type) -> None:
    """Refuses a model that has none of the capabilities, for the reason in its `lacks` where it gives one.

    Args:
        model: a trained model.
        act: what it is asked to do with images, also the key in `lacks`: sample, complete, score, encode.
        capabilities: any of which will do.

    Raises:
        GenlitError: it cannot.
    """
    if not isinstance(model, capabilities):
        reason = getattr(model, "lacks", {}).get(act, "README.md's table of models says which can")
        raise GenlitError(f"{type(model).__name__} cannot {act} images: {reason}")
