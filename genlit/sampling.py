"""Seeded samples for models that decode draws from a prior."""

import torch
from torch import Tensor

from genlit.engine.clock import derive

BLOCK = 64  # draws per seed: a constant, so that neither n nor batch_size changes an image


class FromPrior:
    """Gives `sample` and `interpolate` to a GenerativeModel that defines `prior` and `decode`."""

    def prior(self, n: int, device: torch.device) -> Tensor:
        """n draws from the prior, (n, K), with torch's global random state."""
        raise NotImplementedError(f"{type(self).__name__} defines no prior")

    def decode(self, z: Tensor) -> Tensor:
        """Images of codes: (B, K) to (B, C, H, W) in [-1, 1]."""
        raise NotImplementedError(f"{type(self).__name__} defines no decoder")

    def sample(self, n: int, *, seed: int = 0, batch_size: int = 64) -> Tensor:
        """n images, the i-th of a seed being the same for every n.

        Passes are always full, so at one batch size even the rounding does not depend on n.
        """
        with self.evaluation():
            whole = -(-n // batch_size) * batch_size
            return self._images(self._draws(whole, seed)[:whole], batch_size)[:n]

    def interpolate(self, steps: int, *, seeds: tuple[int, int] = (0, 1)) -> Tensor:
        """`steps` images on the straight line between the first samples of two seeds."""
        with self.evaluation():
            start, end = (self._draws(1, seed)[:1] for seed in seeds)
            weight = torch.linspace(0, 1, steps)[:, None]
            return self._images(torch.lerp(start, end, weight), steps)

    def _draws(self, n: int, seed: int) -> Tensor:
        """At least n draws, in whole blocks, made on the CPU so that every device sees the same."""
        blocks = []
        for block in range(-(-n // BLOCK)):
            torch.manual_seed(derive("sample", seed, block))
            blocks.append(self.prior(BLOCK, torch.device("cpu")))
        return torch.cat(blocks)

    def _images(self, z: Tensor, batch_size: int) -> Tensor:
        return torch.cat([self.decode(part.to(self.device, self.dtype)) for part in z.split(batch_size)])
