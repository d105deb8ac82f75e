"""Several models in one service: each answers below its name, the first one also without, and idle ones make room."""

import numpy as np
import pytest

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.fleets import FEATURES, machine_rows, panel, saved
from tests.serving.services import NO_SEARCH, running_app, saved_detector, split, table
from tsad.detector.loaded import LoadedDetectors
from tsad.errors import DetectorError, SpecError
from tsad.serving.access import plain_path, role_needed
from tsad.serving.app import create_app
from tsad.serving.middleware import SecurityPolicy
from tsad.serving.service_parts import Dependencies, Limits
from tsad.serving.tokens import create_token
from tsad.workflows.served_models import NamedModel, named_models, open_models


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of a detector of six sensors, of one of three waves, and of a fleet; and unseen rows of the first."""
    folder = tmp_path_factory.mktemp("models")
    rows = saved_detector(folder / "sensors")[1]
    fleet = saved(folder / "pumps", ["7", "8"])
    return {"sensors": folder / "sensors", "waves": fleet.detector_folder("7"), "pumps": folder / "pumps"}, rows, fleet


def several(folders, state, *names, loaded=None, rules=None):
    """Runs a service of the models of these names until the block ends."""
    models = [NamedModel(name, str(folders[0][name])) for name in names]
    state.mkdir(parents=True, exist_ok=True)
    room = LoadedDetectors() if loaded is None else loaded
    opened = open_models(models, state, room, trust=False, poll=0)
    dependencies = Dependencies(state, NO_SEARCH, lambda record: None)
    return running_app(create_app(opened, dependencies, rules or SecurityPolicy(), Limits()))


def wave_rows(number=0):
    return {"columns": list(FEATURES), "rows": machine_rows(number, 30).tolist()}


def test_each_model_answers_below_its_name_and_the_first_without(folders, tmp_path):
    rows, fleet = folders[1], folders[2]
    with several(folders, tmp_path, "sensors", "waves", "pumps") as client:
        listed = client.get("/api/models").json
        assert [model["name"] for model in listed] == ["sensors", "waves", "pumps"]
        assert [model["kind"] for model in listed] == ["pca_error", "window_linear", "fleet"]
        assert [model["entities"] for model in listed] == [None, None, 2]
        for model in listed:
            assert client.get(f"{model['url']}/model").json["kind"] == model["kind"]
        plain = client.post("/api/score", table(rows))
        assert plain.status == 200
        assert client.post("/api/models/sensors/score", table(rows)).json == plain.json
        assert client.post("/invocations", split(rows)).content == (
            client.post("/api/models/sensors/invocations", split(rows)).content
        )
        waves = client.post("/api/models/waves/score", wave_rows())
        expected = fleet.detector("7").score(panel(["7"], 30)[list(FEATURES)])["score"]
        np.testing.assert_allclose(np.array(waves.json["score"], float), expected, rtol=1e-9)
        pumps = client.post("/api/models/pumps/score?entity=7", wave_rows())
        assert pumps.json["score"] == waves.json["score"]
        assert client.post("/api/score", wave_rows()).status == 400
        assert client.get("/api/models/sensors/versions").json == []
        assert client.get("/api/models/waves/series/synthetic").json["columns"] == list(FEATURES)


def test_a_model_that_is_not_there_is_named_with_those_that_are(folders, tmp_path):
    with several(folders, tmp_path, "sensors", "waves") as client:
        for method, path in (
            ("GET", "model"),
            ("POST", "score"),
            ("POST", "streams"),
            ("GET", "drift"),
            ("POST", "invocations"),
        ):
            answer = client.ask(method, f"/api/models/nobody/{path}", {} if method == "POST" else None)
            assert answer.status == 404
            assert answer.json["message"] == "there is no model 'nobody'; there are ['sensors', 'waves']"
        assert 'model="nobody"' not in client.get("/metrics").content.decode()
        assert client.get("/api/models/sensors").status == client.get("/api/models/sensors/jobs").status == 404


def test_streams_drift_and_thresholds_of_one_model_are_not_those_of_another(folders, tmp_path):
    rows = folders[1]
    with several(folders, tmp_path, "sensors", "waves") as client:
        number = client.post("/api/models/waves/streams").json["id"]
        assert client.get(f"/api/models/waves/streams/{number}").status == 200
        assert client.get(f"/api/streams/{number}").status == 404
        pushed = client.post(f"/api/models/waves/streams/{number}/rows", {"rows": machine_rows(0, 20).tolist()})
        assert pushed.status == 200
        for _ in range(3):
            client.post("/api/models/sensors/score?source=production", table(rows))
        assert client.get("/api/models/sensors/drift").json["rows"] == 300
        assert client.get("/api/models/waves/drift").json["rows"] == 20
        before = client.get("/api/models/waves/model").json["threshold"]
        done = client.post("/api/models/sensors/recalibrate").json
        assert client.get("/api/model").json["threshold"]["value"] == done["after"]["value"]
        assert client.get("/api/models/waves/model").json["threshold"] == before
        measured = client.get("/metrics").content.decode()
        for line in (
            'tsad_rows_scored_total{endpoint="/api/score",model="sensors"} ',
            'tsad_rows_scored_total{endpoint="/api/streams/{number}/rows",model="waves"} 13.0',
            'tsad_open_streams{model="waves"} 1.0',
            'tsad_open_streams{model="sensors"} 0.0',
            'tsad_threshold{model="sensors"} ',
            'tsad_model_info{kind="window_linear",model="waves",name="",version=""} 1.0',
        ):
            assert line in measured, line
        headers = [line for line in measured.splitlines() if line.startswith("# TYPE tsad_threshold ")]
        assert len(headers) == 1
    with several(folders, tmp_path, "waves", "sensors") as client:  # the other way round: each has its state again
        assert client.get(f"/api/streams/{number}").json["rows"] == 20
        assert client.get("/api/models/sensors/model").json["threshold"]["value"] == done["after"]["value"]
    with several(folders, tmp_path, "sensors") as client:
        assert client.get("/api/model").json["threshold"]["value"] == done["after"]["value"]


def test_detectors_that_nobody_asks_for_make_room_and_come_back(folders, tmp_path):
    rows, loaded = folders[1], LoadedDetectors(1)
    with several(folders, tmp_path, "sensors", "waves", "pumps", loaded=loaded) as client:
        first = client.post("/api/score", table(rows)).json
        for _ in range(3):
            client.post("/api/score?source=production", table(rows))
        recalibrated = client.post("/api/recalibrate").json["after"]["value"]
        for query in ("waves/score", "pumps/score?entity=7", "pumps/score?entity=8"):
            assert client.post(f"/api/models/{query}", wave_rows()).status == 200
            assert len(loaded) == 1
            assert folders[0]["sensors"] not in loaded
            measured = client.get("/metrics").content.decode()
            assert f'tsad_threshold{{model="sensors"}} {recalibrated}' in measured
            assert folders[0]["sensors"] not in loaded  # whoever scrapes loads nothing
        again = client.post("/api/score", table(rows)).json
        assert again["score"] == first["score"]
        assert set(again["threshold"]) == {recalibrated}
        flags = [row["flag"] for row in client.post("/invocations", split(rows)).json["predictions"]]
        client.post("/api/models/waves/score", wave_rows())
        parameters = split(rows) | {"params": {"explain": 1}}  # which MLflow itself answers
        assert [row["flag"] for row in client.post("/invocations", parameters).json["predictions"]] == flags
        assert flags == again["flag"]


# --- roles ---


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("POST", "/api/models/a/score", "score"),
        ("POST", "/api/models/a b/streams/x/rows", "score"),
        ("POST", "/api/models/a/invocations", "score"),
        ("POST", "/api/models/a/recalibrate", "admin"),
        ("POST", "/api/models/a/promotions", "admin"),
        ("POST", "/api/models/a/score/more", "admin"),
        ("POST", "/api/models/a/models/b/recalibrate", "admin"),
        ("GET", "/api/models/a/model", "read"),
    ],
)
def test_a_role_may_below_a_name_what_it_may_without(method, path, role):
    assert role_needed(method, path) == role


def test_promotions_below_a_name_need_a_token_too(folders, tmp_path):
    assert plain_path("/api/models/sensors/promotions") == "/api/promotions"
    with several(folders, tmp_path, "sensors") as client:
        answer = client.post("/api/models/sensors/promotions", {"version": 1})
        assert answer.status == 403
    file = tmp_path / "tokens.json"
    token = create_token(file, "a", "score")
    with several(folders, tmp_path, "sensors", rules=SecurityPolicy((), None, file)) as client:
        bearer = {"Authorization": f"Bearer {token}"}
        assert client.post("/api/models/sensors/recalibrate", **bearer).status == 403
        assert client.post("/api/models/sensors/streams", **bearer).status == 201
        assert client.post("/api/models/sensors/streams").status == 401


# --- names ---


@pytest.mark.parametrize(
    ("text", "name", "uri"),
    [
        ("models:/pumps@champion", "pumps", "models:/pumps@champion"),
        ("models:/pump 7/3", "pump 7", "models:/pump 7/3"),
        ("old=models:/pumps/2", "old", "models:/pumps/2"),
        ("runs:/0123/detector", "detector", "runs:/0123/detector"),
        ("b=runs:/0123/detector", "b", "runs:/0123/detector"),
        ("models/my pump/", "my_pump", "models/my pump/"),
    ],
)
def test_a_model_is_called_as_asked_or_like_its_source(text, name, uri):
    assert NamedModel.parse(text) == NamedModel(name, uri)


def test_a_folder_with_an_equals_sign_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rate=0.1").mkdir()
    assert NamedModel.parse("rate=0.1") == NamedModel("rate_0.1", "rate=0.1")


def test_names_must_differ():
    with pytest.raises(
        SpecError, match="models:/a@champion and models:/a/2 are both called a; name one of them: OTHER=URI"
    ):
        named_models(["models:/a@champion", "models:/b@champion", "models:/a/2"])
    assert [model.name for model in named_models(["models:/a@champion", "old=models:/a/2"])] == ["a", "old"]
    with pytest.raises(SpecError, match="needs a model"):
        named_models([])


def test_a_model_that_cannot_be_opened_is_named(folders, tmp_path):
    with pytest.raises(DetectorError, match="nowhere"):
        open_models([NamedModel("a", str(tmp_path / "nowhere"))], tmp_path, LoadedDetectors(), trust=False, poll=0)
