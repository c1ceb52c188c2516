"""Gaussian and Gaussian mixture."""

import math
from collections.abc import Iterator
from copy import deepcopy
from typing import Literal

import torch
from sklearn.cluster import kmeans_plusplus
from torch import Tensor, nn
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
)
from torch.nn.functional import one_hot

from genlit.engine.clock import derive
from genlit.engine.processes import broadcast, total
from genlit.errors import GenlitError
from genlit.families.sampling import FromDraws
from genlit.model import Batch, GenerativeModel, Turn

LEAST = 1e-12  # variance


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
        factors: columns of Λ or W, at most D.
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
        covariance: Literal["full", "diagonal", "factors", "principal"] = "full",
        factors: int = 1,
        forget: float | None = 0.7,
        regulariser: float = 1e-6,
        **engine,
    ):
        super().__init__(shape, **engine)
        dimensions = math.prod(self.shape)
        self.require_counts(components=components)
        self.require("factors", factors, 1 <= factors <= dimensions, f"between 1 and the {dimensions} dimensions")
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
        self.require("components", components, components <= len(points), f"at most the {len(points)} of a batch")
        centres, _ = kmeans_plusplus(points.cpu().numpy(), components, random_state=seed)
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
            seed: of the draws.
        """
        with self.evaluation():
            torch.manual_seed(derive("complete", seed))
            points, observed = self.points(images).clone(), mask.to(self.device).bool().expand_as(images).flatten(1)
            kinds, which = observed.unique(dim=0, return_inverse=True)
            for kind, seen in enumerate(kinds):
                rows = which == kind
                points[rows] = self.mixture.complete(points[rows], seen)
            return torch.where(mask.to(images.device).bool(), images, points.to(images).view_as(images))


class Gaussian(GaussianMixture):
    """p(x) = N(x; μ, S) by maximum likelihood: a mixture of one component.

    One step on all the data is the last, but for factors, which take one EM step at a time.

    Args:
        shape: (C, H, W).
        covariance: of S: full, diagonal, factors (ΛΛᵀ + Ψ) or principal (WWᵀ + σ² I, probabilistic PCA).
        factors: columns of Λ or W.
        forget: see GaussianMixture.
        regulariser: added to variances.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        covariance: Literal["full", "diagonal", "factors", "principal"] = "full",
        factors: int = 1,
        forget: float | None = 0.7,
        regulariser: float = 1e-6,
        **engine,
    ):
        options = {"covariance": covariance, "factors": factors, "forget": forget, "regulariser": regulariser}
        super().__init__(shape, components=1, **options, **engine)
        del self.hparams["components"]  # what a checkpoint keeps are options of this class


class GradientGaussianMixture(GaussianMixture):
    """The same density, whose player minimises −log p(x) in nats; the centres start at points of the first batch.

    π = softmax, standard deviations = exp of free parameters, so every value of them is a mixture.
    """

    players = {"mixture": ["mixture"]}
    terms = {"nll": 1.0}
    averaged = ("mixture",)

    def __init__(self, shape: tuple[int, int, int], *, lr: float | dict[str, float] = 1e-2, **options):
        super().__init__(shape, lr=lr, **options)
        self.mixture.requires_grad_(True)

    def turns(self, batch: Batch) -> Iterator[Turn]:
        points = self.points(batch["image"])
        if self.training and not self.counts.any():
            self.learn(points)
        yield "mixture", {"nll": -self.mixture.distribution().log_prob(points).mean()}


