"""Networks between images and the embeddings h of their captions."""

import torch
from torch import Tensor, nn

from genlit.nn.convolutional import convolutional_generator, convolutional_trunk
from genlit.nn.initial import normal
from genlit.nn.maps import with_maps
from genlit.nn.norm import NORMS, NormName
from genlit.nn.normal import Normal


class Reduced(nn.Sequential):
    """h, reduced: a linear map and LeakyReLU.

    Args:
        embedding: D.
        projected: numbers that h is reduced to.
    """

    def __init__(self, embedding: int, projected: int):
        super().__init__(nn.Linear(embedding, projected), nn.LeakyReLU(0.2, True))

    def forward(self, text: Tensor, noise: Tensor | None = None) -> Tensor:
        """(B, projected) of texts (B, D), whatever the noise."""
        return super().forward(text)


class Augmented(nn.Module):
    """c = μ(h) + σ(h) ε: conditioning augmentation.

    Zhang et al. 2017, "StackGAN", section 3.2, https://arxiv.org/abs/1612.03242

    Args:
        embedding: numbers in h.
        projected: numbers in c.
    """

    def __init__(self, embedding: int, projected: int):
        super().__init__()
        self.parameters_of = nn.Linear(embedding, 2 * projected)

    def forward(self, text: Tensor, noise: Tensor) -> Tensor:
        return self.normal(text).at(noise)

    def normal(self, text: Tensor) -> Normal:
        """N(μ(h), σ²(h))."""
        return Normal.of(self.parameters_of(text))


class TextGenerator(nn.Module):
    """G(z, c): DCGAN's generator of z beside c, to which h is reduced.

    Args:
        shape: (C, H, W).
        condition: c of h and of noise.
        latent: numbers in z.
        projected: numbers in c.
        width: channels next to the image.
        norm: the normalisation.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        condition: nn.Module,
        latent: int,
        projected: int,
        width: int,
        norm: NormName,
    ):
        super().__init__()
        self.latent, self.condition = latent, condition
        self.network = convolutional_generator(shape, latent + projected, width, norm)

    def forward(self, noise: Tensor, text: Tensor) -> Tensor:
        """Images of z, beside it the condition's noise if it takes any, and of texts."""
        z, epsilon = noise[:, : self.latent], noise[:, self.latent :]
        return self.network(torch.cat([z, self.condition(text, epsilon)], 1))


class TextCritic(nn.Module):
    """Logits of images (B, C, H, W) and texts (B, D): h, projected, stands beside the features at 4x4, everywhere.

    Args:
        shape: (C, H, W).
        width: channels next to the image.
        embedding: D.
        projected: numbers that h is reduced to.
        norm: the normalisation.
    """

    def __init__(self, shape: tuple[int, int, int], width: int, embedding: int, projected: int, norm: NormName):
        super().__init__()
        trunk, features = convolutional_trunk(shape, width, norm)
        channels = features // 16
        self.trunk, self.project = trunk[:-1], Reduced(embedding, projected)  # features that are not flattened
        joint = nn.Conv2d(channels + projected, channels, 1, bias=norm == "none")
        layers = [joint, NORMS[norm](channels), nn.LeakyReLU(0.2, True), nn.Conv2d(channels, 1, 4), nn.Flatten()]
        self.head = normal(nn.Sequential(*layers))

    def forward(self, images: Tensor, *texts: Tensor) -> Tensor:
        """A column for each of the texts (B, D) that every image is judged with."""
        seen = self.trunk(images)
        return torch.cat([self.head(with_maps(seen, self.project(text))) for text in texts], 1)
