"""Words, what is made of them, and texts that never belong to the image."""

from collections import Counter

import pytest
import torch

from genlit.nn.text import TextEncoder, Vocabulary, mismatched, words_of

CAPTIONS = ["a red car, in noto style", "A car, in fluent style", "rocket"]


def taught(size: int = 100) -> Vocabulary:
    vocabulary = Vocabulary(size)
    vocabulary.learn(CAPTIONS, ["rocket"])
    return vocabulary


def test_words_are_small_and_without_signs():
    assert words_of("A red-hot car! :D, Ärger") == ["a", "red", "hot", "car", "d", "ärger"]


def test_the_most_frequent_words_are_known_in_an_order_of_their_own():
    assert taught().words == ["a", "car", "in", "style", "fluent", "noto", "red", "rocket"]
    assert taught(4).words == ["a", "car", "in", "style"]


def test_unknown_words_are_left_out_and_can_be_told():
    vocabulary = taught()
    assert vocabulary.numbers(["the Red rocket", "xyzzy", ""]) == [[6, 7], [], []]
    assert vocabulary.unknown("the Red rocket") == ["the"]


def test_a_checkpoint_holds_plain_lists_that_teach_another():
    state = taught().state_dict()
    assert state == {"_extra_state": {"words": taught().words, "examples": ["rocket"]}}
    other = Vocabulary(100)
    other.load_state_dict(state)
    assert other.numbers(CAPTIONS) == taught().numbers(CAPTIONS)
    assert other.examples == ["rocket"]


def test_embeddings_are_means_over_words_of_length_root_d():
    torch.manual_seed(0)
    encoder = TextEncoder(8, 5).double()
    h = encoder([[1, 4, 4], [2], []])
    read = encoder.words.weight[[1, 4, 4]] + encoder.places.weight[:3]
    expected = encoder.last(encoder.layers(read[None]).mean(1))[0]
    torch.testing.assert_close(h[0], expected / expected.norm() * 5**0.5)
    torch.testing.assert_close(h.norm(dim=1), torch.full((3,), 5**0.5, dtype=torch.float64))


def test_a_caption_is_read_as_if_it_were_alone():
    torch.manual_seed(0)
    encoder = TextEncoder(8, 6).double()
    captions = [[1, 4, 4], [2], [], [3] * 40]
    torch.testing.assert_close(encoder(captions), torch.cat([encoder([caption]) for caption in captions]))


def test_only_the_first_words_of_a_long_caption_are_read():
    torch.manual_seed(0)
    encoder = TextEncoder(8, 6).double()
    torch.testing.assert_close(encoder([[3] * 32 + [1]]), encoder([[3] * 32 + [5, 6]]))


def test_the_style_word_and_the_order_change_the_embedding():
    torch.manual_seed(0)
    vocabulary, encoder = taught(), TextEncoder(100, 8)
    noto, fluent, turned = encoder(vocabulary.numbers(["car, noto", "car, fluent", "noto car"]))
    assert (noto - fluent).norm() > 0.1
    assert (noto - turned).norm() > 0.01


@pytest.mark.parametrize("captions", [list("abcdefgh"), list("aabbccdd"), list("aaaabbcd"), list("aaabbb"), list("ab")])
def test_wrong_texts_are_a_derangement_where_there_is_one(captions: list[str]):
    for seed in range(50):
        torch.manual_seed(seed)
        rows, others = mismatched(captions)
        assert rows == sorted(others) == [*range(len(captions))]
        assert all(captions[row] != captions[other] for row, other in zip(rows, others, strict=True))


@pytest.mark.parametrize(("captions", "left"), [("aaaab", 2), ("aaab", 2), ("a", 0), ("aaa", 0), ("aaabb", 4)])
def test_wrong_texts_never_match_where_there_is_no_derangement(captions: str, left: int):
    for seed in range(50):
        torch.manual_seed(seed)
        rows, others = mismatched(list(captions))
        assert len(rows) == len(set(rows)) == len(set(others)) == left
        assert all(captions[row] != captions[other] for row, other in zip(rows, others, strict=True))


def test_wrong_texts_are_drawn():
    drawn = Counter()
    for seed in range(600):
        torch.manual_seed(seed)
        drawn[tuple(mismatched(list("abcd"))[1])] += 1
    assert len(drawn) == 6  # the cycles of four
    assert min(drawn.values()) > 60