class Components(nn.Module):
    """K normal components of D dimensions; kinds differ in their covariances.

    Args:
        components: K.
        dimensions: D.
        factors: of covariances that have them.
        regulariser: added to variances by `maximise`.
    """

    def __init__(self, components: int, dimensions: int, factors: int, regulariser: float):
        super().__init__()
        self.regulariser = regulariser
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(torch.zeros(components, dimensions))

    def normals(self) -> Distribution:
        """The components as a batch of K distributions."""
        raise NotImplementedError

    def fit(self, covariances: Tensor) -> None:
        """Takes likelier Sₖ of its kind, but for factors the likeliest, by covariances (K, D, D) or variances."""
        raise NotImplementedError

    def distribution(self) -> MixtureSameFamily:
        """p(x)."""
        choice = Categorical(logits=self.logits, validate_args=False)
        return MixtureSameFamily(choice, self.normals(), validate_args=False)

    def joint(self, points: Tensor) -> Tensor:
        """log πₖ + log N(xₙ; μₖ, Sₖ), (N, K)."""
        return self.logits.log_softmax(0) + self.normals().log_prob(points[:, None])

    def statistics(self, shares: Tensor, points: Tensor) -> dict[str, Tensor]:
        """Σₙ rₙₖ, Σₙ rₙₖ xₙ and Σₙ rₙₖ xₙ xₙᵀ: all that an M-step reads of points (N, D) with shares (N, K)."""
        squares = torch.stack([(points * share[:, None]).T @ points for share in shares.T])
        return {"counts": shares.sum(0), "sums": shares.T @ points, "squares": squares}

    def maximise(self, counts: Tensor, sums: Tensor, squares: Tensor) -> None:
        """The M-step."""
        counts = counts + 10 * torch.finfo(counts.dtype).eps  # a component may have lost all points
        self.logits.copy_(counts.log())
        self.means.copy_(sums / counts[:, None])
        self.fit(self.centred(squares, counts))

    def centred(self, squares: Tensor, counts: Tensor) -> Tensor:
        """Covariances about the means, regularised."""
        covariances = squares / counts[:, None, None] - self.means[:, :, None] * self.means[:, None, :]
        return covariances + self.regulariser * torch.eye(squares.shape[-1]).to(squares)

    def complete(self, points: Tensor, seen: Tensor) -> Tensor:
        """Points (N, D) with the dimensions that are not seen, (D,), drawn given those that are."""
        if seen.all():
            return points
        normals = self.normals()
        means, covariances = normals.mean, normals.covariance_matrix
        rest, known = points[:, ~seen], points[:, seen]
        marginal = MultivariateNormal(means[:, seen], covariances[:, seen][:, :, seen])
        joint = self.logits.log_softmax(0) + (marginal.log_prob(known[:, None]) if seen.any() else 0)
        chosen = joint.expand(len(points), -1).softmax(1).multinomial(1)[:, 0]
        across = covariances[:, ~seen][:, :, seen]
        gain = torch.linalg.solve(covariances[:, seen][:, :, seen], across.mT).mT
        within = covariances[:, ~seen][:, :, ~seen] - gain @ across.mT
        shift = torch.einsum("nuo,no->nu", gain[chosen], known - means[chosen][:, seen])
        root = torch.linalg.cholesky(within)[chosen]
        rest = means[chosen][:, ~seen] + shift + torch.einsum("nuv,nv->nu", root, torch.randn_like(rest))
        points = points.clone()
        points[:, ~seen] = rest
        return points


class Full(Components):
    """S = LLᵀ, L lower triangular with the diagonal exp aᵢ."""

    def __init__(self, components: int, dimensions: int, factors: int, regulariser: float):
        super().__init__(components, dimensions, factors, regulariser)
        self.lower = nn.Parameter(torch.zeros(components, dimensions, dimensions))

    def normals(self) -> MultivariateNormal:
        root = self.lower.tril(-1) + torch.diag_embed(self.lower.diagonal(dim1=1, dim2=2).exp())
        return MultivariateNormal(self.means, scale_tril=root, validate_args=False)

    def fit(self, covariances: Tensor) -> None:
        root = torch.linalg.cholesky(covariances)
        self.lower.copy_(root.tril(-1) + torch.diag_embed(root.diagonal(dim1=1, dim2=2).log()))


class Diagonal(Components):
    """S = diag(exp 2a)."""

    def __init__(self, components: int, dimensions: int, factors: int, regulariser: float):
        super().__init__(components, dimensions, factors, regulariser)
        self.log_scales = nn.Parameter(torch.zeros(components, dimensions))

    def normals(self) -> Independent:
        return Independent(Normal(self.means, self.log_scales.exp(), validate_args=False), 1, validate_args=False)

    def statistics(self, shares: Tensor, points: Tensor) -> dict[str, Tensor]:
        return {"counts": shares.sum(0), "sums": shares.T @ points, "squares": shares.T @ points.square()}

    def centred(self, squares: Tensor, counts: Tensor) -> Tensor:
        return squares / counts[:, None] - self.means.square() + self.regulariser

    def fit(self, covariances: Tensor) -> None:
        self.log_scales.copy_(covariances.clamp(min=LEAST).log() / 2)


