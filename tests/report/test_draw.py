import json
import re
from html.parser import HTMLParser

import pytest
import yaml

from genlit.errors import GenlitError
from genlit.report import draw, write_page
from genlit.report.gather import trials_of

VOID = {"meta", "link", "img", "input"}
EVIL = "<script>alert(1)</script>"


class Structure(HTMLParser):
    """Elements in their order, and whether each is closed where it should be."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(*runs):
    return write_page(list(runs)).read_text()


def text(page):
    return " ".join(re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL).split())


def test_the_page_of_a_run_is_whole_and_holds_everything(evaluated):
    page = page_of(evaluated)
    structure = Structure(page)
    assert structure.open == []
    assert [each["id"] for each in structure.all("section")] == [
        "pictures", "curves", "metrics", "configuration", "environment", "player"
    ]  # fmt: skip
    assert len(structure.all("img")) == 4
    assert len(structure.all("svg")) == 5
    shown = text(page)
    for words in (
        "dcgan/001", "64,000", "1,000 of 1,000", "fd-lenet at most 7 claim held", "lenet-1a2b3c4d.n2000.test",
        "4.12 0.21 2,000 7.9", "accuracy 0.98", "model.width 64 32", "genlit train dcgan --model.width=32", "2.15.0",
    ):  # fmt: skip
        assert words in shown


def test_nothing_on_the_page_comes_from_elsewhere(evaluated):
    structure = Structure(page_of(evaluated))
    for tag, attributes in structure.elements:
        for name in ("src", "href", "srcset", "data", "action"):
            assert attributes.get(name, "data:").startswith(("data:", "#")), (tag, attributes)
    assert "url(" not in draw._file("style.css")
    assert "@import" not in draw._file("style.css")


def test_ids_are_unique_and_links_lead_to_them(evaluated):
    structure = Structure(page_of(evaluated))
    ids = [attributes["id"] for _, attributes in structure.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {each["href"][1:] for each in structure.all("a")} <= set(ids)


def test_every_picture_and_chart_has_words_and_every_chart_a_table(evaluated):
    structure = Structure(page_of(evaluated))
    assert all(each["alt"] for each in structure.all("img"))
    assert all(each["aria-label"] for each in structure.all("svg"))
    assert len(structure.all("table")) >= len(structure.all("svg"))


def test_names_tags_and_values_cannot_run_as_code(make_run):
    run = make_run("dcgan/<img src=x onerror=alert(1)>", config={"run": {"tags": [EVIL, "</script>"]}}, kinds=("<b>",))
    (run / "command.txt").write_text(f"genlit train '{EVIL}'\n")
    (run / "eval-test.json").write_text(
        json.dumps(
            {"claim": None, "metrics": [{"name": EVIL, "value": 1.0, "n": 1, "seconds": 1.0}], "checkpoint": EVIL}
        )
    )
    with (run / "history.jsonl").open("a") as file:
        file.write(json.dumps({f"{EVIL}</svg>": 1.0, "progress/iter": 1001, "progress/images": 64064}) + "\n")
    page = page_of(run)
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert page.count("<script") == page.count("</script>") == 2 + len(Structure(page).all("svg"))
    assert [each for each in Structure(page).all("script") if "type" not in each] == [{}]


def test_only_the_pages_own_script_and_style_may_work(evaluated):
    page = page_of(evaluated)
    policy = next(each["content"] for each in Structure(page).all("meta") if "http-equiv" in each)
    assert policy.startswith("default-src 'none'; img-src data:;")
    for tag in ("script", "style"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
        assert f"{tag}-src '{draw.digest(content)}'" in policy


def test_several_runs_stand_side_by_side_with_what_differs_between_them(make_run, tmp_path):
    runs = [make_run(f"sweep/{i:03d}", offset=i, config={"model": {"name": "DCGAN", "width": 16 * i}}) for i in (1, 2)]
    (tmp_path / "sweep/parameters.png").write_bytes((runs[0] / "pictures/samples/it-00000000.png").read_bytes())
    page = page_of(*runs)
    assert (tmp_path / "sweep" / "report.html").read_text() == page
    shown = text(page)
    assert "sweep Run Model Data" in shown
    assert 'alt="parameters of sweep"' in page
    assert "Where the runs differ Key 001 002 model.width 16 32" in shown
    assert len(Structure(page).all("svg")) == 5


@pytest.mark.parametrize(("goal", "best"), [("minimize", "002"), ("maximize", "001")])
def test_a_sweep_shows_its_trials_and_which_is_the_best(make_run, tmp_path, goal, best):
    runs = [make_run(f"sweep/{i:03d}") for i in (1, 2)]
    lines = ["trial,state,loss,seconds,model.lr,reason", "001,complete,2.5,1.0,0.1,", "002,complete,1.5,1.0,0.2,"]
    lines += ["003,fail,,1.0,0.3,exit code 1: <b>", "004,pruned,0.5,1.0,0.4,"]
    (tmp_path / "sweep/trials.csv").write_text("\n".join(lines))
    (tmp_path / "sweep/sweep.yaml").write_text(yaml.safe_dump({"sweep": {"metric": {"name": "loss", "goal": goal}}}))
    shown = text(page_of(*runs))
    assert "4 trials trial state loss seconds model.lr reason" in shown
    assert shown.count(f"{best} best complete") == shown.count(" best ") == 1
    assert "003 fail – 1.0 0.3 exit code 1: &lt;b&gt;" in shown


def test_a_sweep_that_only_failed_has_no_best_trial(tmp_path):
    (tmp_path / "trials.csv").write_text("trial,state,loss\n001,fail,\n")
    (tmp_path / "sweep.yaml").write_text("sweep: {metric: {name: loss}}\n")
    assert trials_of(tmp_path).best is None
    (tmp_path / "trials.csv").write_bytes(b"\xff")
    with pytest.raises(GenlitError, match=r"trials\.csv cannot be read"):
        trials_of(tmp_path)


def test_metrics_of_several_runs_share_a_row_where_their_protocol_is_the_same(make_run):
    runs = [make_run(f"a/{i}") for i in range(2)]
    for value, run in enumerate(runs, start=1):
        row = {"name": "fid/inception-tf1.n10000.test", "value": float(value), "n": 10_000, "seconds": 1.5}
        other = row | {"name": f"fid/inception-tf1.n{value}.test", "value": 7.0}
        (run / "eval-test.json").write_text(json.dumps({"claim": None, "metrics": [row, other]}))
    rows = draw.evaluations([draw.gather(run, "run") for run in runs])["test"]["rows"]
    assert [cell and cell["value"] for cell in rows["fid/inception-tf1.n10000.test"]] == [1.0, 2.0]
    assert [cell and cell["value"] for cell in rows["fid/inception-tf1.n1.test"]] == [7.0, None]
    assert "inception-tf1.n10000.test 1 1.5 s 2 1.5 s" in text(page_of(*runs))


@pytest.mark.parametrize(
    ("recorded", "words"),
    [("{}", "Nowhere."), ("null", "This was not recorded."), ('{"model.width": [64, null]}', "model.width 64 null")],
)
def test_it_is_said_where_a_run_departs_from_its_experiment(make_run, recorded, words):
    run = make_run()
    (run / "departures.json").write_text(recorded)
    assert f"Where it departs from its experiment {words}" in text(page_of(run)).replace("Key Experiment This run ", "")


def test_a_run_that_has_just_begun_has_a_page(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    assert "All 1 keys" in text(page_of(tmp_path))


def test_a_page_says_that_time_steps_are_left_out(make_run):
    page = text(page_of(make_run(drawn=120)))
    assert "31 of 120 time steps are on this page; all are in the run folder." in page


def test_a_page_above_its_limit_is_refused(make_run, monkeypatch):
    monkeypatch.setattr(draw, "LIMIT", 1000)
    with pytest.raises(GenlitError, match="name fewer runs"):
        write_page([make_run()])
