"""Graphs give what the model gives, from a file, for any number of rows."""

import pytest
import torch
from onnxruntime import InferenceSession

from genlit.errors import GenlitError
from genlit.export import graphs
from genlit.export.functions import Function, functions, images
from genlit.export.graphs import UntraceableError, write_checked

TRACED = {
    "DCGAN": ["decode", "criticise"],
    "ConditionalGAN": ["decode"],
    "InfoGAN": ["decode", "cluster", "criticise"],
    "VAE": ["decode", "encode", "reconstruct"],
    "VQVAE": [],  # torch.cdist goes another way from 26 vectors on
    "CycleGAN": ["translate-b", "translate-a"],
    "StarGAN": ["translate-x", "translate-y", "translate-not-x", "translate-not-y"],
    "PixelCNN": ["log_prob"],
    "MarkovChain": ["log_prob"],
    "GradientGaussianMixture": ["decode", "log_prob"],
    "ProgressiveGAN": ["decode"],
    "Text2Image": [],
    "RowLSTM": [],
    "PuzzleGAN": [],
}


def written(model, kind, folder, batch=None):
    found = {}
    for function in functions(model):
        try:
            found[function.name] = write_checked(model, function, kind, batch, folder)
        except UntraceableError:
            continue
    return found


@pytest.mark.parametrize("name", TRACED)
def test_torch_export_agrees_to_the_bit(ready, tmp_path, name):
    found = written(ready(name), "torch", tmp_path)
    assert [*found] == TRACED[name]
    assert all(each["difference"] == 0 for each in found.values())


def test_the_file_alone_makes_the_samples(ready, tmp_path):
    model = ready("DCGAN")
    written(model, "torch", tmp_path)
    with model.evaluation():
        draws = model._draws(0, 6, 3)
    graph = torch.export.load(tmp_path / "decode.pt2").module()
    with torch.no_grad():
        assert torch.equal(graph(draws), model.decode(draws))
    torch.testing.assert_close(graph(draws), model.sample(6, seed=3))


@pytest.mark.parametrize("name", ["DCGAN", "VAE", "PixelCNN"])
def test_onnx_agrees_to_five_digits(ready, tmp_path, name):
    model = ready(name)
    function = next(
        each for each in functions(model) if each.name in ("decode", "log_prob") and not model.lacks.get(each.name)
    )
    found = write_checked(model, function, "onnx", None, tmp_path)
    assert found["difference"] <= 1e-5
    session = InferenceSession(tmp_path / found["file"], providers=["CPUExecutionProvider"])
    rows = function.rows(5)
    (given,) = session.run(None, {session.get_inputs()[0].name: rows.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(given), function.call(rows), atol=1e-5, rtol=1e-5)


def test_a_batch_can_be_fixed(ready, tmp_path):
    model = ready("ProgressiveGAN")
    criticise = next(each for each in functions(model) if each.name == "criticise")
    with pytest.raises(UntraceableError, match="fix their number by --batch"):
        write_checked(model, criticise, "torch", None, tmp_path)
    found = write_checked(model, criticise, "torch", 4, tmp_path)
    assert (found["takes"], found["gives"]) == ([4, 3, 16, 16], [4])


@pytest.mark.parametrize(
    ("name", "function", "said"),
    [
        ("PixelCNN", "decode", "PixelCNN.decode is no graph: its pixels are drawn one after the other"),
        ("RowLSTM", "log_prob", "RowLSTM.log_prob is no graph: its states follow one another"),
        ("VQVAE", "decode", "its codes are drawn one after the other"),
        ("Text2Image", "decode", "its images are made of words"),
    ],
)
def test_what_no_graph_can_hold_is_told(ready, tmp_path, name, function, said):
    model = ready(name)
    with pytest.raises(UntraceableError, match=said):
        write_checked(model, next(each for each in functions(model) if each.name == function), "torch", None, tmp_path)


def test_what_looks_at_values_is_no_graph(ready, tmp_path):
    model = ready("VAE")
    looks = Function("looks", lambda x: x if x.sum() > 0 else -x, lambda n: images(model, n))
    with pytest.raises(UntraceableError, match=r"VAE\.looks is no graph: "):
        write_checked(model, looks, "torch", None, tmp_path)


def test_a_graph_that_differs_is_refused(ready, tmp_path, monkeypatch):
    model = ready("VAE")
    decode = next(functions(model))

    def off(program, file):
        graph = graphs.save_program(program, file)
        return lambda rows: graph(rows) + 1e-6

    monkeypatch.setitem(graphs.FORMATS, "torch", (".pt2", off, 0.0))
    with pytest.raises(GenlitError, match=r"decode\.pt2 differs from the model by .*e-0[67], more than 0"):
        write_checked(model, decode, "torch", None, tmp_path)
    monkeypatch.setitem(graphs.FORMATS, "torch", (".pt2", lambda *_: lambda rows: rows * float("nan"), 0.0))
    with pytest.raises(GenlitError, match="differs from the model by inf"):
        write_checked(model, decode, "torch", None, tmp_path)
