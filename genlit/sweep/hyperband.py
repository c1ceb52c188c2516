"""Early termination by W&B's reading of Hyperband: bands of logged values, and who is in the best share of each.

Li et al. 2018, Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization, https://arxiv.org/abs/1603.06560;
W&B's rule: https://docs.wandb.ai/guides/sweeps/sweep-config-keys#early_terminate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, islice, repeat, takewhile
from operator import mul, truediv

LONGEST = 1e9  # logged values; no history has more


@dataclass(frozen=True)
class Hyperband:
    """When a trial is ended early.

    Args:
        bands: after how many logged values trials are compared, rising.
        eta: the best 1/eta of a band go on.
        strict: compare a trial's value at the band; otherwise its lowest so far.
    """

    bands: tuple[int, ...]
    eta: float
    strict: bool

    def stops(self, own: Sequence[float], everyone: Sequence[Sequence[float]]) -> bool:
        """Whether a trial is to be ended.

        Args:
            own: the values that it logged, finite and in order, the lower the better.
            everyone: those of all trials, its own among them.
        """
        passed = [band for band in self.bands if band <= len(own)]
        if not passed:
            return False
        there = sorted(values[passed[-1] - 1] for values in everyone if len(values) >= passed[-1])
        reached = own[passed[-1] - 1] if self.strict else min(own)
        return reached > there[int(1 / self.eta * len(there))]


def bands_from(min_iter: int, eta: float) -> tuple[int, ...]:
    """min_iter · ηᵏ for k = 0, 1, ..., rounded down."""
    bands = accumulate(repeat(eta), mul, initial=min_iter)
    return tuple(int(band) for band in takewhile(lambda band: band < LONGEST, bands))


def bands_up_to(max_iter: int, s: float, eta: float) -> tuple[int, ...]:
    """max_iter / ηᵏ for k = 1 ... s, rounded down, as long as they are at least 1."""
    bands = islice(accumulate(repeat(eta), truediv, initial=max_iter), 1, int(s) + 1)
    return tuple(sorted(int(band) for band in takewhile(lambda band: band >= 1, bands)))
