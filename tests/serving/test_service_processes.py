"""The service as a user starts it: killed in mid-stream, searching, beside the other ways to score, and fuzzed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.examples import detector_of, sensors
from tests.fleets import saved as saved_fleet
from tests.processes import PYTHON, REPOSITORY, environment, free_port, ran, running, wait_for
from tests.serving.services import Client, csv, saved_detector, service
from tests.stores import opened
from tsad.assessment.artifacts import write_results
from tsad.detector.detector import Detector
from tsad.detector.scoring import ScoringSpec
from tsad.experiment import run
from tsad.models.lstm_ae import LstmAutoencoderSpec
from tsad.registry.aliases import champion
from tsad.serving.middleware import SecurityPolicy
from tsad.serving.service_parts import Limits
from tsad.serving.tokens import ROLES, create_token
from tsad.workflows.inputs import read_experiment

pytestmark = pytest.mark.slow


@contextmanager
def started(folder, *words, **variables):
    """Runs `tsad serve` in a folder; returns a client and the process."""
    port, log = free_port(), folder / "server.log"
    with log.open("a") as output:
        process = subprocess.Popen(
            [str(PYTHON), "-m", "tsad", "serve", *map(str, words), "--port", str(port)],
            cwd=folder,
            env=environment(**variables),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/ping", process, log)
            yield Client(port), process
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    saved_detector(folder / "detector")
    return folder


def floats(values):
    return np.array(values, float)


# --- streams ---


def test_a_service_that_is_killed_in_mid_stream_goes_on_as_if_nothing_had_happened(folder):
    detector, rows = Detector.load(folder / "detector"), saved_detector(folder / "again")[1]
    found, stream = [], None

    def push(client, first, stop):
        answer = client.post(f"{stream}/rows", {"rows": rows.values[first:stop].tolist(), "after": first})
        assert answer.status == 200, answer.content
        found.append(answer.json)

    with started(folder, "detector") as (client, process):
        stream = f"/api/streams/{client.post('/api/streams').json['id']}"
        for first in range(0, 45, 9):
            push(client, first, first + 9)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with started(folder, "detector") as (client, _):
        assert client.get(stream).json["rows"] == 45
        again = client.post(f"{stream}/rows", {"rows": rows.values[36:45].tolist(), "after": 36})
        assert (again.status, again.json["rows_total"]) == (409, 45)
        for first in range(45, 100, 11):
            push(client, first, first + 11)
    whole = detector.score(rows)
    np.testing.assert_allclose(floats([value for part in found for value in part["score"]]), whole.values, rtol=1e-6)
    assert [value for part in found for value in part["flag"]] == detector.flag(whole).tolist()


def test_the_stream_of_another_model_cannot_go_on(folder):
    rows = saved_detector(folder / "again")[1]
    other = detector_of(LstmAutoencoderSpec(kind="lstm_ae", hidden=4, latent=2), rows, 4, ScoringSpec())
    other.save(folder / "other")
    with started(folder, "detector") as (client, _):
        stream = f"/api/streams/{client.post('/api/streams').json['id']}"
    with started(folder, "other") as (client, _):
        answer = client.get(stream)
        assert answer.status == 409
        assert "delete it and open another" in answer.json["message"]
        assert client.ask("DELETE", stream).status == 204


def test_one_state_serves_one_service(folder):
    with started(folder, "detector"):
        words = [str(PYTHON), "-m", "tsad", "serve", "detector", "--port", "0"]
        second = subprocess.run(
            words, cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=120
        )
    assert second.returncode == 1
    assert "one process at a time" in second.stderr


def test_a_token_is_read_from_the_environment(folder):
    with started(folder, "detector", TSAD_TOKEN="open sesame") as (client, _):
        assert client.get("/api/model").status == 401
        assert client.get("/api/model", Authorization="Bearer open sesame").status == 200


# --- searches ---


@dataclass(frozen=True)
class Bearing:
    """Asks a service with a token."""

    client: Client
    headers: dict[str, str]

    def get(self, path):
        return self.client.get(path, **self.headers)


def waited(client, url, seconds=300):
    deadline = time.monotonic() + seconds
    while (job := client.get(url).json)["state"] in {"queued", "running"}:
        assert time.monotonic() < deadline, job
        time.sleep(0.5)
    return job


def processes_in(folder):
    """Returns the command lines of processes whose working folder is below `folder`."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (place / "cwd").readlink().is_relative_to(folder):
                found.append((place / "cmdline").read_text())
    return found


