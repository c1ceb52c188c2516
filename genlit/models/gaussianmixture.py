"""Gaussian and Gaussian mixture."""

import math
from collections.abc import Iterator
from copy import deepcopy

import torch
from sklearn.cluster import kmeans_plusplus
from torch import Tensor
from torch.nn.functional import one_hot

from genlit.engine.processes import broadcast, gather, total
from genlit.errors import GenlitError
from genlit.families.sampling import BLOCK, FromDraws, rows
from genlit.model import Batch, GenerativeModel, Turn
from genlit.nn.components import COVARIANCES, FACTORED, CovarianceName


class GaussianMixture(FromDraws, GenerativeModel):
    """p(x) = Σₖ πₖ N(x; μₖ, Sₖ), by expectation maximisation.

    E-step: rₙₖ = πₖ N(xₙ; μₖ, Sₖ) / p(xₙ). M-step: πₖ = Σₙ rₙₖ / N, μₖ = Σₙ rₙₖ xₙ / Σₙ rₙₖ, and Sₖ the best of its
    kind for the covariance weighted by rₙₖ. An iteration is one step, on the statistics s of the
    batches so far: s ← (1 − γₜ) s + γₜ ŝ with γₜ = (t + 2)^−a. Where the batch is the data, γ = 1 makes it exact.

    Dempster, Laird & Rubin 1977, "Maximum Likelihood from Incomplete Data via the EM Algorithm",
    https://doi.org/10.1111/j.2517-6161.1977.tb01600.x; by batches: Cappé & Moulines 2009,
    https://arxiv.org/abs/0712.4273, with the weights of Liang & Klein 2009, https://aclanthology.org/N09-1069

    There is no gradient and no player. Everything is kept in float64; the first centres are points of the first batch,
    by k-means++ (Arthur & Vassilvitskii 2007).

    Args:
        shape: (C, H, W); an image is a point of D = C · H · W dimensions.
        components: K.
        covariance: of Sₖ: full, diagonal, factors (ΛΛᵀ + Ψ) or principal (WWᵀ + σ² I).
        factors: columns of Λ or W, at most D; 1 for covariances without.
        forget: a, above 0.5 and at most 1; null forgets all earlier batches, γ = 1.
        regulariser: added to variances, in the images' squared units.
    """

    players = {}
    terms = {}
    levels = None

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        components: int = 10,
        covariance: CovarianceName = "full",
        factors: int = 1,
        forget: float | None = 0.7,
        regulariser: float = 1e-6,
        **engine,
    ):
        super().__init__(shape, **engine)
        dimensions = math.prod(self.shape)
        self.require_counts(components=components)
        self.require("factors", factors, 1 <= factors <= dimensions, f"between 1 and the {dimensions} dimensions")
        alone = f"1: {covariance} covariances have none"
        self.require("factors", factors, factors == 1 or covariance in FACTORED, alone)
        self.require("forget", forget, forget is None or 0.5 < forget <= 1, "above 0.5 and at most 1, or null")
        self.require("regulariser", regulariser, regulariser >= 0, "at least 0")
        self.require("accumulate", self.accumulate, self.accumulate == 1, "1: a step needs its whole batch")
        self.forget = forget
        self.mixture = COVARIANCES[covariance](components, dimensions, factors, regulariser).double()
        self.mixture.requires_grad_(False)
        nobody = torch.zeros(0, components), torch.zeros(0, dimensions)
        for name, value in self.mixture.statistics(*(x.double() for x in nobody)).items():
            self.register_buffer(name, value)

    def turns(self, batch: Batch) -> Iterator[Turn]:
        points = self.points(batch["image"])
        if self.training:
            self.learn(points, 1.0 if self.forget is None else (self.iteration + 2) ** -self.forget)
        self.report(points)
        yield from ()

    def em(self, images: Tensor) -> Tensor:
        """One exact step on all images, (N, C, H, W); their mean log p(x) before it, in nats."""
        return self.learn(self.points(images))

    @torch.no_grad()
    def learn(self, points: Tensor, share: float = 1.0) -> Tensor:
        """A step on points (N, D), whose statistics have the weight γ = `share`; their mean log p(x) before it."""
        joint = self.mixture.joint(points)
        shares, begun = joint.softmax(1), bool(self.counts.any())
        for name, value in self.mixture.statistics(shares if begun else self.nearest(points), points).items():
            statistic, found = getattr(self, name), total(value)
            statistic.copy_(torch.lerp(statistic, found, share if begun else 1.0))
        try:
            self.mixture.maximise(self.counts, self.sums, self.squares)
        except torch.linalg.LinAlgError as error:
            raise GenlitError("a component lost its breadth in some dimension: raise model.regulariser") from error
        return joint.logsumexp(1).mean()

    def nearest(self, points: Tensor) -> Tensor:
        """Each point in the component whose first centre it is nearest to, one-hot (N, K)."""
        seed, components = int(torch.randint(2**31, ())), len(self.counts)
        batch = torch.cat(gather(points.cpu()))
        self.require("components", components, components <= len(batch), f"at most the {len(batch)} of a batch")
        centres, _ = kmeans_plusplus(batch.numpy(), components, random_state=seed)
        centres = torch.from_numpy(broadcast(centres)).to(points)
        return one_hot(torch.cdist(points, centres).argmin(1), components).to(points)

    def points(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) as points (B, D) in float64."""
        return images.to(self.mixture.means).flatten(1)

    def report(self, points: Tensor) -> None:
        """Logs −log p(x) in nats; in bits it would depend on the unit."""
        self.observe("nll", -self.mixture.distribution().log_prob(points).mean())

    # What the trained model can do

    def log_prob(self, images: Tensor) -> Tensor:
        """log p(x), a density in the images' units, in nats, (B,)."""
        with self.evaluation():
            return self.mixture.distribution().log_prob(self.points(images))

    def responsibilities(self, images: Tensor) -> Tensor:
        """rₙₖ, the probabilities of the components given the images, (B, K)."""
        with self.evaluation():
            return self.mixture.joint(self.points(images)).softmax(1)

    def draws(self, n: int, device: torch.device) -> Tensor:
        """n points, (n, D)."""
        return deepcopy(self.mixture).to(device).distribution().sample((n,))

    def decode(self, draws: Tensor) -> Tensor:
        """The points as images."""
        return draws.view(-1, *self.shape)

    def complete(self, images: Tensor, mask: Tensor, *, seed: int = 0) -> Tensor:
        """Images with the observed values as they are and the others drawn from p(x_u | x_o), (B, C, H, W).

        p(x_u | x_o) = Σₖ rₖ(x_o) N(μ_u + S_uo S_oo⁻¹ (x_o − μ_o), S_uu − S_uo S_oo⁻¹ S_ou), by component.

        Args:
            images: (B, C, H, W); what is not observed is not read.
            mask: which values are observed, broadcast against the images.
            seed: of the draws; the i-th image's are the same whatever the others.
        """
        with self.evaluation():
            points = self.points(images).clone()
            noise = rows(self._noise, 0, len(points), "complete", seed).to(points)
            observed = mask.to(self.device).bool().expand_as(images).flatten(1)
            kinds, which = observed.unique(dim=0, return_inverse=True)
            for kind, seen in enumerate(kinds):
                same = which == kind
                points[same] = self.mixture.complete(points[same], seen, noise[same])
            return torch.where(mask.to(images.device).bool(), images, points.to(images).view_as(images))

    def _noise(self) -> Tensor:
        """For each image of a block a uniform and D normal numbers, (64, 1 + D), on the CPU: devices see the same."""
        return torch.cat([torch.rand(BLOCK, 1), torch.randn(BLOCK, math.prod(self.shape))], dim=1)


