import pytest
from lightning.pytorch import Callback

from genlit.callbacks import throughput
from genlit.callbacks.throughput import Throughput

SPEED = {"throughput/images_per_second": 16.0, "throughput/step_ms": 250.0, "throughput/cpu_ms": 125.0}


class Clock(Callback):
    """A clock that only training moves: 1/4 s an iteration, half of it on the CPU, and 8 s a batch of validation."""

    def __init__(self):
        self.wall = self.cpu = 100.0

    def perf_counter(self) -> float:
        return self.wall

    def process_time(self) -> float:
        return self.cpu

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.wall += 0.25
        self.cpu += 0.125

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.wall += 8.0
        self.cpu += 8.0


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(throughput, "time", clock)
    return clock


def speed(record: dict[str, float]) -> dict[str, float]:
    return {key: record[key] for key in SPEED if key in record}


def test_a_record_holds_the_speed_since_the_last(fit, clock):
    assert [speed(record) for record in fit(clock, Throughput()).logger.records] == [SPEED] * 4


def test_validation_takes_hours_and_no_speed(fit, clock):
    before, validation, after, *_ = fit(clock, Throughput(), validate_every=7).logger.records
    assert [speed(record) for record in (before, validation, after)] == [SPEED, {}, SPEED]
    seconds = [3600 * record["progress/hours"] for record in (before, validation, after)]
    assert seconds == pytest.approx([1.25, 1.75 + 16, 2.5 + 16])


class Drawing(Callback):
    """Moves the clock by a second after every iteration, as pictures and checkpoints do."""

    def __init__(self, clock):
        self.clock = clock

    def on_train_batch_end(self, *args):
        self.clock.wall += 1.0


def test_what_is_done_between_iterations_counts_in_the_speed(fit, clock):
    _, record, *_ = fit(clock, Throughput(), Drawing(clock)).logger.records
    assert record["throughput/step_ms"] == 1250.0


def test_a_second_record_of_an_iteration_has_hours_and_no_speed(fit, clock):
    callback = Throughput()
    fit(clock, callback, steps=3)
    assert speed(callback.metrics()) == SPEED
    assert callback.metrics().keys() == {"progress/hours"}


def test_hours_grow_over_resumptions(fit, clock, tmp_path):
    fit(clock, Throughput()).save_checkpoint(tmp_path / "it.ckpt")
    records = fit(clock, Throughput(), steps=40, start=tmp_path / "it.ckpt").logger.records
    assert [3600 * record["progress/hours"] for record in records] == pytest.approx([6.25, 7.5, 8.75, 10.0])


def test_nothing_else_of_a_record_depends_on_the_clock_on_the_wall(fit):
    one, two = (fit(Throughput()).logger.records for _ in range(2))
    differing = {key for a, b in zip(one, two, strict=True) for key in a if a[key] != b[key]}
    assert differing <= SPEED.keys() | {"throughput/memory_gib", "progress/hours"}
