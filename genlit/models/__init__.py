"""The models: one file each, the paper's algorithm and its own networks."""

from genlit.models.aae import AAE
from genlit.models.autoencoder import AutoEncoder
from genlit.models.bernoulli import Bernoulli
from genlit.models.conditionalgan import ConditionalGAN
from genlit.models.cvae import CVAE
from genlit.models.cyclegan import CycleGAN
from genlit.models.dcgan import DCGAN
from genlit.models.diagonalbilstm import DiagonalBiLSTM
from genlit.models.fvsbn import FVSBN
from genlit.models.gan import GAN
from genlit.models.gatedpixelcnn import GatedPixelCNN
from genlit.models.gaussianmixture import Gaussian, GaussianMixture, GradientGaussianMixture
from genlit.models.infogan import InfoGAN
from genlit.models.iwae import IWAE
from genlit.models.made import MADE
from genlit.models.markovchain import MarkovChain
from genlit.models.nade import NADE
from genlit.models.pix2pix import Pix2Pix
from genlit.models.pixelcnn import PixelCNN
from genlit.models.progressivegan import ProgressiveGAN
from genlit.models.puzzlegan import PuzzleGAN
from genlit.models.quadrants import QuadrantCVAE, QuadrantNetwork
from genlit.models.rowlstm import RowLSTM
from genlit.models.semisupervised import SemiSupervisedAAE
from genlit.models.sngan import SNGAN
from genlit.models.stackgan import StackGAN
from genlit.models.stackgantwo import StackGANTwo
from genlit.models.stargan import StarGAN
from genlit.models.text2image import Text2Image
from genlit.models.vae import VAE
from genlit.models.vqvae import VQVAE

__all__ = [
    "AAE",
    "CVAE",
    "DCGAN",
    "FVSBN",
    "GAN",
    "IWAE",
    "MADE",
    "NADE",
    "SNGAN",
    "VAE",
    "VQVAE",
    "AutoEncoder",
    "Bernoulli",
    "ConditionalGAN",
    "CycleGAN",
    "DiagonalBiLSTM",
    "GatedPixelCNN",
    "Gaussian",
    "GaussianMixture",
    "GradientGaussianMixture",
    "InfoGAN",
    "MarkovChain",
    "Pix2Pix",
    "PixelCNN",
    "ProgressiveGAN",
    "PuzzleGAN",
    "QuadrantCVAE",
    "QuadrantNetwork",
    "RowLSTM",
    "SemiSupervisedAAE",
    "StackGAN",
    "StackGANTwo",
    "StarGAN",
    "Text2Image",
]
