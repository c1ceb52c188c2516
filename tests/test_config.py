"""Composing, validating and building configurations; every mistake is one sentence."""

import pytest
import yaml

from genlit import config
from genlit.errors import GenlitError


def parse(*flags, experiment="dcgan", overlays=()):
    return config.parse(config.compose(experiment, list(overlays)), list(flags))


def complaint(*flags, **options):
    with pytest.raises(GenlitError) as caught:
        parse(*flags, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_later_ones_win(file):
    assert parse().trainer.log_every_n_steps == 50
    assert parse(experiment="sngan").model.loss == "hinge"
    assert parse(experiment="sngan").data.size == parse().data.size == 32
    assert parse(overlays=["trainer/smoke"]).trainer.max_steps == 2
    assert parse("--trainer.max_steps=7", overlays=["trainer/smoke"]).trainer.max_steps == 7
    mine = file("based_on: [dcgan]\nmodel:\n  width: 5\n")
    assert parse(experiment=mine).model.width == 5


def test_defaults_are_the_signatures():
    assert parse().model.latent == 100
    assert parse("--model.betas=[0.0, 0.9]").model.betas == (0.0, 0.9)
    assert parse("--model.lr={critic: 4e-4, generator: 1e-4}").model.lr == {"critic": 4e-4, "generator": 1e-4}


@pytest.mark.parametrize(
    ("flag", "meant"),
    [("32", "32-true"), ("bf16", "bf16-mixed"), ("64", "64-true"), ("64-true", "64-true"), ("null", "32-true")],
)
def test_precisions_have_one_name(flag, meant):
    assert parse(f"--trainer.precision={flag}").trainer.precision == meant


def test_a_flag_and_a_file_give_the_same_devices(file):
    mine = file("based_on: [dcgan]\ntrainer:\n  devices: 2\n")
    assert parse(experiment=mine).trainer.devices == parse("--trainer.devices=2").trainer.devices == 2
    assert parse("--trainer.devices=-1").trainer.devices == -1
    assert parse("--trainer.devices=auto").trainer.devices == "auto"


def test_a_smoke_run_lies_apart():
    assert parse(overlays=["trainer/smoke"]).trainer.default_root_dir != parse().trainer.default_root_dir


def test_interpolations_follow_an_override(file):
    mine = file("based_on: [dcgan]\nmodel:\n  ema: ${data.batch_size}\n")
    assert parse("--data.batch_size=10", experiment=mine).model.ema == 10


def test_a_batch_size_is_a_number_or_several_by_images_seen(file):
    mine = file("based_on: [dcgan]\ndata:\n  batch_size: {0: 64, 40000: 32}\n")
    assert parse(experiment=mine).data.batch_size == {0: 64, 40000: 32}
    assert parse("--data.batch_size=32", experiment=mine).data.batch_size == 32
    assert parse("--data.batch_size={0: 8, 100: 16}").data.batch_size == {0: 8, 100: 16}
    again = file(yaml.safe_dump(config.dump(parse(experiment=mine))))
    assert parse(experiment=again).data.batch_size == {0: 64, 40000: 32}
    with pytest.raises(GenlitError, match=r"data\.batch_size: many is not of the type int, dict"):
        parse("--data.batch_size=many")


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("--model.lrr=1", "model.lrr=1 (did you mean 'model.lr'?)"),
        ("--trainer.max_stepz=5", "(did you mean 'trainer.max_steps'?)"),
        ("--model.lr=abc", "model.lr: abc is not of the type float, dict[str, float]"),
        ("--data.size=big", "data.size: big is not of the type int or null"),
        ("--model.loss=foo", "model.loss: foo is not one of: minimax, "),
        ("--model.lr=.nan", "model.lr: nan is not a finite number"),
        ("--model.name=DCGAM", "there is no model 'DCGAM'; did you mean DCGAN?"),
        ("--data.name=Digit", "there is no data 'Digit'; did you mean Digits?"),
        ("--model.name=os.system", "there is no model 'os.system'"),
        ("--trainer.gradient_clip_val=1", "not offered: the engine clips by player: --model.clip=1.0"),
        ("--trainer.accumulate_grad_batches=2", "--model.accumulate=2"),
        ("--trainer.max_epochs=2", "--trainer.max_steps"),
        ("--seed=-1", "seed: -1 is not a whole number of at least 0"),
        (f"--seed={2**64}", f"seed: {2**64} is not a whole number"),
        ("--run.tags=[api_key=canary]", "run.tags looks like a secret and would be saved"),
        ("--trainer.max_steps=0", "trainer.max_steps: 0 is not a whole number of at least 1"),
        ("--trainer.max_steps=-1", "trainer.max_steps: -1 is not"),
        ("--trainer.log_every_n_steps=0", "trainer.log_every_n_steps: 0 is not"),
        ("--trainer.val_check_interval=0.5", "trainer.val_check_interval: 0.5 is not a whole number"),
        ("--trainer.devices=0,1", "trainer.devices: 0,1 is not a number of devices"),
        ("--trainer.devices=[0,1]", "CUDA_VISIBLE_DEVICES"),
        ("--trainer.devices=0", "trainer.devices: 0 is not"),
        ("--trainer.precision=16-mixed", "trainer.precision: 16-mixed is not offered"),
        ("--run.fidelity_samples=0", "run.fidelity_samples: 0 is not a whole number of at least 1"),
        ("--run.evaluate_every=0", "run.evaluate_every: 0 is not a whole number of at least 1"),
        ("--run.evaluate_share=half", "run.evaluate_share: half is not of the type float"),
        ("--run.evaluate_share=.nan", "run.evaluate_share: nan is not a finite number"),
        ("--run.sentinel=shout", "run.sentinel: shout is not one of: warn, stop, return or null"),
        ("--run.likelihood=fifty", "run.likelihood: fifty is not of the type list[int] or null"),
        ("--run.fidelty=lenet", "did you mean 'run.fidelity'?"),
        ("--trainer.precision=bf16-true", "choose one of 32-true, bf16-mixed, 64-true"),
    ],
)
def test_a_wrong_flag_is_one_sentence(flag, sentence):
    assert sentence in complaint(flag)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("based_on: [dcgan]\nmodel:\n  lrr: 1\n", "unknown key model.lrr (did you mean 'model.lr'?)"),
        ("based_on: [dcgan]\nmodle:\n  lr: 1\n", "modle"),
        ("based_on: [dcgan]\nmodel:\n  latent: 3.5\n", "model.latent: 3.5 is not of the type int"),
        ("based_on: [dcgan]\ntrainer:\n  gradient_clip_val: 1\n", "--model.clip"),
        ("model:\n  lr: 1\n", "names no model"),
        ("based_on: [dcgann]\n", "did you mean 'dcgan'?"),
        ("based_on: [data/digit]\n", "did you mean 'data/digits'?"),
        ("- a\n- b\n", "is not a configuration"),
        ("model: [1\n", "mine.yaml"),
        ("seed: 1\nseed: 2\n", "mine.yaml"),
        ("model: !!python/object/apply:os.system ['true']\n", "mine.yaml"),
    ],
)
def test_a_wrong_file_is_one_sentence(file, text, sentence):
    assert sentence in complaint(experiment=file(text))


