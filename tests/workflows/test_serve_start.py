"""What `tsad serve` costs until it is ready, and what it says."""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.processes import PYTHON, environment
from tests.serving.services import Client, saved_detector
from tsad.serving import served_model
from tsad.serving.models_in_service import ModelToServe
from tsad.workflows import serve as workflow

TICKS = os.sysconf("SC_CLK_TCK")
UNUSED = {"matplotlib", "scipy.stats", "sklearn", "sqlalchemy", "alembic", "ray", "optuna"}
"""Packages that no service of a saved detector needs at its start; they cost a second and a half together."""


def test_the_service_imports_nothing_that_its_start_does_not_need():
    code = f"import sys, tsad.workflows.serve; print(*sorted({UNUSED} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:7"),
        ("::1", "http://[::1]:7"),
        ("0.0.0.0", "http://localhost:7"),
        ("", "http://localhost:7"),
        ("::", "http://localhost:7"),
        ("tsad.example", "http://tsad.example:7"),
    ],
)
def test_the_address_is_one_that_a_browser_can_open(host, address):
    assert workflow._address(host, 7) == address


def test_what_is_served_is_announced_with_both_versions(tmp_path):
    saved_detector(tmp_path / "detector")
    served = served_model.open_model(str(tmp_path / "detector"), tmp_path)

    def announced(*models):
        return workflow._announced([ModelToServe(f"m{place}", model, tmp_path) for place, model in enumerate(models)])

    said = f"tsad {version('tsad')} serves {tmp_path / 'detector'} (pca_error, 6 features)."
    assert announced(served) == said
    source = served_model.ModelSource("models:/pumps@champion", "pumps", "3", served.source.folder, {})
    registered = served_model.ServedModel(source, served.pyfunc)
    assert "models:/pumps@champion, version 3 of pumps (pca" in announced(registered)
    assert f"serves m0: {tmp_path / 'detector'} (pca_error, 6 features); m1: models:/pumps@champion, v" in announced(
        served, registered
    )
    for model in (served, registered):
        model.registry.close()


def cpu_seconds(process):
    """Returns user and system seconds of a process and of its children that have ended."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="CPU seconds of a process are read from /proc")
def test_a_saved_detector_is_served_within_three_cpu_seconds(tmp_path):
    saved_detector(tmp_path / "detector")
    seconds = []
    for attempt in range(3):
        words = [PYTHON, "-m", "tsad", "serve", "detector", "--port", "0", "--state", f"state{attempt}"]
        with subprocess.Popen(words, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True) as process:
            try:
                announced, protection, page = (process.stdout.readline() for _ in range(3))
                address = re.fullmatch(r"Page: http://127\.0\.0\.1:(\d+)\n", page)
                assert Client(int(address[1])).get("/ready").json == {"status": "ready", "problems": []}
                seconds.append(cpu_seconds(process.pid))
            finally:
                process.terminate()
        assert announced.startswith(f"tsad {version('tsad')} serves detector (")
        assert protection.startswith("No token is needed")
    assert min(seconds) < 3, seconds
    assert not (tmp_path / "mlflow.db").exists()
