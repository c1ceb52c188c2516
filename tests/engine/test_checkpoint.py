"""Checkpoints under real faults, and on a real trainer that is interrupted and resumed."""

import json
import logging
import multiprocessing
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback

from genlit.engine.checkpoint import (
    Checkpoints,
    SafeIO,
    SaveError,
    checkpoints,
    damage,
    iteration,
    load,
    newest,
    owes_validation,
    probe,
    sweep,
)
from genlit.errors import GenlitError
from tests.games import Game, digits, trainer

FORK = multiprocessing.get_context("fork")


def save(folder, it, size=1000):
    path = folder / f"it-{it:08d}.ckpt"
    SafeIO().save_checkpoint({"it": it, "weights": torch.full((size,), float(it))}, path)
    return path


def temporaries(folder):
    return list(folder.glob(".*"))


# Files


def test_what_is_saved_is_loaded(tmp_path):
    path = save(tmp_path / "new" / "folder", 7)
    state = SafeIO().load_checkpoint(path)
    assert state["it"] == 7
    assert torch.equal(state["weights"], torch.full((1000,), 7.0))
    assert not temporaries(path.parent)


def test_the_note_is_what_sha256sum_checks(tmp_path):
    path = save(tmp_path, 7)
    checked = subprocess.run(["sha256sum", "-c", path.name + ".sha256"], cwd=tmp_path, capture_output=True, check=False)
    assert checked.returncode == 0


def test_a_second_save_of_a_name_replaces_it(tmp_path):
    save(tmp_path, 3)
    path = tmp_path / "it-00000003.ckpt"
    SafeIO().save_checkpoint({"it": "again"}, path)
    assert load(path) == {"it": "again"}


def test_removing_takes_the_note_along(tmp_path):
    SafeIO().remove_checkpoint(save(tmp_path, 3))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "expected"), [("it-00000500.ckpt", 500), ("it-123456789.ckpt", 123456789), ("last.ckpt", None)]
)
def test_iteration_is_read_from_the_name(name, expected):
    assert iteration(Path(name)) == expected


def test_newest_goes_by_iteration_not_by_age(tmp_path):
    save(tmp_path, 900)
    save(tmp_path, 100)
    assert newest(tmp_path) == tmp_path / "it-00000900.ckpt"
    assert newest(tmp_path / "missing") is None


# Damage


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def empty(path):
    os.truncate(path, 0)


def fill_with_garbage(path):
    path.write_bytes(os.urandom(path.stat().st_size))


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def lose_the_note(path):
    path.with_name(path.name + ".sha256").unlink()


DAMAGES = [truncate, empty, fill_with_garbage, flip_a_bit, lose_the_note]


@pytest.mark.parametrize("harm", DAMAGES)
def test_a_damaged_checkpoint_is_refused_by_name(tmp_path, harm):
    path = save(tmp_path, 2)
    harm(path)
    with pytest.raises(GenlitError, match=r"it-00000002\.ckpt"):
        load(path)


@pytest.mark.parametrize("harm", DAMAGES)
def test_newest_walks_back_and_says_so(tmp_path, harm, caplog):
    older = save(tmp_path, 1)
    harm(save(tmp_path, 2))
    with caplog.at_level(logging.WARNING, "genlit"):
        assert newest(tmp_path) == older
    assert "it-00000002.ckpt" in caplog.text


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(GenlitError, match=r"gone\.ckpt does not exist"):
        load(tmp_path / "gone.ckpt")


# Hostile files


class Evil:
    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def vouch(path):
    digest = subprocess.check_output(["sha256sum", path.name], cwd=path.parent)
    path.with_name(path.name + ".sha256").write_bytes(digest)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path):
    path, marker = tmp_path / "it-00000001.ckpt", tmp_path / "marker"
    torch.save({"weights": Evil(marker)}, path)
    vouch(path)
    with pytest.raises(GenlitError, match=r"it-00000001\.ckpt"):
        load(path)
    assert not marker.exists()


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "it-00000001.ckpt"
    path.write_text("not a checkpoint")
    vouch(path)
    with pytest.raises(GenlitError, match="is not a checkpoint"):
        load(path)


