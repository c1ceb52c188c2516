"""How far the codes of all images together are from the prior."""

import math

import numpy as np
import torch
from torch import Tensor

from genlit.capabilities import Encodes, HasPrior
from genlit.data import Source
from genlit.engine.clock import derive, untouched
from genlit.errors import GenlitError
from genlit.metrics.capabilities.codes import codes
from genlit.metrics.capabilities.means import protocol
from genlit.metrics.measure import Measure

CHUNK = 1024  # codes against codes at a time
WIDTHS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # of the kernels, in units of the prior's mean squared distance


def aggregated_posterior(
    model: Encodes, source: Source, split: str, limit: int = 10_000, *, seed: int = 0
) -> list[Measure]:
    """`mmd` between the codes of a split's first rows and as many draws from the prior: `mmd/codes.n2000.test`.

    Codes are draws from q(z|x): its means spread less than the prior however good the model is. Nothing of a model
    that has no prior.

    Args:
        model: encodes.
        source: of the images.
        split: a split of it.
        limit: at most this many rows.
        seed: of binarisation and draws.

    Raises:
        GenlitError: there are fewer than two rows.
    """
    if not isinstance(model, HasPrior):
        return []
    drawn = torch.from_numpy(codes(model, source, split, limit, seed=seed, sampled=True)["codes"])
    n = len(drawn)
    with untouched(model.device):
        torch.manual_seed(derive("prior", seed))
        prior = model.prior(n, torch.device("cpu"))
    of = protocol(source, n, split, "codes")
    return [Measure(f"mmd/{of}", mmd(drawn, prior), n)]


def mmd(codes: Tensor, prior: Tensor, std: float = 1.0) -> float:
    """Unbiased MMD² = Σ_{i≠j} k(zᵢ, zⱼ) / n (n − 1) + Σ_{i≠j} k(z′ᵢ, z′ⱼ) / m (m − 1) − 2 Σ k(zᵢ, z′ⱼ) / n m.

    k(z, z′) is the mean of C / (C + ‖z − z′‖²) over seven widths, C = 2 d σ² s with s from 0.1 to 10: narrow kernels
    see the fine structure of a prior, wide ones where its mass lies. About 0, of either sign, when the aggregated
    posterior ∫ q(z|x) p(x) dx is the prior; the codes must then be draws from q(z|x), not its means. In float64,
    whatever the order of the codes.

    Tolstikhin et al. 2018, "Wasserstein Auto-Encoders", algorithm 2 and section 4, https://arxiv.org/abs/1711.01558,
    with one width; several: Gretton et al. 2012, "A Kernel Two-Sample Test", section 2.2, and Li et al. 2015,
    "Generative Moment Matching Networks", section 3, https://arxiv.org/abs/1502.02761

    Args:
        codes: z, one of every image, (n, d).
        prior: z′, draws from the prior, (m, d).
        std: σ of the prior.

    Raises:
        GenlitError: there are fewer than two of either.
    """
    if min(len(codes), len(prior)) < 2:
        raise GenlitError(f"an unbiased MMD needs two codes and two draws, not {len(codes)} and {len(prior)}")
    scale = 2 * codes.shape[1] * std**2
    z, drawn = _ordered(codes), _ordered(prior)
    return _within(z, scale) + _within(drawn, scale) - 2 * _total(z, drawn, scale) / (len(z) * len(drawn))


def _ordered(points: Tensor) -> Tensor:
    rows = points.detach().cpu().double()
    return rows[torch.from_numpy(np.lexsort(rows.numpy().T))]


def _within(points: Tensor, scale: float) -> float:
    n = len(points)
    return (_total(points, points, scale) - n) / (n * (n - 1))  # k(z, z) = 1


def _total(a: Tensor, b: Tensor, scale: float) -> float:
    parts = (torch.cdist(x, y).square() for x in a.split(CHUNK) for y in b.split(CHUNK))
    return math.fsum(_kernel(squares, scale).sum().item() for squares in parts)


def _kernel(squares: Tensor, scale: float) -> Tensor:
    return sum(1 / (1 + squares / (scale * width)) for width in WIDTHS) / len(WIDTHS)
