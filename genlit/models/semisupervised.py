"""The semi-supervised adversarial autoencoder."""

import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy as classification
from torch.nn.functional import one_hot

from genlit.families.sampling import FromPrior
from genlit.losses.adversarial import cross_entropy, non_saturating
from genlit.losses.likelihood import bernoulli
from genlit.model import Batch, GenerativeModel, Turn
from genlit.nn.mlp import mlp


class SemiSupervisedAAE(FromPrior, GenerativeModel):
    """x → (y, z) → x, with q(y|x) = softmax and z = enc(x) brought to p(y) = 1/K and p(z) = N(0, I) by two critics.

    Three phases on every batch: reconstruction −E[log p(x|y, z)], y being q(y|x) itself; regularisation, where one
    critic tells q(y|x) from one-hot draws and the other z from normal ones, and the encoder fools both; and
    classification −E[log q(y|x)] on a batch of labelled images, which come in an order of their own, since few may be
    labelled (`data.labelled`). Reconstruction and classification are in nats per image.

    Makhzani et al. 2015, "Adversarial Autoencoders", section 5, https://arxiv.org/abs/1511.05644.

    Departs from the paper: Adam instead of gradient descent with momentum, one for all of the encoder's turns; the
    encoder minimises −E[log D].

    Args:
        shape: (C, H, W).
        classes: K, the number of labels.
        latent: number of codes in z, the style.
        hidden: widths of the encoder's and the critics' layers, the decoder's in reverse.
        noise: standard deviation of the normal noise on what the encoder sees in training.
    """

    players = {"autoencoder": ["encoder", "decoder"], "critics": ["label_critic", "style_critic"]}
    terms = {"reconstruction": 1.0, "label": 1.0, "style": 30.0, "classification": 30.0}
    needs = ("image", "labelled_image", "labelled_label")
    averaged = ("encoder", "decoder")
    unlabelled = True

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        classes: int = 10,
        latent: int = 10,
        hidden: tuple[int, ...] = (1000, 1000),
        noise: float = 0.3,
        lr: float | dict[str, float] = 2e-4,
        **engine,
    ):
        super().__init__(shape, lr=lr, **engine)
        self.require_counts(classes=classes, latent=latent, hidden=hidden)
        self.require("noise", noise, noise >= 0, "0 or more")
        self.classes, self.latent, self.noise = classes, latent, noise
        pixels = math.prod(self.shape)
        relus = partial(mlp, activation=nn.ReLU)
        self.encoder = nn.Sequential(nn.Flatten(), relus(pixels, *hidden, classes + latent))
        self.decoder = nn.Sequential(relus(classes + latent, *reversed(hidden), pixels), nn.Unflatten(1, self.shape))
        self.label_critic, self.style_critic = relus(classes, *hidden, 1), relus(latent, *hidden, 1)

    def turns(self, batch: Batch) -> Iterator[Turn]:
        images, labelled, labels = (batch[name] for name in self.needs)
        yield "autoencoder", {"reconstruction": bernoulli(self.decoder(self.codes(images)), images).mean()}

        codes = self.codes(images)  # encoded again: the encoder has moved
        drawn = self.prior(len(images), images.device).to(codes)
        real, fake = self.scores(drawn), self.scores(codes.detach())
        yield "critics", {name: cross_entropy(real[name], fake[name]) for name in real}

        # The critics have moved, the codes have not; the decoder has no part from here on and stays as it is
        yield "autoencoder", {name: non_saturating(logits) for name, logits in self.scores(codes).items()}

        logits, _ = self.posterior(labelled)
        yield "autoencoder", {"classification": classification(logits, labels)}
        self.observe("error", (logits.argmax(1) != labels).to(logits.dtype).mean())

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of q(y|x), (B, K), and z; noise is added in training alone."""
        seen = images + self.noise * torch.randn_like(images) if self.training else images
        return self.encoder(seen).split([self.classes, self.latent], dim=1)

    def codes(self, images: Tensor) -> Tensor:
        """(q(y|x), z), (B, K + latent)."""
        logits, z = self.posterior(images)
        return torch.cat([logits.softmax(1), z], dim=1)

    def scores(self, codes: Tensor) -> dict[str, Tensor]:
        """Each critic's logits, (B, 1), of its part of the codes."""
        y, z = codes.split([self.classes, self.latent], dim=1)
        return {"label": self.label_critic(y), "style": self.style_critic(z)}

    def prior(self, n: int, device: torch.device) -> Tensor:
        """(y, z), y one-hot and z normal, (n, K + latent)."""
        y = one_hot(torch.randint(self.classes, (n,), device=device), self.classes)
        return torch.cat([y, torch.randn(n, self.latent, device=device)], dim=1)

    def decode(self, codes: Tensor, label: int | None = None) -> Tensor:
        """The mean image of (y, z), or of z and a label chosen for all."""
        if label is not None:
            self.require_argument("label", label, 0 <= label < self.classes, f"from 0 to {self.classes - 1}")
            chosen = one_hot(torch.tensor(label, device=codes.device), self.classes).to(codes)
            codes = torch.cat([chosen.expand(len(codes), -1), codes[:, self.classes :]], dim=1)
        return torch.tanh(self.decoder(codes) / 2)

    def classify(self, images: Tensor) -> Tensor:
        """q(y|x), (B, K)."""
        with self.evaluation():
            return self.posterior(self.here(images))[0].softmax(1)

    def encode(self, images: Tensor, *, sampled: bool = False) -> Tensor:
        """(q(y|x), z), (B, K + latent): an image has only one, drawn or not."""
        with self.evaluation():
            return self.codes(self.here(images))

    def reconstruct(self, images: Tensor) -> Tensor:
        """The mean image at the image's codes, (B, C, H, W)."""
        with self.evaluation():
            return self.decode(self.codes(self.here(images)))
