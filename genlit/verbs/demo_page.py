"""A page on which a person plays with a trained model: what is on it follows from what the model can do."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import gradio as gr
import torch
from gradio.components import Component
from PIL import Image
from torch import Tensor

from genlit.capabilities import (
    Completes,
    CompletesOwn,
    Illustrates,
    Reconstructs,
    Samples,
    Translates,
    codes_of,
    require,
)
from genlit.data import Source
from genlit.errors import GenlitError
from genlit.logging.media import captioned, in_rows, single, to_pil
from genlit.logging.plane import POINT
from genlit.model import GenerativeModel
from genlit.verbs.complete import MASKS, hidden
from genlit.verbs.sample import class_of, understood
from genlit.verbs.trained import images_of
from genlit.verbs.translate import fitted, picture

MOST, USUAL, STEPS = 64, 16, 101  # images at most, images at first, values of a continuous code
ANY = "any"

Tab = tuple[Callable[..., Image.Image], list[Component]]  # what it draws of its inputs


def interface(model: GenerativeModel, source: Source, title: str) -> gr.Blocks:
    """The page of a model, with a tab for each thing that it can do.

    Args:
        model: a trained one.
        source: its data: names of classes, and the size and values of images.
        title: of the page.

    Raises:
        GenlitError: it can do nothing that a page shows.
    """
    require(model, "sample", Samples, Translates, Reconstructs, Completes)
    tabs = {}
    if isinstance(model, Samples):
        tabs["sample"] = _samples(model, source)
    tabs |= {f"vary {code}": _code(model, source, code) for code in codes_of(model)}
    if isinstance(model, Translates):
        tabs["translate"] = _translation(model)
    if model.shape != POINT and isinstance(model, Reconstructs):
        tabs["reconstruct"] = _reconstruction(model, source)
    if model.shape != POINT and isinstance(model, Completes):
        tabs["complete"] = _completion(model, source)
    lock = Lock()  # torch's random state is one, whoever draws
    made = [_tab(name, partial(_answered, lock, function), inputs) for name, (function, inputs) in tabs.items()]
    return gr.TabbedInterface(made, list(tabs), title=title, analytics_enabled=False)


def _samples(model: Samples, source: Source) -> Tab:
    """Samples by seed and number, of a class or a caption where the model knows such."""

    def draw(seed: float, count: float, asked: str = "") -> Image.Image:
        images = model.sample(int(count), seed=int(seed), **condition(asked))
        if not illustrates:
            return to_pil(images)
        return captioned(images, [asked] * len(images) if asked else model.captions(len(images), seed=int(seed)))

    def condition(asked: str) -> dict[str, Any]:
        if asked in ("", ANY):
            return {}
        return {"text": understood(asked, model)} if illustrates else {"label": class_of(asked, source)}

    illustrates, inputs = isinstance(model, Illustrates), _seed_and_count()
    if illustrates:
        inputs.append(gr.Textbox(label="caption; empty for captions of the data"))
    elif "label" in codes_of(model):
        inputs.append(gr.Dropdown([ANY, *source.classes], value=ANY, label="class"))
    return draw, inputs


def _code(model: Any, source: Source, code: str) -> Tab:
    """The same draws at a value of a code, by a slider; of the label by its classes' names."""

    def draw(seed: float, count: float, value: float | str) -> Image.Image:
        chosen = class_of(value, source) if code == "label" else type(values[0])(value)
        return to_pil(model.traverse(code, int(count), seed=int(seed), values=[chosen])[:, 0])

    values = model.span(code, STEPS)
    if code == "label":
        return draw, [*_seed_and_count(), gr.Dropdown(source.classes, value=source.classes[0], label=code)]
    step = values[1] - values[0] if len(values) > 1 else 1
    slider = gr.Slider(values[0], values[-1], value=values[len(values) // 2], step=step, label=code)
    return draw, [*_seed_and_count(), slider]


def _translation(model: Translates) -> Tab:
    """An image of any size in another domain."""

    def draw(file: str | None, to: str) -> Image.Image:
        return single(fitted(model, picture(_given(file), model.shape[0]).to(model.device), to))

    return draw, [_upload(), gr.Radio(list(model.domains), value=model.domains[-1], label="to")]


def _reconstruction(model: Reconstructs, source: Source) -> Tab:
    """An image as the model reads it, and what comes back of its code."""

    def draw(file: str | None) -> Image.Image:
        image = _read(_given(file), source, model.device)
        return in_rows(image, model.reconstruct(image))

    return draw, [_upload()]


def _completion(model: Completes, source: Source) -> Tab:
    """An image as the model reads it, what is left of it, and what the model draws in the hidden part."""

    def draw(file: str | None, seed: float, mask: str | None = None) -> Image.Image:
        image = _read(_given(file), source, model.device)
        observed = ~hidden(mask, image.shape, int(seed)).to(model.device) if mask else model.mask
        return in_rows(image, torch.where(observed, image, 0), model.complete(image, observed, seed=int(seed)))

    inputs = [_upload(), gr.Number(0, label="seed", precision=0)]
    own = isinstance(model, CompletesOwn)
    return draw, inputs if own else [*inputs, gr.Radio(list(MASKS), value="bottom", label="what is hidden")]


def _tab(name: str, function: Callable[..., Image.Image], inputs: list[Component]) -> gr.Interface:
    output = gr.Image(format="png", type="pil", label=name)
    live = not any(isinstance(each, gr.Image | gr.Textbox) for each in inputs)
    return gr.Interface(
        function, inputs, output, live=live, api_name=name.replace(" ", "-"), flagging_mode="never", deep_link=False,
        analytics_enabled=False,
    )  # fmt: skip


def _answered(lock: Lock, function: Callable[..., Image.Image], *values: Any) -> Image.Image:
    """What a tab's function draws, one at a time; a sentence for bad input."""
    try:
        with lock:
            return function(*values)
    except GenlitError as error:
        raise gr.Error(str(error)) from error


def _seed_and_count() -> list[Component]:
    return [gr.Number(0, label="seed", precision=0), gr.Slider(1, MOST, value=USUAL, step=1, label="images")]


def _upload() -> gr.Image:
    return gr.Image(type="filepath", sources=["upload", "clipboard"], label="image")


def _given(file: str | None) -> Path:
    """The uploaded file.

    Raises:
        GenlitError: there is none yet.
    """
    if file is None:
        raise GenlitError("there is no image yet: drop one into the box on the left")
    return Path(file)


def _read(file: Path, source: Source, device: torch.device) -> Tensor:
    """An image in the shape and the values of the model's data, (1, C, H, W)."""
    with TemporaryDirectory() as folder:
        shutil.copy(file, folder)
        return next(images_of(folder, source).images(device, seed=0))
