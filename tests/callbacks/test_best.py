import json
import shutil

import pytest
import torch

import genlit
from genlit import runs
from genlit.callbacks.best import Best, is_distance
from genlit.callbacks.evaluation import Evaluation
from genlit.callbacks.fidelity import SEED
from genlit.cli import verbs
from genlit.engine.checkpoint import Checkpoints, SafeIO
from genlit.errors import GenlitError
from genlit.logging.history import History
from genlit.models import DCGAN
from tests.games import assert_same, trainer

HASH, OTHER = "fd-lenet/1a2b3c4d.n8.val", "fd-lenet/1a2b3c4d.n9.val"


class Script:
    """Gives the values of a list, by iteration."""

    def __init__(self, values, name=HASH):
        self.values, self.name = dict(enumerate(values, start=1)), name

    def prepare(self, trainer, model):
        pass

    def measure(self, trainer, model):
        return {self.name: self.values[trainer.global_step]}


@pytest.fixture
def play(tmp_path, model, data):
    """Trains with scripted distances; `at` is where it is killed, `start` where it goes on."""

    def run(values, *, at=None, start=None, keep=2, every=1, name=HASH):
        history = History(tmp_path)
        history.rewind(start or 0)
        checkpoints = Checkpoints(every=every, keep=keep)
        callbacks = [Evaluation([Script(values, name)], every=4, share=1), Best(), checkpoints]
        path = tmp_path / "checkpoints" / f"it-{start:08d}.ckpt" if start else None
        options = {"callbacks": callbacks, "logger": history, "enable_checkpointing": True, "plugins": [SafeIO()]}
        trained = trainer(tmp_path, at or len(values), log_every_n_steps=1, val_check_interval=99, **options)
        trained.fit(type(model)(), data(), ckpt_path=path, weights_only=True)
        return best(tmp_path)

    return run


def best(run):
    return json.loads((run / "best.json").read_text())


def kept(run):
    return [int(path.stem[3:]) for path in sorted((run / "checkpoints").glob("*.ckpt"))]


def test_the_lowest_is_named_and_kept(play, tmp_path):
    assert play([9.0, 5.0, 7.0, 6.0, 8.0, 8.0]) == {"metric": HASH, "value": 5.0, "iteration": 2}
    assert kept(tmp_path) == [2, 5, 6]


def test_the_best_is_saved_when_no_checkpoint_is_due(play, tmp_path):
    assert play([9.0, 5.0, 7.0, 6.0, 8.0, 8.0], every=100)["iteration"] == 2
    assert kept(tmp_path) == [2, 6]


def test_of_equals_the_first_is_the_best(play):
    assert play([5.0, 5.0, 5.0])["iteration"] == 1


def test_what_was_best_goes_when_another_is(play, tmp_path):
    assert play([5.0, 6.0, 7.0, 8.0, 4.0, 6.0, 7.0])["iteration"] == 5
    assert kept(tmp_path) == [5, 6, 7]


def test_the_last_iteration_may_be_the_best(play, tmp_path):
    assert play([5.0, 6.0, 7.0, 4.0])["iteration"] == 4
    assert 4 in kept(tmp_path)


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("values", [[9.0, 5.0, 7.0, 6.0, 8.0, 8.0, 8.0, 7.0], [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0]])
def test_an_interrupted_run_has_the_same_best_and_checkpoints(play, tmp_path, at, values):
    whole = play(values)
    there = kept(tmp_path)
    for thing in ("best.json", "history.jsonl"):
        (tmp_path / thing).unlink()
    shutil.rmtree(tmp_path / "checkpoints")
    play(values, at=at)
    assert play(values, start=at) == whole
    assert kept(tmp_path) == there


def test_what_was_best_after_the_checkpoint_that_a_run_goes_on_from_is_forgotten(play, tmp_path):
    play([9.0, 5.0, 7.0, 1.0, 8.0], keep=9)
    for file in list((tmp_path / "checkpoints").glob("it-0000000[345]*")):
        file.unlink()
    assert play([0, 0, 7.0, 6.0, 8.0, 8.0], start=2) == {"metric": HASH, "value": 5.0, "iteration": 2}
    assert 2 in kept(tmp_path)


def test_another_protocol_begins_anew(play):
    play([5.0, 6.0, 7.0, 8.0])
    assert play([0, 0, 0, 0, 30.0, 20.0, 25.0], start=4, name=OTHER) == {
        "metric": OTHER,
        "value": 20.0,
        "iteration": 6,
    }


def test_what_is_no_number_is_never_the_best(play):
    assert play([float("nan"), 6.0, float("nan"), 7.0])["iteration"] == 2


def test_distances_are_known_by_name():
    assert [is_distance(name) for name in (HASH, "fid/inception-tf1.n10.val", "kid/lenet-1.n8.val", "val/fid")] == [
        *(True, True),
        *(False, False),
    ]


# Through the command line


@pytest.fixture
def improving(monkeypatch, dcgan):
    """A run whose second of three measurements is the best: then alone it draws digits."""
    from genlit.data import Digits

    digits = Digits(size=32).first(64, torch.device("cpu"), "train")["image"]
    draw = DCGAN.sample

    def sample(self, n, *, seed=0, start=0, batch_size=64):
        if seed == SEED and self.iteration == 4:
            return digits[:n]
        return draw(self, n, seed=seed, start=start, batch_size=batch_size)

    monkeypatch.setattr(DCGAN, "sample", sample)
    return dcgan("--run.keep=1")


def test_eval_sample_and_load_take_the_best(improving, tmp_path, monkeypatch):
    assert kept(improving) == [4, 6]
    assert genlit.load(f"{improving}@best").iteration == 4
    assert genlit.load(improving).iteration == 6
    monkeypatch.chdir(tmp_path)
    assert runs.resolve("dcgan@best", "runs") == runs.resolve("dcgan/001@best", "runs")
    verbs.main(["eval", f"{improving}@best"], standalone_mode=False)
    table = json.loads((improving / "eval-test@best.json").read_text())
    assert (table["checkpoint"], table["iteration"]) == ("it-00000004.ckpt", 4)
    assert not (improving / "eval-test.json").exists()
    verbs.main(["sample", f"{improving}@best", "-n", "2"], standalone_mode=False)
    assert (improving / "samples" / "00001.png").is_file()


def test_resuming_through_the_command_line_gives_the_same_best(improving, tmp_path, dcgan):
    other = dcgan("--run.keep=1", "--trainer.max_steps=3", root="parts")
    assert dcgan("--run.keep=1", "--resume", root="parts") == other
    assert (other / "best.json").read_text() == (improving / "best.json").read_text()
    assert kept(other) == kept(improving)
    one, two = (
        torch.load(run / "checkpoints" / f"it-{it:08d}.ckpt", weights_only=True)
        for run, it in ((improving, 4), (other, 4))
    )
    assert_same(one, two)


def test_without_a_best_there_is_a_sentence(dcgan, tmp_path):
    run = dcgan("--run.fidelity=null", "--trainer.max_steps=1")
    with pytest.raises(GenlitError, match=r"No run at .*001 has kept a best checkpoint: set run\.fidelity"):
        genlit.load(f"{run}@best")
    with pytest.raises(GenlitError, match=r"dcgna.*dcgan/001"):
        runs.resolve("dcgna@best", tmp_path / "runs")
