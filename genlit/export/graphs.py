"""Functions of a model as graphs that need no genlit: torch.export and ONNX, each compared with the original."""

import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from genlit.errors import GenlitError
from genlit.export.functions import ROWS, Function
from genlit.model import GenerativeModel

Run = Callable[[Tensor], Tensor]
SIZES = (1, ROWS, 2 * ROWS - 1)  # numbers of rows that a graph of any number is tried with
DEPENDS = ("Constraints violated", "Guard failed")  # what torch says of a graph that depends on the number of rows


class UntraceableError(GenlitError):
    """A function that no graph can hold."""


class _Module(nn.Module):
    """A function beside the networks whose weights it uses."""

    def __init__(self, model: GenerativeModel, call: Run):
        super().__init__()
        self.model, self.call = model, call

    def forward(self, rows: Tensor) -> Tensor:
        return self.call(rows)


def traced(model: GenerativeModel, function: Function, batch: int | None) -> ExportedProgram:
    """The graph of a function.

    Args:
        model: whose function it is.
        function: what to trace.
        batch: rows that the graph takes; None for any number.

    Raises:
        UntraceableError: it looks at values, draws numbers, or goes through words.
    """
    if reason := model.lacks.get(function.name):
        raise UntraceableError(f"{type(model).__name__}.{function.name} is no graph: {reason}")
    rows, sizes = function.rows(batch or ROWS), None if batch else ({0: Dim.DYNAMIC},)
    try:
        with model.evaluation(), warnings.catch_warnings(action="ignore"):
            return torch.export.export(_Module(model, function.call).eval(), (rows,), dynamic_shapes=sizes)
    except Exception as error:  # whatever tracing makes of Python
        raise UntraceableError(_said(model, function, error, batch)) from error


def save_program(program: ExportedProgram, file: Path) -> Run:
    """Writes a graph as a `.pt2` file; gives what is in that file."""
    torch.export.save(program, file)
    return torch.export.load(file).module()


def save_onnx(program: ExportedProgram, file: Path) -> Run:
    """Writes a graph as an ONNX file; gives what onnxruntime makes of that file, on the CPU.

    Raises:
        GenlitError: the packages of the extra are not here.
        UntraceableError: ONNX has no word for an operation.
    """
    try:
        import onnxscript  # noqa: F401 (torch.onnx asks for it later, in less plain words)
        from onnxruntime import InferenceSession
    except ImportError as error:
        raise GenlitError(f"--format onnx needs {error.name}: pip install 'genlit[onnx]'") from error
    try:
        with warnings.catch_warnings(action="ignore"):
            torch.onnx.export(program, dynamo=True, verbose=False).save(file)
    except Exception as error:  # the converter's errors share no base
        raise UntraceableError(f"{file.stem} cannot be converted to ONNX: {_line(error.__cause__ or error)}") from error
    session = InferenceSession(file, providers=["CPUExecutionProvider"])
    (taken,) = session.get_inputs()
    return lambda rows: torch.from_numpy(session.run(None, {taken.name: rows.numpy()})[0])


FORMATS = {"torch": (".pt2", save_program, 0.0), "onnx": (".onnx", save_onnx, 1e-5)}  # suffix, writer, tolerance


def write_checked(model: GenerativeModel, function: Function, kind: str, batch: int | None, folder: Path) -> dict:
    """Writes a function's graph to `<function>.pt2` or `.onnx`, and compares what is in the file with the original.

    Args:
        model: whose function it is.
        function: what to write.
        kind: torch or onnx.
        batch: rows that the graph takes; None for any number.
        folder: where to.

    Returns:
        What a reader needs to know: the file, the shapes of a row and of its result, the difference found.

    Raises:
        UntraceableError: no graph can hold it.
        GenlitError: the graph differs by more than 0 (torch) or 1e-5 · max(1, |original|) (onnx).
    """
    suffix, writer, tolerance = FORMATS[kind]
    file = folder / f"{function.name}{suffix}"
    graph = writer(traced(model, function, batch), file)
    try:
        found = max(difference(model, function, graph, n) for n in ([batch] if batch else SIZES))
    except (RuntimeError, AssertionError) as error:  # of a graph that holds for some numbers of rows alone
        file.unlink()
        raise UntraceableError(_said(model, function, error, batch)) from error
    if not found <= tolerance:  # NaN is no agreement
        raise GenlitError(
            f"{file.name} differs from the model by {found:.1e}, more than {tolerance:g}: it is not exported"
        )
    rows = function.rows(batch or ROWS)
    with model.evaluation():
        given = function.call(rows)
    shapes = {name: [batch or "batch", *each.shape[1:]] for name, each in (("takes", rows), ("gives", given))}
    return {"file": file.name, **shapes, "difference": found}


def difference(model: GenerativeModel, function: Function, graph: Run, n: int) -> float:
    """max |graph(x) − f(x)| / max(1, |f(x)|) over n rows; infinite where the shapes differ."""
    rows = function.rows(n)
    with model.evaluation():
        expected, given = function.call(rows), graph(rows)
    if given.shape != expected.shape:
        return float("inf")
    return ((given - expected).abs() / expected.abs().clamp(min=1)).max().item()


def _said(model: GenerativeModel, function: Function, error: Exception, batch: int | None) -> str:
    """Why a function cannot be traced, in a sentence."""
    name = f"{type(model).__name__}.{function.name}"
    if batch is None and any(words in str(error) for words in DEPENDS):
        return f"{name} is no graph of any number of rows: fix their number by --batch"
    return f"{name} is no graph: {_line(error)}"


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]
