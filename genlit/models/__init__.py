"""The models: one file each, the paper's algorithm and its own networks."""

from genlit.models.cyclegan import CycleGAN
from genlit.models.dcgan import DCGAN
from genlit.models.vae import VAE

__all__ = ["DCGAN", "VAE", "CycleGAN"]
