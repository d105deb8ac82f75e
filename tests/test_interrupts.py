"""Interrupted commands: the first signal ends them in order, and the command that resumes is named."""

import os
import signal
import subprocess
import time

import pytest
from mlflow import MlflowClient

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.processes import PYTHON, REPOSITORY, environment
from tsad.cli.interrupts import resumable, resume_command

SPACE = """
search: {parallel: 1, algorithm: {kind: random}, asha: null, ensemble: null, anchors: [], trials: 3}
data: {kind: synthetic, rows: 600, features: 3, events: 4}
split: {gap: 10}
window: {length: 8}
model: {kind: lstm_ae, hidden: {choice: [4, 8, 12]}}
training: {epochs: 100000, patience: 100000}
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_interrupts_and_those_that_follow_are_ignored(number, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["tsad", "search", "my space.yaml"])
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    ended = []

    def interrupted():
        with resumable("--resume"):
            try:
                os.kill(os.getpid(), number)
                time.sleep(5)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                os.kill(os.getpid(), signal.SIGINT)
                ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert ended == [True]
    assert "search 'my space.yaml' --resume\n" in capsys.readouterr().err
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


def test_the_command_that_resumes_has_the_store_and_the_folder_of_the_interrupted_one(monkeypatch, tmp_path):
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    assert resume_command(["search", "a.yaml", "--resume"], "--resume").endswith("tsad search a.yaml --resume")
    assert not resume_command(["train", "a.yaml"], "").startswith("MLFLOW")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///a b.db")
    assert resume_command(["search"], "--resume").startswith("MLFLOW_TRACKING_URI='sqlite:///a b.db' ")
    monkeypatch.setenv("MLFLOW_RUN_ID", "7")
    monkeypatch.chdir(tmp_path)
    assert resume_command(["search"], "--resume").startswith(f"cd {tmp_path} && MLFLOW_TRACKING_URI=")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ada:secret@host")
    assert "secret" not in resume_command(["search"], "--resume")


def started(words, folder):
    return subprocess.Popen(
        [str(word) for word in words],
        cwd=folder,
        env=environment(MLFLOW_TRACKING_URI=f"sqlite:///{folder / 'mlflow.db'}"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def runs(folder):
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    return client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])


def wait_for_runs(folder, count):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (folder / "mlflow.db").is_file() and (folder / "outputs" / "search").is_dir() and len(runs(folder)) >= count:
            return
        time.sleep(0.3)
    pytest.fail(f"there are no {count} runs")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "count"), [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGTERM, 2)])
def test_an_interrupted_search_exits_with_130_killed_and_names_the_command(tmp_path, number, count):
    (tmp_path / "space.yaml").write_text(SPACE)
    process = started([PYTHON, "-m", "tsad", "search", "space.yaml"], tmp_path)
    wait_for_runs(tmp_path, count)  # with one run, no trial has begun
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "search space.yaml --resume" in errors
    assert "Traceback" not in errors
    assert {run.info.status for run in runs(tmp_path)} == {"KILLED"}


@pytest.mark.slow
def test_an_interrupted_search_of_mlflow_run_is_killed_and_names_the_command(tmp_path):
    (tmp_path / "space.yaml").write_text(SPACE)
    mlflow = PYTHON.parent / "mlflow"
    options = ["--env-manager", "local", "-P", f"space={tmp_path / 'space.yaml'}", "--run-name", "nightly"]
    words = [mlflow, "run", REPOSITORY, "-e", "search", *options]
    process = subprocess.Popen(
        [str(word) for word in words],
        cwd=tmp_path,
        env=environment(
            MLFLOW_TRACKING_URI=f"sqlite:///{tmp_path / 'mlflow.db'}", TSAD_OUTPUT_DIR=tmp_path / "outputs"
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    wait_for_runs(tmp_path, 2)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal
    output, _ = process.communicate(timeout=120)
    assert "--resume" in output
    runs_by_name = {run.info.run_name: run for run in runs(tmp_path)}
    assert runs_by_name.pop("nightly").data.tags["tsad.reason"] == "interrupted"  # mlflow run itself says FAILED
    assert {run.info.status for run in runs_by_name.values()} == {"KILLED"}
