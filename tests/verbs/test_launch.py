"""Jobs of a cluster whose sbatch, srun and scontrol are scripts here, and whose processes are real."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from optuna.trial import TrialState

from genlit.cli import verbs
from genlit.errors import GenlitError
from genlit.faults.harness.compare import same
from genlit.logging import history
from genlit.sweep.journal import open_journal
from genlit.sweep.schema import Metric

SBATCH = 'cat > "$CLUSTER/job.sh"; echo "Submitted batch job $SLURM_JOB_ID"'
SCONTROL = 'echo "$@" >> "$CLUSTER/asked"'
SRUN = """
shift
tasks=$((SLURM_NNODES * SLURM_NTASKS_PER_NODE)) code=0
export SLURM_STEP_ID=0 SLURM_NTASKS=$tasks
for rank in $(seq 0 $((tasks - 1))); do
    export SLURM_PROCID=$rank
    export SLURM_LOCALID=$((rank % SLURM_NTASKS_PER_NODE)) SLURM_NODEID=$((rank / SLURM_NTASKS_PER_NODE))
    ${host[$rank]} "$@" &
    started="$started $!"
done
echo $started > "$CLUSTER/started$SLURM_ARRAY_TASK_ID"
for task in $started; do
    wait $task
    ended=$?
    if [ $ended -gt $code ]; then code=$ended; fi
