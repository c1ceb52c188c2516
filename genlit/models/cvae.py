"""The variational autoencoder conditioned on a label."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from genlit.families.sampling import one_of
from genlit.losses.likelihood import streaming_logmeanexp
from genlit.models.vae import VAE
from genlit.nn.levels import checked
from genlit.nn.normal import Normal

LOUD = 10.0  # a label's entry beside hundreds of pixels: at 1 it is learned so slowly that codes carry the class


class CVAE(VAE):
    """log p(x|y) ≥ E_q(z|x,y)[log p(x|z,y)] − KL(q(z|x,y) ‖ p(z)), y a label, p(z) = N(0, I).

    The label enters both networks as a one-hot vector beside their input. Over all labels p(x) = Σ_y p(x|y) / K.

    Sohn et al. 2015, "Learning Structured Output Representation using Deep Conditional Generative Models", section 4,
    with the roles of its x and y exchanged,
    https://papers.nips.cc/paper/5775-learning-structured-output-representation-using-deep-conditional-generative-models.
    This prior, which does not depend on the condition: Kingma et al. 2014, eq. 6, https://arxiv.org/abs/1406.5298

    Departs from the paper: fully connected tanh layers, no recurrent connection from a first guess, and a label's entry
    is 10 instead of 1.

    Args:
        shape: (C, H, W).
        classes: K, the number of labels.
        latent: the number of codes.
        hidden: widths of the encoder's layers, the decoder's in reverse; none makes both affine.
        vae: options of VAE.
    """

    needs = ("image", "label")

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        classes: int = 10,
        latent: int = 50,
        hidden: tuple[int, ...] = (200, 200),
        **vae,
    ):
        super().__init__(shape, latent=latent, hidden=hidden, **vae)
        self.require_counts(classes=classes)
        self.classes = classes
        self.encoder, self.decoder = self.coders(hidden, beside=classes)

    def posterior(self, images: Tensor, labels: Tensor) -> Normal:
        """q(z|x,y)."""
        return Normal.of(self.encoder(self._beside((images.flatten(1) + 1) / 2, labels)))

    def nll(self, z: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """−log p(x|z,y), in nats, (B,)."""
        return self.likelihood(self.decoder(self._beside(z, labels)), images)

    # Images

    def draws(self, n: int, device: torch.device) -> Tensor:
        """Codes from the prior and in a last column a uniform number for the label, (n, latent + 1)."""
        return torch.cat([self.prior(n, device), torch.rand(n, 1, device=device)], dim=1)

    def decode(self, draws: Tensor, label: int | None = None) -> Tensor:
        """The mean images E[x|z,y] of draws; all of one label, if given."""
        return self._image(draws[:, :-1], one_of(self.classes, draws[:, -1], label))

    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """The mean image at z = μ(x, y), (B, C, H, W); y as in `encode`."""
        with self.evaluation():
            images = self.here(images)
            labels = self._known(images, labels)
            return self._image(self.posterior(images, labels).mean, labels)

    # Codes and labels

    def encode(self, images: Tensor, *, sampled: bool = False, labels: Tensor | None = None) -> Tensor:
        """μ(x, y), or a draw from q(z|x,y), (B, latent); y is the likeliest label where it is not given."""
        with self.evaluation():
            images = self.here(images)
            codes = self.posterior(images, self._known(images, labels))
            return codes.draw() if sampled else codes.mean

    def classify(self, images: Tensor) -> Tensor:
        """p(y|x) ∝ exp [log p(x|z=μ,y) − KL(q(z|x,y) ‖ p(z))], by the bound without its noise, (B, K)."""
        with self.evaluation():
            return self._bounds_without_noise(self.here(images)).softmax(1)

    # Likelihood

    def bound(self, images: Tensor, k: int = 1, labels: Tensor | None = None) -> Tensor:
        """log (1/K) Σ_y exp L_k(x, y) ≤ log p(x) in expectation, or with `labels` L_k(x, y) ≤ log p(x|y): (B,) in nats.

        L_k(x, y) = log (1/k) Σᵢ p(x|zᵢ,y) p(zᵢ) / q(zᵢ|x,y), zᵢ ~ q(z|x,y). Burda et al. 2016, eq. 8,
        https://arxiv.org/abs/1509.00519; the mean over labels stays inside the logarithm of an unbiased estimate.
        """
        with self.evaluation():
            images = checked(self.here(images), self.levels)
            if labels is not None:
                return self._bound(images, labels.to(self.device), k)
            bounds = torch.stack([self._bound(images, given, k) for given in self._every_label(images)])
            return bounds.logsumexp(0) - math.log(self.classes)

    def _bound(self, images: Tensor, labels: Tensor, k: int) -> Tensor:
        posterior = self.posterior(images, labels)
        return streaming_logmeanexp(lambda: posterior.log_weight(lambda z: self.nll(z, images, labels)), k)

    def _known(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """The labels, or the likeliest."""
        return self._bounds_without_noise(images).argmax(1) if labels is None else labels.to(self.device)

    def _bounds_without_noise(self, images: Tensor) -> Tensor:
        """log p(x|z=μ,y) − KL of every label, (B, K)."""
        bounds = []
        for labels in self._every_label(images):
            posterior = self.posterior(images, labels)
            bounds.append(-self.nll(posterior.mean, images, labels) - posterior.kl().sum(1))
        return torch.stack(bounds, dim=1)

    def _image(self, z: Tensor, labels: Tensor) -> Tensor:
        return self.likelihood.mean(self.decoder(self._beside(z, labels)))

    def _beside(self, values: Tensor, labels: Tensor) -> Tensor:
        return torch.cat([values, LOUD * one_hot(labels, self.classes).to(values.dtype)], dim=1)

    def _every_label(self, images: Tensor) -> Iterator[Tensor]:
        return (torch.full_like(images[:, 0, 0, 0], label).long() for label in range(self.classes))
