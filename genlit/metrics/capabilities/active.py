"""How many codes say something of the images."""

from genlit.capabilities import Encodes, HasPrior
from genlit.data import Source
from genlit.metrics.capabilities.codes import codes
from genlit.metrics.capabilities.means import protocol
from genlit.metrics.measure import Measure

ACTIVE = 1e-2  # in units of a standard normal prior's variance


def active_units(model: Encodes, source: Source, split: str, limit: int = 10_000, *, seed: int = 0) -> list[Measure]:
    """The number of codes u with Cov_x(E_q(u|x)[u]) > 0.01, over a split's first rows: `active-units/codes.n2000.test`.

    None is active where the posterior has collapsed onto the prior. Nothing of a model that has no prior, whose codes
    have no unit. Burda et al. 2016, "Importance Weighted Autoencoders", section 5.1, https://arxiv.org/abs/1509.00519

    Args:
        model: encodes.
        source: of the images.
        split: a split of it.
        limit: at most this many rows.
        seed: of binarisation.

    Raises:
        GenlitError: there is no such row.
    """
    if not isinstance(model, HasPrior):
        return []
    found = codes(model, source, split, limit, seed=seed)["codes"].astype(float)
    n = len(found)
    return [Measure(f"active-units/{protocol(source, n, split, 'codes')}", float((found.var(0) > ACTIVE).sum()), n)]