def test_forced_unsafe_loading_is_refused(tmp_path, monkeypatch):
    path = save(tmp_path, 1)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(GenlitError, match="TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"):
        load(path)


def test_an_address_is_refused():
    with pytest.raises(GenlitError, match="download it first"):
        SafeIO().load_checkpoint("http://example.org/it-00000001.ckpt")


# Kills


def save_for_ever(folder, first):
    it = first
    while True:
        save(folder, it, size=500_000)
        it += 1


def test_a_kill_at_any_moment_leaves_whole_checkpoints(tmp_path):
    for trial in range(15):
        process = FORK.Process(target=save_for_ever, args=(tmp_path, 1000 * trial))
        process.start()
        while not any(iteration(path) >= 1000 * trial for path in checkpoints(tmp_path)):
            time.sleep(0.001)
        time.sleep(0.003 * trial)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        whole = checkpoints(tmp_path)
        assert [damage(path) for path in whole] == [None] * len(whole)
        assert load(newest(tmp_path))["it"] == iteration(whole[0]) >= 1000 * trial
        for path in whole[2:]:
            SafeIO().remove_checkpoint(path)
    sweep(tmp_path)
    assert not temporaries(tmp_path)


def test_sweep_keeps_what_a_living_process_writes(tmp_path):
    name = f".it-00000001.ckpt.{os.uname().nodename.replace('.', '-')}."
    dead = FORK.Process(target=int)
    dead.start()
    dead.join()
    for stem in (name + str(os.getpid()), name + str(dead.pid), ".it-00000001.ckpt.elsewhere.1"):
        (tmp_path / f"{stem}.tmp").touch()
    old = tmp_path / ".it-00000002.ckpt.elsewhere.1.tmp"
    old.touch()
    os.utime(old, (0, 0))
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}{os.getpid()}.tmp",
        ".it-00000001.ckpt.elsewhere.1.tmp",
    }


# Full and unwritable volumes


def save_with_little_room(folder, answers):
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        save(folder, 2, size=500_000)
    except SaveError as error:
        answers.put(str(error))


def test_a_volume_that_fills_up_costs_only_the_new_checkpoint(tmp_path):
    older, answers = save(tmp_path, 1), FORK.Queue()
    process = FORK.Process(target=save_with_little_room, args=(tmp_path, answers))
    process.start()
    message = answers.get(timeout=60)
    process.join()
    assert "it-00000002.ckpt cannot be written (File too large)" in message
    assert "needs at least 2,000,000 bytes" in message
    assert newest(tmp_path) == older
    assert not temporaries(tmp_path)


def test_a_checkpoint_larger_than_the_volume_is_not_begun(tmp_path):
    older, path = save(tmp_path, 1), tmp_path / "it-00000002.ckpt"
    with pytest.raises(SaveError, match=r"No space left on device\): it needs at least 4,000,000,000,000,000 bytes"):
        SafeIO().save_checkpoint({"weights": [torch.empty(10**15, device="meta")]}, path)
    assert newest(tmp_path) == older
    assert not path.exists()


def test_probe_accepts_a_good_folder_and_leaves_nothing(tmp_path):
    probe(tmp_path / "new")
    assert not list((tmp_path / "new").iterdir())


def test_an_unwritable_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(GenlitError, match="file/checkpoints cannot be written"):
        probe(tmp_path / "file" / "checkpoints")
    with pytest.raises(SaveError, match="cannot be written"):
        save(tmp_path / "file" / "checkpoints", 1)


# The callback on a real trainer


