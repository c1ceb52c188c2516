import json
import re

import pytest
import torch

from genlit.callbacks.evaluation import Evaluation
from genlit.callbacks.fidelity import SEED, Fidelity
from genlit.cli import verbs
from genlit.errors import GenlitError
from genlit.logging import history
from genlit.models import DCGAN
from tests.logging.test_wandb import rows

NAMES = [
    r"fd-lenet/[0-9a-f]{8}\.n8\.val",
    *(rf"{metric}/lenet-[0-9a-f]{{8}}\.n8\.val" for metric in ("diversity", "kid", "precision", "recall")),
]


def fidelity(record):
    return {name: value for name, value in record.items() if "lenet" in name}


def records(run):
    return [record for record in history.read(run / "history.jsonl") if fidelity(record)]


@pytest.fixture
def drawn(monkeypatch):
    """What every sampling of a DCGAN was asked for, and whether the averaged weights drew."""
    asked = []
    decode, sample = DCGAN.decode, DCGAN.sample

    def spy_sample(self, n, *, seed=0, start=0, batch_size=64):
        asked.append({"n": n, "seed": seed, "start": start})
        return sample(self, n, seed=seed, start=start, batch_size=batch_size)

    def spy_decode(self, z):
        if not torch.is_grad_enabled() and not self.training and asked:
            asked[-1]["weights"] = next(self.generator.parameters()).clone()
        return decode(self, z)

    monkeypatch.setattr(DCGAN, "sample", spy_sample)
    monkeypatch.setattr(DCGAN, "decode", spy_decode)
    return asked


def test_the_averaged_weights_are_measured_on_a_seed_of_its_own(dcgan, drawn):
    run = dcgan("--run.fidelity_samples=70", "--run.evaluate_every=24")
    measured = [each for each in drawn if each["seed"] == SEED]
    assert [(each["n"], each["start"]) for each in measured] == [(64, 0), (64, 64)]
    state = torch.load(run / "checkpoints" / "it-00000006.ckpt", weights_only=True)["state_dict"]
    averaged = next(
        value for name, value in state.items() if name.startswith("ema.") and name.endswith("generator.1.weight")
    )
    live = state["generator.1.weight"]
    assert not torch.equal(live, averaged)
    assert all(torch.equal(each["weights"], averaged) for each in measured)


@pytest.mark.parametrize(("holdout", "split"), [(0.05, "val"), (0, "train")])
def test_samples_are_compared_with_validation_or_training_images_and_never_with_those_of_the_test(
    dcgan, holdout, split
):
    run = dcgan(f"--data.holdout={holdout}")
    assert [record["progress/iter"] for record in records(run)] == [2, 4, 6]
    for record in records(run):
        names = list(fidelity(record))
        assert len(names) == len(NAMES)
        for name, pattern in zip(names, NAMES, strict=True):
            assert re.fullmatch(pattern.replace("val", split), name), name


def test_the_dashboard_and_the_table_show_the_same_names(dcgan, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    run = dcgan("--run.wandb=offline")
    shown = [fidelity(row) for row in rows(run) if fidelity(row)]
    assert shown == [fidelity(record) for record in records(run)]
    table = tmp_path / "table.json"
    words = ["eval", str(run), "--split", "val", "-n", "8", "--seed", str(SEED), "--json", str(table)]
    verbs.main([*words, "--metrics", "fid,diversity,kid,precision,recall"], standalone_mode=False)
    printed = {row["name"]: row["value"] for row in json.loads(table.read_text())["metrics"]}
    assert printed.keys() == shown[-1].keys()


def test_a_resumed_run_measures_the_same(dcgan):
    whole = dcgan(root="whole")
    dcgan("--trainer.max_steps=4", root="parts")
    parts = dcgan("--resume", root="parts")
    assert [fidelity(record) for record in records(whole)] == [fidelity(record) for record in records(parts)]


def test_an_unknown_extractor_is_refused_with_the_nearest(dcgan):
    with pytest.raises(GenlitError, match=r"run\.fidelity: unknown name 'incepton'; did you mean 'inception'\?"):
        dcgan("--run.fidelity=incepton")


class Mute(DCGAN):
    sample = None


def refuse_training(*args):
    raise AssertionError("it trains")


def test_a_model_that_draws_nothing_is_refused_before_training(fit, data, monkeypatch):
    monkeypatch.setattr(DCGAN, "training_step", refuse_training)
    with pytest.raises(GenlitError, match=r"run\.fidelity: Mute draws no samples to measure; set it to null"):
        fit(Evaluation([Fidelity("lenet")], every=1), model=Mute((1, 8, 8)))


@pytest.mark.parametrize("n", [1, 5])
def test_too_few_samples_are_refused_before_training(dcgan, monkeypatch, n):
    monkeypatch.setattr(DCGAN, "training_step", refuse_training)
    with pytest.raises(GenlitError, match=rf"run\.fidelity_samples is {n}: it must be at least 6"):
        dcgan(f"--run.fidelity_samples={n}")


def test_too_few_real_images_are_refused_before_training(dcgan, monkeypatch):
    monkeypatch.setattr(DCGAN, "training_step", refuse_training)
    with pytest.raises(GenlitError, match=r"run\.fidelity: 3 val images are too few .*data\.holdout"):
        dcgan("--data.holdout=0.0003")
