"""What the service answers to those who ask as they should."""

import json
import time

import numpy as np
import pytest

from tests.serving.services import LENGTH, csv, service, split
from tsad.detector.detector import Detector
from tsad.drift import RECALIBRATIONS
from tsad.evaluation.registry import HEADLINES

JSON, CSV = "application/json", "text/csv"


@pytest.fixture(scope="module")
def detector(folder, rows):
    return Detector.load(folder / "detector")


@pytest.fixture(scope="module")
def client(folder, rows):
    with service(folder / "detector", folder / "state") as client:
        yield client


def table(rows, **more):
    return {"columns": list(rows.features), "rows": rows.values.tolist(), **more}


def floats(values):
    return np.array(values, float)


@pytest.fixture(scope="module")
def half(detector, rows):
    """A threshold that about half of the rows are above."""
    return float(np.nanmedian(detector.score(rows).values))


# --- MLflow's endpoints ---


@pytest.mark.parametrize("path", ["/ping", "/health"])
def test_it_says_that_it_is_well_as_mlflow_does(client, path):
    answer = client.get(path)
    assert (answer.status, answer.content) == (200, b"\n")


def test_it_names_the_version_of_mlflow(client):
    import mlflow

    assert client.get("/version").content.decode() == mlflow.__version__


def test_every_way_to_score_gives_the_scores_and_flags_of_the_detector(client, detector, rows):
    scores = detector.score(rows)
    predictions = client.post("/invocations", split(rows)).json["predictions"]
    ways = [
        {name: [row[name] for row in predictions] for name in ("score", "flag")},
        client.post("/api/score", table(rows)).json,
        client.post("/api/score", csv(rows), Content_Type=CSV).json,
    ]
    for found in ways:
        np.testing.assert_allclose(floats(found["score"]), scores.values, rtol=1e-12)
        assert found["flag"] == detector.flag(scores).tolist()


# --- scores ---


def test_flags_lie_above_the_threshold_and_events_are_their_stretches(client, rows, half):
    found = client.post(f"/api/score?threshold={half}", table(rows)).json
    flags = np.array(found["flag"])
    assert 40 < flags.sum() < 60
    assert set(found["threshold"]) == {half}
    np.testing.assert_array_equal(floats(found["score"]) > half, flags)
    covered = np.zeros(len(flags), bool)
    for event in found["events"]:
        stretch = slice(event["first_row"], event["last_row"] + 1)
        assert not covered[stretch].any()
        covered[stretch] = True
        assert event["peak_score"] == found["score"][event["peak_row"]] == max(found["score"][stretch])
    np.testing.assert_array_equal(covered, flags)


@pytest.mark.parametrize(("top", "named"), [(0, 0), (2, 2), (100, 6)])
def test_an_event_names_the_features_that_did_most_first(client, rows, half, top, named):
    for event in client.post(f"/api/score?threshold={half}&top={top}", table(rows)).json["events"]:
        shares = [each["share"] for each in event["features"]]
        assert len(shares) == named
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) <= 1 + 1e-9


