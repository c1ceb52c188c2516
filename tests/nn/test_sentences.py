"""Captions through a sentence encoder: a tiny one of random weights, made by the library itself."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from genlit.errors import GenlitError
from genlit.nn.sentences import SentenceEncoder, Sentences

CAPTIONS = ["a red car", "a blue car", "the moon"]


@pytest.fixture(autouse=True)
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENLIT_DATA", str(tmp_path))
    return tmp_path / "sentences"


def test_what_it_says_is_what_the_library_says(sentence_encoder: Path):
    from sentence_transformers import SentenceTransformer

    library = SentenceTransformer(str(sentence_encoder), device="cpu", local_files_only=True)
    sentences = Sentences(str(sentence_encoder))
    found = sentences.numbers([*CAPTIONS, CAPTIONS[0]])
    torch.testing.assert_close(found[:3], torch.from_numpy(library.encode(CAPTIONS)))
    assert torch.equal(found[3], found[0])
    assert sentences.width == found.shape[1]
    assert sentences.unknown("xyzzy") == []


def test_embeddings_are_kept_by_the_content_of_captions(sentence_encoder: Path, stores: Path, monkeypatch):
    first = Sentences(str(sentence_encoder))
    first.expect(CAPTIONS * 2)
    (file,) = stores.glob("*.safetensors")
    assert load_file(file)["embeddings"].shape == (3, first.width)
    again = Sentences(str(sentence_encoder))
    monkeypatch.setattr(again, "_embedded", None)
    again.expect(reversed(CAPTIONS))
    assert torch.equal(again.numbers(CAPTIONS), first.numbers(CAPTIONS))
    first.expect(CAPTIONS[:2])
    assert len([*stores.glob("*.safetensors")]) == 2


def test_a_checkpoint_holds_no_weight_of_it_and_knows_another_one(sentence_encoder: Path):
    sentences = Sentences(str(sentence_encoder))
    sentences.learn(CAPTIONS, CAPTIONS[:1])
    assert not [*sentences.parameters()]
    state = sentences.get_extra_state()
    assert state["examples"] == CAPTIONS[:1]
    sentences.set_extra_state(state)
    with pytest.raises(GenlitError, match=r"model\.encoder is another one than in training"):
        sentences.set_extra_state(state | {"digest": "0"})


def test_opening_it_draws_no_random_number(sentence_encoder: Path):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    Sentences(str(sentence_encoder)).numbers(CAPTIONS)
    assert torch.equal(torch.rand(3), expected)


def test_h_is_a_linear_map_of_the_length_of_root_d():
    encoder, sentences = SentenceEncoder(5, 8), torch.randn(3, 5)
    f = sentences @ encoder.last.weight.T + encoder.last.bias
    torch.testing.assert_close(encoder(sentences), f / f.norm(dim=1, keepdim=True) * 8**0.5)


@pytest.mark.parametrize("part", ["os.system", "sentence_transformers.models.Dense", "mine.Normalize"])
def test_parts_that_may_run_code_are_refused_before_they_are_imported(sentence_encoder: Path, part: str):
    modules = json.loads((sentence_encoder / "modules.json").read_text())
    modules[1]["type"] = part
    (sentence_encoder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(GenlitError, match=f"parts that may run code, {part.rpartition('.')[2]}"):
        Sentences(str(sentence_encoder))


def test_a_folder_that_is_no_encoder_is_refused(tmp_path: Path):
    with pytest.raises(GenlitError, match="is no sentence-transformers model with weights as safetensors"):
        Sentences(str(tmp_path))


def test_a_name_that_cannot_be_fetched_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(GenlitError, match="nobody/nothing is no folder, and cannot be fetched"):
        Sentences("nobody/nothing")
