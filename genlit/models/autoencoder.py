"""The autoencoder, which is no generative model."""

import math
from collections.abc import Iterator

from torch import Tensor, nn

from genlit.model import Batch, GenerativeModel, Turn
from genlit.nn.mlp import mlp


class AutoEncoder(GenerativeModel):
    """min E‖x − g(f(x))‖²: codes z = f(x) that images can be told from, summed over pixels and averaged over images.

    It says nothing of how codes are distributed, so there is nothing to sample: a VAE or an AAE adds a prior p(z).
    With affine f and g the least error is that of principal components, the sum of the eigenvalues λⱼ, j > K, of the
    covariance of x: Baldi & Hornik 1989, https://doi.org/10.1016/0893-6080(89)90014-2.

    Hinton & Salakhutdinov 2006, "Reducing the Dimensionality of Data with Neural Networks",
    https://doi.org/10.1126/science.1127647

    Departs from the paper: squared error and tanh instead of cross-entropy and logistic units; no pretraining.

    Args:
        shape: (C, H, W).
        latent: K, the number of codes.
        hidden: widths of the encoder's layers, the decoder's in reverse; none makes both affine.
    """

    players = {"autoencoder": ["encoder", "decoder"]}
    terms = {"squared_error": 1.0}
    averaged = ("encoder", "decoder")
    lacks = {"sample": "an autoencoder has no prior to draw codes from; train a VAE or an AAE"}

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        latent: int = 30,
        hidden: tuple[int, ...] = (1000, 500, 250),
        lr: float | dict[str, float] = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        **engine,
    ):
        super().__init__(shape, lr=lr, betas=betas, **engine)
        self.require_counts(latent=latent, hidden=hidden)
        pixels = math.prod(self.shape)
        self.encoder = nn.Sequential(nn.Flatten(), mlp(pixels, *hidden, latent))
        self.decoder = nn.Sequential(mlp(latent, *reversed(hidden), pixels), nn.Unflatten(1, self.shape))

    def turns(self, batch: Batch) -> Iterator[Turn]:
        images = batch["image"]
        errors = self.decoder(self.encoder(images)) - images
        yield "autoencoder", {"squared_error": errors.square().flatten(1).sum(1).mean()}

    def encode(self, images: Tensor, *, sampled: bool = False) -> Tensor:
        """f(x), (B, K), `sampled` or not: an image has one code."""
        with self.evaluation():
            return self.encoder(self.here(images))

    def reconstruct(self, images: Tensor) -> Tensor:
        """g(f(x)) within [-1, 1], (B, C, H, W)."""
        with self.evaluation():
            return self.decoder(self.encoder(self.here(images))).clamp(-1, 1)
