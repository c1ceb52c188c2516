"""K normal components of points, by the kind of their covariances: densities, M-steps and completions."""

from typing import Literal

import torch
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

from genlit.nn.levels import drawn

LEAST = 1e-12  # variance


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
        """Takes the likeliest Sₖ of its kind, or of Factors likelier ones, for `centred` covariances."""
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
        """Covariances about the means, (K, D, D), or if Sₖ is diagonal variances, (K, D), regularised."""
        covariances = squares / counts[:, None, None] - self.means[:, :, None] * self.means[:, None, :]
        return covariances + self.regulariser * torch.eye(squares.shape[-1]).to(squares)

    def covariances(self) -> Tensor:
        """Sₖ, (K, D, D)."""
        return self.normals().covariance_matrix

    def complete(self, points: Tensor, seen: Tensor, noise: Tensor) -> Tensor:
        """Points with the dimensions that are not seen drawn given those that are, (N, D).

        x_u = μ_u + G (x_o − μ_o) + R ε of component k ~ rₖ(x_o): see `regression`.

        Args:
            points: (N, D); what is not seen is not read.
            seen: (D,).
            noise: of each point a number u ~ U(0, 1), which draws k, and D numbers ε ~ N(0, 1), (N, 1 + D).
        """
        if seen.all():
            return points
        chosen, (gain, root) = drawn(self.odds(points[:, seen], seen), noise[:, 0]), self.regression(seen)
        means = self.means[chosen]
        shift = torch.einsum("nuo,no->nu", gain[chosen], points[:, seen] - means[:, seen])
        spread = torch.einsum("nuv,nv->nu", root[chosen], noise[:, 1:][:, ~seen])
        points = points.clone()
        points[:, ~seen] = means[:, ~seen] + shift + spread
        return points

    def odds(self, known: Tensor, seen: Tensor) -> Tensor:
        """log πₖ + log N(x_o; μ_o, S_oo) of the seen dimensions (N, O), (N, K)."""
        if not seen.any():
            return self.logits.log_softmax(0).expand(len(known), -1)
        marginal = MultivariateNormal(self.means[:, seen], self.covariances()[:, seen][:, :, seen])
        return self.logits.log_softmax(0) + marginal.log_prob(known[:, None])

    def regression(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """G = S_uo S_oo⁻¹, (K, U, O), and R with RRᵀ = S_uu − G S_ou, (K, U, U)."""
        covariances = self.covariances()
        across = covariances[:, seen][:, :, ~seen]
        gain = torch.linalg.solve(covariances[:, seen][:, :, seen], across).mT
        return gain, torch.linalg.cholesky(covariances[:, ~seen][:, :, ~seen] - gain @ across)


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

    def covariances(self) -> Tensor:
        return torch.diag_embed(self.log_scales.mul(2).exp())

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


CovarianceName = Literal["full", "diagonal", "factors", "principal"]

COVARIANCES = {"full": Full, "diagonal": Diagonal, "factors": Factors, "principal": Principal}
FACTORED = ("factors", "principal")
