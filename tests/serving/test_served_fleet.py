"""A fleet behind HTTP: each row is scored by the detector of its entity, which is named in the query, the body or the stream."""

import io
import json
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.fleets import FEATURES, machine_rows, panel, saved
from tests.serving.services import service
from tsad.detector.loaded import LoadedDetectors
from tsad.drift import Profile
from tsad.errors import DetectorError
from tsad.series import Series
from tsad.serving.body_limits import BodyLimits
from tsad.serving.errors import RequestError
from tsad.serving.monitoring import THRESHOLD
from tsad.serving.parquet_bodies import plain_parquet
from tsad.serving.recent_rows import ENTITIES
from tsad.serving.served_model import open_model
from tsad.serving.service_parts import Limits
from tsad.workflows.score import score

NAMES = ["pump 7", "../up", "7", "é"]
PARQUET = "application/vnd.apache.parquet"


def with_profiles(fleet):
    """Gives each detector of a fleet the profile of its training rows."""
    for number, name in enumerate(fleet.names):
        detector, rows = fleet.detector(name), Series(machine_rows(number, 3000).astype(np.float32), FEATURES)
        Profile.of(detector, rows, detector.score(rows)).save(fleet.detector_folder(name))
    return fleet


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    return with_profiles(saved(tmp_path_factory.mktemp("fleets") / "fleet", NAMES))


@pytest.fixture(scope="module")
def client(fleet, tmp_path_factory):
    with service(fleet.folder, tmp_path_factory.mktemp("state")) as client:
        yield client


def expected(fleet, rows):
    return fleet.score(rows)["score"].astype(float).to_numpy()


def as_json(rows):
    columns = [*FEATURES, "machine"]
    cells = [[*values, name] for *values, name in rows[columns].to_numpy(object).tolist()]
    return {"columns": columns, "rows": cells, "times": rows["time"].map(str).tolist()}


def scores(answer):
    assert answer.status == 200, answer.content
    return np.array(answer.json["score"], float)


def refusal(answer, status=400):
    assert answer.status == status, answer.content
    return answer.json["message"]


# --- rows ---


@pytest.mark.parametrize("mixed", [False, True])
def test_rows_of_several_entities_come_back_in_the_order_of_the_body(client, fleet, mixed):
    rows = panel(NAMES, 40, mixed=mixed)
    wanted = expected(fleet, rows)
    assert np.isfinite(wanted).sum() == 4 * (40 - 7)
    np.testing.assert_allclose(scores(client.post("/api/score", as_json(rows))), wanted, rtol=1e-9)
    text = rows.to_csv(index=False)
    answer = client.post("/api/score", text, Content_Type="text/csv")
    np.testing.assert_allclose(scores(answer), wanted, rtol=1e-9)
    assert (answer.json["times"], answer.json["ignored"]) == (rows["time"].map(str).tolist(), [])


