"""The moving average against its recursion."""

import torch
from torch import nn

from genlit.engine.ema import EMA, RAMP


def network():
    return nn.ModuleDict({"g": nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), "d": nn.Linear(3, 1)})


def test_it_follows_the_recursion_for_weights_and_statistics():
    live = network()
    ema, batch, half_life = EMA({"g": live["g"]}, half_life=50.0), 10, 50.0
    expected = [tensor.detach().clone() for tensor in [live["g"][0].weight, live["g"][1].running_mean]]
    for step in range(1, 200):
        with torch.no_grad():
            live["g"][0].weight.add_(torch.randn(4, 3))
            live["g"](torch.randn(8, 3))
        ema.update(live, batch, step * batch)
        beta = 0.5 ** (batch / min(half_life, RAMP * step * batch))
        now = [live["g"][0].weight, live["g"][1].running_mean]
        expected = [beta * mean + (1 - beta) * value.detach() for mean, value in zip(expected, now, strict=True)]
    torch.testing.assert_close(ema.networks["g"][0].weight, expected[0])
    torch.testing.assert_close(ema.networks["g"][1].running_mean, expected[1])
    assert ema.networks["g"][1].num_batches_tracked == live["g"][1].num_batches_tracked


def test_a_half_life_halves_the_old_weight():
    live = nn.ModuleDict({"g": nn.Linear(1, 1, bias=False)})
    nn.init.ones_(live["g"].weight)
    ema = EMA({"g": live["g"]}, half_life=100.0)
    nn.init.zeros_(live["g"].weight)
    for _ in range(10):
        ema.update(live, 10, 10**6)
    torch.testing.assert_close(ema.networks["g"].weight, torch.full((1, 1), 0.5))


def test_it_stays_out_of_training_and_can_be_swapped_in():
    live = network()
    ema = EMA({"g": live["g"]}, half_life=10.0)
    mine, theirs = ema.networks["g"], live["g"]
    assert not any(p.requires_grad for p in ema.parameters())
    assert not ema.train().networks["g"].training
    with ema.swapped_into(live):
        assert live["g"] is mine
        assert ema.networks["g"] is theirs
    assert live["g"] is theirs
