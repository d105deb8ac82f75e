"""A live champion: it is followed, checked, swapped under load and rolled back, and what it leaves behind goes on."""

import base64
import hashlib
import hmac
import json
import re
import threading
import time

import numpy as np
import pytest

from tests.examples import detector_of, sensors
from tests.serving.registries import (
    NAME,
    TEST,
    TRAIN,
    following,
    live,
    point,
    store_of,
    until,
    version_folder,
    write_sample,
)
from tests.serving.services import NO_SEARCH, table
from tsad.detector.detector import Detector
from tsad.detector.scoring import ScoringSpec
from tsad.errors import DetectorError
from tsad.models.baselines.principal import PcaErrorSpec
from tsad.registry.load import RegistryAwayError
from tsad.serving.live_model import VERSION_HEADER
from tsad.serving.model_versions import MODELS, ModelVersions
from tsad.thresholds.threshold import GivenThreshold


@pytest.fixture(scope="module")
def detectors(tmp_path_factory):
    """Detectors by version: 1 and 2 are alike, 3 has another feature, 4 flags everything, 5 has the features in another order."""
    folder = tmp_path_factory.mktemp("detectors")
    first, second = version_folder(folder / "1", 4), version_folder(folder / "2", 7, 3)
    version_folder(folder / "3", 4, rows=sensors(700, features=5))
    Detector(first.scorer, GivenThreshold(value=-1.0)).save(folder / "4")
    write_sample(folder / "4", TEST)
    order = (1, 0, 2, 3, 4, 5)
    swapped = type(TRAIN)(TRAIN.values[:, order], tuple(TRAIN.features[place] for place in order))
    detector_of(PcaErrorSpec(kind="pca_error", components=2), swapped, 4, ScoringSpec()).save(folder / "5")
    return folder, {"1": first, "2": second}


@pytest.fixture(scope="module")
def store(detectors, tmp_path_factory):
    """A registry with all versions."""
    with store_of(tmp_path_factory.mktemp("store"), [detectors[0] / number for number in "12345"]) as store:
        yield store


@pytest.fixture
def client(store):
    """The registry: version 1 is champion."""
    point(store.client, "1")
    return store.client


def followed(tmp_path, **more):
    return following(tmp_path / "state", runner=NO_SEARCH, **more)


def test_promotion_and_rollback_reach_a_service_that_runs(client, detectors, tmp_path):
    with followed(tmp_path) as service:
        for version in ("2", "1", "2"):
            before = live(service)["version"]
            point(client, version)
            until(lambda version=version: live(service)["version"] == version)
            assert live(service)["live"]["previous"] == before
            answer = service.post("/api/score", table(TEST))
            assert answer.headers[VERSION_HEADER] == version
            expected = detectors[1][version].score(TEST).values
            np.testing.assert_allclose(np.array(answer.json["score"], float), expected, rtol=1e-12)
            measured = service.get("/metrics").content.decode()
            assert [line for line in measured.splitlines() if line.startswith("tsad_model_info{")] == [
                f'tsad_model_info{{kind="pca_error",model="{NAME}",name="{NAME}",version="{version}"}} 1.0'
            ]
        body = {"dataframe_split": {"columns": list(TEST.features), "data": TEST.values.tolist()}}
        answer = service.post("/invocations", body)
        assert answer.headers[VERSION_HEADER] == "2"
        np.testing.assert_allclose(
            np.array([row["score"] for row in answer.json["predictions"]], float), expected, rtol=1e-12
        )