class Gaussian(GaussianMixture):
    """p(x) = N(x; μ, S) by maximum likelihood: a mixture of one component.

    One step on all the data is the last, but for factors, which take one EM step at a time.

    Args:
        shape: (C, H, W).
        covariance: of S: full, diagonal, factors (ΛΛᵀ + Ψ) or principal (WWᵀ + σ² I, probabilistic PCA).
        factors: see GaussianMixture.
        forget: see GaussianMixture.
        regulariser: added to variances.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        covariance: CovarianceName = "full",
        factors: int = 1,
        forget: float | None = 0.7,
        regulariser: float = 1e-6,
        **engine,
    ):
        options = {"covariance": covariance, "factors": factors, "forget": forget, "regulariser": regulariser}
        super().__init__(shape, components=1, **options, **engine)
        del self.hparams["components"]  # what a checkpoint keeps are options of this class


class GradientGaussianMixture(GaussianMixture):
    """The same density, whose player minimises −log p(x) in nats.

    π = softmax, standard deviations = exp of free parameters, so every value of them is a mixture. They start with an
    M-step on the first batch, each point in the component of the k-means++ centre that it is nearest to.

    Args:
        shape: (C, H, W).
        lr: learning rate.
        options: of GaussianMixture, all but forget.
    """

    players = {"mixture": ["mixture"]}
    terms = {"nll": 1.0}
    averaged = ("mixture",)

    def __init__(self, shape: tuple[int, int, int], *, lr: float | dict[str, float] = 1e-2, **options):
        super().__init__(shape, lr=lr, forget=None, **options)
        del self.hparams["forget"]
        self.mixture.requires_grad_(True)

    def turns(self, batch: Batch) -> Iterator[Turn]:
        points = self.points(batch["image"])
        if self.training and not self.counts.any():
            self.learn(points)
        yield "mixture", {"nll": -self.mixture.distribution().log_prob(points).mean()}
