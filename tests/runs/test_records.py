"""Names of metrics in records."""

import pytest

from genlit.runs.records import carries


@pytest.mark.parametrize("name", ["fd-lenet", "fd-lenet/1a2b.n10.val", "fd-lenet.val"])
def test_a_metric_is_told_by_what_comes_before_its_protocol(name):
    assert carries(name, "fd-lenet")
    assert carries(name, "fd-lenet/")
    assert carries(name, name)


@pytest.mark.parametrize("name", ["fd-lenet-floor", "fd", "a/fd-lenet"])
def test_another_metric_is_not_taken_for_it(name):
    assert not carries(name, "fd-lenet")
