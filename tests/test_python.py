"""genlit from Python, where it is the command line."""

import pytest
import yaml

import genlit
from genlit.errors import GenlitError

TINY = "model: {name: VAE, hidden: [8], latent: 3}\ndata: {name: Digits, size: 8, binarize: threshold}\n"


def test_train_is_the_command_line_and_gives_what_load_takes(tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    run = genlit.train(
        str(tmp_path / "tiny.yaml"),
        overlays=["trainer/cpu"],
        model={"lr": {"autoencoder": 1e-05}, "weights": None, "hidden": (8, 4)},
        data={"batch_size": 4},
        trainer={"max_steps": 1, "limit_val_batches": 1, "default_root_dir": tmp_path / "runs"},
        run={"wandb": "disabled", "progress": False, "pictures": 4},
        seed=3,
    )
    assert run == tmp_path / "runs" / "tiny" / "001"
    settings = yaml.safe_load((run / "config.yaml").read_text())
    assert (settings["model"]["lr"], settings["model"]["hidden"], settings["seed"]) == (
        {"autoencoder": 1e-05},
        [8, 4],
        3,
    )
    assert "--with=trainer/cpu" in (run / "command.txt").read_text()
    assert genlit.load(run).sample(2).shape == (2, 1, 8, 8)


def test_an_override_that_is_no_key_is_an_error(tmp_path):
    with pytest.raises(GenlitError, match=r"did you mean 'model\.lr'"):
        genlit.train("dcgan", model={"lrr": 1})
