"""One SQLite store for all tests of tracking: making its tables takes seconds."""

import pytest

from tests.stores import clear_environment, opened
from tsad.tracking.store import Store


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An open store, in the environment of a fresh shell."""
    clear_environment(monkeypatch)
    return opened(tmp_path_factory.getbasetemp() / "store")
