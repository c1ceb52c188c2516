"""StarGAN: one generator for translations between several domains."""

from collections.abc import Iterator, Sequence
from itertools import pairwise, permutations
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate, l1_loss, one_hot

from genlit.capabilities import NOT
from genlit.errors import GenlitError, known
from genlit.losses.adversarial import LOSSES, LossName
from genlit.losses.penalties import gradient_penalty
from genlit.model import Batch, GenerativeModel, Turn
from genlit.nn.maps import with_maps
from genlit.nn.norm import NORMS, NormName
from genlit.nn.shapes import refuse_unsuited
from genlit.nn.translation import translator

BINARY = "attributes"  # the column of binary labels


class StarGAN(GenerativeModel):
    """G(x, c) has the labels c, fools D, and gives x back when it is asked for x's own labels c′.

    D minimises −E[D_src(x)] + E[D_src(G(x, c))] + λ_gp E[(‖∇D_src(x̂)‖₂ − 1)²] + λ_cls E[−log D_cls(c′|x)],
    G minimises −E[D_src(G(x, c))] + λ_target E[−log D_cls(c|G(x, c))] + λ_rec E‖x − G(G(x, c), c′)‖₁
    + λ_id E[1(c = c′) ‖x − G(x, c)‖₁];
    λ_cls = λ_target = 1 (one number in the paper), λ_rec = λ_gp = 10, λ_id = 0, L1 norms means over images and pixels,
    D_src a mean over its patches (in its slope a sum).

    Choi et al. 2018, "StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation",
    eqs. 1 to 8, https://arxiv.org/abs/1711.09020. A label set is one of several names (cross-entropy), or several that
    are each there or not (binary cross-entropies, summed). With several sets, c is theirs side by side and a mask that
    says which is known, the others being 0 (section 3.3). Labels of −1 in a batch are unknown, and one of them makes
    its set unknown. An image that knows several sets stands for one of them, drawn anew each time; one that knows none
    is not classified. Target labels are those of the images in a process's micro-batch that know the same set, in a
    random order: in small ones more images are asked for what they are. Adam 1e-4, (.5, .999), batch 16.

    Departs from the paper: a batch may mix the sets. "identity" is CycleGAN's (Zhu et al. 2017, section 5.2), of the
    labelled images that are by chance asked for what they are, so it costs no pass: without it a short training learns
    to invert colours, which the way back undoes. CycleGAN's loss and critic's norm are offered, with a penalty of
    weight 0, for a game that is decided sooner, and the critic of StarGAN v2 (Choi et al. 2020, section 2.1,
    https://arxiv.org/abs/1912.01865), which scores every domain by itself. The generator is CycleGAN's, without the
    norm after its first layer: an instance norm would remove the labels' maps, which are constant in space.

    Args:
        shape: (C, H, W); H and W multiples of 2 to the power of `halvings` and of `critic_layers`.
        labels: column of the batch to the names of its labels: `label` (int64, one of the names) or `attributes` (0 or
            1 for each name, or -1: unknown).
        exclusive: groups of attributes of which an image has one at most; a translation to one clears the rest.
        width: channels of the generator's first layer.
        blocks: residual blocks of the generator.
        halvings: strided layers of the generator.
        critic_width: channels of the critic's first layer.
        critic_layers: strided layers of the critic (6 for 128 pixels).
        critic_norm: the critic's normalisation, which leaves every image to itself, as the penalty asks.
        critic_per_label: whether D_src has a map for each name of one label set, and that of an image's label counts:
            of c′ for x, of c for G(x, c) and x̂. Of an image without a label it is 0.
        loss: the adversarial pair.
        n_critic: iterations per generator update; the critic updates in each.
    """

    players = {"critic": ["critic"], "generator": ["generator"]}
    terms = {
        "adversarial": 1.0,
        "classification": 1.0,
        "target": 1.0,
        "reconstruction": 10.0,
        "identity": 0.0,
        "gradient_penalty": 10.0,
    }
    averaged = ("generator",)

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        labels: dict[str, list[str]] = {"label": ["0", "1"]},  # noqa: B006 (never changed)
        exclusive: list[list[str]] = [],  # noqa: B006 (never changed)
        width: int = 64,
        blocks: int = 6,
        halvings: int = 2,
        critic_width: int = 64,
        critic_layers: int = 6,
        critic_norm: Literal["none", "instance"] = "none",
        critic_per_label: bool = False,
        loss: LossName = "wasserstein",
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
        self._require_exclusive(exclusive, labels.get(BINARY, ()))
        multiple, normed = 1 << max(halvings, critic_layers), critic_norm != "none"
        least = max(4, 2 << halvings, normed * 2 << critic_layers)  # reflected, twice; of one pixel a norm leaves 0
        refuse_unsuited("StarGAN", self.shape, halvings, critic_layers, multiple=multiple, least=least)
        self.labels, self.exclusive, self.n_critic, self.multiple = dict(labels), exclusive, n_critic, 1 << halvings
        self.sizes, self.several = [len(names) for names in labels.values()], len(labels) > 1
        fits = not critic_per_label or [*labels] == ["label"]
        self.require("critic_per_label", critic_per_label, fits, "false, or the labels those of `label` alone")
        self.require("critic_norm", critic_norm, critic_norm in ("none", "instance"), "none or instance")
        told, sources = len(self.names) + len(labels) * self.several, len(self.names) if critic_per_label else 1
        self.generator = Generator(self.shape[0], told, width, blocks, halvings)
        self.critic = Critic(self.shape, sources, len(self.names), critic_width, critic_layers, critic_norm)
        self.loss = LOSSES[loss]

    def on_fit_start(self) -> None:
        super().on_fit_start()
        if 0 < self.batch_images <= self.trainer.world_size * self.accumulate:
            raise GenlitError(
                "StarGAN: a micro-batch of one image has no other's labels to ask for: raise --data.batch_size, or"
                " lower --model.accumulate or the number of devices"
            )

    def turns(self, batch: Batch) -> Iterator[Turn]:
        x, own = batch["image"], self.described(batch)
        asked, plays = self.reordered(own), self.every(self.n_critic)
        with torch.set_grad_enabled(plays and torch.is_grad_enabled()):
            fake = self.generator(x, asked)

        yield "critic", self.judging(x, own, fake.detach(), asked)

        if plays:
            same = (asked == own).all(1) & self.mask(own).any(1)
            yield (
                "generator",
                {
                    **self.fooling(x, own, fake, asked),
                    "reconstruction": l1_loss(self.generator(fake, own), x),
                    "identity": ((fake - x).abs().flatten(1).mean(1) * same).mean(),
                },
            )

    def judging(self, x: Tensor, own: Tensor, fake: Tensor, asked: Tensor) -> dict[str, Tensor]:
        """The critic's losses, on images and detached fakes."""
        source, said = self.scores(torch.cat([x, fake]), torch.cat([own, asked]))
        terms = {
            "adversarial": self.loss.critic(*source.chunk(2)),
            "classification": self.nll(said[: len(x)], own),
        }
        if self.weights["gradient_penalty"]:
            terms["gradient_penalty"] = gradient_penalty(lambda images: self.scores(images, asked)[0], x, fake)
        return terms

    def fooling(self, x: Tensor, own: Tensor, fake: Tensor, asked: Tensor) -> dict[str, Tensor]:
        """What the generator minimises by what the critic says."""
        source, said = self.scores(fake, asked)
        real = self.scores(x, own)[0] if self.loss.relative else None
        return {"adversarial": self.loss.generator(source, real), "target": self.nll(said, asked)}

    def scores(self, images: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """D_src of images that have, or were asked for, the labels c, (B, 1, h, w), and the logits of D_cls."""
        source, said = self.critic(images)
        if source.shape[1] > 1:
            source = (source * c.clamp(min=0)[:, :, None, None]).sum(1, keepdim=True)
        return source, said

    # Labels

    def described(self, batch: Batch) -> Tensor:
        """c̃ of a batch's images: (B, labels), −1 where unknown; of several sets (B, labels + sets), eq. 7."""
        vectors = [self.vector(column, batch[column], len(names)) for column, names in self.labels.items()]
        whole, dtype = torch.stack([(vector >= 0).all(1) for vector in vectors], 1), batch["image"].dtype
        if not self.several:
            return vectors[0].where(whole, -1).to(dtype)
        mask = self.drawn_set(whole).to(dtype)
        return torch.cat([*(vector * of for vector, of in zip(vectors, mask.split(1, 1), strict=True)), mask], 1)

    def vector(self, column: str, given: Tensor, n: int) -> Tensor:
        """What a set's column says of each label, (B, n): 1, 0 or, where it is unknown, -1."""
        return given if column == BINARY else one_hot(given.clamp(min=0), n).where(given[:, None] >= 0, -1)

    def drawn_set(self, whole: Tensor) -> Tensor:
        """One of the sets that each image knows, at random, one-hot, (B, sets); of those that know none, 0."""
        return one_hot((whole + torch.rand(whole.shape, device=whole.device)).argmax(1), whole.shape[1]) * whole

    def reordered(self, described: Tensor) -> Tensor:
        """The same rows in a random order, each in the place of one that knows the same set, or like it none."""
        mask = self.mask(described)
        sets = mask.argmax(1) + mask.sum(1)  # 0 for none
        order = (sets + torch.rand(len(sets), device=sets.device) / 2).argsort()
        return torch.empty_like(described).index_copy(0, sets.argsort(stable=True), described[order])

    def nll(self, said: Tensor, described: Tensor) -> Tensor:
        """−log D_cls(c|x) of the labels that are known, the mean over images, in nats."""
        wanted, nats = described[:, : len(self.names)], []
        for column, logits, c in zip(self.labels, said.split(self.sizes, 1), wanted.split(self.sizes, 1), strict=True):
            nats.append(presences(logits, c) if column == BINARY else choice(logits, c))
        return (torch.stack(nats, 1) * self.mask(described)).sum(1).mean()

    def mask(self, described: Tensor) -> Tensor:
        """Which set each row's labels are of, one-hot, (B, sets); 0 for none."""
        if self.several:
            return described[:, len(self.names) :]
        return (described >= 0).all(1, keepdim=True).to(described.dtype)

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
                named stay as the critic sees them in the image, or give way to one that excludes them.

        Raises:
            GenlitError: there is no such domain, or not together.
        """
        with self.evaluation():
            images = self.here(images)
            return self.generator(images, self.request(images, to))

    def request(self, images: Tensor, to: str) -> Tensor:
        """c̃ of a translation."""
        wanted = self.wanted(to)
        (column,) = (column for column, names in self.labels.items() if {*wanted} <= {*names})
        described = self.kept(images, column)
        for name, there in wanted.items():
            described[:, self.names.index(name)] = float(there)
        return described

    def wanted(self, to: str) -> dict[str, bool]:
        """Whether it is to be there, of each label that `to` names or excludes."""
        asked = [to] if to in self.domains else [name.strip() for name in to.split(",")]
        known("to", asked, self.domains)
        wanted = {name if name in self.names else name.removeprefix(NOT): name in self.names for name in asked}
        together = len(asked) == 1 or ({*wanted} <= {*self.labels.get(BINARY, ())} and len(wanted) == len(asked))
        self.require_argument("to", to, together, "one name, or several attributes, each once")
        there = [sum(wanted.get(name, False) for name in group) for group in self.exclusive]
        self.require_argument("to", to, max(there, default=0) <= 1, "attributes that do not exclude each other")
        met = (group for group, number in zip(self.exclusive, there, strict=True) if number)
        return {name: False for group in met for name in group} | wanted

    def kept(self, images: Tensor, column: str) -> Tensor:
        """c̃ of a set before it is asked for anything: attributes as the critic sees them, names unset."""
        described = images.new_zeros(images.shape[0], len(self.names) + len(self.labels) * self.several)
        if column == BINARY:
            places = [self.names.index(name) for name in self.labels[BINARY]]
            described[:, places] = (self.seen(images)[:, places] > 0).to(described.dtype)
        if self.several:
            described[:, len(self.names) + [*self.labels].index(column)] = 1
        return described

    def seen(self, images: Tensor) -> Tensor:
        """Logits of D_cls, (B, labels), of images brought to the size that it knows."""
        if images.shape[2:] != self.shape[1:]:
            images = interpolate(images, self.shape[1:], mode="bilinear", antialias=True)
        return self.critic(images)[1]

    def compilable(self) -> list[nn.Module]:
        return [self.generator] if self.weights["gradient_penalty"] else super().compilable()

    def _require_exclusive(self, exclusive: list[list[str]], attributes: Sequence[str]) -> None:
        names = [name for group in exclusive for name in group]
        valid = {*names} <= {*attributes} and len(names) == len({*names})
        self.require("exclusive", exclusive, valid, "groups of names of labels.attributes, each name in one at most")


class Generator(nn.Module):
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
        return self.network(with_maps(x, c))


class Critic(nn.Module):
    """D(x): maps of scores D_src, (B, sources, h, w), and logits D_cls, (B, labels); appendix 7.2, table 5.

    Args:
        shape: (C, H, W).
        sources: number of maps.
        labels: number of logits.
        width: channels of the first layer, doubled by every other.
        layers: strided layers.
        norm: after each layer but the first.
    """

    def __init__(self, shape: tuple[int, int, int], sources: int, labels: int, width: int, layers: int, norm: NormName):
        super().__init__()
        widths = [shape[0], *(width << k for k in range(layers))]
        self.trunk = nn.Sequential()
        for k, (inputs, outputs) in enumerate(pairwise(widths)):
            normed = [NORMS[norm](outputs)] * (k > 0)
            self.trunk.extend([nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), *normed, nn.LeakyReLU(0.01)])
        self.source = nn.Conv2d(widths[-1], sources, 3, padding=1, bias=False)
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
