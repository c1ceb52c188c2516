"""Games whose images are made of captions."""

from collections.abc import Iterator

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor, nn

from genlit.families.adversarial import Adversarial
from genlit.families.sampling import one_of
from genlit.losses.matching import matching
from genlit.model import Batch, Turn
from genlit.nn.convolutional import convolutional_trunk
from genlit.nn.initial import normal
from genlit.nn.norm import NORMS, NormName
from genlit.nn.text import TextEncoder, Vocabulary, mismatched

EXAMPLES = 1000  # captions, at most, that samples are drawn of where none is given


class FromText(Adversarial):
    """The critic tells real images with their text from samples of it, and from real images with another's text.

    L_D = −log D(x, h) − ½ [log(1 − D(G(z, h), h)) + log(1 − D(x, ĥ))], L_G = −log D(G(z, h), h), with h = φ(t) the
    embedding of x's caption and ĥ that of another image's, whose caption differs (GAN-CLS).

    Reed et al. 2016, "Generative Adversarial Text to Image Synthesis", algorithm 1, https://arxiv.org/abs/1605.05396.
    Any adversarial pair takes the logarithms' place: the terms "fake" and "wrong", each weighted ½, are its critic's
    losses of (x, h) against (G(z, h), h) and against (x, ĥ). Weights of 1 and 0 leave the wrong texts out.

    A sample without a `text` is of one of the captions that the vocabulary keeps, drawn with it.

    Args:
        shape: (C, H, W), square of 4 · 2ᵏ pixels.
        latent: number of codes, z ~ N(0, I).
        width: channels of the generator next to the image; they double with every halving of the resolution.
        critic_width: those of the critic.
        words: how many are known: the most frequent in the training captions.
        embedding: D, length of h.
        projected: numbers that each network reduces h to.
        critic_norm: the critic's normalisation.
        game: options of Adversarial; `pack` must be 1.
    """

    terms = Adversarial.terms | {"fake": 0.5, "wrong": 0.5}
    needs = ("image", "text")

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        latent: int = 100,
        width: int = 64,
        critic_width: int = 64,
        words: int = 10_000,
        embedding: int = 256,
        projected: int = 128,
        critic_norm: NormName = "batch",
        channels_last: bool = True,
        **game,
    ):
        super().__init__(shape, channels_last=channels_last, **game)
        self.latent, self.projected = latent, projected
        self.require_counts(latent=latent, width=width, critic_width=critic_width, words=words)
        self.require_counts(embedding=embedding, projected=projected)
        self.require("pack", self.pack, self.pack == 1, "1: the images of a pack would have several captions")
        self.vocabulary, self.text = Vocabulary(words), TextEncoder(words, embedding)
        self.judge_by(Judge(self.shape, critic_width, embedding, projected, critic_norm))

    def turns(self, batch: Batch) -> Iterator[Turn]:
        real, text = batch["image"], self.read(batch["text"])
        plays = self.every(self.n_critic)
        fake = self.fakes(len(real), plays, text=text)

        pairs = mismatched(batch["text"])
        yield "critic", self.critic_terms(self.shown(real), self.shown(fake.detach()), text, pairs)
        self.after_critic()

        if plays:
            yield "generator", self.generator_terms(self.shown(fake), real, text=text)

    def critic_terms(
        self, real: Tensor, fake: Tensor, text: Tensor, pairs: tuple[list[int], list[int]]
    ) -> dict[str, Tensor]:
        """What the critic minimises, on `shown` images; `pairs` are rows of images, and rows of texts of others."""
        rows, others = pairs
        seen = self.critic.trunk(real)
        r, f = self.critic.judge(seen, text), self.verdict(fake, text)
        terms = {"fake": self.loss.critic(r, f)}
        if rows and self.weights["wrong"]:
            terms["wrong"] = self.loss.critic(r[rows], self.critic.judge(seen[rows], text[others]))
        if self.augmentation:
            self.augmentation.watch(r)
        return terms | self.penalties(real, fake, r, text=text)

    def verdict(self, images: Tensor, text: Tensor) -> Tensor:
        return self.critic(images, text)

    def generate(self, z: Tensor, text: Tensor) -> Tensor:
        """G(z, h)."""
        return self.generator(z, text)

    @torch.no_grad()
    def read(self, captions: list[str]) -> Tensor:
        """h of captions, (B, D), which no generator and no critic changes."""
        return self.text(self.vocabulary.numbers(captions))

    # Meeting the captions

    def on_fit_start(self) -> None:
        super().on_fit_start()
        if not self.vocabulary.words:  # a checkpoint has brought its own
            self.meet(self.trainer.datamodule)

    def meet(self, source: LightningDataModule) -> None:
        """Learns the words of the training captions, and keeps some of them."""
        captions = source.captions("train")
        evenly = captions[:: -(-len(captions) // EXAMPLES)]
        self.vocabulary.learn((line for lines in captions for line in lines), [lines[0] for lines in evenly])

    # Samples

    def draws(self, n: int, device: torch.device) -> Tensor:
        """Codes from the prior and in a last column a uniform number for the caption, (n, K + 1)."""
        return torch.cat([self.prior(n, device), torch.rand(n, 1, device=device)], dim=1)

    def decode(self, draws: Tensor, text: str | list[str] | None = None) -> Tensor:
        """Images of draws; all of one text, or of one each, if given."""
        captions = [text] * len(draws) if isinstance(text, str) else text or self._drawn(draws)
        return self.generate(draws[:, :-1], self.read(captions))

    def captions(self, n: int, *, seed: int = 0) -> list[str]:
        """The captions of a seed's first samples where no text is given."""
        with self.evaluation():
            return self._drawn(self._draws(0, n, seed))

    def illustrate(self, captions: list[str], *, seed: int = 0, batch_size: int = 64) -> Tensor:
        """An image of each caption, (N, C, H, W), by the draws of a seed's first samples."""
        with self.evaluation():
            draws = self._draws(0, len(captions), seed).to(self.device, self.dtype)
            starts = range(0, len(captions), batch_size)
            return torch.cat([self.decode(*(x[i : i + batch_size] for x in (draws, captions))) for i in starts])

    def _drawn(self, draws: Tensor) -> list[str]:
        examples = self.vocabulary.examples or [""]
        return [examples[row] for row in one_of(len(examples), draws[:, -1]).tolist()]


class LearnsText(FromText):
    """Learns the embedding of text itself, beside an embedding of images v: the player "encoders" plays first.

    L_E = −½ E[log p(x|t) + log p(t|x)] over the images and the captions of a batch, see `matching`.

    Departs from the paper: its encoder, a character network with a structured loss, is trained beforehand.

    Args:
        shape: (C, H, W), square of 4 · 2ᵏ pixels.
        vision_width: channels next to the image of the network that embeds images, DCGAN's critic.
        norm: its normalisation, and the generator's.
        text: options of FromText.
    """

    players = {"encoders": ["text", "vision"], "critic": ["critic"], "generator": ["generator"]}
    terms = FromText.terms | {"matching": 1.0}
    averaged = ("generator", "text")

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        embedding: int = 256,
        vision_width: int = 32,
        norm: NormName = "batch",
        **text,
    ):
        super().__init__(shape, embedding=embedding, **text)
        self.require_counts(vision_width=vision_width)
        self.vision = vision(self.shape, vision_width, embedding, norm)

    def turns(self, batch: Batch) -> Iterator[Turn]:
        texts = self.text(self.vocabulary.numbers(batch["text"]))
        yield "encoders", {"matching": matching(texts, self.vision(batch["image"]), batch["text"])}
        yield from super().turns(batch)


class Judge(nn.Module):
    """The logit of images (B, C, H, W) and texts (B, D): h, projected, stands beside the features at 4x4, everywhere.

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
        self.trunk = trunk[:-1]  # not flattened
        self.project = nn.Sequential(nn.Linear(embedding, projected), nn.LeakyReLU(0.2, True))
        joint = nn.Conv2d(channels + projected, channels, 1, bias=norm == "none")
        layers = [joint, NORMS[norm](channels), nn.LeakyReLU(0.2, True), nn.Conv2d(channels, 1, 4), nn.Flatten()]
        self.head = normal(nn.Sequential(*layers))

    def forward(self, images: Tensor, text: Tensor) -> Tensor:
        return self.judge(self.trunk(images), text)

    def judge(self, seen: Tensor, text: Tensor) -> Tensor:
        """The logit of the trunk's features and texts, (B, 1)."""
        everywhere = self.project(text)[:, :, None, None].expand(-1, -1, 4, 4)
        return self.head(torch.cat([seen, everywhere], 1))


def vision(shape: tuple[int, int, int], width: int, embedding: int, norm: NormName) -> nn.Sequential:
    """(B, C, H, W) to (B, D): DCGAN's critic with another last layer."""
    trunk, features = convolutional_trunk(shape, width, norm)
    return nn.Sequential(*trunk, nn.Linear(features, embedding))
