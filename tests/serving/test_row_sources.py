"""Sources of rows over HTTP: what a click, a stranger and a stream feed, and who may recalibrate on what."""

import pytest

from tests.serving.services import service, table
from tsad.errors import TsadError
from tsad.serving.middleware import SecurityPolicy
from tsad.serving.row_sources import SourceRules
from tsad.serving.service_parts import Dependencies
from tsad.serving.tokens import create_token
from tsad.workflows.serve import Options, _protection


@pytest.fixture
def client(folder, rows, tmp_path):
    with service(folder / "detector", tmp_path / "state") as client:
        yield client


def scored(client, rows, shift=0.0, query="", times=3, **headers):
    for _ in range(times):
        body = {**table(rows), "rows": (rows.values + shift).tolist()}
        assert client.post(f"/api/score{query}", body, **headers).status == 200


def streamed(client, rows, body=None, **headers):
    number = client.post("/api/streams", body, **headers).json["id"]
    for _ in range(3):
        answer = client.post(f"/api/streams/{number}/rows", {"rows": rows.values.tolist()}, **headers)
        assert answer.status == 200, answer.content
    return number


def counts(client, **headers):
    return {source["name"]: source["rows"] for source in client.get("/api/drift", **headers).json["sources"]}


def test_clicks_do_not_move_the_threshold_that_streams_recalibrate(client, rows):
    streamed(client, rows)
    scored(client, rows, shift=50, times=20)
    assert counts(client) == {"production": 300, "trial": 2000}
    before = client.get("/api/model").json["threshold"]["value"]
    done = client.post("/api/recalibrate").json
    assert done["source"] == "service:production"
    assert done["after"]["value"] < 2 * before
    assert client.get("/api/drift").json["previous_threshold"]["value"] == before
    assert client.get("/api/drift").json["state"] != "drifted"
    assert client.get("/api/drift?source=trial").json["state"] == "drifted"
    assert client.ask("DELETE", "/api/recalibrate").status == 200
    assert client.get("/api/drift").json["previous_threshold"] is None


def test_without_rows_of_production_nothing_is_fitted_to_clicks_unless_it_is_asked_for(client, rows):
    scored(client, rows)
    refusal = client.post("/api/recalibrate")
    assert refusal.status == 400
    assert "there are 0 of the source 'production'" in refusal.json["message"]
    assert "(others: trial)" in refusal.json["message"]
    assert client.post("/api/recalibrate?source=trial").json["source"] == "service:trial"
    assert client.post("/api/recalibrate?source=nobody").status == 404
    assert client.get("/api/drift?source=nobody").status == 404


def test_the_source_of_a_stream_outlives_the_service(folder, rows, tmp_path):
    with service(folder / "detector", tmp_path) as client:
        number = streamed(client, rows, {"source": "backfill"})
        assert client.get(f"/api/streams/{number}").json["source"] == "backfill"
        assert client.post("/api/streams", {"source": "no name"}).status == 400
    with service(folder / "detector", tmp_path) as client:
        client.post(f"/api/streams/{number}/rows", {"rows": rows.values.tolist()})
        assert counts(client) == {"backfill": 100, "production": 0}
    (tmp_path / "streams" / number / "origin.json").write_text('{"source": 7}')
    with service(folder / "detector", tmp_path) as client:
        assert client.get(f"/api/streams/{number}").status == 409


def test_only_tokens_that_the_operator_named_feed_production(folder, rows, tmp_path):
    file = tmp_path / "tokens.json"
    plant, guest = ({"Authorization": f"Bearer {create_token(file, name, 'score')}"} for name in ("plant", "guest"))
    sources = SourceRules(("plant",))
    with service(folder / "detector", tmp_path, SecurityPolicy((), "mine", file), sources=sources) as client:
        number = streamed(client, rows, **plant)
        streamed(client, rows, **guest)
        scored(client, rows, query="?source=production", **plant)
        scored(client, rows, **guest)
        assert counts(client, **guest) == {"guest": 300, "production": 600, "trial": 300}
        for path, body in (
            ("/api/score?source=production", table(rows)),
            ("/api/streams", {"source": "production"}),
            (f"/api/streams/{number}/rows", {"rows": rows.values.tolist()}),
        ):
            refusal = client.post(path, body, **guest)
            assert refusal.status == 403, path
            assert "need a token that --production names, but this one is guest" in refusal.json["message"]
        assert client.get(f"/api/streams/{number}", **guest).json["rows"] == 300
        assert counts(client, **guest)["production"] == 600


def test_names_of_tokens_need_tokens():
    from tsad.serving.tokens import Tokens

    with pytest.raises(
        TsadError, match=r"--production names tokens, but no token is needed \(plant\); create them first"
    ):
        _protection(Options(production=("plant",)), Tokens())


def test_the_service_takes_every_token_unless_it_is_told_which():
    assert Dependencies.__dataclass_fields__["sources"].default_factory() == SourceRules(())
