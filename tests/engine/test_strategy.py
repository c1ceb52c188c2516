"""Two gloo processes against one process on the same global batch, in float64."""

import os
import socket
import subprocess
import sys

import pytest
import torch

from tests.engine.parity import CASES, ITERATIONS, MICRO_BATCHES

pytestmark = pytest.mark.xdist_group("parity")  # one process trains all cases for all tests


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder where one process and two processes have saved all cases."""
    folder = tmp_path_factory.mktemp("parity")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        together = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    command = [sys.executable, "-m", "tests.engine.parity", str(folder)]
    environments = [{}, together | {"LOCAL_RANK": "0"}, together | {"LOCAL_RANK": "1"}]
    processes = [subprocess.Popen(command, env=os.environ | extra) for extra in environments]
    assert [process.wait(timeout=300) for process in processes] == [0, 0, 0]
    return folder


def read(folder, case, rank=""):
    return torch.load(folder / f"{case}{rank}.pt", weights_only=True)


@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one(trained, case):
    alone, first, second = (read(trained, case, rank) for rank in ("", ".0", ".1"))
    assert alone["iterations"] == first["iterations"] == ITERATIONS
    for name, weight in alone["weights"].items():
        assert torch.equal(first["weights"][name], second["weights"][name]), name
        torch.testing.assert_close(
            first["weights"][name], weight, rtol=0, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("case", ["wgan-gp", "accumulation"])
def test_every_slot_draws_its_own_noise(trained, case):
    alone, first, second = (read(trained, case, rank)["codes"] for rank in ("", ".0", ".1"))
    assert len(first) == len(second) == MICRO_BATCHES.get(case, 1)
    together = first + second
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))
    assert len({codes.flatten()[0].item() for codes in together}) == len(together)


def test_processes_evaluate_the_same_statistics(trained):
    first, second = (read(trained, "shared", rank)["statistics"] for rank in (".0", ".1"))
    assert any("running_mean" in name for name in first)
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_fewer_held_out_images_than_a_batch_are_evaluated_by_all_processes(trained):
    first, second = (read(trained, "shared", rank)["validation"] for rank in (".0", ".1"))
    assert "val/critic/adversarial" in first
    assert first == second


@pytest.mark.parametrize("rank", [0, 1])
def test_a_step_without_averaging_is_refused(trained, rank):
    assert "without averaging" in (trained / f"refused.{rank}").read_text()
