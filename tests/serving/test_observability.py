"""What operators see: readiness, a log that machines read, measures by convention, and rules and panels that ask for them."""

import json
import re
import shutil
import subprocess
import time
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlencode

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.processes import REPOSITORY, free_port, running
from tests.serving.services import Client, service, table
from tsad.serving.access_log import ACCESS_LOG, AccessLog
from tsad.serving.executor import ScoringExecutor
from tsad.serving.middleware import SecurityPolicy
from tsad.serving.tokens import create_token

RULES = REPOSITORY / "docker/prometheus/alerts.yml"
DASHBOARD = REPOSITORY / "docker/grafana/dashboards/tsad.json"


@pytest.fixture(scope="module")
def client(folder, rows):
    with service(folder / "detector", folder / "state") as client:
        client.post("/api/score?source=production", table(rows))
        client.post("/api/score", {**table(rows), "rows": (rows.values + 50).tolist()})
        number = client.post("/api/streams").json["id"]
        client.post(f"/api/streams/{number}/rows", {"rows": rows.values.tolist()})
        client.post("/api/searches", {"series": "synthetic"})  # whose command fails
        deadline = time.monotonic() + 30
        while client.get("/api/jobs").json[0]["state"] != "failed":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield client


def families(client):
    text = client.get("/metrics").content.decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def samples(client):
    return {
        (sample.name, *sorted((name, value) for name, value in sample.labels.items() if name != "model")): sample.value
        for family in families(client).values()
        for sample in family.samples
    }


# --- measures ---


def test_measures_follow_the_conventions_of_prometheus(client):
    found = families(client)
    assert len(found) > 25
    for name, family in found.items():
        assert family.documentation, name
        assert re.fullmatch(r"(tsad|process)_[a-z_]+", name)
        assert not re.search(r"_(ms|milliseconds|minutes|hours|kb|mb|percent|count|total)$", name), name
        assert family.type in {"counter", "gauge", "histogram"}
    buckets = [sample for sample in found["tsad_request_duration_seconds"].samples if sample.name.endswith("_bucket")]
    edges = [float(sample.labels["le"]) for sample in buckets if sample.labels["endpoint"] == "/api/score"]
    assert edges[0] <= 0.005
    assert edges[-2] >= 240  # the longest wait of /train_predict
    assert all(1.5 < larger / smaller <= 3.1 for smaller, larger in pairwise(edges[:-1]))


def test_drift_scores_and_alarms_are_measured_by_source(client, rows):
    found = samples(client)
    drift = client.get("/api/drift").json
    trial = client.get("/api/drift?source=trial").json
    assert found["tsad_drifted", ("source", "production")] == 0
    assert found["tsad_drifted", ("source", "trial")] == 1
    assert found["tsad_recent_rows", ("source", "production")] == drift["rows"] == 200
    assert found["tsad_alert_ratio", ("source", "production")] == pytest.approx(drift["alert_rate"])
    assert found["tsad_drift_distance_ratio", ("of", "scores"), ("source", "trial")] == trial["scores"]["distance"]
    assert found["tsad_drifted_features", ("source", "trial")] == 6
    assert found["tsad_threshold",] == client.get("/api/model").json["threshold"]["value"]
    quantiles = [found["tsad_recent_score", ("quantile", q), ("source", "production")] for q in ("0.5", "0.9", "0.99")]
    assert quantiles == sorted(quantiles)
    assert quantiles[0] < found["tsad_threshold",]
    assert found["tsad_alarms_total", ("endpoint", "/api/score"), ("source", "trial")] == 1
    assert found["tsad_alarms_total", ("endpoint", "/api/streams/{number}/rows"), ("source", "production")] > 0
    assert found["tsad_jobs_ended_total", ("kind", "search"), ("state", "failed")] == 1
    assert found["process_resident_memory_bytes",] > 1e7
    assert (found["tsad_healthy",], found["tsad_registry_up",], found["tsad_model_refused",]) == (1, 1, 0)


def test_an_alarm_that_goes_on_over_pushes_is_one(folder, rows, tmp_path):
    with service(folder / "detector", tmp_path) as client:
        number = client.post("/api/streams").json["id"]
        far = (rows.values + 50).tolist()
        for first in range(0, 100, 10):
            client.post(f"/api/streams/{number}/rows", {"rows": far[first : first + 10]})
        labels = ("endpoint", "/api/streams/{number}/rows"), ("source", "production")
        assert samples(client)["tsad_alarms_total", *labels] == 1


# --- rules and panels ---


