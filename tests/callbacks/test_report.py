import logging
import time
from types import SimpleNamespace

import pytest

from genlit.callbacks.report import Report


@pytest.fixture
def training(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    return SimpleNamespace(default_root_dir=str(tmp_path), is_global_zero=True), tmp_path / "report.html"


def begun(trainer, hours_ago=1.0):
    report = Report()
    report.on_train_start(trainer, None)
    report._begun = time.perf_counter() - 3600 * hours_ago
    return report


@pytest.mark.parametrize("news", ["validation", "evaluation"])
def test_the_page_is_written_after_a_validation_and_after_a_measurement(training, news):
    trainer, page = training
    report = begun(trainer)
    report.on_train_batch_end(trainer, None)
    assert not page.exists()
    report.on_validation_end(trainer, None) if news == "validation" else report.on_evaluation(trainer, None, {})
    report.on_train_batch_end(trainer, None)
    assert page.exists()
    page.unlink()
    report.on_train_batch_end(trainer, None)
    assert not page.exists()


def test_what_would_take_more_than_its_share_waits_for_its_time_and_the_last_page_never_does(training):
    trainer, page = training
    report = begun(trainer, hours_ago=0.01)
    report._last = 1.0
    report.on_validation_end(trainer, None)
    report.on_train_batch_end(trainer, None)
    assert not page.exists()
    report._begun -= 100
    report.on_train_batch_end(trainer, None)
    assert page.exists()
    page.unlink()
    report._last = 1e6
    report.on_train_end(trainer, None)
    assert page.exists()


def test_other_processes_write_nothing(training):
    trainer, page = training
    trainer.is_global_zero = False
    begun(trainer).on_train_end(trainer, None)
    assert not page.exists()


def test_a_page_that_cannot_be_written_is_told_once_and_ends_nothing(training, caplog):
    trainer, page = training
    page.mkdir()
    report = begun(trainer)
    with caplog.at_level(logging.WARNING, "genlit"):
        report.on_train_end(trainer, None)
        report.on_train_end(trainer, None)
    assert [
        record.getMessage().startswith("no report.html (GenlitError: cannot write") for record in caplog.records
    ] == [True]