def test_a_small_search_answers_registers_and_is_seen_in_the_store(tmp_path, folder):
    with started(tmp_path, folder / "detector") as (client, _):
        answer = client.post("/train_predict", {"use_synthetic": True, "sigma": 3})
        found = waited(client, answer.json["url"])["result"] if answer.status == 202 else answer.json
        assert len(found["y_pred"]) == 1000
        assert found["count"] == len(found["anomalies"]) > 0
        assert found["anomaly_eval"]["f1_score"] > 0.2
        assert found["search_summary"]["configs_evaluated"] >= 4
        accepted = client.post("/api/searches", {"series": "synthetic", "trials": 2})
        assert accepted.status == 202
        job = waited(client, accepted.json["url"])
    assert job["state"] == "finished", job
    assert job["progress"]["done"] == job["progress"]["total"] == 2
    client = MlflowClient(uri := f"sqlite:///{tmp_path / 'mlflow.db'}", uri)
    assert client.get_model_version_by_alias("tsad-candidates", "champion").tags["tsad.run"] == job["result"]["run_id"]
    run = found["report_path"].removeprefix("runs:/").split("/")[0]
    assert "nas_report.txt" in {artifact.path for artifact in client.list_artifacts(run)}
    assert [model.name for model in client.search_registered_models()] == ["tsad-candidates"]
    with started(tmp_path, "models:/tsad-candidates@champion") as (served, _):
        assert served.get("/api/model").json["name"] == "tsad-candidates"
        assert [version["aliases"] for version in served.get("/api/versions").json] == [["champion"]]
        assert {series["name"] for series in served.get("/api/series").json} == {"sample", "synthetic"}
        assert served.get("/api/drift").json["state"] == "unknown"
        sample = served.get("/api/series/sample").json
        assert served.post("/api/score", {"columns": sample["columns"], "rows": sample["rows"]}).json["events"]


def test_no_request_makes_a_champion_but_an_admins_on_the_rows_of_the_operator(tmp_path, folder):
    store = opened(tmp_path)
    detector = Detector.load(folder / "detector")
    client = MlflowClient(store.uri, store.uri)
    client.create_registered_model("tsad")
    client.create_model_version("tsad", (folder / "detector").as_uri())
    client.set_registered_model_alias("tsad", "champion", "1")
    gate = {
        "data": {"kind": "csv", "path": "gate.csv"},
        "split": {"gap": 64},
        "window": {"length": 4},
        "model": {"kind": "pca_error"},
    }
    (tmp_path / "gate.yaml").write_text(yaml.safe_dump(gate))
    (tmp_path / "gate.csv").write_text(csv(sensors(2000)))
    stolen = csv(sensors(1200))  # rows of the attacker's choice, with the columns of the champion
    tokens = {role: create_token(tmp_path / "outputs/tokens.json", role, role) for role in ("score", "admin")}
    bearer = {role: {"Authorization": f"Bearer {token}"} for role, token in tokens.items()}
    with started(tmp_path, "models:/tsad@champion", "--gate", "gate.yaml") as (service_, _):
        accepted = service_.post("/api/searches?trials=2", stolen, Content_Type="text/csv", **bearer["score"])
        assert accepted.status == 202, accepted.content
        job = waited(Bearing(service_, bearer["score"]), accepted.json["url"])
        assert (job["state"], job["result"]["registered"], job["result"]["version"]) == (
            "finished",
            "tsad-candidates",
            "1",
        )
        assert [str(version.version) for version in client.search_model_versions("name = 'tsad'")] == ["1"]
        aliases = client.get_registered_model("tsad").aliases
        assert {alias: str(version) for alias, version in aliases.items()} == {"champion": "1"}
        assert service_.post("/api/promotions", {"version": 1}, **bearer["score"]).status == 403
        accepted = service_.post("/api/promotions", {"version": 1}, **bearer["admin"])
        assert accepted.status == 202, accepted.content
        job = waited(Bearing(service_, bearer["admin"]), accepted.json["url"])
        assert job["state"] == "finished", job["error"]
        decision = client.get_model_version("tsad", "2").tags["tsad.gate"]
        assert decision in {"promoted", "rejected"}
        assert champion("tsad") == ("2" if decision == "promoted" else "1")
        assert job["result"]["decision"] == client.get_model_version("tsad", "2").description
        accepted = service_.post("/api/promotions", {"version": 99}, **bearer["admin"])
        assert waited(Bearing(service_, bearer["admin"]), accepted.json["url"])["state"] == "failed"
    assert detector.digest == Detector.load(folder / "detector").digest


def searching(client):
    """Starts a search that takes long, waits for its first trial, and returns its address."""
    url = client.post("/api/searches", {"series": "synthetic", "trials": 64}).json["url"]
    deadline = time.monotonic() + 120
    while not client.get(url).json["progress"]["trials"]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return url


def left_running(folder):
    client = MlflowClient(uri := f"sqlite:///{folder / 'mlflow.db'}", uri)
    experiments = [each.experiment_id for each in client.search_experiments()]
    return [run.info.run_id for run in client.search_runs(experiments) if run.info.status == "RUNNING"]


