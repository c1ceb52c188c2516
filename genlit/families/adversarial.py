"""Games between one generator and one critic, whatever their networks."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from genlit.errors import GenlitError
from genlit.families.sampling import FromPrior
from genlit.losses.adversarial import LOSSES, LossName
from genlit.losses.penalties import drift, gradient_penalty, zero_centred
from genlit.model import Batch, GenerativeModel, Turn
from genlit.nn.augment import Augmentation, AugmentName
from genlit.nn.equalised import MinibatchStd
from genlit.nn.noise import instance_noise
from genlit.nn.norm import spectral, still

SLOPES = ("gradient_penalty", "r1", "r2")  # penalties that differentiate the critic twice
SIGNED = ("minimax", "non-saturating", "hinge")  # losses of logits whose sign says real or generated


class Adversarial(FromPrior, GenerativeModel):
    """min_G max_D V(D, G): the critic learns to tell images from samples, then the generator to fool it.

    Goodfellow et al. 2014, "Generative Adversarial Networks", algorithm 1, https://arxiv.org/abs/1406.2661. Both
    players of an iteration play on the same generated images, which the critic sees detached; where the critic's
    networks do not mix images, real and generated ones share a batch in them.

    A network's statistics (BatchNorm's, spectral norm's vectors) move by passes that its own player learns from: the
    critic's in its turn alone, the generator's when the samples of an iteration in which it plays are drawn.

    Args:
        shape: (C, H, W).
        loss: the adversarial pair.
        n_critic: iterations per generator update; the critic updates in each.
        lazy: iterations per payment of r1 and r2, whose weights are multiplied by it: Karras et al. 2020, section 3.1,
            https://arxiv.org/abs/1912.04958
        pack: images that the critic judges together, as channels: Lin et al. 2018, https://arxiv.org/abs/1712.04086. A
            last incomplete pack is filled up from the first images.
        critic_clip: largest absolute value of the critic's parameters, clipped after each of its updates: Arjovsky et
            al. 2017, algorithm 1, https://arxiv.org/abs/1701.07875
        noise: standard deviation of the instance noise at the start.
        noise_until: images after which the instance noise has fallen linearly to 0.
        augment: what happens to all images before the critic sees them.
        augment_target: E[sign D(x)] on real images that the probability of an augmentation is adapted to; None augments
            always. It needs a loss in whose optimum real images have positive logits.
        engine: options of GenerativeModel.

    Raises:
        GenlitError: options that exclude each other.
    """

    players = {"critic": ["critic"], "generator": ["generator"]}
    terms = {"adversarial": 1.0, "gradient_penalty": 0.0, "r1": 0.0, "r2": 0.0, "drift": 0.0}
    averaged = ("generator",)
    gaussian = True

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        loss: LossName = "non-saturating",
        n_critic: int = 1,
        lazy: int = 1,
        pack: int = 1,
        critic_clip: float | None = None,
        noise: float = 0.0,
        noise_until: int = 0,
        augment: tuple[AugmentName, ...] = (),
        augment_target: float | None = None,
        **engine,
    ):
        super().__init__(shape, **engine)
        self.loss, self.n_critic, self.lazy, self.pack = LOSSES[loss], n_critic, lazy, pack
        self.critic_clip, self.noise, self.noise_until = critic_clip, noise, noise_until
        self.require_counts(n_critic=n_critic, lazy=lazy, pack=pack)
        self.require("noise", noise, noise >= 0, "at least 0")
        self.require("noise_until", noise_until, noise_until > 0 or not noise, "the images after which it is gone")
        self.require("critic_clip", critic_clip, critic_clip is None or critic_clip > 0, "above 0, or null")
        adapts = augment_target is None or (augment and -1 < augment_target < 1 and loss in SIGNED)
        rule = f"in (-1, 1), beside model.augment and a loss of {', '.join(SIGNED)}; or null"
        self.require("augment_target", augment_target, adapts, rule)
        lazily = lazy == 1 or self.weights["r1"] or self.weights["r2"]
        self.require("lazy", lazy, bool(lazily), "1, or --model.weights.r1=1.0 or r2 above 0")
        self.require("augment", augment, not augment or min(self.shape[1:]) > 1, "empty: the data are points")
        self.augmentation = Augmentation(augment, augment_target) if augment else None

    def turns(self, batch: Batch) -> Iterator[Turn]:
        real, given = self.reals(batch), self.condition(batch)
        plays = self.every(self.n_critic)
        fake = self.fakes(len(real), plays, **given)

        told = self.told(batch)
        yield "critic", self.critic_terms(self.shown(real), self.shown(fake.detach()), **given, **told)
        self.after_critic()

        if plays:
            yield "generator", self.generator_terms(self.shown(fake), real, **given)

    @property
    def seen_shape(self) -> tuple[int, int, int]:
        """Shape of what the critic sees: a pack of images."""
        return (self.pack * self.shape[0], *self.shape[1:])

    # What a game may define

    def reals(self, batch: Batch) -> Tensor:
        """The real images of a batch."""
        return batch["image"]

    def condition(self, batch: Batch) -> dict[str, Tensor]:
        """What samples depend on besides z, by the names under which `generate` and `logits` take it."""
        return {}

    def told(self, batch: Batch) -> dict[str, Any]:
        """What `critic_terms` takes besides, by name."""
        return {}

    def prior(self, n: int, device: torch.device) -> Tensor:
        """z ~ N(0, I), (n, latent)."""
        return torch.randn(n, self.latent, device=device)

    def generate(self, z: Tensor, **given: Tensor) -> Tensor:
        """G(z) as the critic meets it."""
        return self.decode(z, **given)

    def decode(self, z: Tensor) -> Tensor:
        return self.generator(z)

    def verdict(self, images: Tensor, **given: Tensor) -> Tensor:
        """What the critic says of images that were `shown`: (B, 1 + more), its logit first."""
        return self.critic(images)

    def beside(self, said: Tensor, **given: Tensor) -> dict[str, Tensor]:
        """What both players minimise besides, by what the critic said of samples after its logit, (B, more)."""
        return {}

    def critic_terms(self, real: Tensor, fake: Tensor, **given: Tensor) -> dict[str, Tensor]:
        """What the critic minimises, on `shown` images."""
        r, f = self.verdicts(real, fake, **given)
        if self.augmentation:
            self.augmentation.watch(r[:, :1])
        adversarial = {"adversarial": self.loss.critic(r[:, :1], f[:, :1])}
        return adversarial | self.beside(f[:, 1:], **given) | self.penalties(real, fake, r[:, :1], **given)

    def generator_terms(self, fake: Tensor, real: Tensor, **given: Tensor) -> dict[str, Tensor]:
        """What the generator minimises: `shown` samples, and images that were not yet."""
        with still(self.critic):
            relative = self.verdict(self.shown(real), **given)[:, :1] if self.loss.relative else None
            said = self.verdict(fake, **given)
        return {"adversarial": self.loss.generator(said[:, :1], relative)} | self.beside(said[:, 1:], **given)

    # What a turn consists of

    def fakes(self, n: int, learns: bool, **given: Tensor) -> Tensor:
        """n samples; without gradients, and without a trace in the statistics, where the generator does not learn."""
        z = self.prior(n, self.device)
        if learns:
            return self.generate(z, **given)
        with torch.no_grad(), still(self.generator):
            return self.generate(z, **given)

    def shown(self, images: Tensor) -> Tensor:
        """Images as the critic sees them: augmented, with instance noise, packed."""
        images = self.augmentation(images) if self.augmentation else images
        images = instance_noise(images, self.noise * self.fall(0, self.noise_until)) if self.noise else images
        return packed(images, self.pack) if self.pack > 1 else images

    def verdicts(self, real: Tensor, fake: Tensor, **given: Tensor) -> tuple[Tensor, Tensor]:
        """What the critic says of real and of generated images."""
        if self.mixes_images:
            return self.verdict(real, **given), self.verdict(fake, **given)
        twice = {name: torch.cat([value, value]) for name, value in given.items()}
        return self.verdict(torch.cat([real, fake]), **twice).chunk(2)

    def penalties(self, real: Tensor, fake: Tensor, real_scores: Tensor, **given: Tensor) -> dict[str, Tensor]:
        """The penalties whose weight is not 0, where the critic looked."""

        def critic(images: Tensor) -> Tensor:
            return self.verdict(images, **given)[:, :1]

        offered = {
            "gradient_penalty": lambda: gradient_penalty(critic, real, fake),
            "r1": lambda: zero_centred(critic, real),
            "r2": lambda: zero_centred(critic, fake),
            "drift": lambda: drift(real_scores),
        }
        due = {name: penalty for name, penalty in offered.items() if self.weights[name]}
        if not self.every(self.lazy):
            due = {name: penalty for name, penalty in due.items() if name not in ("r1", "r2")}
        return {name: penalty() for name, penalty in due.items()}

    def weight(self, term: str) -> float:
        return self.weights[term] * (self.lazy if term in ("r1", "r2") else 1)

    def after_critic(self) -> None:
        """What follows the critic's update."""
        if self.critic_clip and self.training:
            with torch.no_grad():
                torch._foreach_clamp_max_(self._owned("critic"), self.critic_clip)
                torch._foreach_clamp_min_(self._owned("critic"), -self.critic_clip)
        if self.augmentation:  # all micro-batches have watched
            self.augmentation.adapt(self.iteration)

    def compilable(self) -> list[nn.Module]:
        return [self.generator] if self.pays() else [self.generator, self.critic]

    def judge_by(self, critic: nn.Module, spectral_norm: bool = False) -> None:
        """Takes the critic, its weights divided by their largest singular values if that is asked for.

        Raises:
            GenlitError: a penalty on one image's slope, where BatchNorm mixes images; clipping what is normalised.
        """
        self.critic = spectral(critic) if spectral_norm else critic
        normalised = any(isinstance(layer, _BatchNorm) for layer in critic.modules())
        self.mixes_images = normalised or any(isinstance(layer, MinibatchStd) for layer in critic.modules())
        clips = spectral_norm and self.critic_clip
        self.require("critic_clip", self.critic_clip, not clips, "null: spectral norm undoes it")
        if normalised and (penalised := self.pays()):
            raise GenlitError(
                f"model.critic_norm: batch does not go with the penalty '{penalised[0]}', which looks at one image at "
                "a time; choose --model.critic_norm=instance or none"
            )

    def pays(self) -> list[str]:
        """The penalties on slopes whose weight is not 0."""
        return [name for name in SLOPES if self.weights[name]]


class Unconditional(Adversarial):
    """A game whose critic looks at images alone: adds `criticise`, a capability."""

    def criticise(self, images: Tensor) -> Tensor:
        """The critic's logit of each image, (B,); where it judges packs, of a pack of copies."""
        with self.evaluation():
            images = self.here(images)
            return self.verdict(images.repeat(1, self.pack, 1, 1))[:, 0]


def packed(images: Tensor, m: int) -> Tensor:
    """(B, C, H, W) to ⌈B / m⌉ packs of m neighbours, (⌈B / m⌉, m C, H, W); the first images fill up the last pack."""
    n = -(-len(images) // m) * m
    images = images if n == len(images) else images[torch.arange(n, device=images.device) % len(images)]
    return images.reshape(n // m, m * images.shape[1], *images.shape[2:])
