"""Noise on a critic's inputs."""

import torch
from torch import Tensor


def instance_noise(images: Tensor, std: float) -> Tensor:
    """x + std · ε, ε ~ N(0, I): the same on real and generated images, so that their densities overlap.

    Sønderby et al. 2017, section 3.2, https://arxiv.org/abs/1610.04490
    """
    return images + std * torch.randn_like(images) if std else images