def trainer_of(folder, max_steps, *callbacks):
    options = {"val_check_interval": 4, "limit_val_batches": 2, "enable_checkpointing": True}
    return trainer(folder, max_steps, callbacks=list(callbacks), plugins=[SafeIO()], **options)


def fit(folder, max_steps, *callbacks, resume=None, **data):
    torch.manual_seed(0)
    model, trained = Game(), trainer_of(folder, max_steps, *callbacks)
    trained.fit(model, digits(**data), ckpt_path=resume, weights_only=True)
    assert trained.fit_loop.epoch_loop._batches_that_stepped == trained.global_step
    return model


def same(one, other):
    return all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


def saved(folder):
    return sorted(iteration(path) for path in checkpoints(folder / "checkpoints"))


def test_saves_on_the_beat_and_at_the_end_and_keeps_the_latest(tmp_path):
    fit(tmp_path, 7, Checkpoints(every=2, keep=3))
    assert saved(tmp_path) == [4, 6, 7]
    assert newest(tmp_path / "checkpoints").name == "it-00000007.ckpt"


def test_the_names_agree_with_what_is_inside(tmp_path):
    fit(tmp_path, 6, Checkpoints(every=3))
    assert [load(path)["global_step"] for path in checkpoints(tmp_path / "checkpoints")] == [6, 3]


def test_saves_by_wall_time(tmp_path):
    fit(tmp_path, 3, Checkpoints(every=1000, minutes=1e-9, keep=9))
    assert saved(tmp_path) == [1, 2, 3]


def test_long_minutes_do_not_save(tmp_path):
    fit(tmp_path, 3, Checkpoints(every=1000, minutes=1000, keep=9))
    assert saved(tmp_path) == [3]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    model = fit(folder, 12, Checkpoints(every=2, keep=99))
    return folder, model


@pytest.mark.parametrize("cut", [2, 4, 6, 8, 10])
def test_a_resumed_run_repeats_and_loses_nothing(whole, tmp_path, cut):
    folder, straight = whole
    resumed = fit(tmp_path, 12, Checkpoints(every=2, keep=99), resume=folder / f"checkpoints/it-{cut:08d}.ckpt")
    assert resumed.validated == [(it, batch) for it, batch in straight.validated if it > cut]
    assert same(resumed, straight)
    assert saved(tmp_path) == [it for it in range(2, 13, 2) if it > cut]


def test_a_finished_run_goes_on_when_it_is_given_more(whole, tmp_path):
    _, straight = whole
    fit(tmp_path, 7, Checkpoints(every=1000))
    resumed = fit(tmp_path, 12, Checkpoints(every=1000), resume=newest(tmp_path / "checkpoints"))
    assert same(resumed, straight)
    assert resumed.validated == [(8, 0), (8, 1), (12, 0), (12, 1)]


class Peeking(Callback):
    def on_validation_start(self, trainer, pl_module):
        assert trainer.global_step not in saved(Path(trainer.default_root_dir))


def test_a_save_waits_for_the_validation_of_its_iteration(tmp_path):
    fit(tmp_path, 9, Checkpoints(every=2, keep=99), Peeking())
    assert saved(tmp_path) == [2, 4, 6, 8, 9]


def test_a_save_does_not_wait_for_an_empty_validation(tmp_path):
    fit(tmp_path, 6, Checkpoints(every=4), holdout=0)
    assert saved(tmp_path) == [4, 6]


class Owing(Callback):
    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == 8:
            trainer.checkpoint_callback.save(trainer, owes_validation=True)
            raise KeyError("cut")


def test_a_checkpoint_before_its_validation_is_followed_by_it(whole, tmp_path):
    with pytest.raises(KeyError, match="cut"):
        fit(tmp_path, 12, Checkpoints(every=1000), Owing())
    assert owes_validation(newest(tmp_path / "checkpoints"))
    assert not owes_validation(newest(whole[0] / "checkpoints"))
    resumed = fit(tmp_path, 12, Checkpoints(every=1000), resume=newest(tmp_path / "checkpoints"))
    assert resumed.validated == [(8, 0), (8, 1), (12, 0), (12, 1)]
    assert same(resumed, whole[1])


