"""Run folders: numbering, sharing, records, locks and what may change between two starts."""

import json
import multiprocessing
import os
import re
import shlex
import signal

import pytest

from genlit import runs
from genlit.engine.checkpoint import SafeIO
from genlit.errors import GenlitError
from genlit.runs import launch

FORK = multiprocessing.get_context("fork")
LAUNCHERS = ("GENLIT_RUN", "RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE")


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    monkeypatch.setenv("GENLIT_RUN", "")  # so that what `offered` sets is taken back
    for name in [*LAUNCHERS, *(name for name in os.environ if name.startswith(("SLURM_", "TORCHELASTIC_")))]:
        monkeypatch.delenv(name, raising=False)


def save(run, it):
    SafeIO().save_checkpoint({"it": it}, run / "checkpoints" / f"it-{it:08d}.ckpt")


# Folders


def test_runs_are_numbered(tmp_path):
    assert [runs.create(tmp_path, "dcgan").relative_to(tmp_path).as_posix() for _ in range(3)] == [
        "dcgan/001",
        "dcgan/002",
        "dcgan/003",
    ]
    assert runs.newest(tmp_path, "dcgan") == tmp_path / "dcgan" / "003"


def test_numbers_are_compared_as_numbers(tmp_path):
    (tmp_path / "dcgan" / "999").mkdir(parents=True)
    assert runs.create(tmp_path, "dcgan").name == "1000"
    assert [run.name for run in runs.runs(tmp_path, "dcgan")] == ["1000", "999"]


def test_there_may_be_no_run(tmp_path):
    assert runs.newest(tmp_path, "dcgan") is None


def create_many(root, answers):
    for _ in range(20):
        answers.put(runs.create(root, "dcgan").name)


def test_trainings_started_at_once_never_share_a_folder(tmp_path):
    answers = FORK.Queue()
    processes = [FORK.Process(target=create_many, args=(tmp_path, answers)) for _ in range(4)]
    for process in processes:
        process.start()
    names = [answers.get(timeout=60) for _ in range(80)]
    for process in processes:
        process.join()
    assert len(set(names)) == 80


@pytest.mark.parametrize(
    "name", ["../../outside", "/etc/passwd", ".hidden", "a\nb", "x" * 300, "C:\\x", "a ö", "a/../../b"]
)
def test_no_name_leads_out_of_the_root(tmp_path, name):
    run = runs.create(tmp_path / "root", name)
    assert run.resolve().parent.parent == (tmp_path / "root").resolve()
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}", run.parent.name)


@pytest.mark.parametrize("name", ["", "..", "/", "ä ö"])
def test_a_name_of_which_nothing_is_left_is_refused(tmp_path, name):
    with pytest.raises(GenlitError, match="cannot name a run folder"):
        runs.create(tmp_path, name)


