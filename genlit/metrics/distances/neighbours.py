"""What nearest neighbours tell: precision, recall, density, coverage, and copies of training images.

Balls are closed, and distances equal up to rounding count as equal. A set measured against itself thus has precision,
recall and coverage 1 and density (k + 1) / k, or more where images repeat.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from genlit.metrics.distances.frechet import require_comparable, require_features

K_MANIFOLD, K_DENSITY = 3, 5
ROWS = 1024
# Of squared distances, in units of the largest squared norm: above float64's rounding, below that of float32 features.
ROUNDING = 1e-13


class Neighbourhoods(NamedTuple):
    """How two sets overlap.

    Args:
        precision: share of generated images within reach of a real one, reach being the distance to the 3rd neighbour.
        recall: share of real images within reach of a generated one.
        density: real images that a generated one is within reach of, over the 5 expected; 1 where the sets agree.
        coverage: share of real images with a generated one within their reach, that to the 5th neighbour.
    """

    precision: float
    recall: float
    density: float
    coverage: float


class Authenticity(NamedTuple):
    """How far generated images are from copies.

    Args:
        share: of generated images further from the nearest training image than that is from its own nearest neighbour.
        nearest: row of the nearest training image, (n,), int64.
        distance: to it, (n,), float64.
    """

    share: float
    nearest: Tensor
    distance: Tensor


def neighbourhoods(fake: Tensor, real: Tensor, real_radii: Tensor | None = None) -> Neighbourhoods:
    """Precision and recall by the 3rd neighbours, density and coverage by the 5th.

    Precision = E_y 1[∃i: y ∈ B₃(xᵢ)] and recall with x and y exchanged: Kynkäänniemi et al. 2019, eq. 1 and 2,
    https://arxiv.org/abs/1904.06991. Density = E_y Σᵢ 1[y ∈ B₅(xᵢ)] / 5 and coverage = Eₓ 1[∃j: yⱼ ∈ B₅(x)]: Naeem et
    al. 2020, section 3, https://arxiv.org/abs/2002.09797. B_k(x) reaches to the kth neighbour of x in its own set.

    Args:
        fake: features y of generated images, (n, D).
        real: features x of real images, (m, D).
        real_radii: `radii(real)`, where it is known.

    Raises:
        GenlitError: a set has no 5th neighbours, the widths differ, or a feature is not finite.
    """
    require_comparable(fake, real, K_DENSITY + 1)
    of_real = radii(real) if real_radii is None else real_radii
    of_fake = radii(fake)[:, 0]
    covered = recalled = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    precise = inside = 0
    slack = _slack(fake, real)
    reach, near = (of_real.square() + slack).unbind(1)
    for rows, squares in _blocks(fake, real):
        within = squares <= near
        inside += within.sum().item()
        covered = covered | within.any(0)
        precise += (squares <= reach).any(1).sum().item()
        recalled = recalled | (squares <= of_fake[rows, None].square() + slack).any(0)
    n, m = len(fake), len(real)
    return Neighbourhoods(precise / n, recalled.sum().item() / m, inside / (K_DENSITY * n), covered.sum().item() / m)


def radii(features: Tensor) -> Tensor:
    """Distance of every image to its 3rd and 5th neighbour in its own set, (n, 2), float64.

    Args:
        features: (n, D), n at least 6.

    Raises:
        GenlitError: there are fewer, or a feature is not finite.
    """
    require_features(features, K_DENSITY + 1)
    nearest = [squares.topk(K_DENSITY + 1, largest=False).values for _, squares in _blocks(features, features)]
    return torch.cat(nearest)[:, [K_MANIFOLD, K_DENSITY]].sqrt()  # the 0th is the image itself


def authenticity(fake: Tensor, train: Tensor) -> Authenticity:
    """Share of generated images y with |y − x| > |x − x′|, x the training image nearest to y and x′ that nearest to x.

    Alaa et al. 2022, https://arxiv.org/abs/2102.08921. Copies give 0. What new images give depends on the dimension
    (Gaussians: 0.32 in 1, 0.57 in 8, 0.87 in 128), so held-out images of the data are the measure.

    Args:
        fake: features of generated images, (n, D).
        train: features of all training images, (m, D), m at least 2.

    Raises:
        GenlitError: there are fewer, the widths differ, or a feature is not finite.
    """
    require_comparable(fake, train, 2)
    nearest = torch.cat([squares.argmin(1) for _, squares in _blocks(fake, train)])
    sources, of_source = nearest.unique(return_inverse=True)
    spacing = _distances(train[sources], train[_nearest_others(train, sources)])
    distance = _distances(fake, train[nearest])
    return Authenticity((distance > spacing[of_source]).double().mean().item(), nearest, distance)


def _nearest_others(features: Tensor, chosen: Tensor) -> Tensor:
    """Row of the nearest other image of every chosen row."""
    found = []
    for rows, squares in _blocks(features[chosen], features):
        squares.scatter_(1, chosen[rows, None], torch.inf)
        found.append(squares.argmin(1))
    return torch.cat(found)


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """|a − b| row by row, exactly 0 for a copy."""
    return (a.double() - b.double()).norm(dim=1)


def _blocks(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Rows of x in turn, with their squared distances |x|² + |y|² − 2x·y to all of y, (rows, m), float64."""
    centre = y.mean(0, dtype=torch.float64)  # taken off first: the nearer to 0 the norms, the less they cancel
    y = y - centre
    norms = y.square().sum(1)
    for start in range(0, len(x), ROWS):
        rows = slice(start, start + ROWS)
        block = x[rows] - centre
        squares = torch.addmm(norms, block, y.T, alpha=-2).add_(block.square().sum(1, keepdim=True))
        yield rows, squares.clamp_(min=0)


def _slack(fake: Tensor, real: Tensor) -> Tensor:
    centre = real.mean(0)
    return ROUNDING * max((x - centre).square().sum(1).max().double() for x in (fake, real))
