import logging

import pytest
import torch
from torch import nn

import genlit.models.dcgan
from genlit.callbacks.best import Best
from genlit.callbacks.evaluation import Evaluation
from genlit.callbacks.fidelity import SEED
from genlit.callbacks.sentinel import SIGNS, Sentinel, critic_losses, signs
from genlit.data import Digits
from genlit.engine.checkpoint import Checkpoints, SafeIO
from genlit.logging import history
from genlit.models import DCGAN
from tests.games import assert_same, trainer

WELL = {"diversity/lenet-1.n8.val": 0.9, "recall/lenet-1.n8.val": 0.5, "fd-lenet/1.n8.val": 3.0}
ALIKE = WELL | {"diversity/lenet-1.n8.val": 0.05}
MISSES = WELL | {"recall/lenet-1.n8.val": 0.0}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (WELL, []),
        (ALIKE, ["diversity/lenet-1.n8.val is 0.05 (samples are nearly alike: more instance noise"]),
        (MISSES, ["recall/lenet-1.n8.val is 0 (samples miss nearly all real images: try another loss"]),
        (WELL | {"saturation/critic": 0.01}, ["saturation/critic is 0.01 (the critic is never wrong: lower its rate"]),
        ({"diversity/x": 0.1, "recall/x": 0.02, "saturation/critic": 0.02}, []),
        ({"train/recall/x": 0.0, "kid/x": 0.0}, []),
        (ALIKE | {"recall/lenet-1.n8.val": 0.0}, ["diversity/", "recall/"]),
    ],
)
def test_signs_name_metric_value_and_remedy(values, said):
    found = signs(values)
    assert len(found) == len(said)
    assert all(sentence.startswith(start) for sentence, start in zip(found, said, strict=True))


class Script:
    """Gives values by iteration."""

    def __init__(self, values):
        self.values = dict(enumerate(values, start=1))

    def prepare(self, trainer, model):
        pass

    def measure(self, trainer, model):
        return self.values[trainer.global_step]


def script(letters):
    """w: well, a: alike, m: misses."""
    return [{"w": WELL, "a": ALIKE, "m": MISSES}[letter] for letter in letters]


@pytest.fixture
def play(tmp_path, model, data, caplog):
    """Trains with scripted values at every iteration; returns strikes by iteration, and what was warned of."""

    def run(letters, action="warn", *, loss=0.25, log_every=1, every=4, start=None, at=None, patience=3, keep=2):
        class Critic(type(model)):
            def turns(self, batch):
                shade = batch["image"].mean().reshape(1)
                now = loss[self.iteration] if isinstance(loss, list) else loss
                yield "critic", {"adversarial": 0 * self.critic(shade).sum() + now}
                yield "generator", {"adversarial": 0 * self.generator(shade).sum() + 0.5}

        told = len(caplog.records)
        log = history.History(tmp_path)
        log.rewind(start or 0)
        watching = [Evaluation([Script(script(letters))], every, share=1), Best(), Sentinel(action, patience)]
        options = {"logger": log, "plugins": [SafeIO()], "enable_checkpointing": True, "val_check_interval": 99}
        options |= {"callbacks": [*watching, Checkpoints(every=2, keep=keep)], "log_every_n_steps": log_every}
        path = tmp_path / "checkpoints" / f"it-{start:08d}.ckpt" if start else None
        trained = trainer(tmp_path, at or len(letters), **options)
        trained.fit(Critic(), data(), ckpt_path=path, weights_only=True)
        new = [record for record in caplog.records[told:] if record.name == "genlit"]
        return strikes(tmp_path), [record.getMessage() for record in new if record.levelno >= logging.WARNING]

    return run


def strikes(run):
    records = history.read(run / "history.jsonl")
    return [record["sentinel/strikes"] for record in records if "sentinel/strikes" in record]


def kept(folder):
    return [int(path.stem[3:]) for path in sorted(folder.glob("*.ckpt"))]


def test_a_healthy_run_is_left_alone(play):
    assert play("wwwwwwww") == ([0] * 8, [])


