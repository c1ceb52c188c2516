"""Games whose images are made of captions."""

from collections.abc import Iterator
from typing import ClassVar

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor, nn

from genlit.families.adversarial import Adversarial
from genlit.families.sampling import one_of
from genlit.losses.matching import matching
from genlit.model import Batch, Turn
from genlit.nn.captioned import TextCritic, TextGenerator
from genlit.nn.convolutional import convolutional_encoder
from genlit.nn.norm import NormName
from genlit.nn.sentences import SentenceEncoder, Sentences
from genlit.nn.text import TextEncoder, Vocabulary, mismatched

EXAMPLES = 1000  # captions, at most, that samples are drawn of where none is given


class FromText(Adversarial):
    """The critic tells real images with their text from samples of it, and from real images with another's text.

    L_D = −log D(x, h) − ½ [log(1 − D(G(z, h), h)) + log(1 − D(x, ĥ))], L_G = −log D(G(z, h), h), with h = φ(t) the
    embedding of x's caption and ĥ that of another image's, whose caption differs (GAN-CLS).

    Reed et al. 2016, "Generative Adversarial Text to Image Synthesis", algorithm 1, https://arxiv.org/abs/1605.05396.
    Any adversarial pair takes the logarithms' place: the terms "fake" and "wrong", each weighted ½, are its critic's
    losses of (x, h) against (G(z, h), h) and against (x, ĥ). Weights of 1 and 0 leave the wrong texts out.

    Wrong texts are those of a process's micro-batch: with `accumulate` and with more devices there are fewer to draw
    from, and more batches in which a text is left without one. The critic sees real images, which have two texts, apart
    from generated ones.

    A sample without a `text` is of one of the captions that the vocabulary keeps, drawn with it.

    Args:
        shape: (C, H, W), square of 4 · 2ᵏ pixels.
        latent: number of codes, z ~ N(0, I).
        width: channels of the generator next to the image; they double with every halving of the resolution.
        critic_width: those of the critic.
        words: how many are known: the most frequent in the training captions.
        encoder: a pretrained sentence encoder (see Sentences) that reads captions in the place of a small transformer
            over words: the folder of a sentence-transformers model, or its name on the hub; None learns from zero.
        embedding: D, length of h.
        projected: numbers that each network reduces h to.
        critic_norm: the critic's normalisation.
        game: options of Adversarial; `pack` must be 1.
    """

    terms = Adversarial.terms | {"fake": 0.5, "wrong": 0.5}
    needs = ("image", "text")
    lacks = {"decode": "its images are made of words, which are no tensors"}

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        latent: int = 100,
        width: int = 64,
        critic_width: int = 64,
        words: int = 10_000,
        encoder: str | None = None,
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
        self.vocabulary = Sentences(encoder) if encoder else Vocabulary(words)
        self.text = SentenceEncoder(self.vocabulary.width, embedding) if encoder else TextEncoder(words, embedding)
        self.judge_by(TextCritic(self.shape, critic_width, embedding, projected, critic_norm))

    def condition(self, batch: Batch) -> dict[str, Tensor]:
        return {"text": self.read(batch["text"])}

    def told(self, batch: Batch) -> dict[str, list[str]]:
        return {"captions": batch["text"]}

    def critic_terms(
        self, real: Tensor, fake: Tensor, text: Tensor, captions: list[str] | None = None
    ) -> dict[str, Tensor]:
        """What the critic minimises, on `shown` images; where captions of h are not given, no text is a wrong one."""
        other = dict(zip(*mismatched(captions), strict=True)) if captions and self.weights["wrong"] else {}
        wrong = [text[[other.get(row, row) for row in range(len(text))]]] if other else []
        r, f = self.critic(real, text, *wrong), self.verdict(fake, text)
        terms = {"fake": self.loss.critic(r[:, :1], f)}
        if rows := [*other]:
            terms["wrong"] = self.loss.critic(r[rows, :1], r[rows, 1:])
        if self.augmentation:
            self.augmentation.watch(r[:, :1])
        return terms | self.penalties(real, fake, r[:, :1], text=text)

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
        if not (self.vocabulary.words or self.vocabulary.examples):  # a checkpoint has brought its own
            self.meet(self.trainer.datamodule)
        self.vocabulary.expect(line for lines in self.trainer.datamodule.captions("train") for line in lines)

    def meet(self, source: LightningDataModule) -> None:
        """Learns the words of the training captions, and keeps some of them."""
        captions = source.captions("train")
        evenly = captions[:: -(-len(captions) // EXAMPLES)]
        self.vocabulary.learn((line for lines in captions for line in lines), [lines[0] for lines in evenly])

    # Samples

    def draws(self, n: int, device: torch.device) -> Tensor:
        """Codes from the prior and in a last column a uniform number for the caption, (n, K + 1)."""
        return torch.cat([self.prior(n, device), torch.rand(n, 1, device=device)], dim=1)

    def decode(self, draws: Tensor, text: str | None = None) -> Tensor:
        """Images of draws; all of one text, if given.

        Raises:
            GenlitError: there are several texts.
        """
        one = text is None or isinstance(text, str)
        self.require_argument("text", text, one, "one caption; `illustrate` draws an image of each of several")
        return self._told(draws, self._drawn(draws) if text is None else [text] * len(draws))

    def captions(self, n: int, *, seed: int = 0) -> list[str]:
        """The captions of a seed's first samples where no text is given."""
        with self.evaluation():
            return self._drawn(self._draws(0, n, seed))

    def illustrate(self, captions: list[str], *, seed: int = 0, start: int = 0, batch_size: int = 64) -> Tensor:
        """An image of each caption, (N, C, H, W), by the draws of a seed's samples from the `start`-th on."""
        with self.evaluation():
            draws = self._draws(start, start + len(captions), seed).to(self.device, self.dtype)
            starts = range(0, len(captions), batch_size)
            return torch.cat([self._told(*(x[i : i + batch_size] for x in (draws, captions))) for i in starts])

    def _told(self, draws: Tensor, captions: list[str]) -> Tensor:
        return self.generate(draws[:, :-1], self.read(captions))

    def _drawn(self, draws: Tensor) -> list[str]:
        examples = self.vocabulary.examples or [""]
        return [examples[row] for row in one_of(len(examples), draws[:, -1]).tolist()]


class AugmentsText(FromText):
    """Adds λ KL(N(μ(h), σ²(h)) ‖ N(0, I)) to the loss of a generator whose condition is Augmented."""

    terms = FromText.terms | {"kl": 2.0}

    def generator_terms(self, fake: Tensor, real: Tensor, text: Tensor) -> dict[str, Tensor]:
        kl = self.generator.condition.normal(text).kl().mean()
        return super().generator_terms(fake, real, text=text) | {"kl": kl}


class LearnsText(FromText):
    """Learns the embedding of text itself, beside an embedding of images v: the player "encoders" plays first.

    L_E = −½ E[log p(x|t) + log p(t|x)] over the images and the captions of a batch, see `matching`.

    Departs from the paper: its encoder, a character network with a structured loss, is trained beforehand. The batch
    whose pairs compete is a process's micro-batch, so `accumulate` and more devices make the task easier.

    Args:
        shape: (C, H, W), square of 4 · 2ᵏ pixels.
        latent: number of codes, z ~ N(0, I).
        width: channels of the generator next to the image.
        embedding: D, length of h.
        projected: numbers that each network reduces h to.
        vision_width: channels next to the image of the network that embeds images, DCGAN's critic.
        norm: its normalisation, and the generator's.
        text: options of FromText.
    """

    reduces: ClassVar[type[nn.Module]]  # how the generator reduces h
    players = {"encoders": ["text", "vision"], "critic": ["critic"], "generator": ["generator"]}
    terms = FromText.terms | {"matching": 1.0}
    averaged = ("generator", "text", "vision")

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        latent: int = 100,
        width: int = 64,
        embedding: int = 256,
        projected: int = 128,
        vision_width: int = 32,
        norm: NormName = "batch",
        **text,
    ):
        super().__init__(shape, latent=latent, width=width, embedding=embedding, projected=projected, **text)
        self.require_counts(vision_width=vision_width)
        self.vision = convolutional_encoder(self.shape, vision_width, embedding, norm)
        self.generator = TextGenerator(self.shape, self.reduces(embedding, projected), latent, projected, width, norm)

    def turns(self, batch: Batch) -> Iterator[Turn]:
        texts = self.text(self.vocabulary.numbers(batch["text"]))
        yield "encoders", {"matching": matching(texts, self.vision(batch["image"]), batch["text"])}
        yield from super().turns(batch)
