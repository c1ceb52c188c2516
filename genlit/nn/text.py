"""Captions as numbers: a vocabulary, and an encoder of its words."""

import re
from collections import Counter
from collections.abc import Iterable
from math import gcd

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pad_sequence

LONGEST, LAYERS, HEADS = 32, 2, 4  # words of a caption that are read; of the transformer; of a layer, at most


def words_of(caption: str) -> list[str]:
    """The words of a caption, in small letters: "A red-hot car!" to a, red, hot, car."""
    return re.findall(r"\w+", caption.lower())


class Vocabulary(nn.Module):
    """The words that are known, by number, and some captions; in a checkpoint they are plain lists.

    Args:
        size: how many words are known, the most frequent ones; of equally frequent ones the first by the alphabet.
    """

    def __init__(self, size: int):
        super().__init__()
        self.size = size
        self.set_extra_state({"words": [], "examples": []})

    def learn(self, captions: Iterable[str], examples: list[str]) -> None:
        """Takes the words from captions, and keeps the examples."""
        counts = Counter(word for caption in captions for word in words_of(caption))
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        self.set_extra_state({"words": ranked[: self.size], "examples": examples})

    def expect(self, captions: Iterable[str]) -> None:
        """Prepares for captions that will be asked for; words need no preparation."""

    def numbers(self, captions: Iterable[str]) -> list[list[int]]:
        """The numbers of each caption's words; an unknown word has none and is left out."""
        return [[self.places[word] for word in words_of(caption) if word in self.places] for caption in captions]

    def unknown(self, caption: str) -> list[str]:
        """The words of a caption that are not known."""
        return [word for word in words_of(caption) if word not in self.places]

    def get_extra_state(self) -> dict[str, list[str]]:
        return {"words": self.words, "examples": self.examples}

    def set_extra_state(self, state: dict[str, list[str]]) -> None:
        self.words, self.examples = state["words"], state["examples"]
        self.places = {word: place for place, word in enumerate(self.words)}


class TextEncoder(nn.Module):
    """h = √D f / ‖f‖, f a linear map of the mean over a caption's words of what a small transformer says of each.

    Vaswani et al. 2017, "Attention Is All You Need", section 3.1, https://arxiv.org/abs/1706.03762: the encoder.

    Departs from the paper: layers are normalised first, positions are learned, nothing is dropped. A caption without a
    known word is read as one blank.

    Args:
        words: how many there are; captions are lists of their numbers, 0 … words − 1.
        embedding: D, the length of the word vectors and of h.
    """

    def __init__(self, words: int, embedding: int):
        super().__init__()
        self.blank = words
        self.words, self.places = nn.Embedding(words + 1, embedding), nn.Embedding(LONGEST, embedding)
        sizes = {"nhead": gcd(HEADS, embedding), "dim_feedforward": 2 * embedding, "activation": "gelu"}
        layer = nn.TransformerEncoderLayer(embedding, **sizes, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.last = nn.Linear(embedding, embedding)

    def forward(self, numbers: list[list[int]]) -> Tensor:
        """h, (B, D), of the first 32 words of each caption."""
        rows = [torch.tensor(caption[:LONGEST] or [self.blank]) for caption in numbers]
        read = pad_sequence(rows, batch_first=True, padding_value=-1).to(self.last.weight.device)
        silent = read < 0
        x = self.words(read.clamp(min=0)) + self.places.weight[: read.shape[1]]
        x = self.layers(x, src_key_padding_mask=silent).masked_fill(silent[:, :, None], 0)
        return scaled(self.last(x.sum(1) / (~silent).sum(1, keepdim=True)))


def scaled(f: Tensor) -> Tensor:
    """√D f / ‖f‖ of rows, (B, D): every number is about 1 in size."""
    return normalize(f) * f.shape[1] ** 0.5


def mismatched(captions: list[str]) -> tuple[list[int], list[int]]:
    """Rows, and for each another row whose caption differs: a random derangement, in which none occurs twice.

    Rows are left out only where one caption makes up more than half of all. With equal captions next to each other,
    the row as far on as the largest group is long is never of the same group.
    """
    groups: dict[str, list[int]] = {}
    for row in torch.randperm(len(captions)).tolist():
        groups.setdefault(captions[row], []).append(row)
    order, shift = [row for group in groups.values() for row in group], max(map(len, groups.values()))
    pairs = zip(order, order[shift:] + order[:shift], strict=True)
    differing = sorted((row, other) for row, other in pairs if captions[row] != captions[other])
    return [row for row, _ in differing], [other for _, other in differing]
