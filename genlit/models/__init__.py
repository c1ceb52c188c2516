"""The models: one file each, the paper's algorithm and its own networks."""

from genlit.models.aae import AAE
from genlit.models.autoencoder import AutoEncoder
from genlit.models.bernoulli import Bernoulli
from genlit.models.cvae import CVAE
from genlit.models.cyclegan import CycleGAN
from genlit.models.dcgan import DCGAN
from genlit.models.diagonalbilstm import DiagonalBiLSTM
from genlit.models.fvsbn import FVSBN
from genlit.models.gatedpixelcnn import GatedPixelCNN
from genlit.models.gaussianmixture import Gaussian, GaussianMixture, GradientGaussianMixture
from genlit.models.iwae import IWAE
from genlit.models.made import MADE
from genlit.models.markovchain import MarkovChain
from genlit.models.nade import NADE
from genlit.models.pixelcnn import PixelCNN
from genlit.models.quadrants import QuadrantCVAE, QuadrantNetwork
from genlit.models.rowlstm import RowLSTM
from genlit.models.semisupervised import SemiSupervisedAAE
from genlit.models.vae import VAE
from genlit.models.vqvae import VQVAE

__all__ = [
    "AAE",
    "CVAE",
    "DCGAN",
    "FVSBN",
    "IWAE",
    "MADE",
    "NADE",
    "VAE",
    "VQVAE",
    "AutoEncoder",
    "Bernoulli",
    "CycleGAN",
    "DiagonalBiLSTM",
    "GatedPixelCNN",
    "Gaussian",
    "GaussianMixture",
    "GradientGaussianMixture",
    "MarkovChain",
    "PixelCNN",
    "QuadrantCVAE",
    "QuadrantNetwork",
    "RowLSTM",
    "SemiSupervisedAAE",
]
