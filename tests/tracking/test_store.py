"""The tracking store: created once by several commands, asked with all that MLflow's client knows."""

import base64
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import mlflow
import pytest
import yaml
from mlflow import MlflowClient

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.processes import PYTHON, environment, free_port
from tsad.errors import TsadError
from tsad.settings import without_password
from tsad.tracking.store import _check_server, open_store

EXPERIMENT = {
    "data": {"kind": "synthetic", "rows": 600, "features": 3, "events": 4},
    "model": {"kind": "l2"},
    "window": {"length": 1},
    "split": {"gap": 10},
}


@pytest.mark.slow
def test_three_commands_at_once_create_the_store_together(tmp_path):
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    words = [str(PYTHON), "-m", "tsad", "train", "experiment.yaml"]
    commands = [
        subprocess.Popen(
            words, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(3)
    ]
    outputs = [command.communicate(timeout=300)[0] for command in commands]
    assert [command.returncode for command in commands] == [0, 0, 0], "\n".join(outputs)
    assert not [output for output in outputs if "sqlite3" in output or "Traceback" in output]
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiments = [experiment for experiment in client.search_experiments() if experiment.name == "tsad"]
    runs = client.search_runs([experiments[0].experiment_id])
    assert len(experiments) == 1
    assert [run.info.status for run in runs] == ["FINISHED"] * 3


@pytest.mark.slow
def test_many_processes_open_a_new_database(tmp_path):
    code = f"from tsad.tracking.store import open_store; open_store('sqlite:///{tmp_path}/new/mlflow.db').experiment()"
    processes = [subprocess.Popen([str(PYTHON), "-c", code], env=environment(), cwd=tmp_path) for _ in range(5)]
    assert [process.wait(timeout=300) for process in processes] == [0] * 5


def test_an_experiment_that_another_command_creates_first_is_used(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "raced")
    real, asked = store.client.get_experiment_by_name, []

    def absent_at_first(name):
        asked.append(name)
        return None if len(asked) == 1 else real(name)

    other = store.client.create_experiment("raced")
    monkeypatch.setattr(store.client, "get_experiment_by_name", absent_at_first)
    assert store.experiment() == other


def test_an_experiment_is_chosen_by_its_name_and_created(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "by-name")
    chosen = store.experiment()
    assert store.client.get_experiment(chosen).name == "by-name"
    assert store.experiment() == chosen
    store.client.delete_experiment(chosen)
    with pytest.raises(TsadError, match=r"experiment 'by-name' of sqlite:.* was deleted; restore it, or set"):
        store.experiment()
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "7")
    assert store.experiment() == "7"


def test_the_registry_may_be_another_store(store, tmp_path, monkeypatch):
    registry = f"sqlite:///{tmp_path / 'registry.db'}"
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", registry)
    opened = open_store(store.uri)
    opened.client.create_registered_model("elsewhere")
    assert mlflow.get_registry_uri() == registry
    assert (mlflow.get_tracking_uri(), opened.uri) == (store.uri, store.uri)
    monkeypatch.delenv("MLFLOW_REGISTRY_URI")
    assert not open_store(store.uri).client.search_registered_models("name = 'elsewhere'")


@contextmanager
def server(token):
    """A server that answers requests which carry an Authorization header, and keeps what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers.get("Authorization")))
            self.send_response(200 if self.headers.get("Authorization") == token else 401)
            self.end_headers()

        def log_message(self, *words):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield listening.server_port, asked
        finally:
            listening.shutdown()
            thread.join()


BASIC = "Basic " + base64.b64encode(b"ada:secret").decode()


@pytest.mark.parametrize(
    ("address", "variables", "header"),
    [
        ("http://ada:secret@127.0.0.1:{}", {}, BASIC),
        ("http://127.0.0.1:{}/", {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "secret"}, BASIC),
        ("http://127.0.0.1:{}", {"MLFLOW_TRACKING_TOKEN": "abc"}, "Bearer abc"),
    ],
    ids=["in the URI", "variables", "token"],
)
def test_a_server_is_asked_with_what_the_client_of_mlflow_knows(store, address, variables, header, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with server(header) as (port, asked):
        _check_server(address.format(port))
    assert asked == [("/health", header)]


def test_a_server_whose_certificate_is_not_trusted_is_reached_as_the_variable_says(store, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(tmp_path / "absent.pem"))
    with pytest.raises(TsadError, match=r"cannot be reached \(.*absent\.pem"):
        _check_server(f"https://127.0.0.1:{free_port()}")


def test_a_server_that_does_not_answer_is_named_at_once_without_its_password(store):
    with pytest.raises(TsadError, match=r"tracking store http://ada:\*\*\*@127.*cannot be reached \(") as caught:
        open_store(f"http://ada:secret@127.0.0.1:{free_port()}")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("http://tracking:5000", "http://tracking:5000"),
        ("postgresql://ada:x:y@host:5432/db", "postgresql://ada:***@host:5432/db"),
        ("https://:token@host", "https://:***@host"),
    ],
)
def test_passwords_are_not_shown(uri, shown):
    assert without_password(uri) == shown
