"""StarGAN: one generator for translations between several domains."""

from collections.abc import Iterator
from itertools import pairwise, permutations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate, l1_loss, one_hot

from genlit.errors import GenlitError, known
from genlit.losses.adversarial import LOSSES
from genlit.losses.penalties import gradient_penalty
from genlit.model import Batch, GenerativeModel, Turn
from genlit.nn.translation import translator

BINARY, NOT = "attributes", "not-"  # the column of binary labels; before the name of one that is to be absent


class StarGAN(GenerativeModel):
    """G(x, c) has the labels c, fools D, and gives x back when it is asked for x's own labels c′.

    D minimises −E[D_src(x)] + E[D_src(G(x, c))] + λ_gp E[(‖∇D_src(x̂)‖₂ − 1)²] + λ_cls E[−log D_cls(c′|x)],
    G minimises −E[D_src(G(x, c))] + λ_cls E[−log D_cls(c|G(x, c))] + λ_rec E‖x − G(G(x, c), c′)‖₁;
    λ_cls = 1, λ_rec = λ_gp = 10, the L1 norm a mean over images and pixels, D_src a mean over its patches (in its slope
    a sum).

    Choi et al. 2018, "StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation",
    eqs. 1 to 8, https://arxiv.org/abs/1711.09020. A label set is one of several names (cross-entropy), or several that
    are each there or not (binary cross-entropies, summed). With several sets, c is theirs side by side and a mask that
    says which is known, the others being 0 (section 3.3): each image knows one, the others are −1 in its batch. Target
    labels are those of the batch's images that know the same set, in a random order. Adam 1e-4, (.5, .999), batch 16.

    Departs from the paper: a batch may mix the sets. The generator is CycleGAN's without the norm of the first layer,
    over whose input an instance norm takes out all that maps constant in space say, zeros padded around them aside.

    Args:
        shape: (C, H, W); H and W multiples of 2 to the power of `halvings` and of `critic_layers`.
        labels: column of the batch to the names of its labels: `label` (int64, one of the names) or `attributes` (0 or
            1 for each name).
        width: channels of the generator's first layer.
        blocks: residual blocks of the generator.
        halvings: strided layers of the generator.
        critic_width: channels of the critic's first layer.
        critic_layers: strided layers of the critic (6 for 128 pixels).
        n_critic: iterations per generator update; the critic updates in each.
    """

    players = {"critic": ["critic"], "generator": ["generator"]}
    terms = {"adversarial": 1.0, "classification": 1.0, "reconstruction": 10.0, "gradient_penalty": 10.0}
    averaged = ("generator",)

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        labels: dict[str, list[str]] = {"label": ["0", "1"]},  # noqa: B006 (never changed)
        width: int = 64,
        blocks: int = 6,
        halvings: int = 2,
        critic_width: int = 64,
        critic_layers: int = 6,
        n_critic: int = 5,
        lr: float | dict[str, float] = 1e-4,
        **engine,
    ):
        super().__init__(shape, lr=lr, **engine)
        self.require_counts(width=width, blocks=blocks, critic_width=critic_width, critic_layers=critic_layers)
        self.require_counts(n_critic=n_critic)
        self.require("halvings", halvings, halvings >= 0, "at least 0")
        self.names = [name for names in labels.values() for name in names]
        self.require("labels", labels, len(self.names) == len({*self.names}) > 0, "names, each once")
        self._refuse_shape(max(halvings, critic_layers))
        self.labels, self.n_critic, self.multiple = dict(labels), n_critic, 1 << halvings
        self.sizes, self.several = [len(names) for names in labels.values()], len(labels) > 1
        told = len(self.names) + len(labels) * self.several
        self.generator = Painter(self.shape[0], told, width, blocks, halvings)
        self.critic = Judge(self.shape, len(self.names), critic_width, critic_layers)
        self.loss = LOSSES["wasserstein"]

    def turns(self, batch: Batch) -> Iterator[Turn]:
        x, own = batch["image"], self.described(batch)
        asked, plays = self.reordered(own), self.every(self.n_critic)
        with torch.set_grad_enabled(plays and torch.is_grad_enabled()):
            fake = self.generator(x, asked)

        source, said = self.critic(torch.cat([x, fake.detach()]))
        yield (
            "critic",
            {
                "adversarial": self.loss.critic(*source.chunk(2)),
                "classification": self.misread(said[: len(x)], own),
                "gradient_penalty": gradient_penalty(lambda images: self.critic(images)[0], x, fake.detach()),
            },
        )

        if plays:
            source, said = self.critic(fake)
            yield (
                "generator",
                {
                    "adversarial": self.loss.generator(source, None),
                    "classification": self.misread(said, asked),
                    "reconstruction": l1_loss(self.generator(fake, own), x),
                },
            )

    # Labels

    def described(self, batch: Batch) -> Tensor:
        """c̃ of a batch's images, (B, labels) or, of several sets, (B, labels + sets): eq. 7."""
        vectors = [self.vector(column, batch[column], len(names)) for column, names in self.labels.items()]
        known = torch.stack([(vector >= 0).all(1) for vector in vectors], 1).to(batch["image"].dtype)
        zeroed = [vector.clamp(min=0).to(known.dtype) for vector in vectors]
        return torch.cat([*zeroed, known] if self.several else zeroed, 1)

    def vector(self, column: str, given: Tensor, n: int) -> Tensor:
        """What a set's column says of each label, (B, n): 1, 0 or, where it is unknown, -1."""
        return given if column == BINARY else one_hot(given.clamp(min=0), n) - (given < 0)[:, None].long() * 2

    def reordered(self, described: Tensor) -> Tensor:
        """The same rows in a random order, each in the place of one that knows the same set."""
        known = self.mask(described).argmax(1)
        order = (known + torch.rand(len(known), device=known.device) / 2).argsort()
        return torch.empty_like(described).index_copy(0, known.argsort(stable=True), described[order])

    def misread(self, said: Tensor, described: Tensor) -> Tensor:
        """−log D_cls(c|x) of the labels that are known, the mean over images, in nats."""
        wanted, known, nats = described[:, : len(self.names)], self.mask(described), []
        for column, logits, c in zip(self.labels, said.split(self.sizes, 1), wanted.split(self.sizes, 1), strict=True):
            nats.append(presences(logits, c) if column == BINARY else choice(logits, c))
        return (torch.stack(nats, 1) * known).sum(1).mean()

    def mask(self, described: Tensor) -> Tensor:
        """Which set each row's labels are of, one-hot, (B, sets)."""
        return described[:, len(self.names) :] if self.several else described.new_ones(len(described), 1)

    # Translation

    @property
    def domains(self) -> tuple[str, ...]:
        """The names to translate to; one that is there or not also as `not-<name>`."""
        return (*self.names, *(NOT + name for name in self.labels.get(BINARY, ())))

    @property
    def directions(self) -> list[tuple[str, str]]:
        """(from, to): between the names where an image has exactly one of all; else from any `image`."""
        if [*self.labels] == ["label"]:
            return [*permutations(self.domains, 2)]
        return [("image", name) for name in self.domains]

    def translate(self, images: Tensor, to: str) -> Tensor:
        """Images of another domain, (B, C, H, W) in (−1, 1).

        Args:
            images: of any size that the generator takes.
            to: a domain, or several attributes with commas between them ("Young,not-Male"). Attributes that are not
                named stay as the critic sees them in the image.

        Raises:
            GenlitError: there is no such domain, or not together.
        """
        with self.evaluation():
            images = self.here(images)
            return self.generator(images, self.asked(images, to))

    def asked(self, images: Tensor, to: str) -> Tensor:
        """c̃ of a translation."""
        asked = [to] if to in self.domains else [name.strip() for name in to.split(",")]
        known("to", asked, self.domains)
        bare = [name if name in self.names else name.removeprefix(NOT) for name in asked]
        column, *others = {column for column, names in self.labels.items() if {*names} & {*bare}}
        together = len(asked) == 1 or (column == BINARY and not others)
        self.require_argument("to", to, together, "one name, or several attributes")
        described = images.new_zeros(len(images), len(self.names) + len(self.labels) * self.several)
        if column == BINARY:
            start = self.names.index(self.labels[BINARY][0])
            seen = self.seen(images)[:, start : start + len(self.labels[BINARY])]
            described[:, start : start + seen.shape[1]] = (seen > 0).to(described.dtype)
        for name, plain in zip(asked, bare, strict=True):
            described[:, self.names.index(plain)] = float(name == plain)
        if self.several:
            described[:, len(self.names) + [*self.labels].index(column)] = 1
        return described

    def seen(self, images: Tensor) -> Tensor:
        """Logits of D_cls, (B, labels), of images brought to the size that it knows."""
        if images.shape[2:] != self.shape[1:]:
            images = interpolate(images, self.shape[1:], mode="bilinear", antialias=True)
        return self.critic(images)[1]

    def compilable(self) -> list[nn.Module]:
        return [self.generator]

    def _refuse_shape(self, halvings: int) -> None:
        _, height, width = self.shape
        if height % (1 << halvings) or width % (1 << halvings):
            raise GenlitError(
                f"StarGAN: images of {height}x{width} pixels do not suit {halvings} strided layers: both sides must be "
                f"multiples of {1 << halvings}; choose --data.size or --model.critic_layers"
            )


