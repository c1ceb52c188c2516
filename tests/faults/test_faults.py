"""The quick rows of the table of faults, the page made of it, and that the harness does not lie."""

from pathlib import Path

import pytest

from genlit.cli import verbs
from genlit.errors import GenlitError
from genlit.faults import Broken, Fault, NotShown, table
from genlit.faults.harness import results
from genlit.verbs import faults as verb

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("fault", [fault for fault in table.FAULTS if fault.quick], ids=lambda fault: fault.name)
def test_a_quick_fault_meets_its_promise(fault):
    shown = verb.attempt(fault, {})
    assert shown.outcome == "ok", shown.seen


def test_the_page_is_that_of_the_table_and_the_results():
    found = results.read(DOCS)
    assert (DOCS / results.PAGE).read_text(encoding="utf-8") == results.page(table.FAULTS, found), "run `make faults`"
    assert {fault.name for fault in table.FAULTS if not fault.long} <= set(found), "run `make faults`"
    assert not [name for name, one in found.items() if one.outcome == "failed"]


def command(*words):
    verbs.main(["faults", *words], prog_name="genlit", standalone_mode=False)


def ends(sentence, kind):
    def show(folder):
        raise kind(f"{sentence} in {folder}/runs")

    return show


@pytest.fixture
def made_up(monkeypatch, tmp_path):
    """A table of three ends, in a checkout without results."""
    rows = (
        Fault("kept", "It holds.", lambda folder: f"held in {folder}/runs", options=("trials",)),
        Fault("broken", "It does not.", ends("broke", Broken)),
        Fault("crashed", "It cannot.", ends("crashed", OSError), long=True),
        Fault("absent", "Not here.", ends("no GPU", NotShown)),
    )
    monkeypatch.setattr(table, "FAULTS", rows)
    monkeypatch.setattr(verb, "FAULTS", rows)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    return tmp_path / "docs"


def test_a_promise_that_is_not_kept_fails_the_command(made_up, capsys):
    with pytest.raises(SystemExit) as stopped:
        command("all")
    assert stopped.value.code == 1
    said = capsys.readouterr().out
    assert "ok        kept: held in runs" in said
    assert "failed    broken: broke in runs" in said
    assert "not shown absent: no GPU in runs" in said
    assert "crashed" not in said


def test_an_accident_is_a_failure(made_up):
    with pytest.raises(SystemExit) as stopped:
        command("crashed")
    assert stopped.value.code == 1


def test_what_cannot_be_shown_is_no_failure(made_up):
    command("kept", "absent")


def test_results_stay_until_their_fault_is_shown_again(made_up):
    command("kept")
    command("absent")
    found = results.read(made_up)
    assert {name: one.outcome for name, one in found.items()} == {"kept": "ok", "absent": "not shown"}
    assert "| `genlit faults kept` | It holds. | ok, " in (made_up / results.PAGE).read_text()


def test_unknown_faults_and_options_are_refused(made_up):
    with pytest.raises(GenlitError, match="did you mean 'broken'"):
        command("broke")
    with pytest.raises(GenlitError, match="name a fault"):
        command()
    with pytest.raises(GenlitError, match="broken has no option --trials"):
        command("broken", "--trials=3")