class Stopping(Callback):
    def on_train_batch_end(self, trainer, *_):
        trainer.should_stop = trainer.global_step == 5


def test_a_run_that_stops_early_keeps_its_last_iteration(whole, tmp_path):
    fit(tmp_path, 12, Checkpoints(every=1000), Stopping())
    assert saved(tmp_path) == [5]
    resumed = fit(tmp_path, 12, Checkpoints(every=1000), resume=newest(tmp_path / "checkpoints"))
    assert same(resumed, whole[1])


class Breaking(Callback):
    """Raises in the fifth iteration, or after it."""

    def __init__(self, error, moment):
        self.error = error
        setattr(self, moment, self.breaks)

    def breaks(self, trainer, *_):
        if trainer.global_step == 5:
            raise self.error


def test_what_breaks_after_an_iteration_does_not_cost_it(whole, tmp_path):
    with pytest.raises(RuntimeError, match="worker"):
        fit(tmp_path, 12, Checkpoints(every=1000), Breaking(RuntimeError("a data worker"), "on_train_batch_end"))
    assert saved(tmp_path) == [5]
    resumed = fit(tmp_path, 12, Checkpoints(every=1000), resume=newest(tmp_path / "checkpoints"))
    assert same(resumed, whole[1])


@pytest.mark.parametrize(
    ("error", "moment"),
    [(RuntimeError("in play"), "on_before_optimizer_step"), (GenlitError("refused"), "on_train_batch_end")],
)
def test_half_an_iteration_and_what_genlit_refused_are_not_saved(tmp_path, error, moment):
    with pytest.raises(type(error)):
        fit(tmp_path, 12, Checkpoints(every=1000), Breaking(error, moment))
    assert saved(tmp_path) == []


def test_rewinding_never_drops_what_was_just_saved(whole, tmp_path):
    folder, _ = whole
    fit(tmp_path, 8, Checkpoints(every=2, keep=2))
    fit(tmp_path, 4, Checkpoints(every=2, keep=2), resume=folder / "checkpoints/it-00000002.ckpt")
    assert 4 in saved(tmp_path)


def test_training_stops_when_it_cannot_save(tmp_path):
    (tmp_path / "checkpoints").touch()
    with pytest.raises(SaveError, match="cannot be written"):
        fit(tmp_path, 3, Checkpoints(every=1))


def test_no_other_checkpoint_callback_is_added_and_ours_comes_last(tmp_path):
    ours = Checkpoints()
    assert trainer_of(tmp_path, 1, ours, Stopping()).callbacks[-1] is ours
    assert trainer_of(tmp_path, 1, ours).checkpoint_callbacks == [ours]


@pytest.mark.parametrize("bad", [{"every": 0}, {"minutes": 0}, {"keep": 0}, {"every": -5}])
def test_nonsense_is_refused(bad):
    with pytest.raises(GenlitError, match=next(iter(bad))):
        Checkpoints(**bad)


def test_the_checkpoint_is_plain(whole):
    state = load(whole[0] / "checkpoints/it-00000012.ckpt")
    assert json.dumps(state["callbacks"]) == '{"Checkpoints": {"owes_validation": false}}'


def test_lightnings_private_names_are_there(tmp_path):
    from lightning.pytorch.loops.evaluation_loop import RestartStage

    loop = trainer_of(tmp_path, 1).fit_loop.epoch_loop
    assert RestartStage.RESTARTED_MID_EVALUATION == "restarted_mid_evaluation"
    assert loop.val_loop._restart_stage == "none"
    assert loop.val_loop.skip is True
    assert loop._batches_that_stepped == 0
    assert callable(loop._should_check_val_fx)
    assert trainer_of(tmp_path, 1).fit_loop._data_fetcher is None