def test_a_body_gets_what_tsad_score_gives_the_file(client, fleet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = panel(NAMES, 40, mixed=True).assign(more="x")
    rows.loc[rows.index % 50 == 3, "cpu"] += 9
    rows.to_csv("rows.csv", index=False)
    score(fleet.folder, "rows.csv")
    filed = pd.read_csv("rows.scored.csv")
    answer = client.post("/api/score", (tmp_path / "rows.csv").read_bytes(), Content_Type="text/csv")
    np.testing.assert_allclose(scores(answer), filed["score"], rtol=1e-6)
    assert answer.json["flag"] == filed["flag"].tolist()
    assert answer.json["ignored"] == ["more"]
    events = pd.read_csv("rows.scored.events.csv").sort_values("first_row")
    assert len(events) > 3
    assert [event["entity"] for event in answer.json["events"]] == events["entity"].tolist()
    assert [event["first_row"] for event in answer.json["events"]] == events["first_row"].tolist()


def test_the_query_names_the_entity_of_rows_without_the_column(client, fleet):
    rows = panel(["7"], 40)
    wanted = expected(fleet, rows)
    body = {"columns": list(FEATURES), "rows": rows[list(FEATURES)].to_numpy().tolist()}
    np.testing.assert_allclose(scores(client.post("/api/score?entity=7", body)), wanted, rtol=1e-9)
    text = rows.drop(columns="machine").to_csv(index=False)
    for query in ("entity=7", "entity=pump%207"):
        other = rows.assign(machine=query.removeprefix("entity=").replace("%20", " "))
        answer = client.post(f"/api/score?{query}", text, Content_Type="text/csv")
        np.testing.assert_allclose(scores(answer), expected(fleet, other), rtol=1e-9)


def test_an_entity_with_too_few_rows_has_no_scores_and_all_with_too_few_are_refused(client, fleet):
    rows = pd.concat([panel(["7"], 3), panel(["é"], 20)], ignore_index=True)
    found = scores(client.post("/api/score", as_json(rows)))
    assert np.isnan(found[:3]).all()
    np.testing.assert_allclose(found[3:], expected(fleet, rows[3:]), rtol=1e-9)
    few = pd.concat([panel(["7"], 3), panel(["é"], 4)], ignore_index=True)
    assert "at least 8 consecutive rows of one entity" in refusal(client.post("/api/score", as_json(few)))


@pytest.mark.parametrize("media", ["json", "csv"])
def test_rows_that_name_no_entity_an_unknown_one_or_two_are_refused(client, media):
    def sent(rows, query=""):
        if media == "json":
            return client.post(f"/api/score{query}", as_json(rows))
        return client.post(f"/api/score{query}", rows.to_csv(index=False), Content_Type="text/csv")

    rows = panel(["7", "new"], 20)
    assert "['new'] have none; it has ['pump 7', '../up'" in refusal(sent(rows))
    assert "must be named once" in refusal(sent(panel(["7"], 20), "?entity=7"))
    assert "'new'" in refusal(sent(panel(["7"], 20), "?entity=new"))
    nameless = refusal(sent(panel(["7"], 20).assign(machine=None)))
    assert "machine" in nameless
    if media == "csv":
        text = panel(["7"], 20).drop(columns="machine").to_csv(index=False)
        answer = client.post("/api/score", text, Content_Type="text/csv")
        assert "name the entity (one of ['pump 7'" in refusal(answer)
        assert "'machine'" in refusal(answer)


@pytest.mark.parametrize("cell", [None, True, ["7"], {"a": 1}, float("inf"), 7.5])
def test_a_cell_that_names_no_entity_is_refused(client, cell):
    body = as_json(panel(["7"], 20))
    body["rows"][4][3] = cell
    text = json.dumps(body).replace("Infinity", "1e999")
    message = refusal(client.post("/api/score", text, Content_Type="application/json"))
    assert "row 4" in message or "7.5" in message or "inf" in message


def test_times_of_each_entity_must_ascend(client):
    rows = panel(["7", "é"], 20, mixed=True)
    rows.loc[[10, 12], "time"] = rows.loc[[12, 10], "time"].to_numpy()
    assert "must ascend" in refusal(client.post("/api/score", as_json(rows)))
    assert "ascend" in refusal(client.post("/api/score", rows.to_csv(index=False), Content_Type="text/csv"))


def test_a_body_has_a_bounded_number_of_entities(tmp_path):
    many = saved(tmp_path / "fleet", ["m0"], shared=True)
    names = [f"x{number}" for number in range(1001)]
    with service(many.folder, tmp_path / "state") as client:
        rows = pd.DataFrame(0.0, range(1001), FEATURES).assign(machine=names, time="2024-01-01")
        for answer in (
            client.post("/api/score", as_json(rows)),
            client.post("/api/score", rows.to_csv(index=False), Content_Type="text/csv"),
        ):
            assert "at most 1000 entities, but has 1001" in refusal(answer, 413)


def test_an_unknown_entity_gets_the_shared_detector(tmp_path):
    fleet = saved(tmp_path / "fleet", ["m0"], shared=True)
    with service(fleet.folder, tmp_path / "state") as client:
        rows = panel(["m0", "new"], 30)
        np.testing.assert_allclose(scores(client.post("/api/score", as_json(rows))), expected(fleet, rows), rtol=1e-9)
        number = client.post("/api/streams", {"entity": "new"}).json["id"]
        answer = client.post(
            f"/api/streams/{number}/rows", {"rows": rows.iloc[30:][list(FEATURES)].to_numpy().tolist()}
        )
        np.testing.assert_allclose(scores(answer), expected(fleet, rows)[30:], rtol=1e-6)
        assert client.get("/api/model").json["shared"] is True


def test_names_of_files_are_taken_as_they_are_written(tmp_path):
    fleet = saved(tmp_path / "fleet", ["007", "8"], column=None)
    rows = panel(["007", "8"], 30).rename(columns={"machine": "entity"})
    wanted = expected(fleet, rows)
    with service(fleet.folder, tmp_path / "state") as client:
        answer = client.post("/api/score", rows.to_csv(index=False), Content_Type="text/csv")
        np.testing.assert_allclose(scores(answer), wanted, rtol=1e-9)
        twice = rows.assign(entity=["007"] * 15 + ["7"] * 15 + ["8"] * 30)
        answer = client.post("/api/score", twice.to_csv(index=False), Content_Type="text/csv")
        assert "in one way" in refusal(answer)


def test_a_fleet_without_a_reading_takes_csv_too(tmp_path):
    fleet = saved(tmp_path / "fleet", ["machine-1-1", "007"], column=None)
    for path in fleet.folder.rglob("read_options.json"):
        path.unlink()
    rows = panel(["machine-1-1", "007"], 30, mixed=True).rename(columns={"machine": "entity"})
    with service(fleet.folder, tmp_path / "state") as client:
        answer = client.post("/api/score", rows.to_csv(index=False), Content_Type="text/csv")
        np.testing.assert_allclose(scores(answer), expected(fleet, rows), rtol=1e-9)


# --- MLflow's endpoint ---


def invoked(answer):
    assert answer.status == 200, answer.content
    return np.array([row["score"] for row in answer.json["predictions"]], float)


def parquet(rows, **options):
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(rows[[*FEATURES, "machine"]], preserve_index=False), file, **options)
    return file.getvalue()


