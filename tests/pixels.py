"""Small models of pixels, taken apart: every image there is, and which pixel reaches which conditional."""

from copy import deepcopy

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.autograd.functional import jacobian
from torch.optim import LBFGS

from genlit.families.autoregressive import Autoregressive
from genlit.nn.levels import Levels


def binary_digits() -> tuple[Tensor, Tensor]:
    """scikit-learn's digits, every fifth for the test."""
    pixels = torch.tensor(load_digits().data > 7.5).double() * 2 - 1
    images, test = pixels.view(-1, 1, 8, 8), torch.arange(len(pixels)) % 5 == 0
    return images[~test], images[test]


def every(shape: tuple[int, int, int], levels: int = 2) -> Tensor:
    """All images of a shape, float64."""
    values = Levels(levels).value(torch.arange(levels), torch.float64)
    positions = [values] * torch.Size(shape).numel()
    return torch.stack(torch.meshgrid(*positions, indexing="ij"), -1).view(-1, *shape)


def scrambled(model: Autoregressive, seed: int = 0, std: float = 0.5) -> Autoregressive:
    """The model in double precision, with parameters that leave no conditional near uniform."""
    torch.manual_seed(seed)
    for parameter in model.double().parameters():
        nn.init.normal_(parameter, std=std)
    return model


def fit(model: Autoregressive, images: Tensor, p: Tensor, steps: int = 300) -> None:
    """Minimises Σ p(x) −log p_model(x) over images by LBFGS."""
    optimiser = LBFGS(model.parameters(), max_iter=steps, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = (p * model.nll(images)).sum()
        loss.backward()
        return loss

    optimiser.step(closure)


def reached(model: Autoregressive) -> Tensor:
    """Whether a value reaches a conditional's logits, by gradient, (conditional, value) in the model's order.

    Parameters and pixels are made positive, so that no ReLU hides a path and no two paths cancel.
    """
    positive = deepcopy(model)
    for parameter in positive.parameters():
        parameter.data = parameter.data.abs() / 10
    image = torch.rand(1, *model.shape, dtype=model.dtype)
    slopes = jacobian(lambda x: positive.logits(x, x.new_zeros(1).long()).sum((0, 1)), image)[..., 0, :, :, :]
    order = model.order()
    return slopes.flatten(3).flatten(0, 2)[order][:, order] != 0
