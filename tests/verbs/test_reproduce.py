"""Whether a claim holds when an experiment is trained again."""

import pytest

from genlit.errors import GenlitError
from tests.verbs.conftest import SMALL, command

RING = "model: {name: GAN, hidden: [4], latent: 2}\ndata: {name: Ring}\n"


def test_a_claim_is_checked_for_every_seed(tmp_path, capsys):
    words = [*SMALL, f"--trainer.default_root_dir={tmp_path}"]
    for name, bound in (("holds", "at_least: 0"), ("fails", "at_least: 9"), ("silent", "")):
        claim = f"claim: {{metric: modes, {bound}}}\n" if bound else ""
        (tmp_path / f"{name}.yaml").write_text(claim + RING)
    command("reproduce", tmp_path / "holds.yaml", "--seed", 0, "--seed", 3, *words)
    assert "holds its claim for seed 0, 3" in capsys.readouterr().out
    assert [path.name for path in sorted((tmp_path / "holds").iterdir())] == ["001", "002"]
    with pytest.raises(GenlitError, match="does not hold the experiment's claim: modes at least 9"):
        command("reproduce", tmp_path / "fails.yaml", *words)
    with pytest.raises(GenlitError, match="claims nothing: give it `claim:"):
        command("reproduce", tmp_path / "silent.yaml", *words)
    assert not (tmp_path / "silent").exists()
