"""Two, three and four processes tell what one tells, to the last bit; see ranks.py for the cases."""

import json
import os
import subprocess
import sys

import pytest

from tests.metrics.ranks import COLLECTED, MEASURED, METRICS, REFUSED, WORLDS

pytestmark = pytest.mark.xdist_group("ranks")  # they are started once for all tests
LIMIT = 240  # seconds after which processes that wait for each other are given up


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What process r of w found, by (w, r)."""
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "tests.metrics.ranks", str(folder)]
    subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, timeout=LIMIT)
    ranks = [(world, rank) for world in WORLDS for rank in range(world)]
    return {(world, rank): json.loads((folder / f"{world}.{rank}.json").read_text()) for world, rank in ranks}


def of(told, case):
    return {rank: found[case.__name__] for rank, found in told.items()}


@pytest.mark.parametrize("case", MEASURED)
def test_every_process_of_any_number_tells_the_same(told, case):
    found = of(told, case)
    assert found[1, 0]
    assert [rank for rank, values in found.items() if values != found[1, 0]] == []


@pytest.mark.parametrize("case", COLLECTED)
def test_whoever_has_an_image_and_in_what_batches_it_counts_once(told, case):
    found = of(told, case)
    assert [rank for rank, values in found.items() if values != (None if rank[1] else found[1, 0])] == []
    assert found[1, 0] == told[1, 0][COLLECTED[0].__name__]


@pytest.mark.parametrize("case", REFUSED)
def test_what_one_process_refuses_all_refuse(told, case):
    for world in WORLDS:
        said = {values for (w, _), values in of(told, case).items() if w == world}
        assert len(said) == 1
        assert None not in said or world == 1


def test_refusals_name_what_is_wrong(told):
    said = told[3, 2]
    assert "1 of 37 images were never given" in said["missing"]
    assert "37 of 37 images were given to two processes" in said["doubled"]
    assert "not finite" in said["one_process_draws_nan"]
    assert "fid-infinity needs at least 34 images" in said["the_first_process_cannot_measure"]
    assert "cut.png cannot be read" in said["the_first_process_meets_a_damaged_picture"]


def test_all_metrics_are_told(told):
    found = told[4, 3]["fewer_than_a_block"]
    assert len(found) == len(METRICS)
    assert {details["n"] for details in found.values()} == {37}


def test_the_first_measurement_and_one_from_the_cache_are_the_same(told):
    assert told[1, 0]["several_blocks"] == told[1, 0]["from_the_cache"]
