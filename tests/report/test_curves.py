import json

import pytest

from genlit.report import curves, gather
from genlit.report.curves import BOTTOM, LEFT, RIGHT, TOP


def drawn(run, records):
    (run / "history.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    return curves.charts([gather(run, "run")])


def at(images, **values):
    return {name.replace("__", "/"): value for name, value in values.items()} | {
        "progress/iter": images // 10,
        "progress/images": images,
    }


def test_there_is_a_chart_for_each_metric_losses_first_and_validation_with_its_training(make_run):
    charts = curves.charts([gather(make_run(), "run")])
    assert [(chart.group, chart.title) for chart in charts] == [
        ("Losses of critic", "adversarial"), ("Losses of generator", "adversarial"),
        ("Measured while training", "fd-lenet"), ("Learning rates", "critic"), ("Throughput", "images per second"),
    ]  # fmt: skip
    assert [curve.held_out for curve in charts[0].curves] == [False, True]
    assert charts[2].protocol == "1a2b3c4d.n1000.val"


def test_runs_are_laid_over_each_other(make_run):
    runs = [gather(make_run(f"a/{i}", steps=1000 * i, offset=i), str(i)) for i in (1, 2)]
    chart = curves.charts(runs)[1]
    assert [curve.run for curve in chart.curves] == [0, 1]
    assert chart.end == 2000 * 64
    assert chart.x(chart.curves[0].points[-1][0]) == pytest.approx((LEFT + RIGHT) / 2)


def test_a_curve_runs_from_edge_to_edge_and_the_ticks_lie_where_their_labels_say(make_run):
    (chart,) = drawn(make_run(), [at(0, loss=0.0), at(50, loss=10.0), at(100, loss=5.0)])
    assert chart.path(chart.curves[0]) == f"M{LEFT}.0,{BOTTOM}.0 179.0,{TOP}.0 {RIGHT}.0,83.0"
    for y, label in chart.ticks:
        assert y == pytest.approx(BOTTOM - (BOTTOM - TOP) * float(label) / 10)
    for x, label in chart.times:
        assert x == pytest.approx(LEFT + (RIGHT - LEFT) * float(label) / 100)


def test_values_over_more_than_two_powers_of_ten_have_a_logarithmic_axis(make_run):
    (chart,) = drawn(make_run(), [at(0, loss=1000.0), at(50, loss=10.0), at(100, loss=1.0)])
    assert chart.logarithmic
    assert chart.y(10.0) == pytest.approx(BOTTOM - (BOTTOM - TOP) / 3)
    (chart,) = drawn(make_run("other"), [at(0, loss=-1000.0), at(100, loss=1.0)])
    assert not chart.logarithmic


def test_a_line_breaks_where_a_value_is_not_finite_and_a_metric_without_any_has_no_chart(make_run):
    records = [at(10 * i, loss=None if i == 2 else float(i), nothing=None) for i in range(5)]
    (chart,) = drawn(make_run(), records)
    first, second = chart.path(chart.curves[0]).removeprefix("M").split(" M")
    assert (len(first.split()), len(second.split())) == (2, 2)
    assert chart.curves[0].summary == {"first": 0.0, "lowest": 0.0, "highest": 4.0, "last": 4.0}


def test_a_constant_and_a_single_record_can_be_drawn(make_run):
    (constant,) = drawn(make_run(), [at(10, loss=0.0), at(20, loss=0.0)])
    assert constant.y(0.0) == pytest.approx((TOP + BOTTOM) / 2)
    (dot,) = drawn(make_run("other"), [at(10, loss=3.0)])
    assert dot.path(dot.curves[0]).endswith("h0")


def test_long_histories_become_means_that_say_so_with_fewer_points_for_many_runs(make_run):
    (chart,) = drawn(make_run(), [at(i, loss=float(i % 2)) for i in range(1, 2401)])
    assert len(chart.curves[0].points) == 240
    assert chart.averaged == 10
    assert {y for _, y in chart.curves[0].points} == {0.5}
    assert chart.curves[0].summary["highest"] == 1.0
    assert curves._points(40) == 48


def test_a_chart_is_told_in_words(make_run):
    runs = [gather(make_run(f"a/{i}", offset=i), f"run {i}") for i in range(5)]
    assert (
        curves.charts(runs[:1])[1]
        .spoken(runs[:1])
        .startswith("Losses of generator, adversarial over images seen. training: first 1.118, lowest 1.118")
    )
    assert "run 1, training" in curves.charts(runs[:2])[1].spoken(runs[:2])
    assert "5 curves; their numbers are in the table below" in curves.charts(runs)[1].spoken(runs)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.00025, "0.00025"), (1500, "1500"), (12_000, "12k"), (1_500_000, "1.5M"), (-20_000, "-20k")],
)
def test_numbers_are_short(value, text):
    assert curves.short(value) == text