def test_a_cancelled_search_ends_and_leaves_no_run_running(tmp_path, folder):
    with started(tmp_path, folder / "detector") as (client, _):
        url = searching(client)
        assert client.ask("DELETE", url).json["state"] == "cancelled"
        deadline = time.monotonic() + 40
        while processes_in(tmp_path / "outputs"):
            assert time.monotonic() < deadline, processes_in(tmp_path / "outputs")
            time.sleep(0.2)
        assert left_running(tmp_path) == []


def test_a_search_dies_with_a_service_that_is_killed(tmp_path, folder):
    with started(tmp_path, folder / "detector") as (client, process):
        searching(client)
        assert processes_in(tmp_path / "outputs")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 40
        while processes_in(tmp_path / "outputs"):
            assert time.monotonic() < deadline, processes_in(tmp_path / "outputs")
            time.sleep(0.2)


def processes_of(folder, first):
    """Returns the ids of a process and of all whose working folder is below a folder."""
    found = {first}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (place / "cwd").readlink().is_relative_to(folder):
                found.add(int(place.name))
    return found


@pytest.mark.parametrize(
    ("number", "whom"), [(signal.SIGTERM, "the service"), (signal.SIGTERM, "all"), (signal.SIGKILL, "all")]
)
def test_a_search_that_ends_with_its_service_leaves_nothing_running_and_registers_nothing(
    tmp_path, folder, number, whom
):
    with started(tmp_path, folder / "detector") as (client, process):
        searching(client)
        for one in processes_of(tmp_path, process.pid) if whom == "all" else {process.pid}:
            with suppress(ProcessLookupError):
                os.kill(one, number)
        process.wait(60)
        deadline = time.monotonic() + 40
        while processes_in(tmp_path / "outputs"):
            assert time.monotonic() < deadline, processes_in(tmp_path / "outputs")
            time.sleep(0.2)
    if number == signal.SIGKILL:  # nothing is left to end its runs; the next service does
        with started(tmp_path, folder / "detector"):
            pass
    assert left_running(tmp_path) == []
    client = MlflowClient(uri := f"sqlite:///{tmp_path / 'mlflow.db'}", uri)
    assert list(client.search_registered_models()) == []


def test_versions_and_scores_are_answered_while_the_tracking_server_is_away(tmp_path, folder):
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    words = [PYTHON, "-m", "mlflow", "server", "--port", port, "--workers", 1]
    words += [
        "--backend-store-uri",
        f"sqlite:///{tmp_path / 'mlflow.db'}",
        "--artifacts-destination",
        tmp_path / "artifacts",
    ]
    (tmp_path / "server").mkdir()
    with ExitStack() as stack:
        server = stack.enter_context(ExitStack())
        server.enter_context(running(words, tmp_path / "server", f"{uri}/health"))
        client = MlflowClient(uri, uri)
        run_id = client.create_run("0").info.run_id
        client.log_artifacts(run_id, str(folder / "detector"), "detector")
        client.create_registered_model("tsad")
        client.create_model_version("tsad", f"{client.get_run(run_id).info.artifact_uri}/detector", run_id)
        client.set_registered_model_alias("tsad", "champion", "1")
        service_, _ = stack.enter_context(started(tmp_path, "models:/tsad@champion", MLFLOW_TRACKING_URI=uri))
        rows = saved_detector(tmp_path / "again")[1]
        body = csv(rows).splitlines()
        body = "\n".join([body[0], *(body[1:] * 3)])
        assert service_.post("/api/score", body, Content_Type="text/csv").status == 200
        before = service_.get("/api/versions")
        assert ([version["version"] for version in before.json], before.headers["Age"]) == (["1"], None)
        threshold = service_.get("/api/model").json["threshold"]
        server.close()
        for _ in range(3):
            start = time.monotonic()
            answer = service_.get("/api/versions")
            assert time.monotonic() - start < 1
            assert answer.json == before.json
        assert int(answer.headers["Age"]) > 0
        assert service_.post("/api/recalibrate?source=trial").status == 503
        assert service_.get("/api/model").json["threshold"] == threshold
        assert service_.post("/api/score", body, Content_Type="text/csv").status == 200
        health = service_.get("/health")
        assert (health.status, health.json["status"]) == (200, "degraded")


# --- one machine, every way to score ---


