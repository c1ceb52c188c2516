"""Models of several kinds, as they would be loaded, without the training."""

import pytest

from genlit import models

GREY, COLOUR = (1, 8, 8), (3, 16, 16)
SMALL = {"width": 2, "critic_width": 2}
SIZES = {
    "GAN": (GREY, {"hidden": (8,)}),
    "DCGAN": ((1, 16, 16), {"width": 2, "channels_last": True}),
    "SNGAN": (COLOUR, {"width": 2}),
    "InfoGAN": (GREY, {"width": 2, "q_width": 2}),
    "ConditionalGAN": ((1, 16, 16), {"width": 2}),
    "ProgressiveGAN": (COLOUR, {"width": 4, "latent": 4, "stage_images": 5, "stage_lr": {8: 0.5}}),
    "CycleGAN": (COLOUR, SMALL | {"blocks": 1, "critic_layers": 1}),
    "Pix2Pix": (COLOUR, SMALL | {"critic_layers": 1}),
    "StarGAN": (COLOUR, SMALL | {"blocks": 1, "critic_layers": 2, "labels": {"attributes": ["x", "y"]}}),
    "PuzzleGAN": ((1, 16, 16), SMALL | {"patches": 2}),
    "Text2Image": ((3, 8, 8), SMALL | {"vision_width": 2, "words": 4, "embedding": 4}),
    "VAE": (GREY, {"hidden": (8,), "latent": 3}),
    "IWAE": (GREY, {"hidden": (8,), "latent": 3}),
    "AAE": (GREY, {"hidden": (8,)}),
    "SemiSupervisedAAE": (GREY, {"hidden": (8,)}),
    "AutoEncoder": (GREY, {"hidden": (8,), "latent": 3}),
    "QuadrantCVAE": (GREY, {"hidden": (8,)}),
    "CVAE": (GREY, {"hidden": (8,), "latent": 3, "classes": 2}),
    "VQVAE": (GREY, {"width": 4, "codes": 8, "prior_width": 4, "prior_blocks": 1}),
    "Bernoulli": (GREY, {}),
    "MarkovChain": (GREY, {}),
    "FVSBN": (GREY, {}),
    "MADE": (GREY, {"hidden": (8,)}),
    "PixelCNN": (GREY, {"width": 2, "blocks": 1}),
    "RowLSTM": (GREY, {"width": 2, "layers": 1}),
    "Gaussian": ((1, 4, 4), {}),
    "GradientGaussianMixture": ((1, 4, 4), {"components": 2}),
}


@pytest.fixture
def ready():
    """Makes a small model of a class, in evaluation."""

    def made(name):
        shape, options = SIZES[name]
        model = getattr(models, name)(shape, **options)
        model.configure_model()
        model.ema = None  # whose networks a loaded model has in the place of the live ones
        return model.requires_grad_(False).eval()

    return made