def test_invocations_take_the_column_of_entities_in_each_format(client, fleet):
    rows = panel(NAMES, 30, mixed=True)
    wanted = expected(fleet, rows)
    columns = [*FEATURES, "machine"]
    split = {"dataframe_split": {"columns": columns, "data": rows[columns].to_numpy(object).tolist()}}
    records = {"dataframe_records": rows[columns].to_dict("records")}
    for body in (split, records):
        np.testing.assert_allclose(invoked(client.post("/invocations", body)), wanted, rtol=1e-9)
    text = rows[columns].to_csv(index=False)
    np.testing.assert_allclose(invoked(client.post("/invocations", text, Content_Type="text/csv")), wanted, rtol=1e-9)
    for options in ({}, {"use_dictionary": False}, {"data_page_version": "2.0", "compression": "zstd"}):
        answer = client.post("/invocations", parquet(rows, **options), Content_Type=PARQUET)
        np.testing.assert_allclose(invoked(answer), wanted, rtol=1e-9)
    split["dataframe_split"]["data"][0][3] = "new"
    assert "'new'" in refusal(client.post("/invocations", split))
    del split["dataframe_split"]["data"][0]
    body = {"dataframe_split": {"columns": list(FEATURES), "data": rows[list(FEATURES)].to_numpy().tolist()}}
    assert "needs the column 'machine'" in refusal(client.post("/invocations", body))


LONG = pa.DictionaryArray.from_arrays(np.zeros(1000, np.int32), ["x" * 1_000_000])
PREFIXES = pa.array(["x" * 100_000 + str(number) for number in range(1000)])


@pytest.mark.parametrize(
    ("texts", "options", "says"),
    [
        (LONG, {}, "may decompress to"),
        (
            PREFIXES,
            {"use_dictionary": False, "column_encoding": {"machine": "DELTA_BYTE_ARRAY"}},
            "must be plain or in a",
        ),
        (pa.array([[1.0]] * 1000), {}, "but .*machine"),
        (pa.array([b"\xff"] * 1000), {}, "UTF8"),
    ],
)
def test_texts_of_parquet_are_bounded_before_they_are_decoded(texts, options, says):
    file = io.BytesIO()
    table = {"a": np.zeros(1000), "machine": texts}
    pq.write_table(pa.table(table), file, **options)
    content = file.getvalue()
    assert len(content) < 2_000_000
    with pytest.raises(RequestError, match=says):
        plain_parquet(content, ("a",), BodyLimits(), "machine")


# --- streams ---


def test_a_stream_is_of_one_entity_and_goes_on_after_a_restart(fleet, tmp_path):
    rows = panel(["é"], 60)
    values, wanted = rows[list(FEATURES)].to_numpy().tolist(), expected(fleet, rows)
    found, number = [], None
    for start in (0, 30):
        with service(fleet.folder, tmp_path) as client:
            if number is None:
                begun = client.post("/api/streams", {"entity": "é"}).json
                number = begun["id"]
                assert begun["entity"] == "é"
            for first in range(start, start + 30, 10):
                answer = client.post(
                    f"/api/streams/{number}/rows", {"rows": values[first : first + 10], "after": first}
                )
                found += list(scores(answer))
            assert client.get(f"/api/streams/{number}").json["entity"] == "é"
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_a_stream_of_no_entity_or_an_unknown_one_is_refused(client):
    assert "name the entity" in refusal(client.post("/api/streams"))
    assert "'new'" in refusal(client.post("/api/streams", {"entity": "new"}))
    assert client.get("/metrics").status == 200