class Painter(nn.Module):
    """G(x, c): c's maps, constant over space, stand beside the image's channels.

    Args:
        channels: of the images.
        told: length of c.
        width: channels of the first layer.
        blocks: residual blocks.
        halvings: strided layers.
    """

    def __init__(self, channels: int, told: int, width: int, blocks: int, halvings: int):
        super().__init__()
        self.network = translator(channels + told, channels, width, blocks, halvings, first_norm=False)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        maps = c[:, :, None, None].expand(-1, -1, *x.shape[2:])
        return self.network(torch.cat([x, maps], 1))


class Judge(nn.Module):
    """D(x): a map of scores D_src, (B, 1, h, w), and logits D_cls, (B, labels); appendix 7.2, table 5.

    Args:
        shape: (C, H, W).
        labels: number of logits.
        width: channels of the first layer, doubled by every other.
        layers: strided layers.
    """

    def __init__(self, shape: tuple[int, int, int], labels: int, width: int, layers: int):
        super().__init__()
        widths = [shape[0], *(width << k for k in range(layers))]
        downs = [[nn.Conv2d(a, b, 4, stride=2, padding=1), nn.LeakyReLU(0.01)] for a, b in pairwise(widths)]
        self.trunk = nn.Sequential(*(layer for down in downs for layer in down))
        self.source = nn.Conv2d(widths[-1], 1, 3, padding=1, bias=False)
        self.domain = nn.Conv2d(widths[-1], labels, (shape[1] >> layers, shape[2] >> layers), bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.trunk(x)
        return self.source(seen), self.domain(seen).flatten(1)


def choice(logits: Tensor, c: Tensor) -> Tensor:
    """−log of the probability of the one label that is 1, (B,)."""
    return -(c * logits.log_softmax(1)).sum(1)


def presences(logits: Tensor, c: Tensor) -> Tensor:
    """−Σ log of the probability that each label is there or not, as c says, (B,)."""
    return binary_cross_entropy_with_logits(logits, c, reduction="none").sum(1)