done
exit $code
"""

APART = """
[ "$1" = apart ] || exec unshare --net --map-root-user "$0" apart "$@"
shift
unshare --net sleep 600 &
other=$! there="nsenter --net=/proc/$!/ns/net"
trap "kill $other" EXIT
until ip link add eth0 type veth peer name eth0 netns $other 2>> "$CLUSTER/log"; do sleep 0.1; done
address() { ${@:2} ip link set lo up && ${@:2} ip address add $1/24 dev eth0 && ${@:2} ip link set eth0 up; }
address 10.9.0.1 && address 10.9.0.2 $there
host=([1]=$there) SLURM_NODELIST=10.9.0.1
export GLOO_SOCKET_IFNAME=eth0
"""  # before SRUN: its second node has a network of its own, with a wire between them

WIRE = "unshare --net --map-root-user ip link add eth0 type veth peer name eth1"


class Cluster:
    """Runs what was submitted, as SLURM would.

    Args:
        folder: of its commands and of what they note.
    """

    def __init__(self, folder):
        self.folder = folder
        self.has(sbatch=SBATCH, scontrol=SCONTROL, srun=SRUN)

    def has(self, **commands):
        for name, text in commands.items():
            (self.folder / name).write_text(f"#!/bin/bash\n{text}\n")
            (self.folder / name).chmod(0o755)

    def asked(self):
        noted = self.folder / "asked"
        return noted.read_text().splitlines() if noted.exists() else []

    def start(self, **variables):
        """Starts the job, for as many times as it was queued again and once more."""
        script = (self.folder / "job.sh").read_text()
        nodes, tasks = (re.search(rf"--{name}=(\d+)", script)[1] for name in ("nodes", "ntasks-per-node"))
        job = {"SLURM_NNODES": nodes, "SLURM_NTASKS_PER_NODE": tasks, "SLURM_JOB_NAME": "genlit-game"}
        job |= {"SLURM_NODELIST": "127.0.0.1", "SLURM_RESTART_COUNT": str(len(self.asked()))}
        log = (self.folder / f"log{variables.get('SLURM_ARRAY_TASK_ID', '')}").open("w")
        return subprocess.Popen(
            ["bash", self.folder / "job.sh"], env=os.environ | job | variables, stdout=log, stderr=log
        )

    def start_array(self):
        """Starts the jobs of an array, each under a number of its own."""
        last = int(re.search(r"--array=0-(\d+)", (self.folder / "job.sh").read_text())[1])
        own = int(os.environ["SLURM_JOB_ID"])
        return [self.start(SLURM_ARRAY_TASK_ID=str(n), SLURM_JOB_ID=str(own + n)) for n in range(last + 1)]

    def signal(self, number):
        """Signals every process of every task, those that a task started included."""
        for file in self.folder.glob("started*"):
            for task in map(int, file.read_text().split()):
                for process in [*_children(task), task]:
                    os.kill(process, number)


def _children(process):
    return map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("CLUSTER", str(tmp_path))
    monkeypatch.setenv("SLURM_JOB_ID", str(os.getpid() % 10_000))  # Lightning's port is 15,000 more
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return Cluster(tmp_path)


def launch(*words):
    verbs.main(["launch", *map(str, words)], prog_name="genlit", standalone_mode=False)


def test_a_job_that_runs_out_of_time_is_queued_again_and_goes_on_in_its_run(tmp_path, cluster, wandb_server, capsys):
    game = tmp_path / "game.yaml"
    game.write_text("model: {name: DCGAN, width: 2}\ndata: {name: Digits, size: 16, batch_size: 4}\n")
    words = [f"--trainer.default_root_dir={tmp_path}", "--trainer.max_steps=300", "--trainer.limit_val_batches=0"]
    words += ["--trainer.log_every_n_steps=1", "--run.progress=false", "--run.pictures=4", "--run.wandb=online"]
    launch(game, "--nodes=2", "--gpus=0", "--time=4:00:00", "--", *words)
    assert "Submitted batch job" in capsys.readouterr().out
    first, run = cluster.start(), tmp_path / "game" / "001"
    while not (run / "history.jsonl").exists():
        assert first.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.05)
    cluster.signal(signal.SIGUSR1)
    assert first.wait(timeout=200) == 0, (tmp_path / "log").read_text()
    assert cluster.asked() == [f"requeue {os.environ['SLURM_JOB_ID']}"]
    assert 0 < len(history.read(run / "history.jsonl")) < 300
    assert wandb_server.only_run().preempting
    assert cluster.start().wait(timeout=200) == 0, (tmp_path / "log").read_text()
    assert [record["progress/iter"] for record in history.read(run / "history.jsonl")] == list(range(1, 301))
    assert not (tmp_path / "game" / "002").exists()
    shown = wandb_server.only_run()
    assert (shown.starts, shown.exit_code) == (2, 0)
    assert shown.scalars == history.read(run / "history.jsonl")


@pytest.mark.skipif(subprocess.run(WIRE, shell=True).returncode, reason="this machine lets nobody make networks")
def test_nodes_that_share_nothing_but_a_wire_train_what_one_machine_would(tmp_path, cluster):
    words = ["--trainer.max_steps=6", "--trainer.limit_val_batches=0", "--trainer.log_every_n_steps=1"]
    words += ["--model.width=2", "--data.size=16", "--data.batch_size=4", "--run.wandb=disabled", "--run.pictures=4"]
    for srun in (SRUN, APART + SRUN):
        cluster.has(srun=srun)
        launch(
            "dcgan", "--nodes=2", "--gpus=0", "--", *words, f"--trainer.default_root_dir={tmp_path}", "--resume=never"
        )
        assert cluster.start().wait(timeout=200) == 0, (tmp_path / "log").read_text()
    same(tmp_path / "dcgan" / "001", tmp_path / "dcgan" / "002", 6)


@pytest.mark.parametrize(("srun", "code", "asked"), [("kill -USR1 $$", 0, 1), ("exit 3", 3, 0), ("exit 143", 143, 0)])
def test_a_notice_before_training_queues_the_job_again_and_a_failure_does_not(tmp_path, cluster, srun, code, asked):
    launch("dcgan", "--workers=1", f"--dir={tmp_path}")
    cluster.has(srun=srun)
    assert cluster.start().wait(timeout=20) == code
    assert len(cluster.asked()) == asked


def test_a_job_that_cannot_be_queued_again_does_not_look_finished(tmp_path, cluster):
    launch("dcgan", "--workers=1", f"--dir={tmp_path}")
    cluster.has(srun="exit 138", scontrol="exit 1")
    assert cluster.start().wait(timeout=20) == 138


def test_workers_of_a_sweep_are_an_array_that_shares_a_folder(capsys):
    launch("dcgan", "--workers=3", "--gpus=0", "--dir=my sweep", "--print", "--", "--config=sweep.yaml")
    script = capsys.readouterr().out
    assert "#SBATCH --array=0-2\n" in script
    assert "#SBATCH --output=my sweep/slurm-%A_%a.out\n" in script
    assert "genlit sweep dcgan --local --dir 'my sweep' --config=sweep.yaml ||" in script
    assert "--gpus-per-node" not in script


def test_workers_that_run_out_of_time_are_queued_again_and_lose_and_double_nothing(tmp_path, cluster):
    game, sweep, runs = tmp_path / "game.yaml", tmp_path / "sweep.yaml", tmp_path / "runs"
    game.write_text("model: {name: DCGAN, width: 2}\ndata: {name: Digits, size: 16, batch_size: 4}\n")
    sweep.write_text(
        "method: grid\nmetric: {name: val/critic/adversarial}\nparameters: {model.lr: {values: [0.001, 0.002]}}\n"
    )
    words = "--trainer.max_steps=60 --trainer.val_check_interval=30 --trainer.limit_val_batches=1 --run.pictures=4 "
    words += "--trainer.log_every_n_steps=1 --run.progress=false --run.wandb=disabled --trainer.accelerator=cpu"
    launch(game, "--workers=2", "--gpus=0", f"--dir={runs}", "--", "--config", sweep, "--args", words)
    jobs = cluster.start_array()
    while not any(runs.glob("*/history.jsonl")):
        assert all(job.poll() is None for job in jobs), (tmp_path / "log0").read_text()
        time.sleep(0.05)
    cluster.signal(signal.SIGUSR1)
    assert [job.wait(timeout=200) for job in jobs] == [0, 0], (tmp_path / "log0").read_text()
    own = int(os.environ["SLURM_JOB_ID"])
    assert sorted(cluster.asked()) == [f"requeue {own}", f"requeue {own + 1}"]
    assert TrialState.FAIL not in states(runs)
    assert [job.wait(timeout=200) for job in cluster.start_array()] == [0, 0], (tmp_path / "log0").read_text()
    assert states(runs) == [TrialState.COMPLETE] * 2
    for number in ("001", "002"):
        records = history.read(runs / number / "history.jsonl")
        assert [each["progress/iter"] for each in records if "rate/critic" in each] == list(range(1, 61))


def states(folder):
    return [trial.state for trial in open_journal(folder, Metric("loss", "minimize", None, "worst", None)).trials]


def test_a_script_asks_for_what_was_asked(capsys):
    launch("dcgan", "--nodes=4", "--gpus=8", "--time=1:00:00", "--partition=fast", "--print", "--", "--model.lr=1e-3")
    script = capsys.readouterr().out
    for line in ("nodes=4", "ntasks-per-node=8", "gpus-per-node=8", "time=1:00:00", "partition=fast", "requeue"):
        assert f"#SBATCH --{line}\n" in script
    assert "--trainer.accelerator=gpu --trainer.num_nodes=4 --trainer.devices=8 --model.lr=1e-3" in script
    assert "array" not in script


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dcgan", "--workers=2"], "add --dir DIR"),
        (["dcgan", "--workers=2", "--dir=x", "--nodes=2"], "has one node"),
        (["dcgna"], "did you mean 'dcgan'"),
        (["dcgan", "--", "--model.lrr=1"], "model.lrr"),
    ],
)
def test_what_the_job_would_refuse_is_refused_now(tmp_path, cluster, words, said):
    with pytest.raises(GenlitError, match=re.escape(said)):
        launch(*words)
    assert not (tmp_path / "job.sh").exists()


def test_a_machine_without_sbatch_and_a_refusal_are_told(tmp_path, cluster, monkeypatch):
    words = ["dcgan", "--workers=1", f"--dir={tmp_path}"]
    cluster.has(sbatch="echo 'invalid partition' >&2; exit 1")
    with pytest.raises(GenlitError, match="sbatch refuses the job: invalid partition"):
        launch(*words)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(GenlitError, match="no sbatch here"):
        launch(*words)
