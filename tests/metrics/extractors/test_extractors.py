from pathlib import Path

import pytest
import torch

from genlit.data import Digits
from genlit.errors import GenlitError
from genlit.metrics.extractors import EXTRACTORS, Inception, LeNet, extractor
from genlit.metrics.extractors.lenet import RECIPE


def test_a_name_chooses_the_network_and_its_protocol(weights: Path, inception: Inception):
    digest = inception.digest[:8]
    assert extractor("inception", weights=weights).identity == inception.identity
    assert extractor("inception-clean", weights=weights).variant == f"{digest}-clean"
    assert extractor("inception-bf16", weights=weights).dtype == torch.bfloat16
    assert extractor("inception", weights=weights, resize="antialias").variant == f"{digest}-antialias"


def test_lenet_comes_from_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(RECIPE, "images", 640)
    assert isinstance(extractor("lenet", source=Digits(root=str(tmp_path))), LeNet)


def test_lenet_refuses_what_it_does_not_take(weights: Path):
    with pytest.raises(GenlitError, match="none is at hand"):
        extractor("lenet")
    with pytest.raises(GenlitError, match="neither weights nor a resize"):
        extractor("lenet", source=Digits(), weights=weights)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(GenlitError, match="did you mean 'inception'"):
        extractor("inceptoin")


@pytest.mark.parametrize("name", [name for name in EXTRACTORS if name != "lenet"])
def test_every_pretrained_network_names_a_missing_file(name: str, tmp_path: Path):
    with pytest.raises(GenlitError, match=r"none\.pth does not exist"):
        extractor(name, weights=tmp_path / "none.pth")
