"""The history of generated images that a critic is trained on."""

import torch
from torch import Tensor


class ImagePool:
    """Up to `size` past images per slot; a full pool swaps half of what it is given for an old image.

    With probability ½ a new image is returned as it is, else it takes a uniformly drawn old one's place and that one is
    returned. Shrivastava et al. 2017, section 2.3, https://arxiv.org/abs/1612.07828; Zhu et al. 2017, section 4 (50).

    Args:
        size: images kept; 0 returns what comes in.
    """

    def __init__(self, size: int):
        self.size = size
        self.kept: dict[int, Tensor] = {}

    def __call__(self, images: Tensor, slot: int) -> Tensor:
        """Old and new images in the place of `images`, (B, C, H, W), which come detached."""
        return torch.stack([self._swap(image, slot) for image in images]) if self.size else images

    def _swap(self, image: Tensor, slot: int) -> Tensor:
        kept = self.kept[slot] = self.kept.get(slot, image[None][:0]).to(image.device)
        if len(kept) < self.size:
            self.kept[slot] = torch.cat([kept, image[None]])
            return image
        if torch.rand(()) < 0.5:
            return image
        place = int(torch.randint(self.size, ()))
        old = kept[place].clone()
        kept[place] = image
        return old
