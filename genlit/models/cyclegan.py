"""CycleGAN: translation between two sets of images without pairs."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from genlit.errors import known
from genlit.losses.adversarial import LOSSES, LossName
from genlit.model import Batch, GenerativeModel, Turn
from genlit.nn.pool import ImagePool
from genlit.nn.shapes import refuse_unsuited
from genlit.nn.translation import patch_critic, translator


class CycleGAN(GenerativeModel):
    """G: A → B and F: B → A that fool D_B and D_A and undo each other.

    L = L_GAN(G, D_B) + L_GAN(F, D_A) + λ (‖F(G(a)) − a‖₁ + ‖G(F(b)) − b‖₁) + ½λ (‖G(b) − b‖₁ + ‖F(a) − a‖₁),
    every norm a mean over images and pixels, λ = 10.

    Zhu et al. 2017, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", eqs. 1 to 3 and
    section 5.2 (identity), https://arxiv.org/abs/1703.10593.

    Departs from the paper: images that pass the same network together share a batch; instance normalisation keeps them
    apart, so nothing but the speed changes. There is no jitter: the authors resize images to 286 pixels and crop 256 at
    random, and here they are mirrored only.

    Args:
        shape: (C, H, W); H and W multiples of 4 with the two default halvings.
        width: channels of the generators' first layer.
        blocks: residual blocks of a generator: 6 for images of 128 pixels, 9 from 256.
        halvings: strided layers of a generator; small images lose less with 1.
        critic_width: channels of the critics' first layer.
        critic_layers: strided layers of a critic; 3 make its receptive field 70x70.
        pool: generated images that a critic's history holds, per domain and slot; 0 shows it the newest alone.
        loss: the adversarial pair.
    """

    players = {"generators": ["to_b", "to_a"], "critics": ["critic_a", "critic_b"]}
    terms = {"adversarial": 1.0, "cycle": 10.0, "identity": 5.0}
    needs = ("a", "b")
    averaged = ("to_b", "to_a")
    domains = ("a", "b")

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        width: int = 64,
        blocks: int = 9,
        halvings: int = 2,
        critic_width: int = 64,
        critic_layers: int = 3,
        pool: int = 50,
        loss: LossName = "least-squares",
        lr: float | dict[str, float] = 2e-4,
        **engine,
    ):
        super().__init__(shape, lr=lr, **engine)
        self.require_counts(width=width, blocks=blocks, critic_width=critic_width, critic_layers=critic_layers)
        self.require("halvings", halvings, halvings >= 0, "at least 0")
        self.require("pool", pool, pool >= 0, "at least 0")
        least = max(2 << halvings, 4 << critic_layers)  # residual blocks reflect: a map of 2x2 at least
        refuse_unsuited("CycleGAN", self.shape, halvings, critic_layers, multiple=1 << halvings, least=least)
        self.loss, self.multiple = LOSSES[loss], 1 << halvings
        channels = self.shape[0]
        self.to_b, self.to_a = (translator(channels, channels, width, blocks, halvings) for _ in "ba")
        self.critic_a, self.critic_b = (patch_critic(channels, critic_width, critic_layers) for _ in "ab")
        self.pools = {"a": ImagePool(pool), "b": ImagePool(pool)}

    def turns(self, batch: Batch) -> Iterator[Turn]:
        a, b = batch["a"], batch["b"]
        fake_b, same_b = self.to_b(torch.cat([a, b])).chunk(2)
        fake_a, same_a, again_a = self.to_a(torch.cat([b, a, fake_b])).chunk(3)
        again_b = self.to_b(fake_a)
        yield (
            "generators",
            {
                "adversarial": self.fooling(self.critic_b, fake_b, b) + self.fooling(self.critic_a, fake_a, a),
                "cycle": l1_loss(again_a, a) + l1_loss(again_b, b),
                "identity": l1_loss(same_b, b) + l1_loss(same_a, a),
            },
        )

        old_a, old_b = self.history("a", fake_a.detach()), self.history("b", fake_b.detach())
        yield "critics", {"adversarial": self.judging(self.critic_a, a, old_a) + self.judging(self.critic_b, b, old_b)}

    def fooling(self, critic: nn.Module, fake: Tensor, real: Tensor) -> Tensor:
        """A generator's adversarial loss against one critic."""
        return self.loss.generator(critic(fake), critic(real) if self.loss.relative else None)

    def judging(self, critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        """A critic's loss on real images and detached fakes."""
        return self.loss.critic(*critic(torch.cat([real, fake])).chunk(2))

    def history(self, domain: str, fake: Tensor) -> Tensor:
        """Generated images of now and before; in validation, of now."""
        return self.pools[domain](fake, self.slot) if self.training else fake

    def translate(self, images: Tensor, to: str) -> Tensor:
        """Images of the other domain, (B, C, H, W) in (−1, 1)."""
        known("to", [to], self.domains)
        with self.evaluation():
            return self.get_submodule(f"to_{to}")(self.here(images))

    def slot_state(self) -> dict[int, dict[str, Tensor]]:
        slots = self.pools["a"].kept
        return {slot: {name: pool.kept[slot].cpu() for name, pool in self.pools.items()} for slot in slots}

    def load_slot_state(self, state: dict[int, dict[str, Tensor]]) -> None:
        for slot, images in state.items():
            for name, kept in images.items():
                self.pools[name].kept[slot] = kept