def expressions():
    """Yields every expression that a rule or a panel asks for."""
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    dashboard = json.loads(DASHBOARD.read_text())
    yield from (target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    yield from (annotation["expr"] for annotation in dashboard["annotations"]["list"])
    yield from (variable["query"] for variable in dashboard["templating"]["list"])


def test_what_rules_and_panels_ask_for_is_measured_with_these_labels(client):
    measured = {}
    for family in families(client).values():
        for sample in family.samples:
            measured.setdefault(sample.name, set()).update(sample.labels)
    asked = set()
    for expression in expressions():
        assert expression.count("(") == expression.count(")")
        assert expression.count("{") == expression.count("}")
        for name, labels in re.findall(
            r"\b((?:tsad|process)_[a-z_]+)(?:\{([^}]*)\})?", re.sub(r'"[^"]*"', '""', expression)
        ):
            asked.add(name)
            assert name in measured, expression
            stated = set(re.findall(r"(\w+)\s*(?:=~|!=|=)", labels)) - {"instance", "job"}
            assert stated <= measured[name], expression
    assert len(asked) > 20


def test_values_of_labels_that_rules_name_exist(client):
    text = RULES.read_text() + (REPOSITORY / "docker/prometheus/alerts_test.yml").read_text()
    routes = set(client.get("/openapi.json").json["paths"])
    for endpoints in re.findall(r'endpoint=~?"([^"]+)"', text):
        assert set(endpoints.split("|")) <= routes
    assert set(re.findall(r'source="([^"]+)"', text)) <= {"production", "trial"}


def test_panels_have_ids_places_and_a_data_source():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 10
    taken = set()
    for panel in panels:
        grid = panel["gridPos"]
        cells = {
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not taken & cells
        assert max(x for x, _ in cells) < 24
        taken |= cells
    provisioned = yaml.safe_load((REPOSITORY / "docker/grafana/provisioning/datasources/prometheus.yml").read_text())
    assert {panel["datasource"]["uid"] for panel in panels} == {provisioned["datasources"][0]["uid"]}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize(
    "words",
    [
        ("check", "rules", RULES.name),
        ("check", "config", "--syntax-only", "prometheus.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
)
def test_promtool_finds_nothing_wrong(words):
    done = subprocess.run(["promtool", *words], cwd=RULES.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")
def test_prometheus_scrapes_the_service_and_evaluates_every_rule(folder, rows, tmp_path):
    file, port = tmp_path / "tokens.json", free_port()
    (tmp_path / "token").write_text(create_token(file, "prometheus", "read"))
    for path in RULES.parent.glob("*.yml"):
        shutil.copy(path, tmp_path)
    with service(folder / "detector", tmp_path / "state", SecurityPolicy((), None, file)) as client:
        config = yaml.safe_load((tmp_path / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["scrape_configs"][0]["authorization"]["credentials_file"] = str(tmp_path / "token")
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{client.port}"]
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
        words = ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
        words.append(f"--web.listen-address=127.0.0.1:{port}")
        with running(words, tmp_path, f"http://127.0.0.1:{port}/-/ready"):
            prometheus, deadline = Client(port), time.monotonic() + 60
            while True:
                targets = prometheus.get("/api/v1/targets").json["data"]["activeTargets"]
                groups = prometheus.get("/api/v1/rules").json["data"]["groups"]
                rules = [rule for group in groups for rule in group["rules"]]
                if [target["health"] for target in targets] == ["up"] and {rule["health"] for rule in rules} == {"ok"}:
                    break
                assert time.monotonic() < deadline, (targets, rules)
                time.sleep(0.5)
            assert len(rules) == 13
            assert values(prometheus, "tsad_healthy") == ["1"]
            for expression in expressions():  # those of the dashboard too, as Grafana would ask
                assert values(prometheus, expression) is not None
            with pytest.raises(AssertionError):
                values(prometheus, "rate(tsad_healthy)")


def values(prometheus, expression):
    """Returns the values that Prometheus has for an expression of a panel now; fails if it refuses the expression."""
    asked = expression.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$job", ".*")
    if asked.startswith("label_values("):
        asked = asked.removeprefix("label_values(").partition(",")[0]
    answer = prometheus.get(f"/api/v1/query?{urlencode({'query': asked})}")
    assert answer.status == 200, (asked, answer.content)
    return [result["value"][1] for result in answer.json["data"]["result"]]


# --- readiness ---


def test_ready_is_told_apart_from_health(folder, rows, tmp_path):
    file = tmp_path / "tokens.json"
    create_token(file, "a", "read")
    with service(folder / "detector", tmp_path / "state", SecurityPolicy((), None, file)) as client:
        assert (client.get("/ready").status, client.get("/ready").json) == (200, {"status": "ready", "problems": []})
        shutil.rmtree(tmp_path / "state" / "streams")
        file.write_text("{")
        time.sleep(2.1)
        answer = client.get("/ready")
        assert (answer.status, answer.json["problems"]) == (503, ["the file of tokens is damaged"])
        assert client.get("/ping").status == 200


def test_ready_says_no_while_no_request_may_wait():
    workers = ScoringExecutor(1, waiting=0)
    assert not workers.is_full
    workers._inside = 1
    assert workers.is_full


# --- the log ---


def lines(state):
    time.sleep(0.2)  # the line follows the answer
    return [json.loads(line) for line in (state / ACCESS_LOG).read_text(encoding="ascii").splitlines()]


def test_each_request_has_an_id_that_is_answered_and_logged(folder, rows, tmp_path):
    file = tmp_path / "tokens.json"
    token = create_token(file, "plant", "score")
    with service(folder / "detector", tmp_path, SecurityPolicy((), None, file)) as client:
        stated = client.get("/api/model", Authorization=f"Bearer {token}", X_Request_Id="order-17")
        fresh = client.get("/api/model", X_Request_Id="forged\u00b2 id")
        refused = client.get("/api/model", X_Request_Id="a" * 65)
        assert stated.headers["X-Request-Id"] == "order-17"
        ids = [answer.headers["X-Request-Id"] for answer in (fresh, refused)]
        assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
        first, second, third = lines(tmp_path)
    assert [first["id"], second["id"], third["id"]] == ["order-17", *ids]
    assert (first["token"], first["status"], first["bytes"] > 100) == ("plant", 200, True)
    assert "token" not in second
    assert second["status"] == third["status"] == 401
    assert first.keys() == {"time", "client", "method", "path", "status", "seconds", "bytes", "id", "token"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert token not in Path(tmp_path / ACCESS_LOG).read_text()


def test_a_line_is_bounded(tmp_path):
    log = AccessLog(tmp_path)
    log.write("f" * 39, "M" * 99, "\u202e" * 9999, 200, 1e9, id="a" * 64, token="b" * 64, bytes=10**12)
    log.close()
    assert len((tmp_path / ACCESS_LOG).read_text()) < 500
