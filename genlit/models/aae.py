"""The adversarial autoencoder."""

import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from genlit.families.sampling import FromPrior
from genlit.losses.adversarial import cross_entropy, non_saturating
from genlit.losses.likelihood import bernoulli
from genlit.model import Batch, GenerativeModel, Turn
from genlit.nn.mlp import mlp
from genlit.nn.priors import PLANAR, PRIORS, PriorName, segment


class AAE(FromPrior, GenerativeModel):
    """min −E[log p(x|z)] over encoder and decoder; min_enc max_D E_p(z)[log D(z)] + E_x[log(1 − D(z))], z = enc(x).

    The critic D tells draws of the prior p(z) from codes, the encoder fools it: the codes of all images together come
    to be distributed as any p(z) that can be drawn from. With `classes`, D sees the label too, one-hot, and the draws
    that it compares a label's codes with are those of the label's segment of p(z); images of unknown label (−1) have a
    class of their own, and all of p(z). The reconstruction is in nats per image, summed over pixels and averaged over
    images.

    For a prior of one's own, override `prior`.

    Makhzani et al. 2015, "Adversarial Autoencoders", sections 2 and 2.3, https://arxiv.org/abs/1511.05644; the encoder
    is the paper's deterministic one.

    Departs from the paper: Adam instead of gradient descent with momentum, one for both of the encoder's turns, so that
    the adversarial weight says how much the second counts; the encoder minimises −E[log D(z)].

    Args:
        shape: (C, H, W).
        latent: K, the number of codes; 2 for the priors of the plane.
        hidden: widths of the encoder's and the critic's layers, the decoder's in reverse.
        prior: p(z), see `genlit.nn.priors`.
        classes: number of labels that the codes are arranged by, on a prior that has segments; 0 looks at no label.
    """

    players = {"autoencoder": ["encoder", "decoder"], "critic": ["critic"]}
    terms = {"reconstruction": 1.0, "adversarial": 100.0}
    averaged = ("encoder", "decoder")
    unlabelled = True

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        latent: int = 8,
        hidden: tuple[int, ...] = (1000, 1000),
        prior: PriorName = "gaussian",
        classes: int = 0,
        lr: float | dict[str, float] = 2e-4,
        **engine,
    ):
        super().__init__(shape, lr=lr, **engine)
        self.require_counts(latent=latent, hidden=hidden)
        self.require("latent", latent, latent == 2 or prior not in PLANAR, f"2, the dimensions of the prior {prior}")
        rule = f"{' or '.join(PLANAR)}, which have a segment for each of the {classes} classes"
        self.require("prior", prior, not classes or prior in PLANAR, rule)
        self.latent, self.classes, self.draw, self.gaussian = latent, classes, PRIORS[prior], prior == "gaussian"
        pixels, labels = math.prod(self.shape), classes + 1 if classes else 0
        relus = partial(mlp, activation=nn.ReLU)
        self.encoder = nn.Sequential(nn.Flatten(), relus(pixels, *hidden, latent))
        self.decoder = nn.Sequential(relus(latent, *reversed(hidden), pixels), nn.Unflatten(1, self.shape))
        self.critic = relus(latent + labels, *hidden, 1)

    def turns(self, batch: Batch) -> Iterator[Turn]:
        images, labels = batch["image"], batch["label"] if self.classes else None
        yield "autoencoder", {"reconstruction": bernoulli(self.decoder(self.encoder(images)), images).mean()}

        codes = self.encoder(images)  # encoded again: the encoder has moved
        drawn = self.prior(len(images), images.device, labels).to(codes)
        real, fake = self.scores(drawn, labels), self.scores(codes.detach(), labels)
        yield "critic", {"adversarial": cross_entropy(real, fake)}

        # The critic has moved, the codes have not; the decoder has no part in this turn and stays as it is
        yield "autoencoder", {"adversarial": non_saturating(self.scores(codes, labels))}

    def scores(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        """The critic's logits, (B, 1), of codes and their labels; the unknown, −1, are its last class."""
        if labels is None:
            return self.critic(codes)
        known = one_hot(labels % (self.classes + 1), self.classes + 1)
        return self.critic(torch.cat([codes, known.to(codes)], dim=1))

    def prior(self, n: int, device: torch.device, labels: Tensor | None = None) -> Tensor:
        """n draws, each from its label's segment where labels (n,) are given."""
        u = torch.rand(n, device=device)
        return self.draw(u if labels is None else segment(u, labels, self.classes), self.latent)

    def decode(self, z: Tensor) -> Tensor:
        """The mean image E[x|z], 2 sigm(a) − 1."""
        return torch.tanh(self.decoder(z) / 2)

    def encode(self, images: Tensor, *, sampled: bool = False) -> Tensor:
        """The codes, (B, K): an image has only one, drawn or not."""
        with self.evaluation():
            return self.encoder(self.here(images))

    def reconstruct(self, images: Tensor) -> Tensor:
        """The mean image at the image's code, (B, C, H, W)."""
        with self.evaluation():
            return self.decode(self.encoder(self.here(images)))
