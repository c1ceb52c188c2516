"""The conditional GAN: samples of a class that is asked for."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from genlit.families.adversarial import Adversarial
from genlit.families.sampling import one_of
from genlit.model import Batch
from genlit.nn.maps import with_maps
from genlit.nn.networks import NETWORKS, MakesTrunk, NetworksName, Shape
from genlit.nn.norm import NormName


class ConditionalGAN(Adversarial):
    """min_G max_D E[log D(x|y)] + E[log(1 − D(G(z|y)|y))], y a label.

    Mirza & Osindero 2014, "Conditional Generative Adversarial Nets", eq. 2, https://arxiv.org/abs/1411.1784. Generated
    images are of the classes of the real ones in the batch; y enters the generator as a one-hot vector beside z.

    Args:
        shape: (C, H, W), square of 4 · 2ᵏ pixels for the networks dcgan and resnet.
        classes: number of labels.
        judge: how y enters the critic. "concatenation": as one-hot maps beside the image's channels. "projection": as
            an inner product with its features, Miyato & Koyama 2018, eq. 3, https://arxiv.org/abs/1802.05637
        networks: those of GAN (mlp), DCGAN (dcgan) or SNGAN (resnet).
        latent: number of codes, z ~ N(0, I).
        width: channels next to the image (dcgan), of each block (resnet), or of the two hidden layers (mlp).
        norm: the generator's normalisation, in dcgan and dense.
        critic_norm: the critic's, in dcgan and dense.
        spectral_norm: divides the critic's weights by their largest singular value.
        game: options of Adversarial; `pack` must be 1.
    """

    needs = ("image", "label")

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        classes: int = 10,
        judge: Literal["concatenation", "projection"] = "concatenation",
        networks: NetworksName = "dcgan",
        latent: int = 100,
        width: int = 64,
        norm: NormName = "batch",
        critic_norm: NormName = "none",
        spectral_norm: bool = False,
        channels_last: bool = True,
        **game,
    ):
        super().__init__(shape, channels_last=channels_last, **game)
        self.latent, self.classes = latent, classes
        self.require_counts(latent=latent, width=width, classes=classes)
        self.require("pack", self.pack, self.pack == 1, "1: the images of a pack would be of several classes")
        pair = NETWORKS[networks]
        self.generator = pair.generator(self.shape, latent + classes, width, norm)
        self.judge_by(JUDGES[judge](pair.trunk, self.shape, classes, width, critic_norm), spectral_norm)

    def condition(self, batch: Batch) -> dict[str, Tensor]:
        return {"label": batch["label"]}

    def generate(self, z: Tensor, label: Tensor) -> Tensor:
        return self.generator(torch.cat([z, one_hot(label, self.classes).to(z.dtype)], 1))

    def verdict(self, images: Tensor, label: Tensor) -> Tensor:
        return self.critic(images, label)

    def draws(self, n: int, device: torch.device) -> Tensor:
        """Codes from the prior and in a last column a uniform number for the label, (n, latent + 1)."""
        return torch.cat([self.prior(n, device), torch.rand(n, 1, device=device)], dim=1)

    def decode(self, draws: Tensor, label: int | None = None) -> Tensor:
        """Images of draws; all of one label, if given."""
        return self.generate(draws[:, :-1], one_of(self.classes, draws[:, -1], label))


class Concatenation(nn.Module):
    """D(x|y) of the image's channels beside y's one-hot maps, which are constant over space."""

    def __init__(self, trunk: MakesTrunk, shape: Shape, classes: int, width: int, norm: NormName):
        super().__init__()
        self.classes = classes
        self.trunk, features = trunk((shape[0] + classes, *shape[1:]), width, norm)
        self.head = nn.Linear(features, 1)

    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        return self.head(self.trunk(with_maps(images, one_hot(label, self.classes))))


class Projection(nn.Module):
    """D(x|y) = ψ(φ(x)) + vᵧᵀ φ(x): Miyato & Koyama 2018, eq. 3."""

    def __init__(self, trunk: MakesTrunk, shape: Shape, classes: int, width: int, norm: NormName):
        super().__init__()
        self.classes = classes
        self.trunk, features = trunk(shape, width, norm)
        self.head, self.embedding = nn.Linear(features, 1), nn.Linear(classes, features, bias=False)

    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        seen = self.trunk(images)
        v = self.embedding(one_hot(label, self.classes).to(seen.dtype))
        return self.head(seen) + (v * seen).sum(1, keepdim=True)


JUDGES = {"concatenation": Concatenation, "projection": Projection}
