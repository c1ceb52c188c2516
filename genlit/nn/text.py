"""Captions as numbers: a vocabulary, and an encoder of bags of words."""

import re
from collections import Counter
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


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


class BagOfWords(nn.Module):
    """h = √D f(v) / ‖f(v)‖, v the mean of a caption's word vectors, f a network with one hidden layer.

    The order of words says nothing. A caption without a known word has v = 0.

    Args:
        words: how many there are.
        embedding: D, the length of the word vectors, of the hidden layer and of h.
    """

    def __init__(self, words: int, embedding: int):
        super().__init__()
        self.vectors = nn.EmbeddingBag(words, embedding, mode="mean")
        self.network = nn.Sequential(
            nn.Linear(embedding, embedding), nn.LeakyReLU(0.2, True), nn.Linear(embedding, embedding)
        )

    def forward(self, numbers: list[list[int]]) -> Tensor:
        device, ends = self.vectors.weight.device, torch.tensor([0, *map(len, numbers)]).cumsum(0)
        flat = torch.tensor([number for caption in numbers for number in caption], dtype=torch.int64)
        h = self.network(self.vectors(flat.to(device), ends[:-1].to(device)))
        return normalize(h) * h.shape[1] ** 0.5


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