def test_a_missing_experiment_is_named_with_the_nearest():
    assert "did you mean 'dcgan'?" in complaint(experiment="dcgna")
    assert "there is no file" in complaint(experiment="nowhere/at-all.yaml")


def test_secrets_of_the_environment_do_not_resolve(file, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "canary-4711")
    mine = file("based_on: [dcgan]\nrun:\n  project: ${oc.env:WANDB_API_KEY}\n")
    assert "canary-4711" not in complaint(experiment=mine)


def test_only_a_trusted_package_is_imported(tmp_path, monkeypatch):
    (tmp_path / "my_models.py").write_text(
        "from genlit.models import DCGAN\nfrom pathlib import Path\n"
        f"Path({str(tmp_path / 'imported')!r}).touch()\nclass Mine(DCGAN):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(config, "_TRUSTED", [])
    assert "there is no model 'my_models.Mine'" in complaint("--model.name=my_models.Mine")
    assert "there is no model 'Mine'" in complaint("--model.name=Mine")
    assert not (tmp_path / "imported").exists()
    config.trust(["my_models"])
    assert parse("--model.name=Mine").model.name == "Mine"
    with pytest.raises(GenlitError, match="cannot be imported"):
        config.trust(["no_such_package"])


def test_what_is_saved_reads_back_as_the_same(tmp_path):
    plain = config.dump(parse("--model.decay=[10, 20]"))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(plain))
    again = config.dump(config.parse([tmp_path / "config.yaml"], []))
    assert again == plain
    assert plain["model"]["decay"] == [10, 20]


def test_the_model_is_shaped_by_the_data():
    settings = parse("--data.size=16", "--model.width=4")
    source = config.source(settings)
    assert config.model(settings, source).shape == source.shape == (1, 16, 16)


def test_data_that_cannot_give_what_the_model_needs_are_refused():
    settings = parse("--data.name=Digits", "--data.size=32", experiment="vae")
    source = config.source(settings).require(("text",))
    with pytest.raises(GenlitError, match="needs `text`"):
        source.prepare_data()


@pytest.mark.parametrize("flag", ["--model.los=hinge", "--trainer.max_step=7"])
def test_the_beginning_of_a_key_is_no_key(flag):
    with pytest.raises(GenlitError, match=r"did you mean '(model\.loss|trainer\.max_steps)'"):
        parse(flag)
