from pathlib import Path

import pytest

from tsad.settings import Settings


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    for name in ("MLFLOW_TRACKING_URI", "TSAD_TRACKING_URI", "TSAD_DATA_DIR", "TSAD_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_a_variable_goes_before_the_env_file(monkeypatch):
    Path(".env").write_text("TSAD_DATA_DIR=from_file\nTSAD_DEVICE=cpu\nUNKNOWN=1\n")
    monkeypatch.setenv("TSAD_DATA_DIR", "from_variable")
    settings = Settings()
    assert settings.data_dir == Path("from_variable")
    assert settings.device == "cpu"


def test_the_tracking_uri_of_mlflow_run_goes_first(monkeypatch):
    monkeypatch.setenv("TSAD_TRACKING_URI", "sqlite:///ours.db")
    assert Settings().tracking_uri == "sqlite:///ours.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://theirs")
    assert Settings().tracking_uri == "http://theirs"


def test_an_unknown_device_is_refused(monkeypatch):
    monkeypatch.setenv("TSAD_DEVICE", "abacus")
    with pytest.raises(ValueError, match="'auto', 'cpu' or 'cuda'"):
        Settings()
