"""Deep convolutional GAN, and the variants that differ in loss, penalty or normalisation alone."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from genlit.errors import GenlitError
from genlit.families.sampling import FromPrior
from genlit.losses.adversarial import LOSSES, LossName
from genlit.losses.penalties import drift, gradient_penalty, zero_centred
from genlit.model import Batch, GenerativeModel, Turn
from genlit.nn.initial import normal
from genlit.nn.noise import instance_noise
from genlit.nn.norm import NORMS, NormName, spectral


class DCGAN(FromPrior, GenerativeModel):
    """min_G max_D E[log D(x)] + E[log(1 − D(G(z)))], z ~ U(−1, 1)ᴷ, with convolutional G and D.

    Radford et al. 2016, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks",
    https://arxiv.org/abs/1511.06434.

    Departs from the paper: the width is halved (64), as in the authors' later code; both players of an iteration play
    on the same generated images; real and generated images share a batch in the critic where its normalisation does
    not mix images.

    Args:
        shape: (C, H, W), H = W = 4 · 2ᵏ with k ≥ 1.
        latent: K, the number of codes.
        width: channels of the layer next to the image; they double with every halving of the resolution.
        norm: the generator's normalisation.
        critic_norm: the critic's; "batch" mixes images, so not with a penalty.
        spectral_norm: divides the critic's weights by their largest singular value.
        loss: the adversarial pair.
        n_critic: iterations per generator update; the critic updates in each.
        noise: standard deviation of the instance noise at the start.
        noise_until: images after which the instance noise has fallen linearly to 0.
    """

    players = {"critic": ["critic"], "generator": ["generator"]}
    terms = {"adversarial": 1.0, "gradient_penalty": 0.0, "r1": 0.0, "r2": 0.0, "drift": 0.0}
    averaged = ("generator",)

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        latent: int = 100,
        width: int = 64,
        norm: NormName = "batch",
        critic_norm: NormName = "batch",
        spectral_norm: bool = False,
        loss: LossName = "non-saturating",
        n_critic: int = 1,
        noise: float = 0.0,
        noise_until: int = 0,
        lr: float | dict[str, float] = 2e-4,
        channels_last: bool = True,
        **engine,
    ):
        super().__init__(shape, lr=lr, channels_last=channels_last, **engine)
        self.latent, self.n_critic, self.noise, self.noise_until = latent, n_critic, noise, noise_until
        self.require_counts(latent=latent, width=width, n_critic=n_critic)
        self.loss, self.mixes_images = LOSSES[loss], critic_norm == "batch"
        self._refuse_mixing()
        self.generator = normal(generator(self.shape, latent, width, norm))
        self.critic = normal(critic(self.shape, width, critic_norm))
        if spectral_norm:
            spectral(self.critic)

    def turns(self, batch: Batch) -> Iterator[Turn]:
        real = batch["image"]
        plays = self.every(self.n_critic)
        with torch.set_grad_enabled(plays and torch.is_grad_enabled()):
            fake = self.decode(self.prior(len(real), real.device))

        scores = self.scores(self.disturbed(real), self.disturbed(fake.detach()))
        yield "critic", {"adversarial": self.loss.critic(*scores)} | self.penalties(real, fake.detach(), scores[0])

        if plays:
            fake = self.disturbed(fake)
            relative = self.critic(self.disturbed(real)) if self.loss.relative else None
            yield "generator", {"adversarial": self.loss.generator(self.critic(fake), relative)}

    def prior(self, n: int, device: torch.device) -> Tensor:
        return torch.rand(n, self.latent, device=device) * 2 - 1

    def decode(self, z: Tensor) -> Tensor:
        return self.generator(z[:, :, None, None])

    def scores(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """The critic's logits, each (B, 1, 1, 1)."""
        if self.mixes_images:
            return self.critic(real), self.critic(fake)
        return self.critic(torch.cat([real, fake])).chunk(2)

    def penalties(self, real: Tensor, fake: Tensor, real_scores: Tensor) -> dict[str, Tensor]:
        """The penalties whose weight is not 0."""
        offered = {
            "gradient_penalty": lambda: gradient_penalty(self.critic, real, fake),
            "r1": lambda: zero_centred(self.critic, real),
            "r2": lambda: zero_centred(self.critic, fake),
            "drift": lambda: drift(real_scores),
        }
        return {name: penalty() for name, penalty in offered.items() if self.weights[name]}

    def disturbed(self, images: Tensor) -> Tensor:
        """The critic's view: instance noise that has fallen to 0 after `noise_until` images."""
        return instance_noise(images, self.noise * self.fall(0, self.noise_until)) if self.noise else images

    def compilable(self) -> list[nn.Module]:
        twice = any(self.weights[name] for name in ("gradient_penalty", "r1", "r2"))
        return [self.generator] if twice else [self.generator, self.critic]

    def _refuse_mixing(self) -> None:
        penalised = [name for name in ("gradient_penalty", "r1", "r2") if self.weights[name]]
        if self.mixes_images and penalised:
            raise GenlitError(
                f"model.critic_norm: batch does not go with the penalty '{penalised[0]}', which looks at one image at "
                "a time; choose --model.critic_norm=instance or none"
            )
        if self.noise and not self.noise_until:
            raise GenlitError("model.noise: say with --model.noise_until after how many images it has fallen to 0")


def generator(shape: tuple[int, int, int], latent: int, width: int, norm: NormName) -> nn.Sequential:
    """(B, K, 1, 1) to (B, C, H, W) in (−1, 1): 4x4 first, then transposed convolutions that double the resolution."""
    widths = _widths(shape, width)
    layers = [nn.ConvTranspose2d(latent, widths[-1], 4, bias=norm == "none"), NORMS[norm](widths[-1]), nn.ReLU(True)]
    for wide, narrow in zip(widths[:0:-1], widths[-2::-1], strict=True):
        up = nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=norm == "none")
        layers += [up, NORMS[norm](narrow), nn.ReLU(True)]
    return nn.Sequential(*layers, nn.ConvTranspose2d(widths[0], shape[0], 4, stride=2, padding=1), nn.Tanh())


def critic(shape: tuple[int, int, int], width: int, norm: NormName) -> nn.Sequential:
    """(B, C, H, W) to logits (B, 1, 1, 1): strided convolutions to 4x4, no normalisation at the input."""
    widths = _widths(shape, width)
    layers = [nn.Conv2d(shape[0], widths[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2, True)]
    for narrow, wide in pairwise(widths):
        down = nn.Conv2d(narrow, wide, 4, stride=2, padding=1, bias=norm == "none")
        layers += [down, NORMS[norm](wide), nn.LeakyReLU(0.2, True)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4))


def _widths(shape: tuple[int, int, int], width: int) -> list[int]:
    """Channels from the image's side to the 4x4 side."""
    _, height, side = shape
    halvings = (side // 4).bit_length() - 1
    if height != side or halvings < 1 or side != 4 << halvings:
        raise GenlitError(
            f"DCGAN makes square images of 8, 16, 32, 64, ... pixels, not {height}x{side}: choose --data.size"
        )
    return [width << k for k in range(halvings)]
