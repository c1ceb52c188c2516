"""Exported models come back as they were, and nothing else does."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

import genlit
from genlit.errors import GenlitError
from genlit.export import folder
from genlit.files import sha256
from tests.export.conftest import SIZES


def exported(model, place):
    with folder.begun(place) as made:
        folder.save_to(made, model)
    return place


@pytest.mark.parametrize("name", SIZES)
def test_every_kind_of_model_comes_back_to_the_bit(ready, tmp_path, name):
    model = ready(name)
    model._past = (3, 12)
    again = genlit.load(exported(model, tmp_path / "export"))
    assert type(again) is type(model)
    assert (again.iteration, again.images, again.training) == (3, 12, False)
    assert again.hparams == {**model.hparams, "ema": None}
    for key, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]) if isinstance(value, torch.Tensor) else True, key


def test_words_are_in_the_configuration(ready, tmp_path):
    model = ready("Text2Image")
    model.vocabulary.learn(["a red car", "a car"], ["a car"])
    again = genlit.load(exported(model, tmp_path / "export"))
    assert again.vocabulary.words == ["a", "car", "red"]
    assert torch.equal(again.sample(2, text="red car"), model.sample(2, text="red car"))


def changed(place, **facts):
    file = place / folder.CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | facts))


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"model": "VEA"}, "there is no model 'VEA'; did you mean VAE"),
        ({"model": "subprocess.Popen"}, "there is no model 'subprocess.Popen'"),
        ({"hyper_parameters": {"latnet": 3}}, "did you mean 'model.latent'"),
        ({"hyper_parameters": {"latent": "three"}}, "model.latent: three is not of the type int"),
        ({"hyper_parameters": {"latent": 4, "hidden": [8]}}, "does not fit VAE as genlit has it now"),
        ({"shape": 3}, "config.json cannot be read"),
        ({"sha256": "0" * 64}, "is not what config.json beside it says"),
    ],
)
def test_what_is_not_the_model_is_refused(ready, tmp_path, facts, said):
    place = exported(ready("VAE"), tmp_path / "export")
    changed(place, **facts)
    with pytest.raises(GenlitError, match=said):
        genlit.load(place)


def test_a_fact_that_is_missing_is_named(ready, tmp_path):
    place = exported(ready("VAE"), tmp_path / "export")
    facts = json.loads((place / folder.CONFIG).read_text())
    del facts["images"]
    (place / folder.CONFIG).write_text(json.dumps(facts))
    with pytest.raises(GenlitError, match="does not say 'images'"):
        genlit.load(place)


def test_weights_of_another_model_and_pickles_are_refused(ready, tmp_path):
    place = exported(ready("VAE"), tmp_path / "export")
    weights = load_file(place / "model.safetensors")
    weights.pop(sorted(weights)[0])
    save_file(weights, place / "model.safetensors")
    changed(place, sha256=sha256(place / "model.safetensors"))
    with pytest.raises(GenlitError, match="does not fit VAE"):
        genlit.load(place)
    torch.save(weights, place / "model.safetensors")
    changed(place, sha256=sha256(place / "model.safetensors"))
    with pytest.raises(GenlitError, match="holds no tensors"):
        genlit.load(place)


def test_an_export_takes_the_place_of_an_export_alone(ready, tmp_path):
    place = exported(ready("VAE"), tmp_path / "export")
    (place / "old.pt2").touch()
    exported(ready("GAN"), place)
    assert sorted(path.name for path in place.iterdir()) == ["config.json", "model.safetensors"]
    assert type(genlit.load(place)).__name__ == "GAN"
    (tmp_path / "photos").mkdir()
    with pytest.raises(GenlitError, match="is no exported model: choose another folder"):
        exported(ready("VAE"), tmp_path / "photos")
    with pytest.raises(RuntimeError), folder.begun(place):
        raise RuntimeError
    assert type(genlit.load(place)).__name__ == "GAN"