class Factors(Components):
    """S = ΛΛᵀ + Ψ, Ψ = diag(exp 2a): Ghahramani & Hinton 1996, "The EM Algorithm for Mixtures of Factor Analyzers"."""

    def __init__(self, components: int, dimensions: int, factors: int, regulariser: float):
        super().__init__(components, dimensions, factors, regulariser)
        self.loadings = nn.Parameter(torch.zeros(components, dimensions, factors))
        self.log_scales = nn.Parameter(torch.zeros(components, dimensions))

    def normals(self) -> LowRankMultivariateNormal:
        return LowRankMultivariateNormal(self.means, self.loadings, self.log_scales.mul(2).exp(), validate_args=False)

    def fit(self, covariances: Tensor) -> None:
        """One EM step for Λ and Ψ, from the principal components the first time: eqs. for Λ and Ψ in its section 2.

        β = Λᵀ(ΛΛᵀ + Ψ)⁻¹, Λ ← SβᵀG⁻¹ with G = I − βΛ + βSβᵀ, Ψ ← diag(S − ΛβS).
        """
        if not self.loadings.any():
            loadings, _ = principal(covariances, self.loadings.shape[-1])
            self._put(loadings, covariances - loadings @ loadings.mT)
        loadings, precision = self.loadings, self.normals().precision_matrix
        beta = loadings.mT @ precision
        projected = covariances @ beta.mT
        second = torch.eye(loadings.shape[-1]).to(loadings) - beta @ loadings + beta @ projected
        loadings = torch.linalg.solve(second, projected.mT).mT
        self._put(loadings, covariances - loadings @ projected.mT)

    def _put(self, loadings: Tensor, noise: Tensor) -> None:
        self.loadings.copy_(loadings)
        variances = noise.diagonal(dim1=1, dim2=2).clamp(min=LEAST)
        self.log_scales.copy_(variances.log() / 2)


class Principal(Components):
    """S = WWᵀ + σ² I, in closed form: Tipping & Bishop 1999, "Mixtures of Probabilistic PCA"."""

    def __init__(self, components: int, dimensions: int, factors: int, regulariser: float):
        super().__init__(components, dimensions, factors, regulariser)
        self.loadings = nn.Parameter(torch.zeros(components, dimensions, factors))
        self.log_scale = nn.Parameter(torch.zeros(components, 1))

    def normals(self) -> LowRankMultivariateNormal:
        variances = self.log_scale.mul(2).exp().expand_as(self.means)
        return LowRankMultivariateNormal(self.means, self.loadings, variances, validate_args=False)

    def fit(self, covariances: Tensor) -> None:
        loadings, variance = principal(covariances, self.loadings.shape[-1])
        self.loadings.copy_(loadings)
        self.log_scale.copy_(variance.clamp(min=LEAST).log() / 2)


def principal(covariances: Tensor, factors: int) -> tuple[Tensor, Tensor]:
    """W = U_q (Λ_q − σ² I)^½ and σ², the mean of the other eigenvalues: Tipping & Bishop 1999, eqs. 14 and 15.

    "Probabilistic Principal Component Analysis", https://doi.org/10.1111/1467-9868.00196

    Args:
        covariances: (K, D, D).
        factors: q.
    """
    values, vectors = (x.flip(-1) for x in torch.linalg.eigh(covariances))
    variance = values[:, factors:].mean(1, keepdim=True) if factors < values.shape[1] else values[:, -1:]
    excess = (values[:, :factors] - variance).clamp(min=0).sqrt()
    return vectors[:, :, :factors] * excess[:, None], variance


COVARIANCES = {"full": Full, "diagonal": Diagonal, "factors": Factors, "principal": Principal}
