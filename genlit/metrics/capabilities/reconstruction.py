"""How near reconstructions are to their images."""

from typing import Any

from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from genlit.capabilities import Reconstructs
from genlit.data import Source
from genlit.metrics.capabilities.means import per_image, protocol
from genlit.metrics.measure import Measure

WINDOW = 11  # pixels: the side of SSIM's window


def similarities(images: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """mse, psnr and ssim of every image, (B,), of the values brought to [0, 1]: u = (x + 1) / 2.

    mse = mean (u − v)², psnr = −10 log₁₀ mse in dB, infinite for equal images. ssim is the mean over a Gaussian window
    of 11 pixels, σ = 1.5, and left out of smaller images; it is not what it would be on [-1, 1], because it compares
    brightness by ratios. Wang et al. 2004, "Image Quality Assessment", eq. 13, https://doi.org/10.1109/TIP.2003.819861

    Args:
        images: (B, C, H, W) in [-1, 1].
        targets: (B, C, H, W) in [-1, 1].
    """
    u, v = ((x.float() + 1) / 2 for x in (images, targets))
    values = {
        "mse": (u - v).square().flatten(1).mean(1),
        "psnr": psnr(images, targets),
    }
    if min(u.shape[-2:]) >= WINDOW:
        values["ssim"] = structural_similarity_index_measure(u, v, data_range=1.0, reduction="none").view(len(u))
    return values


def psnr(images: Tensor, targets: Tensor) -> Tensor:
    """−10 log₁₀ (mean (x − y)² / 4) of every image, in dB, (B,): its mean is not that of the pooled squares.

    Args:
        images: x, (B, C, H, W) in [-1, 1].
        targets: y, (B, C, H, W) in [-1, 1].
    """
    return peak_signal_noise_ratio(images.float(), targets.float(), data_range=2.0, dim=(1, 2, 3), reduction="none")


def reconstructions(
    model: Reconstructs, source: Source, split: str, limit: int | None = None, *, seed: int = 0
) -> list[Measure]:
    """Means of `similarities` over the first rows of a split: `psnr/reconstruction.dynamic.n2000.test`.

    Args:
        model: reconstructs images.
        source: their source.
        split: a split of it.
        limit: at most this many rows.
        seed: of the binarisation, which names carry.

    Raises:
        GenlitError: there is no such row.
    """

    def measure(batch: dict[str, Any]) -> dict[str, Tensor]:
        return similarities(model.reconstruct(batch["image"]), batch["image"])

    values, n = per_image(measure, source, split, model.device, limit=limit, seed=seed)
    of = protocol(source, n, split, "reconstruction")
    return [Measure(f"{name}/{of}", value, n) for name, value in values.items()]
