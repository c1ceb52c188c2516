import json
import re

import pytest

from genlit.cli import verbs
from genlit.errors import GenlitError
from genlit.faults.harness.wandb_server import ENTITY
from genlit.logging.workspace import FIDELITY, THROUGHPUT


def dashboard(*words):
    verbs.main(["dashboard", *words], prog_name="genlit", standalone_mode=False)


def test_a_project_gets_the_panels_that_matter(wandb_server, capsys):
    dashboard("--project", "digits")
    (view,) = wandb_server.views
    assert (view["entityName"], view["projectName"], view["displayName"]) == (ENTITY, "digits", "genlit")
    sections = {section["name"]: section["panels"] for section in panel_bank(json.loads(view["spec"]))}
    assert {"Pictures", "Fidelity", "Losses by player", "Throughput"} <= set(sections)
    losses = [panel["config"]["metricRegex"] for panel in sections["Losses by player"]]
    assert {"^train/critic/", "^train/generator/", "^train/autoencoder/"} <= set(losses)
    assert sections["Pictures"][0]["config"]["mediaKeys"] == ["pictures/samples"]
    assert {panel["config"]["xAxis"] for panel in sections["Fidelity"]} == {"progress/images"}
    assert f"/{ENTITY}/digits?nw=" in capsys.readouterr().out


def panel_bank(spec):
    return spec["section"]["panelBankConfig"]["sections"]


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Fréchet distance", "fd-lenet/1a2b3c4d.n2000.val"),
        ("Fréchet distance", "fid/inception-tf1.n1000.val"),
        ("Kernel distance", "kid/lenet-1a2b3c4d.n199.val"),
        ("Likelihood", "iwae-50/dynamic.n2000.val"),
        ("Images per second", "throughput/images_per_second"),
        ("Milliseconds per iteration", "throughput/step_ms"),
    ],
)
def test_a_record_is_shown_where_it_belongs(title, name):
    panels = FIDELITY | THROUGHPUT
    assert [shown for shown, pattern in panels.items() if re.search(pattern, name)] == [title]


def test_without_a_key_it_is_told(wandb_server, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY")
    with pytest.raises(GenlitError, match=r"W&B takes no dashboard for digits .* `wandb login`"):
        dashboard("--project", "digits")
