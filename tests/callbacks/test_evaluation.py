import pytest
import torch
from lightning.pytorch import Callback

from genlit.callbacks import evaluation
from genlit.callbacks.evaluation import Evaluation
from genlit.errors import GenlitError
from genlit.logging import history
from tests.games import assert_same

COST = {"throughput/evaluation_share", "throughput/evaluation_seconds", "throughput/evaluation_setup_seconds"}


class Clock(Callback):
    """A clock that only training and measuring move: a second an iteration."""

    def __init__(self):
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now

    def on_train_batch_start(self, *args):
        self.now += 1.0


class Ruler:
    """Takes some seconds, and says how often it was asked."""

    def __init__(self, clock=None, seconds=0.0):
        self.clock, self.seconds, self.asked = clock or Clock(), seconds, 0

    def prepare(self, trainer, model):
        self.clock.now += 7.0

    def measure(self, trainer, model):
        self.clock.now += self.seconds
        self.asked += 1
        return {"length/ruler": self.asked}


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(evaluation, "time", clock)
    return clock


def measured(trainer):
    return [record for record in trainer.logger.records if "length/ruler" in record]


def iterations(trainer):
    return [record["progress/iter"] for record in measured(trainer)]


# Four images an iteration, 80 in all


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        (1, list(range(1, 21))),
        (3, list(range(1, 21))),
        (8, [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]),
        (10, [3, 5, 8, 10, 13, 15, 18, 20]),
        (30, [8, 15, 20]),
        (80, [20]),
        (1000, [20]),
    ],
)
def test_every_so_many_images_and_once_at_the_end(fit, every, expected):
    assert iterations(fit(Evaluation([Ruler()], every, share=1))) == expected


def test_a_resumed_run_measures_where_an_uninterrupted_one_does(fit, tmp_path):
    fit(steps=9).save_checkpoint(tmp_path / "it.ckpt")
    trainer = fit(Evaluation([Ruler()], 10, share=1), start=tmp_path / "it.ckpt")
    assert iterations(trainer) == [10, 13, 15, 18, 20]


def test_a_run_that_resumes_at_its_end_measures_nothing(fit, tmp_path):
    fit(steps=20).save_checkpoint(tmp_path / "it.ckpt")
    assert iterations(fit(Evaluation([Ruler()], 10, share=1), start=tmp_path / "it.ckpt")) == []


def test_the_share_of_wall_time_is_kept_to_after_the_first(fit, clock):
    ruler = Ruler(clock, seconds=3.0)
    records = measured(fit(clock, Evaluation([ruler], every=4, share=0.25), steps=60))
    shares = [record["throughput/evaluation_share"] for record in records]
    assert [record["progress/iter"] for record in records] == [1, 18, 27, 36, 45, 54]
    assert shares[0] == 0.75  # what it takes is not known before
    assert all(0.2 < share <= 0.25 for share in shares[1:])


def test_a_slow_measurement_is_not_repeated_and_a_fast_one_always(fit, clock):
    assert iterations(fit(clock, Evaluation([Ruler(clock, seconds=1000.0)], every=4, share=0.1), steps=30)) == [1]
    assert len(iterations(fit(clock, Evaluation([Ruler(clock, seconds=0.1)], every=4, share=0.1), steps=30))) == 30
    assert len(iterations(fit(clock, Evaluation([Ruler(clock, seconds=1000.0)], every=4, share=1), steps=30))) == 30


def test_the_first_process_decides_for_all(fit, clock, monkeypatch):
    asked = []
    monkeypatch.setattr(evaluation, "broadcast", lambda thing: bool(asked.append(thing)))
    ruler = Ruler(clock)
    assert iterations(fit(clock, Evaluation([ruler], every=40), steps=20)) == []
    assert (asked, ruler.asked) == ([True, True], 0)


def test_the_cost_is_recorded_and_getting_ready_apart_from_it(fit, clock):
    (record,) = measured(fit(clock, Evaluation([Ruler(clock, seconds=5.0)], every=80, share=1)))
    assert {key: record[key] for key in COST} == {
        "throughput/evaluation_share": 5.0 / 25.0,
        "throughput/evaluation_seconds": 5.0,
        "throughput/evaluation_setup_seconds": 7.0,
    }
    assert record.items() >= {"progress/iter": 20, "progress/images": 80}.items()


class Listener(Callback):
    def on_evaluation(self, trainer, model, values):
        self.heard = dict(values)
        return {"heard/by": len(values)}


def test_callbacks_are_told_and_may_add(fit):
    listener = Listener()
    (record,) = measured(fit(Evaluation([Ruler()], every=1000, share=1), listener))
    assert listener.heard == {"length/ruler": 1}
    assert record["heard/by"] == 1


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(GenlitError, match=r"run\.evaluate_share is .*above 0 and at most 1"):
        Evaluation([], 1, share)


# Through the command line


def saved(run, iteration):
    return torch.load(run / "checkpoints" / f"it-{iteration:08d}.ckpt", weights_only=True)


def test_training_and_its_checkpoints_are_the_same_with_and_without(dcgan):
    runs = dcgan("--run.fidelity=null", root="without"), dcgan(root="with")
    for iteration in (4, 6):
        without, with_it = (saved(run, iteration) for run in runs)
        assert set(with_it["callbacks"]) - set(without["callbacks"]) <= {"Sentinel"}
        for checkpoint in (without, with_it):
            del checkpoint["callbacks"]
        assert_same(without, with_it)
        assert not any("extract" in name or "lenet" in name for name in with_it["state_dict"])
    plain, evaluated = (history.read(run / "history.jsonl") for run in runs)
    timeless = [
        [{name: value for name, value in record.items() if not name.startswith(("throughput/", "progress/hours"))}
         for record in records if "train/critic/adversarial" in record]
        for records in (plain, evaluated)
    ]  # fmt: skip
    assert timeless[0] == timeless[1]
    shares = [record["throughput/evaluation_share"] for record in evaluated if "sentinel/strikes" in record]
    assert len(shares) == 3
    assert all(0 < share <= 1 for share in shares)