@pytest.mark.parametrize("wild", [3e38, 1e20])
def test_numbers_that_nobody_expects_are_answered_with_json(client, rows, wild):
    values = rows.values.tolist()
    values[50][2] = wild
    body = {"columns": list(rows.features), "rows": values}
    stream = opened(client)
    for answer in (
        client.post("/api/score", body),
        client.post("/invocations", {"dataframe_split": {"columns": body["columns"], "data": values}}),
        client.post(f"{stream}/rows", {"rows": values}),
    ):
        assert answer.status == 200
        json.loads(answer.content, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_columns_in_another_order_and_others_beside_them_change_nothing(client, rows):
    turned = table(rows)
    turned = {"columns": ["more", *turned["columns"][::-1]], "rows": [["x", *row[::-1]] for row in turned["rows"]]}
    found = client.post("/api/score", turned).json
    assert found["ignored"] == ["more"]
    assert found["score"] == client.post("/api/score", table(rows)).json["score"]


def test_times_come_back_as_they_were_written(client, rows, half):
    times = [f"2026-01-31T12:{minute // 60:02d}:{minute % 60:02d}" for minute in range(len(rows))]
    found = client.post(f"/api/score?threshold={half}", table(rows, times=times)).json
    assert found["times"] == times
    for event in found["events"]:
        assert (event["start"], event["end"]) == (times[event["first_row"]], times[event["last_row"]])
    lines = csv(rows).splitlines()
    timed = "\n".join([f"Time,{lines[0]}", *(f"{time},{line}" for time, line in zip(times, lines[1:], strict=True))])
    assert client.post(f"/api/score?threshold={half}", timed, Content_Type=CSV).json == found


# --- the model and its series ---


def test_it_describes_the_model(client, detector, folder):
    card = client.get("/api/model").json
    assert card["features"] == list(detector.scorer.features)
    assert card["threshold"]["method"] == "percentile 90"
    assert card["threshold"]["value"] == pytest.approx(detector.threshold.value)
    assert (card["name"], card["version"], card["uri"]) == (None, None, str(folder / "detector"))
    assert (card["kind"], card["lookback"], card["lookahead"]) == ("pca_error", LENGTH - 1, 0)
    assert card["labels_used"]["tsad.labels_used.training"] == "nothing"
    assert card["headlines"] == list(HEADLINES)
    assert client.get("/api/versions").json == []


def test_every_series_that_it_names_can_be_scored(client):
    (named,) = client.get("/api/series").json
    series = client.get(f"/api/series/{named['name']}").json
    assert named["rows"] == len(series["rows"]) == 1000
    del series["times"]
    assert client.post("/api/score", series).json["rows"] == 1000


def test_openapi_describes_every_endpoint_and_there_are_no_docs_that_need_foreign_scripts(client):
    paths = client.get("/openapi.json").json["paths"]
    assert {"/invocations", "/api/score", "/api/streams/{number}/rows", "/train_predict", "/api/jobs/{number}"} <= set(
        paths
    )
    assert client.get("/docs").status == client.get("/redoc").status == 404


@pytest.mark.parametrize(
    "path",
    ["/", "/page/app.js", "/ping", "/version", "/api/model", "/api/series/synthetic", "/api/jobs", "/openapi.json"],
)
def test_head_is_answered_as_get_without_the_body(client, path):
    found, whole = client.ask("HEAD", path), client.get(path)
    assert (found.status, found.content) == (whole.status, b"") == (200, b"")
    for headers in (found.headers, whole.headers):
        del headers["Date"], headers["X-Request-Id"]
    assert found.headers.items() == whole.headers.items()
    assert int(found.headers["Content-Length"]) == len(whole.content) > 0


def test_head_is_counted_by_its_endpoint(client):
    client.ask("HEAD", "/api/jobs")
    before = measure(client, asked := 'tsad_requests_total{endpoint="/api/jobs",method="HEAD",model="",status="200"}')
    client.ask("HEAD", "/api/jobs")
    assert measure(client, asked) == before + 1


# --- streams ---


def opened(client, **policy):
    answer = client.post("/api/streams", {"policy": policy})
    assert answer.status == 201
    return f"/api/streams/{answer.json['id']}"


def pushed(client, stream, values, **more):
    answer = client.post(f"{stream}/rows", {"rows": values.tolist(), **more})
    assert answer.status == 200, answer.content
    return answer.json


def test_rows_of_a_stream_get_the_scores_of_the_whole(client, detector, rows):
    stream = opened(client)
    found = [pushed(client, stream, rows.values[first : first + 9], after=first) for first in range(0, 100, 9)]
    whole = detector.score(rows)
    for name, expected in (("row", np.arange(100)), ("score", whole.values), ("flag", detector.flag(whole))):
        np.testing.assert_allclose(floats([value for part in found for value in part[name]]), expected, rtol=1e-6)
    assert found[-1]["rows_total"] == client.get(stream).json["rows"] == 100


def test_an_answer_that_got_lost_neither_loses_nor_repeats_rows(client, rows):
    stream = opened(client)
    pushed(client, stream, rows.values[:10], after=0)
    again = client.post(f"{stream}/rows", {"rows": rows.values[:10].tolist(), "after": 0})
    assert (again.status, again.json["rows_total"]) == (409, 10)
    assert "must have 0 rows before these, but has 10" in again.json["message"]
    assert pushed(client, stream, rows.values[10:20], after=10)["rows_total"] == 20


def test_two_streams_do_not_know_of_each_other(client, rows):
    first, second = opened(client), opened(client)
    pushed(client, first, rows.values[:50])
    assert pushed(client, second, rows.values[:5])["rows_total"] == 5


def test_rows_that_a_stream_refuses_leave_it_as_it_was(client, rows):
    stream = opened(client)
    before = pushed(client, stream, rows.values[:10])
    assert client.post(f"{stream}/rows", {"rows": [[1, 2]]}).status == 400
    assert client.get(stream).json["rows"] == before["rows_total"] == 10


def test_a_stream_has_a_policy(client, rows):
    stream = opened(client, step_seconds=60, late="drop")
    assert client.get(stream).json["policy"]["step_seconds"] == 60
    times = ["2026-01-01T00:00:00", "2026-01-01T00:01:00", "2026-01-01T00:01:00"]
    assert pushed(client, stream, rows.values[:3], times=times)["rows_total"] == 2
    assert client.get(stream).json["dropped"] == 1


def test_a_stream_that_was_deleted_is_gone(client, rows):
    stream = opened(client)
    assert client.ask("DELETE", stream).status == 204
    assert client.get(stream).status == client.ask("DELETE", stream).status == 404
    assert client.post(f"{stream}/rows", {"rows": rows.values[:1].tolist()}).status == 404


# --- measures ---


def measure(client, line):
    (found,) = [text for text in client.get("/metrics").content.decode().splitlines() if text.startswith(line + " ")]
    return float(found.rpartition(" ")[2])


def test_prometheus_reads_requests_by_endpoint_and_rows(client, rows):
    asked = 'tsad_requests_total{endpoint="/api/score",method="POST",model="detector",status="200"}'
    scored = 'tsad_rows_scored_total{endpoint="/api/score",model="detector"}'
    client.post("/api/score", table(rows))
    before = measure(client, asked), measure(client, scored)
    client.post("/api/score", table(rows))
    assert measure(client, asked) == before[0] + 1
    assert measure(client, scored) == before[1] + len(rows) - LENGTH + 1
    assert measure(client, 'tsad_model_info{kind="pca_error",model="detector",name="",version=""}') == 1


def test_paths_that_somebody_made_up_make_no_new_measures(client):
    for place in range(3):
        client.get(f"/made-up-{place}")
    assert "made-up" not in client.get("/metrics").content.decode()
    assert measure(client, 'tsad_requests_total{endpoint="other",method="GET",model="",status="404"}') >= 3


# --- drift and recalibration, last: they change the threshold ---


def test_rows_like_those_of_the_training_have_not_moved_and_others_have(client, rows):
    for _ in range(3):
        client.post("/api/score?source=production", table(rows))
    found = client.get("/api/drift").json
    assert found["rows"] >= 300
    assert {each["name"] for each in found["features"]} == set(rows.features)
    assert 0 < found["alert_rate"] < 1
    assert 0 < found["expected_alert_rate"] < 0.2
    far = {**table(rows), "rows": (rows.values + 50).tolist()}
    for _ in range(8):
        client.post("/api/score?source=production", far)
    drifted = client.get("/api/drift").json
    assert drifted["state"] == "drifted"
    assert all(each["state"] == "drifted" for each in drifted["features"])
    assert drifted["alert_rate"] > found["alert_rate"]


def test_drift_counts_the_alarms_of_the_models_threshold_whatever_threshold_was_asked_for(
    folder, detector, rows, tmp_path
):
    scored = len(rows) - LENGTH + 1
    with service(folder / "detector", tmp_path) as client:
        assert sum(client.post("/api/score?threshold=-1", table(rows)).json["flag"]) == scored
        assert (
            client.get("/api/drift?source=trial").json["alert_rate"]
            == detector.flag(detector.score(rows)).sum() / scored
            > 0
        )


def bare(effect):
    return {name: effect[name] for name in ("method", "value")}


def test_recalibration_changes_the_threshold_that_flags_and_is_written_down(client, folder, rows):
    before = client.get("/api/model").json["threshold"]
    done = client.post("/api/recalibrate").json
    assert bare(done["before"]) == before
    assert done["after"]["value"] > 2 * before["value"]
    assert client.get("/api/model").json["threshold"] == bare(done["after"])
    assert set(client.post("/api/score", table(rows)).json["threshold"]) == {done["after"]["value"]}
    (line,) = (folder / "state" / RECALIBRATIONS).read_text().splitlines()
    assert json.loads(line) == done
    undone = client.ask("DELETE", "/api/recalibrate").json
    assert (bare(undone["before"]), bare(undone["after"]), undone["rows"]) == (bare(done["after"]), before, 0)
    assert client.get("/api/model").json["threshold"] == before


def test_silence_is_shown_and_measured_and_needs_the_step(client):
    answer = client.post("/api/streams", {"policy": {"silence": 3}})
    assert answer.status == 400
    assert "silence=3 counts steps, but step_seconds is unknown" in answer.json["message"]
    answer = client.post("/api/streams", {"policy": {"step_seconds": 1e-3, "silence": 3}})
    assert answer.json["silence"] is None
    time.sleep(0.01)
    found = client.get(f"/api/streams/{answer.json['id']}").json["silence"]
    assert found["steps"] >= 3
    assert found.keys() == {"since", "seconds", "steps"}
    measured = client.get("/metrics").content.decode()
    assert 'tsad_silent_streams{model="detector"} 1.0' in measured
    assert "tsad_stream_silences_total" in measured
