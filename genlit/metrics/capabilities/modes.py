"""How many modes of a known mixture samples reach, and how evenly."""

from collections.abc import Callable

import torch
from torch import Tensor

from genlit.capabilities import Samples
from genlit.data.stacked import Stacked
from genlit.data.toy import Mixture
from genlit.engine.processes import gather, rank, world_size
from genlit.errors import GenlitError
from genlit.metrics.capabilities.conditional import reader
from genlit.metrics.measure import Measure

BLOCK = 1024  # samples of one process at a time


class ModeCoverage:
    """Modes of a mixture Σₖ N(cₖ, σ² I) / K that samples reach within 3 σ, the share of samples that do, and KL.

    Every sample belongs to its nearest mode; the divergence KL(p_g ‖ uniform), in nats, is of their histogram. In the
    plane, 98.9 % of the mixture's own samples are within 3 σ. Srivastava et al. 2017, "VEEGAN",
    https://arxiv.org/abs/1705.07761; Lin et al. 2018, "PacGAN", https://arxiv.org/abs/1712.04086

    Args:
        centres: cₖ, (K, D).
        std: σ.
    """

    def __init__(self, centres: Tensor, std: float):
        self.centres, self.std = centres.double(), std
        self.reset()

    def update(self, points: Tensor) -> None:
        """Takes in samples, (B, D) or (B, D, 1, 1); every sample once over all processes."""
        offsets = points.detach().cpu().double().flatten(1)[:, None] - self.centres
        distances, modes = offsets.norm(dim=2).min(1)
        for row, chosen in enumerate((modes, modes[distances <= 3 * self.std])):
            self.counts[row] += torch.bincount(chosen, minlength=len(self.centres))

    def compute(self) -> dict[str, float]:
        """modes, high-quality (a share), modes-kl and n; all processes must ask.

        Raises:
            GenlitError: there is no sample.
        """
        nearest, near = sum(gather(self.counts))
        divergence, n = kl(nearest, torch.ones(len(nearest))), int(nearest.sum())
        return {"modes": int((near > 0).sum()), "high-quality": int(near.sum()) / n, "modes-kl": divergence, "n": n}

    def reset(self) -> None:
        """Forgets all samples."""
        self.counts = torch.zeros(2, len(self.centres), dtype=torch.int64)


class StackedModes:
    """Modes of stacked digits: images of three channels, each channel a digit, hence K³ = 1000 modes.

    A mode is reached when one sample's channels are classified as its digits. KL(p_g ‖ p_data), in nats, with
    p_data(i, j, k) = fᵢ fⱼ fₖ: the channels are drawn independently. It depends on the number of samples n, of which
    papers take 26,000. Metz et al. 2017, "Unrolled GANs", section 3.3.1, https://arxiv.org/abs/1611.02163

    Args:
        classifier: gives logits (B, K) of images of one channel, (B, 1, H, W).
        frequencies: f, how often each digit occurs in the data, (K,); counts do.
    """

    def __init__(self, classifier: Callable[[Tensor], Tensor], frequencies: Tensor):
        self.classifier, self.frequencies = classifier, frequencies.double()
        self.reset()

    def update(self, images: Tensor) -> None:
        """Takes in samples, (B, 3, H, W); every sample once over all processes."""
        digits = self.classifier(images.flatten(0, 1)[:, None]).argmax(1).view(-1, 3).cpu()
        places = torch.tensor([len(self.frequencies) ** place for place in (2, 1, 0)])
        self.counts += torch.bincount((digits * places).sum(1), minlength=len(self.counts))

    def compute(self) -> dict[str, float]:
        """modes, modes-kl and n; all processes must ask.

        Raises:
            GenlitError: there is no sample.
        """
        counts = sum(gather(self.counts))
        f = self.frequencies
        divergence = kl(counts, torch.einsum("i,j,k->ijk", f, f, f).flatten())
        return {"modes": int((counts > 0).sum()), "modes-kl": divergence, "n": int(counts.sum())}

    def reset(self) -> None:
        """Forgets all samples."""
        self.counts = torch.zeros(len(self.frequencies) ** 3, dtype=torch.int64)


def modes(model: Samples, source: Mixture, n: int, seed: int = 0) -> list[Measure]:
    """`ModeCoverage` of the first n samples of a seed: `modes/ring8.n10000`, `high-quality/...`, `modes-kl/...`.

    Args:
        model: draws points.
        source: the mixture that it learned.
        n: number of samples.
        seed: theirs.

    Raises:
        GenlitError: n is below 1.
    """
    coverage = ModeCoverage(source.centres, source.std)
    return _measured(coverage, model, reader(source).name, n, seed)


def stacked_modes(
    model: Samples, source: Stacked, n: int, seed: int = 0, *, device: torch.device | str = "cpu"
) -> list[Measure]:
    """`StackedModes` of the first n samples of a seed: `modes/stacked.lenet-1a2b3c4d.n26000`, `modes-kl/...`.

    The classifier is lenet of the single digits.

    Args:
        model: draws stacks.
        source: of the stacks that it learned.
        n: number of samples.
        seed: theirs.
        device: where the classifier runs.

    Raises:
        GenlitError: n is below 1.
    """
    single = source.single
    name, logits = reader(single, device)
    digits = torch.from_numpy(single.store.splits["train"][0]["label"].copy())
    return _measured(StackedModes(logits, torch.bincount(digits)), model, f"stacked.{name}", n, seed)


def _measured(metric: ModeCoverage | StackedModes, model: Samples, protocol: str, n: int, seed: int) -> list[Measure]:
    """The metric of this process's share of the samples, and with it that of all."""
    for start in range(rank() * BLOCK, n, world_size() * BLOCK):
        metric.update(model.sample(min(BLOCK, n - start), seed=seed, start=start))
    values = metric.compute()
    return [Measure(f"{name}/{protocol}.n{values['n']}", value, n) for name, value in values.items() if name != "n"]


def kl(counts: Tensor, weights: Tensor) -> float:
    """KL(p ‖ q) = Σ p log (p / q) in nats, p ∝ counts, q ∝ weights; infinite where p reaches what q does not.

    Args:
        counts: of samples by mode, int64 (K,).
        weights: (K,), at least 0.

    Raises:
        GenlitError: there is no sample.
    """
    if not counts.any():
        raise GenlitError("modes: there is no sample to count")
    p, q = (weight.double() / weight.double().sum() for weight in (counts, weights))
    reached = p > 0
    return (p[reached] * (p[reached] / q[reached]).log()).sum().item()