def test_a_link_does_not_lead_out_of_the_root(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root" / "dcgan").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(GenlitError, match="leads out of"):
        runs.create(tmp_path / "root", "dcgan")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_root_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(GenlitError, match=r"No run folder can be made in .*/file/dcgan"):
        runs.create(tmp_path / "file", "dcgan")


# Several processes


@pytest.fixture
def launched(monkeypatch):
    def launch(**environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, str(value))

    return launch


def test_a_process_that_the_first_one_starts_takes_its_folder(tmp_path, launched):
    first = runs.create(tmp_path, "dcgan")
    with runs.offered(first, tmp_path, "dcgan"):
        launched(LOCAL_RANK=1)
        assert runs.take(tmp_path, "dcgan") == first


def test_a_process_with_nothing_to_find_the_first_one_by_is_refused(tmp_path, launched):
    launched(NODE_RANK=1)
    with pytest.raises(GenlitError, match="shares no job id"):
        runs.take(tmp_path, "dcgan")


def take_one(root, rank, answers):
    os.environ |= {"SLURM_PROCID": str(rank), "RANK": str(rank)}
    answers.put(str(runs.take(root, "dcgan")))


LAUNCHES = [
    {"SLURM_JOB_ID": 77, "SLURM_STEP_ID": 0, "SLURM_NTASKS": 3},
    {"TORCHELASTIC_RUN_ID": "a/b", "WORLD_SIZE": 3},
]


@pytest.mark.parametrize("environment", LAUNCHES)
def test_the_others_take_what_the_first_has_chosen(tmp_path, launched, environment):
    launched(**environment)
    answers = FORK.Queue()
    others = [FORK.Process(target=take_one, args=(tmp_path, rank, answers)) for rank in (1, 2)]
    for process in others:
        process.start()
    for _ in range(2):
        chosen = runs.create(tmp_path, "dcgan")  # 002: not what the others would choose
    with runs.offered(chosen, tmp_path, "dcgan"):
        assert {answers.get(timeout=60) for _ in others} == {str(tmp_path / "dcgan" / "002")}
    for process in others:
        process.join()
    assert [path.name for path in sorted((tmp_path / "dcgan").iterdir())] == ["001", "002"]


def test_any_run_can_be_offered(tmp_path, launched):
    launched(**LAUNCHES[1])
    elsewhere = runs.create(tmp_path / "elsewhere", "vae")
    with runs.offered(elsewhere, tmp_path / "runs", "dcgan"):
        launched(RANK=1)
        assert runs.take(tmp_path / "runs", "dcgan") == elsewhere


def test_a_reused_name_offers_the_new_folder(tmp_path, launched, monkeypatch):
    launched(**LAUNCHES[1])
    (tmp_path / "dcgan" / "001").mkdir(parents=True)
    killed = tmp_path / "dcgan" / ".torchrun-a-b-0-0"
    killed.symlink_to("001")
    os.utime(killed, (0, 0), follow_symlinks=False)
    monkeypatch.setattr(launch, "_PATIENCE", 0.1)
    launched(RANK=1)
    with pytest.raises(GenlitError, match="offered no run folder"):
        runs.take(tmp_path, "dcgan")
    launched(RANK=0)
    second = runs.create(tmp_path, "dcgan")
    with runs.offered(second, tmp_path, "dcgan"):
        launched(RANK=1)
        assert runs.take(tmp_path, "dcgan") == second


def test_a_restarted_launch_is_another_one(tmp_path, launched, monkeypatch):
    launched(**LAUNCHES[0])
    monkeypatch.setattr(launch, "_PATIENCE", 0.1)
    with runs.offered(runs.create(tmp_path, "dcgan"), tmp_path, "dcgan"):
        launched(SLURM_PROCID=1, SLURM_RESTART_COUNT=1)
        with pytest.raises(GenlitError, match="offered no run folder"):
            runs.take(tmp_path, "dcgan")


@pytest.mark.parametrize("environment", LAUNCHES)
def test_a_launcher_must_start_as_many_processes_as_are_asked_for(launched, environment):
    runs.check_launch(1)
    launched(**environment)
    runs.check_launch(3)
    with pytest.raises(GenlitError, match=r"started 3 processes .* asks for 1; set --trainer.devices"):
        runs.check_launch(1)


def test_a_slurm_job_without_srun_is_one_process(launched):
    launched(SLURM_JOB_ID=77, SLURM_NTASKS=4)
    runs.check_launch(1)
    with pytest.raises(GenlitError, match="by `srun`"):
        runs.check_launch(4)


def test_in_a_shell_within_slurm_the_trainer_starts_its_processes(launched):
    launched(SLURM_JOB_ID=77, SLURM_STEP_ID=0, SLURM_NTASKS=1, SLURM_JOB_NAME="bash")
    runs.check_launch(4)


def test_torchrun_without_an_id_is_refused(launched):
    launched(TORCHELASTIC_RUN_ID="none", WORLD_SIZE=2)
    with pytest.raises(GenlitError, match="--rdzv-id"):
        runs.check_launch(2)


# Records


def test_a_run_says_what_made_it_and_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "canary-one")
    argv = ["genlit", "train", "dcgan", "--logger.api_key=canary-two", "--hub.token", "canary-three"]
    argv += ["--storage=postgres://me:canary-four@host/db", "DB_PASSWORD=canary-five", "--model.note=two words"]
    runs.record(tmp_path, "model:\n  lr: 0.1\n", argv)
    assert (tmp_path / "config.yaml").read_text() == "model:\n  lr: 0.1\n"
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert set(environment) == {"python", "packages", "commit", "platform", "cpus", "gpus"}
    assert environment["packages"]["torch"].startswith("2.")
    assert shlex.split((tmp_path / "command.txt").read_text())[-1] == "--model.note=two words"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "command.txt", "config.yaml", "departures.json", "environment.json"
    ]  # fmt: skip
    assert not any("canary" in path.read_text() for path in tmp_path.iterdir())


# Locks


def try_lock(run, answers):
    try:
        with runs.lock(run):
            answers.put("held")
    except GenlitError as error:
        answers.put(str(error))


