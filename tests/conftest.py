"""Decoded data sets are shared by all tests of a session, in every process."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def decoded_once(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENLIT_DATA", str(tmp_path_factory.getbasetemp().parent / "genlit-data"))
        yield