def test_a_stream_keeps_its_detector_when_others_take_its_room(fleet, tmp_path, monkeypatch):
    loaded = LoadedDetectors(1)
    rows = panel(["7"], 20)[list(FEATURES)].to_numpy().tolist()
    monkeypatch.setattr(
        "tests.serving.services.open_model", lambda model, state: open_model(model, state, loaded=loaded)
    )
    with service(fleet.folder, tmp_path) as client:
        numbers = {name: client.post("/api/streams", {"entity": name}).json["id"] for name in NAMES}
        for name in NAMES:
            client.post(f"/api/streams/{numbers[name]}/rows", {"rows": rows})
        assert len(loaded) == 1
        read = []
        monkeypatch.setattr(loaded, "get", lambda folder: read.append(folder) or LoadedDetectors.get(loaded, folder))
        streams = [client.post(f"/api/streams/{numbers[name]}/rows", {"rows": rows[:5]}).status for name in NAMES]
        assert streams == [200] * 4


# --- what the service says of a fleet ---


def test_the_model_says_that_it_is_a_fleet_with_its_entities(client, fleet):
    card = client.get("/api/model").json
    assert (card["kind"], card["entities"], card["entity_column"], card["shared"]) == ("fleet", NAMES, "machine", False)
    assert card["features"] == list(FEATURES)
    assert "threshold" not in card
    one = client.get("/api/model?entity=pump%207").json
    assert (one["entity"], one["lookback"], one["detector"]) == ("pump 7", 7, "window_linear")
    assert one["threshold"]["value"] == fleet.detector("pump 7").threshold.value
    assert "'new'" in refusal(client.get("/api/model?entity=new"))
    series = client.get("/api/series/synthetic").json
    assert series["entity"] == NAMES[0]
    body = {"columns": series["columns"], "rows": series["rows"]}
    assert client.post("/api/score?entity=pump%207", body).status == 200
    (listed,) = client.get("/api/models").json
    assert (listed["kind"], listed["entities"]) == ("fleet", 4)


def test_one_detector_takes_no_entity(tmp_path, fleet):
    with service(fleet.detector_folder("7"), tmp_path) as client:
        body = {"columns": list(FEATURES), "rows": machine_rows(1, 20).tolist()}
        assert client.post("/api/score", body).status == 200
        for answer in (
            client.post("/api/score?entity=7", body),
            client.post("/api/streams", {"entity": "7"}),
            client.get("/api/drift?entity=7"),
            client.get("/api/model?entity=7"),
            client.post("/api/recalibrate?entity=7"),
        ):
            assert "leave entity out" in refusal(answer)


# --- drift and recalibration ---


def test_drift_and_threshold_are_those_of_an_entity(fleet, tmp_path):
    rows = panel(NAMES, 150)
    with service(fleet.folder, tmp_path) as client:
        client.post("/api/score?source=production", as_json(rows))
        assert client.get("/api/drift?entity=7").json["rows"] == 150
        assert "name the entity" in refusal(client.get("/api/drift"))
        shifted = rows.copy()
        shifted.loc[rows["machine"] == "é", list(FEATURES)] += 100
        client.post("/api/score?source=production", as_json(shifted))
        assert client.get("/api/drift?entity=%C3%A9").json["state"] == "drifted"
        assert client.get("/api/drift?entity=7").json["state"] == "expected"
        measured = client.get("/metrics").content.decode()
        states = [client.get(f"/api/drift?entity={quote(name)}").json["state"] for name in NAMES]
        drifted = states.count("drifted")
        assert f'tsad_drifted_detectors{{model="fleet",source="production"}} {drifted}.0' in measured
        assert 'tsad_recent_rows{model="fleet",source="production"} 1200.0' in measured
        done = client.post("/api/recalibrate?entity=%C3%A9").json
        assert done["after"]["value"] > done["before"]["value"]
        assert client.get("/api/model?entity=%C3%A9").json["threshold"]["value"] == done["after"]["value"]
        assert client.get("/api/model?entity=7").json["threshold"]["value"] == fleet.detector("7").threshold.value
        body = {"dataframe_records": shifted[[*FEATURES, "machine"]].to_dict("records")}
        flags = [row["flag"] for row in client.post("/invocations", body).json["predictions"]]
        assert flags == client.post("/api/score", as_json(shifted)).json["flag"]
    limits = Limits(detectors=1)
    with service(fleet.folder, tmp_path, limits=limits) as client:
        for name in ("7", "pump%207"):
            client.get(f"/api/drift?entity={name}")
        assert [row["flag"] for row in client.post("/invocations", body).json["predictions"]] == flags
        assert client.ask("DELETE", "/api/recalibrate?entity=%C3%A9").status == 200
        assert client.get("/api/model?entity=%C3%A9").json["threshold"]["value"] == done["before"]["value"]