def test_one_warning_after_so_many_in_a_row(play):
    found, (warning,) = play("waawaaaaaa")
    assert found == [0, 1, 2, 0, 1, 2, 3, 4, 5, 6]
    assert warning.startswith("collapse at iteration 7: diversity/lenet-1.n8.val is 0.05 (samples are nearly alike")


def test_signs_may_differ_from_one_to_the_next(play):
    found, (warning,) = play("wamam")
    assert found == [0, 1, 2, 3, 4]
    assert "iteration 4: diversity/" in warning


def test_a_second_collapse_is_told_too(play):
    _, warnings = play("waaawaaa")
    assert [warning.partition(":")[0] for warning in warnings] == [
        "collapse at iteration 4",
        "collapse at iteration 8",
    ]


@pytest.mark.parametrize("log_every", [1, 2, 3])
def test_a_critic_that_is_never_wrong_is_seen_however_often_it_is_logged(play, log_every):
    _, (warning,) = play("w" * 9, loss=0.001, log_every=log_every)
    assert "saturation/critic is 0.001 (the critic is never wrong" in warning


@pytest.mark.parametrize("loss", [-3.0, [0.01, *[-0.001] * 4, *[0.001] * 15], [0.001, *[-5.0] * 19]])
def test_a_loss_that_may_fall_below_0_is_no_sign(play, loss):
    found, warnings = play("w" * 12, loss=loss)
    assert max(found[1:]) == 0
    assert not warnings


def test_a_critic_that_recovers_is_healthy_again(play):
    assert play("wwwwww", loss=[0.01, 0.01, 0.5, 0.5, 0.01, 0.5])[0] == [1, 2, 0, 0, 1, 0]


def test_losses_are_those_of_critics():
    record = {"train/critic/adversarial": 0.1, "train/critic_a/adversarial": 0.2, "val/critic/adversarial": 0.3}
    record |= {"train/generator/adversarial": 0.4, "train/critic/gradient_norm": 0.5, "train/critic/drift": 0.6}
    assert critic_losses(record) == {"saturation/critic": 0.1, "saturation/critic_a": 0.2}


@pytest.mark.parametrize("at", range(1, 8))
def test_an_interrupted_run_counts_on(play, tmp_path, at):
    found, told = play("waawaaaa", keep=9)
    before = len(told) if at >= 7 else 0
    (tmp_path / "history.jsonl").unlink()
    for file in (tmp_path / "checkpoints").iterdir():
        file.unlink()
    _, told_first = play("waawaaaa", at=at, keep=9)
    rest, told_rest = play("waawaaaa", start=at, keep=9)
    assert (len(told_first), rest) == (before, found)
    assert len(told_first + told_rest) == 1


# What it leads to


def test_stop_ends_the_training_with_a_checkpoint(play, tmp_path):
    found, warnings = play("waaaaaaaaa", "stop")
    assert found == [0, 1, 2, 3]
    assert len(warnings) == 2
    assert warnings[1] == "training stops; go on from the last checkpoint with other settings: --resume --override"
    assert kept(tmp_path / "checkpoints")[-1] == 4
    assert not (tmp_path / "checkpoints" / "collapsed").exists()


def test_a_stopped_run_that_goes_on_has_its_patience_again(play):
    play("waaaaaaaaa", "stop")
    found, _ = play("waaaaaaaaa", "stop", start=4)
    assert found == [0, 1, 2, 3, 1, 2, 3]


def test_return_sets_aside_what_came_after_the_last_healthy_one(play, tmp_path):
    found, warnings = play("wwwaaaaaaa", "return")
    folder = tmp_path / "checkpoints"
    assert found == [0, 0, 0, 1, 2, 3]
    assert warnings[1] == "training stops; go on from iteration 3 with other settings: --resume --override"
    assert kept(folder)[-1] == 3
    assert kept(folder / "collapsed")[-1] == 6
    assert all((path.parent / f"{path.name}.sha256").is_file() for path in folder.rglob("*.ckpt"))