def test_every_way_to_score_a_machine_gives_the_same_scores(tmp_path, smd_folder):
    values = {"training.epochs": 1, "training.batch_size": 256, "model.hidden": 16, "model.latent": 4}
    experiment = read_experiment(REPOSITORY / "experiments/smd_lstm.yaml", values)
    data = experiment.data.load(smd_folder)
    outcome = run(experiment, data)
    write_results(outcome, experiment, tmp_path, "SMD 1-2")
    expected = np.load(tmp_path / "scores.npy")[:3000]
    expected[: outcome.detector.scorer.lookback] = np.nan  # the experiment knows the training rows before them
    table = pd.DataFrame(data.test.values[:3000].astype(float), columns=list(data.test.features))
    table.to_csv(tmp_path / "rows.csv", index=False)
    ran([PYTHON, "-m", "tsad", "score", "detector", "rows.csv", "--output", "scored.csv"], tmp_path)
    ways = {"score": pd.read_csv(tmp_path / "scored.csv")["score"].to_numpy()}
    split = {"dataframe_split": {"columns": list(table.columns), "data": table.to_numpy().tolist()}}

    def invoked(client):
        return floats([row["score"] for row in client.post("/invocations", split).json["predictions"]])

    with started(tmp_path, "detector") as (client, _):
        ways["invocations"] = invoked(client)
        text = (tmp_path / "rows.csv").read_text()
        ways["api"] = floats(client.post("/api/score", text, Content_Type="text/csv").json["score"])
        stream, found = f"/api/streams/{client.post('/api/streams').json['id']}", []
        for first in range(0, 3000, 257):
            body = {"rows": table.to_numpy()[first : first + 257].tolist(), "after": first}
            found += client.post(f"{stream}/rows", body).json["score"]
        ways["stream"] = floats(found)
    port, model = free_port(), tmp_path / "outputs/service/model"
    words = ["mlflow", "models", "serve", "-m", model, "--env-manager", "local", "--host", "127.0.0.1", "--port", port]
    with running(words, tmp_path, f"http://127.0.0.1:{port}/ping"):
        ways["mlflow models serve"] = invoked(Client(port))
    assert np.isfinite(expected).sum() > 2900
    for name, scores in ways.items():
        np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=1e-9, err_msg=name)


# --- fuzz ---


METHODS = "allow_header_conformance"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    METHODS,
)
NO_JSON = ("/ping", "/health", "/version")
"""MLflow's answers that say that they are JSON and are not."""


def fuzzed(client, folder, checks, *words):
    """Returns what schemathesis printed after it has tried everything that `/openapi.json` describes, and what it forbids."""
    command = [
        PYTHON.parent / "schemathesis",
        "run",
        f"http://127.0.0.1:{client.port}/openapi.json",
        f"--checks={','.join(checks)}",
        *(f"--exclude-path={path}" for path in NO_JSON),
        "--max-examples=40",
        "--seed=1",
        "--no-color",
        *words,
    ]
    out = ran(command, folder)
    assert int(re.search(r"Tested: (\d+)", out)[1]) >= 19, out[-3000:]
    assert int(re.search(r"(\d+) generated", out)[1]) > 500, out[-3000:]
    return out


def test_no_request_that_openapi_describes_or_forbids_breaks_the_service(folder):
    with service(folder / "detector", folder / "fuzzed", limits=Limits(wait=0)) as client:
        fuzzed(client, folder, CHECKS)
        assert client.get("/ping").status == 200


def test_no_request_to_a_fleet_breaks_the_service(tmp_path):
    fleet = saved_fleet(tmp_path / "fleet", ["7", "pump"], shared=True)
    with service(fleet.folder, tmp_path / "fuzzed", limits=Limits(wait=0)) as client:
        fuzzed(client, tmp_path, CHECKS)
        assert client.get("/api/model?entity=7").status == 200


@pytest.mark.parametrize("role", ROLES)
def test_no_request_of_any_role_breaks_the_service(folder, tmp_path, role):
    file = tmp_path / "tokens.json"
    header = {"Authorization": f"Bearer {create_token(file, role, role)}"}
    # who may not do it is told so before being told that nobody can
    checks = CHECKS if role == "admin" else [name for name in CHECKS if name not in {"unsupported_method", METHODS}]
    policy = SecurityPolicy((), None, file)
    with service(folder / "detector", tmp_path / "state", policy, Limits(wait=0)) as client:
        fuzzed(client, folder, checks, "-H", f"Authorization: {header['Authorization']}")
        assert client.get("/api/model", **header).status == 200
        measured = client.get("/metrics", **header).content.decode()
        refused = re.findall(
            r'tsad_requests_total\{endpoint="([^"]+)",method="(\w+)",model="[^"]*",status="403"', measured
        )
        assert ("other", "POST") in refused if role != "admin" else not refused
        assert not re.search(r'status="5(?!04)', measured), measured


def test_an_address_that_is_taken_is_said_in_one_line(folder):
    with started(folder, "detector") as (client, _):
        words = [sys.executable, "-m", "tsad", "serve", "detector", "--state", "elsewhere", "--port", str(client.port)]
        second = subprocess.run(
            words, cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=120
        )
    assert second.returncode == 1
    assert f"cannot listen at 127.0.0.1:{client.port}" in second.stderr
    assert len(second.stderr.strip().splitlines()) == 1, json.dumps(second.stderr)
