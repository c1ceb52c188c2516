"""What every extractor of features shares: one size of pass, one precision, one account of what values depend on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from genlit.errors import GenlitError
from genlit.metrics.images import to_uint8

PASS = 32  # images per pass: the rounding of a convolution depends on the size of its batch

_SHORT = {torch.float32: "", torch.float64: "f64", torch.bfloat16: "bf16"}
_EXACT = [
    (torch.backends.cuda.matmul, "fp32_precision", "ieee"),
    (torch.backends.cudnn.conv, "fp32_precision", "ieee"),
    (torch.backends.mkldnn.matmul, "fp32_precision", "ieee"),
    (torch.backends.mkldnn.conv, "fp32_precision", "ieee"),
    (torch.backends.cudnn, "benchmark", False),
    (torch.backends.cudnn, "deterministic", True),
]


class Features(NamedTuple):
    """What an extractor gives for B images: `pool`, float32 (B, D), and `logits`, float32 (B, K) or None."""

    pool: Tensor
    logits: Tensor | None


class Extractor(nn.Module):
    """A fixed network that describes images; a subclass sets what is named here and defines `network`.

    The features of an image do not depend on the images beside it, nor on how many they are: they are bit for bit the
    same, because the network always sees PASS images.

    Attributes:
        family: the network: inception, lenet, dinov2-vit-s-14, clip-vit-b-32, ...
        variant: what else the values depend on, as it stands in the names of metrics.
        digest: SHA-256 of the weights behind `pool`, see `digest_of`.
        resize: how images are brought to the network's size: a name of `genlit.metrics.extractors.resize.RESIZES`.
        dtype: the precision of the network.
        channels: what becomes of an image's channels.
        width: D.
        classes: K, or None without a final layer.
        genuine: whether this is FID's own network: published weights, tf1 and float32.
        shown: what else is worth showing.
    """

    family: str
    variant: str
    digest: str
    resize: str
    width: int
    classes: int | None
    dtype: torch.dtype = torch.float32
    channels: str = "grey replicated"
    genuine: bool = False
    shown: dict[str, str | int | float] = {}

    def network(self, images: Tensor) -> Features:
        """Describes exactly PASS uint8 images (PASS, C, H, W)."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Features:
        """Describes any number of images.

        Args:
            images: uint8 (B, C, H, W), on any device.

        Raises:
            GenlitError: they are not uint8 images in four dimensions.
        """
        if images.dtype != torch.uint8 or images.dim() != 4:
            found = f"{images.dtype} of shape {tuple(images.shape)}"
            raise GenlitError(
                f"extractors read uint8 images (B, C, H, W), not {found}: use genlit.metrics.images.to_uint8."
            )
        if not len(images):
            return self._nothing()
        self.eval()
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False), exact_float32():
            whole = images.contiguous()  # a convolution rounds by the layout of what it reads
            passes = [self._pass(whole[i : i + PASS].to(self.device)) for i in range(0, len(images), PASS)]
        pool, logits = zip(*passes)
        return Features(torch.cat(pool), None if self.classes is None else torch.cat(logits))

    def classify(self, images: Tensor) -> Tensor:
        """Logits, (B, K), of images in [-1, 1]: what metrics of labels and modes ask a classifier for.

        Raises:
            GenlitError: there is no final layer.
        """
        if self.classes is None:
            raise GenlitError(f"the weights of {self.family} lack the final layer and classify nothing: use lenet")
        return self(to_uint8(images)).logits

    def _pass(self, images: Tensor) -> Features:
        missing = PASS - len(images)
        padded = torch.cat([images, images[-1:].expand(missing, -1, -1, -1)]) if missing else images
        pool, logits = self.network(padded)
        return Features(pool[: len(images)].float(), None if logits is None else logits[: len(images)].float())

    def _nothing(self) -> Features:
        pool, logits = (
            torch.empty(0, d or 0, dtype=torch.float32, device=self.device) for d in (self.width, self.classes)
        )
        return Features(pool, None if self.classes is None else logits)

    def train(self, mode: bool = True) -> "Extractor":
        """Stays in evaluation mode whatever is asked."""
        return super().train(False)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.parameters()).device

    @property
    def identity(self) -> dict[str, str | int | float]:
        """Everything that a statistic of the features depends on, and what is shown."""
        return {
            "family": self.family,
            "variant": self.variant,
            "digest": self.digest,
            "resize": self.resize,
            "dtype": str(self.dtype).removeprefix("torch."),
            "channels": self.channels,
        } | self.shown


def variant_of(digest: str | None, resize: str, dtype: torch.dtype) -> str:
    """What a value depends on besides the network, as it stands in names: `tf1`, `1a2b3c4d-clean-bf16`.

    Args:
        digest: of the weights, or None for published ones.
        resize: a name of RESIZES.
        dtype: float32, float64 or bfloat16.
    """
    return "-".join(part for part in ((digest or "")[:8], resize, _SHORT[dtype]) if part)


@contextmanager
def exact_float32() -> Iterator[None]:
    """A block in which float32 is float32, by the same kernels every time, whatever the training around it chose."""
    before = [getattr(backend, name) for backend, name, _ in _EXACT]
    try:
        for backend, name, value in _EXACT:
            setattr(backend, name, value)
        yield
    finally:
        for (backend, name, _), value in zip(_EXACT, before):
            setattr(backend, name, value)
