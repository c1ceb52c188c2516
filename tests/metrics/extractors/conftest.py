"""Inception with random weights, and how its own implementation sees 32 images."""

import io
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import BasicConv2d, FeatureExtractorInceptionV3

from genlit.metrics.extractors import Features, Inception


class Shell(FeatureExtractorInceptionV3):
    """The architecture with whatever it was initialised to."""

    def load_state_dict(self, *args, **kwargs):
        return None


def _random() -> FeatureExtractorInceptionV3:
    empty = io.BytesIO()
    torch.save({}, empty)
    empty.seek(0)
    net = Shell("shell", ["2048", "logits_unbiased"], feature_extractor_weights_path=empty)
    for block in net.modules():
        if isinstance(block, BasicConv2d):
            nn.init.kaiming_normal_(block.conv.weight, nonlinearity="relu")
            nn.init.uniform_(block.bn.weight, 0.8, 1.2)
            nn.init.normal_(block.bn.running_mean, std=0.1)
            nn.init.uniform_(block.bn.running_var, 0.8, 1.2)
    return net


@pytest.fixture(scope="session")
def reference() -> FeatureExtractorInceptionV3:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _random()


@pytest.fixture(scope="session")
def weights(reference: FeatureExtractorInceptionV3, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(reference.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def images() -> Tensor:
    """32 images of noise; the first one is grey."""
    noise = torch.randint(256, (32, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    noise[0] = noise[0, :1]
    return noise


@pytest.fixture(scope="session")
def inception(weights: Path) -> Inception:
    return Inception(weights)


@pytest.fixture(scope="session")
def features(inception: Inception, images: Tensor) -> Features:
    return inception(images)