def test_return_keeps_the_healthy_one_over_a_resumption(play, tmp_path):
    play("wwwaaaaaaa", "return", at=4, patience=5)
    found, warnings = play("wwwaaaaaaa", "return", start=4, patience=5)
    assert found == [0, 0, 0, 1, 2, 3, 4, 5]
    assert "iteration 3" in warnings[-1]
    assert kept(tmp_path / "checkpoints")[-1] == 3


@pytest.mark.parametrize("first", ["warn", "return"])
def test_nothing_is_set_aside_without_a_healthy_checkpoint_to_return_to(play, tmp_path, first):
    play("aaaaaa" if first == "return" else "waa", first, at=2, patience=9)
    for file in (tmp_path / "checkpoints").glob("it-00000001*"):
        file.unlink()
    _, warnings = play("a" * 12, "return", start=2)
    assert "the last checkpoint (none was healthy)" in warnings[-1]
    assert not (tmp_path / "checkpoints" / "collapsed").exists()


# Through the command line, on a generator that is broken on purpose


@pytest.fixture
def broken(monkeypatch):
    """A DCGAN that draws digits, and from the second iteration on grey images alone."""
    digits, draw = Digits(size=32).first(64, torch.device("cpu"), "train")["image"], DCGAN.sample
    whole = genlit.models.dcgan.convolutional_generator

    def sample(self, n, *, seed=0, start=0, batch_size=64):
        healthy = seed == SEED and self.iteration <= 2
        return digits[:n] if healthy else draw(self, n, seed=seed, start=start, batch_size=batch_size)

    def generator(*args):
        return nn.Sequential(*whole(*args), Nothing())

    monkeypatch.setattr(genlit.models.dcgan, "convolutional_generator", generator)
    monkeypatch.setattr(DCGAN, "sample", sample)


class Nothing(nn.Module):
    def forward(self, images):
        return 0 * images


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if "collapse at" in record.getMessage()]


def test_a_broken_generator_is_warned_of_once(dcgan, broken, caplog):
    run = dcgan("--trainer.max_steps=12")
    assert strikes(run) == [0, 1, 2, 3, 4, 5]
    (warning,) = warnings(caplog)
    assert "collapse at iteration 8: diversity/lenet-" in warning
    assert ".n8.val is 0 (samples are nearly alike: more instance noise" in warning
    assert "; recall/lenet-" in warning


def test_a_broken_generator_stops_the_training(dcgan, broken):
    run = dcgan("--trainer.max_steps=12", "--run.sentinel=stop")
    assert strikes(run) == [0, 1, 2, 3]
    assert kept(run / "checkpoints")[-1] == 8


def test_a_broken_generator_is_gone_back_from_and_the_run_goes_on(dcgan, broken, caplog):
    run = dcgan("--trainer.max_steps=12", "--run.sentinel=return")
    assert kept(run / "checkpoints") == [2]
    assert 8 in kept(run / "checkpoints" / "collapsed")
    assert dcgan("--trainer.max_steps=12", "--run.sentinel=warn", "--model.lr=1e-4", "--resume", "--override") == run
    assert strikes(run) == [0, 1, 2, 3, 4, 5]
    assert kept(run / "checkpoints")[-1] == 12
    assert history.read(run / "history.jsonl")[-1]["progress/iter"] == 12


def test_no_look_is_taken_where_none_is_wanted(dcgan, broken, caplog):
    assert strikes(dcgan("--trainer.max_steps=12", "--run.sentinel=null")) == []
    assert not warnings(caplog)


def test_an_interrupted_run_has_the_same_checkpoint(dcgan, broken):
    whole, _ = dcgan(root="whole"), dcgan("--trainer.max_steps=4", root="parts")
    parts = dcgan("--resume", root="parts")
    states = [torch.load(run / "checkpoints" / "it-00000006.ckpt", weights_only=True) for run in (whole, parts)]
    assert_same(*states)
    assert strikes(whole) == strikes(parts) == [0, 1, 2]


def test_every_sign_has_a_remedy():
    assert all(sign.bound > 0 and ":" in sign.remedy for sign in SIGNS)