def ask(run):
    answers = FORK.Queue()
    process = FORK.Process(target=try_lock, args=(run, answers))
    process.start()
    answer = answers.get(timeout=60)
    process.join()
    return answer


def test_a_second_training_is_refused_until_the_first_ends(tmp_path):
    with runs.lock(tmp_path):
        assert "is being trained by another process" in ask(tmp_path)
    assert ask(tmp_path) == "held"


def hold(run, held):
    with runs.lock(run):
        held.set()
        signal.pause()


def test_a_killed_training_frees_its_run(tmp_path):
    held = FORK.Event()
    process = FORK.Process(target=hold, args=(tmp_path, held))
    process.start()
    assert held.wait(60)
    assert "another process" in ask(tmp_path)
    process.kill()
    process.join()
    assert ask(tmp_path) == "held"


def test_the_first_process_holds_the_run_for_the_others(tmp_path, monkeypatch):
    with runs.lock(tmp_path):
        monkeypatch.setenv("LOCAL_RANK", "1")
        assert ask(tmp_path) == "held"


# Configurations


OLD = {"model": {"name": "DCGAN", "lr": 0.1, "betas": [0.5, 0.9]}, "seed": 1}


def test_differences_have_dotted_keys():
    new = {"model": {"name": "DCGAN", "lr": 0.2, "betas": [0.5, 0.9]}, "ema": {}}
    assert runs.differences(OLD, new) == {
        "model.lr": (0.1, 0.2),
        "seed": (1, "(absent)"),
        "ema": ("(absent)", {}),
    }
    assert runs.differences(OLD, OLD) == {}


@pytest.mark.parametrize(
    "config",
    [
        {"trainer": {"max_steps": 5, "default_root_dir": "x"}},
        {"run": {"checkpoint_every": 5, "keep": 3}},
        {"data": {"root": "x", "workers": 2}},
        {"claim": {"metric": "fid"}, "cost": "1 h"},
    ],
)
def test_what_does_not_change_the_training_may_change(config):
    runs.check_same({}, config)


@pytest.mark.parametrize(
    "key", ["devices", "precision", "max_steps_of_mine", "val_check_interval", "log_every_n_steps"]
)
def test_anything_else_is_refused_by_name(key):
    with pytest.raises(GenlitError, match=rf"trainer\.{key}: 1 -> 2"):
        runs.check_same({"trainer": {key: 1}}, {"trainer": {key: 2}})


def test_every_refused_key_is_listed_unless_allowed():
    new = {"model": {"lr": 0.2}, "trainer": {"max_steps": 9}}
    with pytest.raises(GenlitError) as refused:
        runs.check_same({"model": {"lr": 0.1}, "seed": 1}, new)
    assert "model.lr: 0.1 -> 0.2, seed: 1 -> (absent)" in str(refused.value)
    assert "max_steps" not in str(refused.value)
    runs.check_same({"seed": 1}, new, allow=True)


# Where a run stands


def budget(max_steps):
    return {"trainer": {"max_steps": max_steps}}


def begin(run, max_steps):
    run.mkdir(parents=True, exist_ok=True)
    (run / "config.yaml").write_text(f"trainer:\n  max_steps: {max_steps}\n")


def test_a_run_is_unfinished_until_its_budget_is_saved(tmp_path):
    assert not runs.unfinished(tmp_path, budget(20))
    begin(tmp_path, 20)
    assert runs.unfinished(tmp_path, budget(20))
    save(tmp_path, 10)
    assert runs.unfinished(tmp_path, budget(20))
    assert runs.unfinished(tmp_path, budget(11))
    save(tmp_path, 20)
    assert not runs.unfinished(tmp_path, budget(20))
    assert not runs.unfinished(tmp_path, budget(30))


def test_a_smaller_budget_does_not_take_over_an_interrupted_run(tmp_path):
    begin(tmp_path, 20)
    save(tmp_path, 10)
    assert not runs.unfinished(tmp_path, budget(5))
    assert not runs.unfinished(tmp_path, budget(10))


def test_another_configuration_and_a_run_in_training_are_left_alone(tmp_path):
    begin(tmp_path, 20)
    assert not runs.unfinished(tmp_path, budget(20) | {"seed": 1})
    held = FORK.Event()
    process = FORK.Process(target=hold, args=(tmp_path, held))
    process.start()
    assert held.wait(60)
    assert not runs.unfinished(tmp_path, budget(20))
    process.kill()
    process.join()
    assert runs.unfinished(tmp_path, budget(20))