def test_a_damaged_threshold_of_an_entity_is_named_at_the_start(fleet, tmp_path):
    with service(fleet.folder, tmp_path) as client:
        client.post("/api/score?source=production", as_json(panel(["7"], 150)))
        assert client.post("/api/recalibrate?entity=7").status == 200
    (path,) = (tmp_path / ENTITIES).glob(f"*/{THRESHOLD}")
    path.write_text("{")
    with pytest.raises(DetectorError, match="must be a recalibrated threshold"), service(fleet.folder, tmp_path):
        pass


def test_rows_of_an_entity_that_makes_room_are_forgotten(fleet, tmp_path):
    with service(fleet.folder, tmp_path, limits=Limits(detectors=2)) as client:
        client.post("/api/score", as_json(panel(NAMES, 30)))
        assert client.get("/api/drift?entity=7&source=trial").status == 200
        assert client.get("/api/drift?entity=pump%207&source=trial").status == 404


# --- one detector of all entities ---


@pytest.fixture(scope="module")
def one(fleet, tmp_path_factory):
    """The folder of a detector whose training rows had a column of entities."""
    folder = tmp_path_factory.mktemp("one") / "detector"
    fleet.detector("7").save(folder)
    fleet.read_options.save(folder)
    return folder


@pytest.mark.parametrize("mixed", [False, True])
def test_one_detector_of_all_scores_each_entity_by_itself(one, tmp_path, monkeypatch, mixed):
    monkeypatch.chdir(tmp_path)
    rows = panel(["new", "7", "other"], 40, mixed=mixed)
    rows.to_csv("rows.csv", index=False)
    score(one, "rows.csv")
    wanted = pd.read_csv("rows.scored.csv")["score"].to_numpy()
    assert np.isnan(wanted).sum() == 3 * 7
    columns = [*FEATURES, "machine"]
    with service(one, tmp_path / "state") as client:
        for answer in (
            client.post("/api/score", as_json(rows)),
            client.post("/api/score", (tmp_path / "rows.csv").read_bytes(), Content_Type="text/csv"),
        ):
            np.testing.assert_allclose(scores(answer), wanted, rtol=1e-6)
        for body, media in (
            (json.dumps({"dataframe_records": rows[columns].to_dict("records")}), "application/json"),
            (rows[columns].to_csv(index=False), "text/csv"),
            (parquet(rows), PARQUET),
        ):
            answer = client.post("/invocations", body, Content_Type=media)
            np.testing.assert_allclose(invoked(answer), wanted, rtol=1e-6)
        numbered = rows[columns].assign(machine=rows["machine"].map({"new": 1.5, "7": 2.5, "other": 3.5}))
        split = {"dataframe_split": {"columns": columns, "data": numbered.to_numpy().tolist()}}
        np.testing.assert_allclose(invoked(client.post("/invocations", split)), wanted, rtol=1e-6)
        alone = rows[rows["machine"] == "other"][list(FEATURES)]
        body = {"columns": list(FEATURES), "rows": alone.to_numpy().tolist()}
        np.testing.assert_allclose(
            scores(client.post("/api/score", body)), wanted[rows["machine"] == "other"], rtol=1e-6
        )
        text = rows[rows["machine"] == "other"].drop(columns="machine").to_csv(index=False)
        answer = client.post("/api/score", text, Content_Type="text/csv")
        np.testing.assert_allclose(scores(answer), wanted[rows["machine"] == "other"], rtol=1e-6)
        assert client.get("/api/model").json["entity_column"] == "machine"
        assert "leave entity out" in refusal(client.post("/api/score?entity=7", body))
