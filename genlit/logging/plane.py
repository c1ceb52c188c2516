"""Pictures of points of the plane, which are images of shape (2, 1, 1)."""

import io
from collections.abc import Callable

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

POINT = (2, 1, 1)  # the shape of a toy "image"
SIDE = 512  # px
MARGIN = 1.3  # of the frame, beyond the outermost real point
GRID, ARROWS = 61, 4  # points along a side at which a critic is asked, and every how many of them there is an arrow


def scatter(points: Tensor, labels: Tensor | None = None) -> Image.Image:
    """Plots points of the plane, on axes of ±1.5 or as wide as they reach.

    Args:
        points: (N, 2, 1, 1) or (N, 2).
        labels: int64 (N,); every label has its colour, of which there are ten.
    """
    x, y = _flat(points)
    colours = {} if labels is None else {"c": labels.cpu() % 10, "cmap": "tab10", "vmin": 0, "vmax": 9}
    reach = max(1.5, 1.05 * float(max(x.abs().max(), y.abs().max())))
    return _drawn(reach, lambda axes: axes.scatter(x, y, s=4, alpha=0.6, **colours))


def density(samples: Tensor, real: Tensor) -> Image.Image:
    """Plots samples, blue, over real points, grey; a sample beyond the frame, which real points fix, lies on its edge.

    Args:
        samples: (N, 2, 1, 1).
        real: (M, 2, 1, 1).
    """
    reach = _reach(real)

    def draw(axes: Axes) -> None:
        axes.scatter(*_flat(real), s=12, c="0.8", linewidths=0)
        _on(axes, samples, reach, s=5, c="tab:blue", alpha=0.6)

    return _drawn(reach, draw)


def field(criticise: Callable[[Tensor], Tensor], samples: Tensor, real: Tensor) -> Image.Image:
    """Plots a critic's logit over the plane, brighter where it is larger, with arrows along its gradient.

    Where a sample (blue) lies, its generator is drawn along the arrow. Real points are grey.

    Args:
        criticise: gives logits (B,) of points (B, 2, 1, 1).
        samples: (N, 2, 1, 1).
        real: (M, 2, 1, 1), which fix the frame.
    """
    reach = _reach(real)
    ticks = torch.linspace(-reach, reach, GRID)
    x, y = torch.meshgrid(ticks, ticks, indexing="xy")
    logits = criticise(torch.stack([x, y], dim=2).view(-1, *POINT)).detach().float().cpu().nan_to_num().view(GRID, GRID)
    up, right = torch.gradient(logits, spacing=2 * reach / (GRID - 1))
    steepness = 2 * torch.hypot(up, right).mean().clamp(min=1e-9)  # twice the mean: an arrow as long as their distance
    up, right = (slope / steepness * ARROWS * 2 * reach / (GRID - 1) for slope in (up, right))
    some = np.s_[ARROWS // 2 :: ARROWS, ARROWS // 2 :: ARROWS]

    def draw(axes: Axes) -> None:
        axes.figure.colorbar(axes.contourf(x, y, logits, levels=24, cmap="magma"), shrink=0.7)
        axes.scatter(*_flat(real), s=4, c="0.7", linewidths=0)
        _on(axes, samples, reach, s=4, c="deepskyblue")
        arrows = (values[some] for values in (x, y, right, up))
        axes.quiver(*arrows, color="white", width=0.003, angles="xy", scale_units="xy", scale=1)

    return _drawn(reach, draw)


def _reach(real: Tensor) -> float:
    """Half the side of a frame around the origin that holds the real points."""
    return MARGIN * float(_flat(real).abs().max())


def _flat(points: Tensor) -> Tensor:
    """x and y, (2, N)."""
    return points.detach().float().nan_to_num().cpu().flatten(1).T


def _on(axes: Axes, samples: Tensor, reach: float, **style: float | str) -> None:
    """Plots samples, those beyond the frame on its edge."""
    axes.scatter(*_flat(samples).clamp(-reach, reach), linewidths=0, clip_on=False, zorder=3, **style)


def _drawn(reach: float, draw: Callable[[Axes], None]) -> Image.Image:
    """What is drawn in a square around the origin."""
    figure = Figure(figsize=(SIDE / 100, SIDE / 100), dpi=100, layout="compressed")
    axes = figure.subplots()
    axes.tick_params(labelsize=8)
    draw(axes)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")
