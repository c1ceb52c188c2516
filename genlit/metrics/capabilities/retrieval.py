"""Whether an image's caption is found again among others."""

from random import Random

import torch
from torch import Tensor
from torch.nn.functional import normalize

from genlit.engine.clock import derive
from genlit.errors import GenlitError
from genlit.metrics.capabilities.means import PerImage

MISMATCHED = 99


class RPrecision:
    """The share of images whose true caption has the largest cosine among 99 other captions; 1/100 by chance.

    The others are drawn from (seed, position) among the captions that differ from the true one. Where m captions tie
    for the first place, the true one counts 1/m, so an encoder that says nothing scores chance. Xu et al. 2018,
    "AttnGAN", section 4, https://arxiv.org/abs/1711.10485, whose encoder is DAMSM.

    Args:
        captions: the true caption of every image, N over all processes.
        embeddings: theirs, (N, D).
        seed: of the mismatched captions.

    Raises:
        GenlitError: fewer than 100 captions are different.
    """

    def __init__(self, captions: list[str], embeddings: Tensor, seed: int = 0):
        distinct = {caption: row for row, caption in enumerate(captions)}
        if len(distinct) <= MISMATCHED:
            raise GenlitError(
                f"R-precision needs {MISMATCHED + 1} different captions, and there are {len(distinct)}: add captions"
            )
        self.seed = seed
        self.rows = list(distinct.values())
        places = {caption: place for place, caption in enumerate(distinct)}
        self.places = [places[caption] for caption in captions]
        self.embeddings = normalize(embeddings.cpu().double(), dim=1)
        self.hits = PerImage(len(captions))

    def update(self, images: Tensor, positions: Tensor) -> None:
        """Takes in embeddings of images, (B, D), and which captions are theirs, int64 (B,), padding from N on."""
        self.hits.update({"hit": self.found(images, positions)}, positions)

    def compute(self) -> float:
        """R-precision; all processes must ask.

        Raises:
            GenlitError: the image of some caption is missing.
        """
        return self.hits.compute()["hit"]

    def found(self, images: Tensor, positions: Tensor) -> Tensor:
        """1 where the true caption comes first, 1/m where m tie, else 0: float64 (B,)."""
        candidates = torch.tensor([self._candidates(position) for position in positions.tolist()])
        queries = normalize(images.cpu().double(), dim=1)
        # Sums row by row: a matrix product may round equal rows differently, and a tie would be lost
        scores = torch.stack([(self.embeddings[rows] * query).sum(1) for rows, query in zip(candidates, queries)])
        first = scores == scores.amax(1, keepdim=True)
        return first[:, 0] / first.sum(1).double()

    def _candidates(self, position: int) -> list[int]:
        """Rows of captions: the true one, then the mismatched."""
        own = self.places[position % len(self.places)]
        drawn = Random(derive("r-precision", self.seed, position)).sample(range(len(self.rows) - 1), MISMATCHED)
        return [self.rows[own]] + [self.rows[place + (place >= own)] for place in drawn]
