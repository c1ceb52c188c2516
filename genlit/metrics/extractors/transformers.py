"""DINOv2 and CLIP: features that were not trained on ImageNet's labels. Nothing that was downloaded runs code."""

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch_fidelity import feature_extractor_clip as clip
from torchvision.models.vision_transformer import VisionTransformer
from torchvision.transforms.functional import normalize

from genlit.errors import GenlitError, known
from genlit.files import sha256
from genlit.keep import digest_of
from genlit.metrics.extractors import weights as files
from genlit.metrics.extractors.base import Extractor, Features, variant_of
from genlit.metrics.extractors.resize import RESIZES
from genlit.metrics.images import as_rgb

DINOV2_FAMILIES = {f"dinov2-vit-{size}-14": f"dinov2_vit{size}14" for size in "sbl"}
CLIP_FAMILIES = {family: facts["hash"] for family, facts in clip.MODEL_METADATA.items()}
_DINOV2_URL = "https://dl.fbaipublicfiles.com/dinov2/{0}/{0}_pretrain.pth"
_DINOV2_NAMES = {  # of torchvision's layers, by what the published ones are called
    r"^patch_embed\.proj": "conv_proj",
    r"^cls_token": "class_token",
    r"^pos_embed": "encoder.pos_embedding",
    r"^norm": "encoder.ln",
    r"^blocks\.(\d+)": r"encoder.layers.encoder_layer_\1",
    r"\.norm(\d)": r".ln_\1",
    r"\.attn\.qkv\.": ".self_attention.in_proj_",
    r"\.attn\.proj": ".self_attention.out_proj",
    r"\.mlp\.fc1": ".mlp.0",
    r"\.mlp\.fc2": ".mlp.3",
}


class _Pretrained(Extractor):
    """pool = net((r / 255 − μ) / σ), r the resized bytes, μ and σ of the network's own training."""

    classes = None
    side: int
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    def __init__(self, family: str, net: nn.Module, digest: str, published: bool, resize: str):
        super().__init__()
        known("resize", [resize], RESIZES)
        self.family, self.digest, self.resize = family, digest, resize
        self.variant = variant_of(None if published else digest, resize, self.dtype)
        self.net = net
        self.requires_grad_(False).float().eval()

    def network(self, images: Tensor) -> Features:
        """Describes exactly PASS uint8 images (PASS, 1 or 3, H, W)."""
        x = as_rgb(RESIZES[self.resize](images, self.side)) / 255
        return Features(self.net(normalize(x, self.mean, self.deviation)), None)


class DINOv2(_Pretrained):
    """The class token after the last norm, of images resized to 224 x 224: Oquab et al. 2023.

    https://arxiv.org/abs/2304.07193. The network is torchvision's vision transformer, with the layer scales folded in:
    the authors' code is not run. They publish no checksum, so the digest is always in the variant.

    Args:
        family: one of DINOV2_FAMILIES.
        weights: a file of its weights; by default the published one, from torch's cache or fetched into it.
        resize: clean, as Stein et al. 2023 have it, https://arxiv.org/abs/2306.04675; tf1 as torch-fidelity has it.

    Raises:
        GenlitError: the weights cannot be had or are not this network's, or there is no such resize.
    """

    side, mean, deviation = 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    def __init__(self, family: str, weights: str | Path | None = None, resize: str = "clean"):
        name = DINOV2_FAMILIES[family]
        path = Path(weights) if weights else files.obtain(f"{name}_pretrain.pth", _DINOV2_URL.format(name), "")
        state = files.read(path)
        state.pop("mask_token", None)  # a training device
        super().__init__(family, _built(_dinov2, state, path, family), digest_of(state), False, resize)
        self.width = self.net.hidden_dim


class CLIP(_Pretrained):
    """The image embedding before it is normalised: Radford et al. 2021, https://arxiv.org/abs/2103.00020.

    A TorchScript archive is a program, so only the published one, known by its whole SHA-256, is opened as one.

    Args:
        family: one of CLIP_FAMILIES.
        weights: the published archive, or a state dict in its names; by default the archive from torch's cache.
        resize: clean, nearest to the network's own bicubic; tf1 as torch-fidelity has it.

    Raises:
        GenlitError: the weights cannot be had or are not this network's, or there is no such resize.
    """

    mean, deviation = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

    def __init__(self, family: str, weights: str | Path | None = None, resize: str = "clean"):
        digest = CLIP_FAMILIES[family]
        path = Path(weights) if weights else files.obtain(f"{family}-{digest}.pt", clip.MODEL_URLS[family], digest)
        published = path.is_file() and sha256(path) == digest
        state = _opened(path) if published else files.read(path)
        visual = {name: tensor for name, tensor in state.items() if name.startswith("visual.")}
        super().__init__(family, _built(_clip, state, path, family), digest_of(visual), published, resize)
        self.side = self.net.input_resolution
        self.width = self.net.output_dim


def _built(build: Callable[[dict], nn.Module], state: dict[str, Tensor], path: Path, family: str) -> nn.Module:
    try:
        with torch.random.fork_rng(devices=[]):
            return build(dict(state))
    except (KeyError, IndexError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise GenlitError(f"{path} does not hold the weights of {family} ({reason} …): check --weights.") from error


def _dinov2(state: dict[str, Tensor]) -> VisionTransformer:
    width, layers = state["cls_token"].shape[-1], sum(name.endswith("norm1.weight") for name in state)
    hidden, patch = state["blocks.0.mlp.fc1.weight"].shape[0], state["patch_embed.proj.weight"].shape[-1]
    net = VisionTransformer(DINOv2.side, patch, layers, width // 64, width, hidden)
    net.heads = nn.Identity()
    state["pos_embed"] = _positions(state["pos_embed"], DINOv2.side // patch)
    for block in range(layers):
        for scale, linear in (("ls1", "attn.proj"), ("ls2", "mlp.fc2")):
            gamma = state.pop(f"blocks.{block}.{scale}.gamma")
            state[f"blocks.{block}.{linear}.weight"] = gamma[:, None] * state[f"blocks.{block}.{linear}.weight"]
            state[f"blocks.{block}.{linear}.bias"] = gamma * state[f"blocks.{block}.{linear}.bias"]
    net.load_state_dict({_renamed(name): tensor for name, tensor in state.items()})
    return net


def _positions(embedding: Tensor, grid: int) -> Tensor:
    """The embeddings of a square grid brought to another, in the authors' way: bicubic, a tenth of a patch too wide."""
    token, patches = embedding[:, :1], embedding[:, 1:]
    side = round(patches.shape[1] ** 0.5)
    if side == grid:
        return embedding
    square = patches.float().transpose(1, 2).unflatten(2, (side, side))
    resized = interpolate(square, scale_factor=(grid + 0.1) / side, mode="bicubic")
    return torch.cat([token, resized.flatten(2).transpose(1, 2)], 1)


def _renamed(name: str) -> str:
    for pattern, replacement in _DINOV2_NAMES.items():
        name = re.sub(pattern, replacement, name)
    return name


def _opened(path: Path) -> dict[str, Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the format is deprecated, and published once for all
        return dict(torch.jit.load(path, map_location="cpu").state_dict())


def _clip(state: dict[str, Tensor]) -> nn.Module:
    return clip.build_model(state, torch.float32).visual
