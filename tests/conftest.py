"""Decoded data sets are shared by all tests of a session, in every process."""

import pytest

from genlit.metrics.extractors.lenet import RECIPE


@pytest.fixture(scope="session", autouse=True)
def decoded_once(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENLIT_DATA", str(tmp_path_factory.getbasetemp().parent / "genlit-data"))
        yield


@pytest.fixture(scope="module")
def hasty_lenet():
    """Classifiers that learn for a sixtieth of the time: enough to tell digits from noise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPE, "images", 1280)
        yield
