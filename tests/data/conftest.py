from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a data root of its own."""
    monkeypatch.setenv("GENLIT_DATA", str(tmp_path / "stores"))
    return tmp_path / "stores"
