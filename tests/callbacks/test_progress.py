import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from genlit.callbacks.progress import Progress, losses, status
from genlit.callbacks.throughput import Throughput

RECORD = {
    "train/critic/adversarial": 0.5,
    "train/critic/penalty": 0.125,
    "train/critic/gradient_norm": 99.0,
    "train/generator/adversarial": 2.0,
    "val/critic/adversarial": 99.0,
    "rate/critic": 99.0,
    "progress/iter": 100,
    "throughput/images_per_second": 312.4,
    "throughput/step_ms": 500.0,
}
WEIGHTS = {"adversarial": 1.0, "penalty": 10.0}


def test_a_players_loss_is_the_weighted_sum_of_its_training_terms():
    assert losses(RECORD, WEIGHTS) == {"critic": 0.5 + 10 * 0.125, "generator": 2.0}


def test_the_status_says_how_far_how_well_how_fast_and_how_long():
    line = status(RECORD, WEIGHTS, end=7300)
    assert line == "iteration 100  critic 1.75  generator 2  312.4 images/s  1:00:00 left"


def test_the_status_of_an_endless_run_says_no_time_left():
    assert "left" not in status(RECORD, WEIGHTS, end=None)


def show(fit, terminal: bool, *others, **options) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120)
    fit(Progress(console), Throughput(), *others, **options)
    return console.file.getvalue()


def test_without_a_terminal_every_flush_is_one_line(fit):
    lines = show(fit, terminal=False, steps=21).splitlines()
    assert [line.split("  ")[:3] for line in lines] == [
        [f"iteration {it}", "critic 0.25", "generator 0.5"] for it in (5, 10, 15, 20)
    ]
    assert all("images/s" in line and "left" in line for line in lines)


def test_a_validation_between_keeps_the_training_losses(fit):
    lines = show(fit, terminal=False, steps=9, validate_every=7).splitlines()
    assert [line.split("  ")[:2] for line in lines] == [["iteration 5", "critic 0.25"], ["iteration 7", "critic 0.25"]]


def test_a_terminal_gets_a_bar_that_arrives(fit):
    shown = show(fit, terminal=True, steps=21)
    assert "21/21" in shown
    assert "critic 0.25" in shown


@pytest.mark.parametrize("terminal", [True, False])
def test_other_processes_show_nothing(fit, terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal)
    bar = Progress(console)
    bar.setup(SimpleNamespace(is_global_zero=False), None, "fit")
    fit(bar)
    assert console.file.getvalue() == ""


def test_the_bar_is_taken_down_when_training_fails(fit, model):
    def fail(batch, batch_idx):
        raise RuntimeError("training failed")

    model.training_step = fail
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    bar = Progress(console)
    with pytest.raises(RuntimeError, match="training failed"):
        fit(bar, model=model)
    assert bar._bar.finished is False
    assert not bar._bar.live.is_started