def test_configurations_are_compared_before_checkpoints_are_read(tmp_path, caplog):
    begin(tmp_path, 20)
    save(tmp_path, 10)
    (tmp_path / "checkpoints" / "it-00000010.ckpt").write_bytes(b"")
    assert not runs.unfinished(tmp_path, budget(20) | {"seed": 1})
    assert not caplog.text


def test_a_run_without_a_good_checkpoint_is_not_continued(tmp_path, caplog):
    begin(tmp_path, 20)
    save(tmp_path, 10)
    (tmp_path / "checkpoints" / "it-00000010.ckpt").write_bytes(b"")
    assert not runs.unfinished(tmp_path, budget(20))
    assert f"{tmp_path} is not continued: no checkpoint in" in caplog.text
    with pytest.raises(GenlitError, match="is good"):
        runs.reached(tmp_path)


def test_runs_are_named_by_folder_or_number(tmp_path):
    begin(tmp_path / "dcgan" / "001", 20)
    assert runs.named("dcgan/001", tmp_path) == tmp_path / "dcgan" / "001"
    assert runs.named(str(tmp_path / "dcgan" / "001"), "nowhere") == tmp_path / "dcgan" / "001"
    with pytest.raises(GenlitError, match=r"no run dcgan/002 .*dcgan/001"):
        runs.named("dcgan/002", tmp_path)


@pytest.fixture
def root(tmp_path):
    for run in ("dcgan/001", "dcgan/002", "vae/001"):
        (tmp_path / run).mkdir(parents=True)
    save(tmp_path / "dcgan" / "001", 10)
    save(tmp_path / "dcgan" / "001", 20)
    save(tmp_path / "dcgan" / "002", 5)
    (tmp_path / "dcgan" / "003").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("dcgan", "dcgan/002/checkpoints/it-00000005.ckpt"),
        ("dcgan/001", "dcgan/001/checkpoints/it-00000020.ckpt"),
        ("dcgan/001/checkpoints/it-00000010.ckpt", "dcgan/001/checkpoints/it-00000010.ckpt"),
    ],
)
def test_names_folders_and_files_resolve(root, given, expected, monkeypatch):
    monkeypatch.chdir(root)
    assert runs.resolve(given, root).resolve() == root / expected
    assert runs.resolve(root / given) == root / expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("dcgan@best", "dcgan/001/checkpoints/it-00000010.ckpt"),  # the newest run that has one
        ("dcgan/001@best", "dcgan/001/checkpoints/it-00000010.ckpt"),
    ],
)
def test_the_best_resolves_by_its_note(root, given, expected):
    (root / "dcgan/001/best.json").write_text('{"metric": "fid/x", "value": 1.0, "iteration": 10}')
    assert runs.resolve(given, root) == root / expected
    assert runs.resolve(f"{root}/{given}", "nowhere") == root / expected


@pytest.mark.parametrize("note", ['{"iteration": 15}', "{}", "[]", "torn {", '{"iteration": "10"}', None])
@pytest.mark.parametrize("given", ["dcgan@best", "dcgan/001@best", "nothing@best"])
def test_without_a_best_the_runs_there_are_are_listed(root, note, given):
    if note is not None:
        (root / "dcgan/001/best.json").write_text(note)
    with pytest.raises(GenlitError, match=r"best.*dcgan/001, dcgan/002, dcgan/003, vae/001"):
        runs.resolve(given, root)


def test_a_damaged_checkpoint_gives_way_to_an_older_run(root):
    (root / "dcgan/002/checkpoints/it-00000005.ckpt").write_bytes(b"")
    assert runs.resolve("dcgan", root).name == "it-00000020.ckpt"


@pytest.mark.parametrize("given", ["vae", "vae/001", "nothing", "dcgan/009", "dcgan/003"])
def test_what_does_not_resolve_lists_the_runs_there_are(root, given):
    with pytest.raises(GenlitError, match="dcgan/001, dcgan/002, dcgan/003, vae/001"):
        runs.resolve(given, root)


def test_an_empty_root_says_so(tmp_path):
    with pytest.raises(GenlitError, match="holds no runs yet"):
        runs.resolve("dcgan", tmp_path)


def test_an_address_is_refused():
    with pytest.raises(GenlitError, match="download it first"):
        runs.resolve("https://example.org/run.ckpt")
