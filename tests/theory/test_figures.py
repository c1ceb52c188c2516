"""Figures that are drawn in no time are drawn; what they show is near its exact value."""

import pytest
import torch

from experiments.theory import figures


@pytest.mark.parametrize("draw", [figures.gradients, figures.slopes, lambda: figures.critics((1,))])
def test_a_figure_is_drawn_and_its_numbers_are_exact(draw, tmp_path):
    torch.manual_seed(0)
    figure, rows = draw()
    figure.savefig(tmp_path / "figure.png", dpi=40)
    assert rows
    for row in rows:
        assert row.measured == pytest.approx(row.exact, abs=0.01), row.what


def test_every_portrait_is_drawn():
    axes = figures.Figure().subplots()
    for game, rule, _ in figures.PORTRAITS.values():
        figures._draw_field(axes, game, side=3)
        figures._draw_way(axes, figures.trajectory(rule(game), (1.0, 1.0), 3))