def test_no_request_is_lost_or_mixed_while_versions_are_swapped(client, detectors, tmp_path):
    expected = {version: detector.score(TEST).values for version, detector in detectors[1].items()}
    stop, faults, seen = threading.Event(), [], []

    def ask(service):
        while not stop.is_set():
            answer = service.post("/api/score", table(TEST))
            version = answer.headers[VERSION_HEADER]
            scores = np.array(answer.json["score"], float) if answer.status == 200 else None
            if answer.status != 200 or not np.allclose(scores, expected[version], rtol=1e-12, equal_nan=True):
                faults.append((answer.status, version, answer.content[:200]))
            seen.append(version)

    with followed(tmp_path) as service:
        threads = [threading.Thread(target=ask, args=(service,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for version in ("2", "1", "2", "1"):
            point(client, version)
            until(lambda version=version: live(service)["version"] == version)
        stop.set()
        for thread in threads:
            thread.join()
    assert faults == []
    assert set(seen) == {"1", "2"}


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("3", "must have the features of the one in service, in their order, but lacks .'s5'. and adds"),
        ("4", "must flag at most half of the rows of its sample, but flags 100%"),
        ("5", "must have the features of the one in service, in their order"),
    ],
)
def test_a_version_that_fails_its_check_is_refused_and_the_old_one_goes_on(client, tmp_path, version, reason):
    with followed(tmp_path) as service:
        point(client, version)
        until(lambda: live(service)["live"]["refused"])
        told = live(service)
        assert told["version"] == "1"
        assert told["live"]["refused"]["version"] == version
        assert re.search(reason, told["live"]["refused"]["reason"])
        assert service.post("/api/score", table(TEST)).headers[VERSION_HEADER] == "1"
        health = service.get("/health")
        until(lambda: f"version {version} was refused" in service.get("/health").content.decode())
        assert health.status == 200
        point(client, "2")
        until(lambda: live(service)["version"] == "2")
        assert live(service)["live"]["refused"] is None
    with followed(tmp_path) as service:
        assert live(service)["version"] == "2"


def test_a_service_that_starts_on_a_broken_champion_serves_the_last_one(client, tmp_path):
    with followed(tmp_path) as service:
        assert live(service)["version"] == "1"
    point(client, "4")
    with followed(tmp_path) as service:
        assert live(service)["version"] == "1"
        until(lambda: live(service)["live"]["refused"])


def test_the_old_version_goes_on_while_the_registry_is_away_also_after_a_restart(
    client, detectors, tmp_path, monkeypatch
):
    def away(uri):
        raise RegistryAwayError(f"{uri}: cannot be found (connection refused)")

    with followed(tmp_path) as service:
        with monkeypatch.context() as outage:
            outage.setattr("tsad.serving.model_versions.read_version", away)
            until(lambda: live(service)["live"]["failure"])
            point(client, "2")
            time.sleep(0.3)
            assert live(service)["version"] == "1"
            assert service.post("/api/score", table(TEST)).status == 200
        until(lambda: live(service)["version"] == "2")
        assert live(service)["live"]["failure"] is None
    with monkeypatch.context() as outage:
        outage.setattr("tsad.serving.model_versions.read_version", away)
        with followed(tmp_path) as service:
            assert live(service)["version"] == "2"
            scores = service.post("/api/score", table(TEST)).json["score"]
            np.testing.assert_allclose(np.array(scores, float), detectors[1]["2"].score(TEST).values, rtol=1e-12)
        with pytest.raises(DetectorError, match="connection refused"), followed(tmp_path / "other"):
            pass


def test_copies_are_whole_or_not_there_and_two_are_kept(client, tmp_path):
    state = tmp_path / "state"
    for version in ("1", "2", "1", "5"):
        point(client, version)
        versions = ModelVersions("models:/tsad@champion", state)
        mark = versions.newest()
        assert versions.open(mark).source.version == version
        versions.keep(mark)
    copies = sorted(path.name for path in (state / MODELS).iterdir() if path.is_dir())
    assert [name.split("-")[1] for name in copies] == ["1", "5"]
    (state / MODELS / copies[1] / "copy.json").write_text("{")
    assert ModelVersions("models:/tsad@champion", state).last() is None
    assert versions.open(mark).source.version == "5"
    assert versions.last() == mark
    assert ModelVersions("models:/tsad@other", state).last() is None


def push(service, number, rows, after):
    answer = service.post(f"/api/streams/{number}/rows", {"rows": rows.values.tolist(), "after": after})
    assert answer.status == 200, answer.content
    return answer


def test_streams_move_with_the_champion_without_a_row_twice_or_unscored(client, detectors, tmp_path):
    rows, scores, versions, number = [], [], [], None
    order = ["1", "2", "2", "1", "2"]
    for start, version in enumerate(order):
        with followed(tmp_path) as service:
            point(client, version)
            until(lambda version=version: live(service)["version"] == version)
            number = number or service.post("/api/streams").json["id"]
            for first in range(40 * start, 40 * start + 40, 10):
                answer = push(service, number, TEST.part(first, first + 10), first)
                rows += answer.json["row"]
                scores += answer.json["score"]
                versions += [answer.headers[VERSION_HEADER]] * len(answer.json["row"])
                assert service.get(f"/api/streams/{number}").json["rows"] == first + 10
            again = service.post(f"/api/streams/{number}/rows", {"rows": [], "after": 0})
            assert (again.status, again.json["rows_total"]) == (409, 40 * start + 40)
    assert rows == list(range(200))
    assert set(versions) == {"1", "2"}
    expected = {version: detector.score(TEST).values for version, detector in detectors[1].items()}
    wanted = [expected[version][row] for row, version in zip(rows, versions, strict=True)]
    np.testing.assert_allclose(np.array(scores, float), wanted, rtol=1e-6)
    assert np.isnan(np.array(scores, float)).sum() == 3  # of the first version alone, at the beginning


# --- webhooks ---

SECRET = "between the two"


def signed(body, secret=SECRET, timestamp=None, delivery="delivery-1"):
    timestamp = str(int(time.time())) if timestamp is None else timestamp
    digest = hmac.new(secret.encode(), f"{delivery}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return {
        "X_MLflow_Signature": f"v1,{base64.b64encode(digest).decode()}",
        "X_MLflow_Timestamp": timestamp,
        "X_MLflow_Delivery_Id": delivery,
        "Content_Type": "application/json",
    }


BODY = json.dumps({"entity": "model_version_alias", "action": "created", "data": {"name": NAME, "alias": "champion"}})


def test_a_signed_message_of_mlflow_makes_the_service_look_at_once(client, tmp_path):
    from mlflow.webhooks.delivery import _generate_hmac_signature

    headers = signed(BODY)
    theirs = _generate_hmac_signature(SECRET, "delivery-1", headers["X_MLflow_Timestamp"], BODY)
    assert headers["X_MLflow_Signature"] == theirs
    with followed(tmp_path, seconds=1000.0, secret=SECRET) as service:
        point(client, "2")
        answer = service.post("/api/webhooks/mlflow", BODY, **headers)
        assert (answer.status, answer.json) == (202, {"state": "asked"})
        until(lambda: live(service)["version"] == "2")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        signed(BODY, secret="another"),
        signed(BODY + " "),
        {**signed(BODY), "X_MLflow_Delivery_Id": "delivery-2"},
        {**signed(BODY), "X_MLflow_Signature": signed(BODY)["X_MLflow_Signature"].replace("v1,", "v2,")},
        {**signed(BODY), "X_MLflow_Signature": ""},
        signed(BODY, timestamp=str(int(time.time()) - 4000)),
        signed(BODY, timestamp="-1"),
        signed(BODY, timestamp="9" * 400),
        signed(BODY, timestamp="²"),
    ],
)
def test_a_message_that_is_not_signed_now_by_who_knows_the_secret_is_refused(client, tmp_path, headers):
    headers = {name: value.encode().decode("latin-1") for name, value in headers.items()}
    with followed(tmp_path, seconds=1000.0, secret=SECRET) as service:
        point(client, "2")
        assert service.post("/api/webhooks/mlflow", BODY, **headers).status == 401
        time.sleep(0.2)
        assert live(service)["live"]["asked_seconds_ago"] is None
        assert live(service)["version"] == "1"


def test_without_a_secret_no_message_is_heard(client, tmp_path):
    with followed(tmp_path) as service:
        assert service.post("/api/webhooks/mlflow", BODY, **signed(BODY)).status == 404
