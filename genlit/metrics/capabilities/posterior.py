"""How far the codes of all images together are from the prior."""

import math

import numpy as np
import torch
from torch import Tensor

from genlit.capabilities import Encodes, HasPrior
from genlit.data import Source
from genlit.engine.clock import derive
from genlit.engine.processes import gather
from genlit.errors import GenlitError
from genlit.metrics.capabilities.means import blocks, counted
from genlit.metrics.measure import Measure

CHUNK = 1024  # codes against codes at a time


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
    n = counted(source, split, limit)
    own = [
        model.encode(batch["image"], sampled=True)[(positions < n).to(model.device)].cpu()
        for batch, positions in blocks(source, split, n, model.device, seed)
    ]
    codes = torch.cat([part for share in gather(own) for part in share])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive("prior", seed))
        prior = model.prior(n, torch.device("cpu"))
    protocol = ".".join(filter(None, ["codes", source.binarize, f"n{n}", split]))
    return [Measure(f"mmd/{protocol}", mmd(codes, prior), n)]


def mmd(codes: Tensor, prior: Tensor, std: float = 1.0) -> float:
    """Unbiased MMD² = Σ_{i≠j} k(zᵢ, zⱼ) / n (n − 1) + Σ_{i≠j} k(z′ᵢ, z′ⱼ) / m (m − 1) − 2 Σ k(zᵢ, z′ⱼ) / n m.

    k(z, z′) = C / (C + ‖z − z′‖²) with C = 2 d σ². About 0, of either sign, when the aggregated posterior
    ∫ q(z|x) p(x) dx is the prior; the codes must then be draws from q(z|x), not its means. In float64, whatever the
    order of the codes. Tolstikhin et al. 2018, "Wasserstein Auto-Encoders", algorithm 2 and section 4,
    https://arxiv.org/abs/1711.01558

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
    return math.fsum((scale / (scale + squares)).sum().item() for squares in parts)
