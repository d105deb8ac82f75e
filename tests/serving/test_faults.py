"""Faults: bytes that are no text, state that is damaged, a full disk, a tracking server that is away. None of them is a 500."""

import json
import os
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
from safetensors import SafetensorError

from tests.serving.services import csv, saved_detector, service, split
from tsad.registry.register import Version
from tsad.serving import monitoring
from tsad.serving.access_log import AccessLog
from tsad.serving.body_limits import BodyLimits
from tsad.serving.errors import RequestError
from tsad.serving.health import Health
from tsad.serving.monitoring import RecentRows
from tsad.serving.served_model import ServedModel, open_model
from tsad.serving.tokens import Tokens
from tsad.serving.version_cache import VersionCache

JSON, CSV = "application/json", "text/csv"


@pytest.fixture(scope="module")
def client(folder, rows):
    with service(folder / "detector", folder / "state") as client:
        yield client


# --- bytes ---

HALF = r'"\ud800"'


@pytest.mark.parametrize(
    "half", [r"\ud800", r"\uDFFF", r"\udc00\ud800", r"a\ud83d", r"\\\ud800", r"\ud800\\udc00", r"\uD800\u0041"]
)
def test_half_a_character_is_refused_wherever_it_stands(client, rows, half):
    number = client.post("/api/streams").json["id"]
    names, values = json.dumps(list(rows.features)), json.dumps(rows.values.tolist())
    text = f'"{half}"'
    bodies = {
        "/api/score": [
            f'{{"columns": [{text}], "rows": [[1]]}}',
            f'{{"columns": {names}, "rows": [[{text}, 1, 1, 1, 1, 1]]}}',
            f'{{"columns": {names}, "rows": {values}, "times": [{", ".join([text] * len(rows))}]}}',
            f"{{{text}: 1}}",
            text,
        ],
        "/api/streams": [f'{{"policy": {{"late": {text}}}}}', f"{{{text}: 1}}"],
        f"/api/streams/{number}/rows": [f'{{"rows": [[{text}, 1, 1, 1, 1, 1]]}}', f'{{"rows": [], "after": {text}}}'],
        "/train_predict": [f'{{"y_true": [{text}]}}', f"{{{text}: 1}}"],
        "/api/searches": [f'{{"series": {text}}}'],
        "/invocations": [
            f'{{"dataframe_split": {{"columns": {names}, "data": [[{text}, 1, 1, 1, 1, 1]]}}}}',
            f'{{"dataframe_records": [{{{text}: 1}}]}}',
            f'{{"inputs": {{{text}: [1]}}}}',
            text,
        ],
    }
    for path, texts in bodies.items():
        for body in texts:
            answer = client.post(path, body.encode(), Content_Type=JSON)
            assert answer.status == 400, (path, body[:80], answer.content[:200])
            assert "half a character" in answer.json["message"]


@pytest.mark.parametrize("whole", [r"\ud83d\ude00", r"\\ud800", r"\\\\ud800", r"\uD83D\uDE00\ud83d\ude00", r"\u0041"])
def test_whole_characters_are_not_refused(whole):
    BodyLimits().check_text(f'"{whole}"'.encode(), JSON)


def test_random_bytes_are_never_a_failure_of_the_service(client, rows):
    generator = np.random.default_rng(5)
    number = client.post("/api/streams").json["id"]
    good = {
        "/api/score": (CSV, csv(rows).encode()),
        "/invocations": (JSON, json.dumps(split(rows)).encode()),
        f"/api/streams/{number}/rows": (JSON, json.dumps({"rows": rows.values.tolist()}).encode()),
        "/train_predict": (JSON, b'{"y_true": [1, 2, 3, 4]}'),
        "/api/searches": (CSV, csv(rows).encode()[:300]),
        "/api/streams": (JSON, b'{"policy": {"late": "drop", "fill_to": 4}}'),
    }
    for path, (media, content) in good.items():
        for _ in range(40):
            body = np.frombuffer(content, np.uint8).copy()
            positions = generator.integers(0, len(body), generator.integers(1, 8))
            body[positions] = generator.choice(
                np.frombuffer(b'\x00\xff\xed"\\{}[],:\r\n1eN\xf0', np.uint8), len(positions)
            )
            sent = body.tobytes()[: generator.integers(1, len(body) + 1)]
            assert client.post(path, sent, Content_Type=media).status < 500, sent[:200]


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "\xff", "//", "http://a:b:c"])
def test_an_origin_that_is_none_is_foreign(client, origin):
    assert client.post("/api/recalibrate", Origin=origin).status == 403


# --- state ---


def pushed(client, number, rows, first, stop):
    return client.post(f"/api/streams/{number}/rows", {"rows": rows.values[first:stop].tolist(), "after": first})


DAMAGES = {
    "a state that was cut": lambda path: (path / "stream.safetensors").write_bytes(b"\x08\x00"),
    "an empty state": lambda path: (path / "stream.safetensors").write_bytes(b""),
    "no state": lambda path: (path / "stream.safetensors").unlink(),
    "a foreign state": lambda path: (path / "stream.safetensors").write_bytes(os.urandom(500)),
    "a folder for a state": lambda path: (
        (path / "stream.safetensors").unlink(),
        (path / "stream.safetensors").mkdir(),
    ),
    "no threshold": lambda path: (path / "threshold.json").unlink(),
    "an empty threshold": lambda path: (path / "threshold.json").write_bytes(b""),
    "a threshold of bytes": lambda path: (path / "threshold.json").write_bytes(b"\xff\xfe"),
    "a threshold that is none": lambda path: (path / "threshold.json").write_text('{"kind": "x"}'),
    "a deep threshold": lambda path: (path / "threshold.json").write_text("[" * 100_000),
    "nothing at all": lambda path: [file.unlink() for file in path.iterdir()],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_stream_is_told_by_name_and_the_others_go_on(folder, rows, tmp_path, damage):
    state = tmp_path / "state"
    with service(folder / "detector", state) as client:
        damaged, other = (client.post("/api/streams").json["id"] for _ in range(2))
        assert pushed(client, damaged, rows, 0, 10).status == pushed(client, other, rows, 0, 10).status == 200
    damage(state / "streams" / damaged)
    with service(folder / "detector", state) as client:
        for answer in (pushed(client, damaged, rows, 10, 20), client.get(f"/api/streams/{damaged}")):
            assert answer.status == 409
            assert "the stream cannot go on" in answer.json["message"]
            assert str(tmp_path) not in answer.json["message"]
        assert pushed(client, other, rows, 10, 20).status == 200
        assert client.post("/api/streams").status == 201
        health = client.get("/health")
        assert (health.status, health.json["status"]) == (200, "degraded")
        assert health.json["problems"] == ["1 streams have a damaged state; delete them"]
        assert client.ask("DELETE", f"/api/streams/{damaged}").status == 204


def test_stray_files_between_the_streams_are_left_alone(folder, rows, tmp_path):
    state = tmp_path / "state"
    with service(folder / "detector", state) as client:
        number = client.post("/api/streams").json["id"]
        (state / "streams/notes.txt").write_text("mine")
        (state / "streams/.DS_Store").write_bytes(b"x")
        (state / "streams" / ("f" * 32)).write_text("a file with the name of a stream")
        (state / "streams/lost+found").mkdir()
        (state / "streams" / ("e" * 32)).symlink_to(tmp_path / "nowhere")
        assert client.post("/api/streams").status == 201
        assert pushed(client, number, rows, 0, 10).status == 200
        assert b'tsad_open_streams{model="detector"} 2.0' in client.get("/metrics").content
        assert client.get(f"/api/streams/{'f' * 32}").status == 404
    assert (state / "streams/notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), OSError(30, "Read-only file system"), SafetensorError("I/O")]
)
def test_a_disk_that_takes_nothing_is_told_and_nothing_has_changed(folder, rows, tmp_path, monkeypatch, error):
    from tsad.streaming import Stream

    def full(stream, folder):
        raise error

    with service(folder / "detector", tmp_path / "state") as client:
        number = client.post("/api/streams").json["id"]
        assert pushed(client, number, rows, 0, 10).status == 200
        with monkeypatch.context() as broken:
            broken.setattr(Stream, "save", full)
            for answer in (client.post("/api/streams"), pushed(client, number, rows, 10, 20)):
                assert answer.status == 503
                assert "cannot be read or written" in answer.json["message"]
            assert client.post("/api/score", csv(rows), Content_Type=CSV).status == 200
        assert len(list((tmp_path / "state/streams").iterdir())) == 1
        assert pushed(client, number, rows, 10, 20).json["rows_total"] == 20


def test_health_tells_what_is_in_the_way(tmp_path):
    state, tokens = tmp_path / "state", tmp_path / "tokens.json"
    state.mkdir()
    registry, log = VersionCache(list, []), AccessLog(state)

    def health():
        return Health(state, Tokens(path=tokens), lambda: registry.failure, log, lambda: 0).problems()

    assert (health().severe, health().other) == ((), ())
    tokens.write_text("{")
    assert health().severe == ("the file of tokens is damaged",)
    tokens.unlink()
    registry.failure = "the tracking server cannot be asked (OSError)"
    assert health().other == ("the tracking server cannot be asked (OSError)",)
    assert list(state.iterdir()) == []
    state.rmdir()
    assert health().severe == ("the state folder cannot be written (No such file or directory)",)
    registry.close()


def test_health_is_503_when_requests_fail(folder, rows, tmp_path):
    with service(folder / "detector", tmp_path / "state") as client:
        assert (client.get("/health").status, client.get("/health").content) == (200, b"\n")
        shutil.rmtree(tmp_path / "state")
        time.sleep(2.1)  # an answer lasts for two seconds
        answer = client.get("/health")
        assert (answer.status, answer.json["status"]) == (503, "failing")
        assert client.get("/ping").status == 200
        (tmp_path / "state").mkdir()


# --- the tracking server ---

SEEN = Version("1", ("champion",), "2026-01-01", "r", {}, {}, "")


def test_versions_are_those_of_before_within_a_second_when_the_server_hangs_or_fails(monkeypatch):
    def hangs():
        time.sleep(1.5)
        return [replace(SEEN, version="2")]

    cache = VersionCache(hangs, [SEEN])
    start = time.monotonic()
    for _ in range(3):  # which do not wait for one another
        listed, age = cache.read()
        assert ([version.version for version in listed], age > 0) == (["1"], True)
        assert "has not answered" in cache.failure
        break
    assert time.monotonic() - start < 1
    time.sleep(1.2)
    assert [version.version for version in cache._last] == ["2"]
    assert cache.failure is None
    cache.close()

    def fails():
        raise ConnectionError("away")

    cache = VersionCache(fails, [SEEN])
    listed, age = cache.read()
    assert (list(listed), age, "ConnectionError" in cache.failure) == ([SEEN], 1, True)
    cache._ask = list
    assert cache.read() == ([], 0)
    assert cache.failure is None
    cache.close()


@pytest.fixture
def served(folder, rows, tmp_path):
    model = open_model(str(folder / "detector"), tmp_path)
    yield model
    model.registry.close()


def away(record):
    raise ConnectionError("the tracking server is away")


@pytest.mark.parametrize("fault", ["tracking", "disk"])
def test_a_recalibration_is_all_or_nothing(served: ServedModel, folder, tmp_path, monkeypatch, fault):
    rows = saved_detector(tmp_path / "again")[1]
    recent = RecentRows(served.calibrated(), tmp_path, lambda record: None)
    scores = np.concatenate([served.detector.score(rows).values] * 3)
    recent.take(rows.values, scores, np.zeros(len(scores), bool))
    recent.recalibrate()
    threshold, stored = served.detector.threshold, (tmp_path / monitoring.THRESHOLD).read_bytes()
    logged = (tmp_path / "recalibrations.jsonl").read_bytes()
    with monkeypatch.context() as broken:
        if fault == "tracking":
            broken.setattr(recent, "_on_recalibration", away)
        else:
            broken.setattr(
                monitoring.Recalibration, "write", lambda record, folder: (_ for _ in ()).throw(OSError(28, "full"))
            )
        for change in (recent.recalibrate, recent.undo):
            with pytest.raises(RequestError, match="the threshold is as it was") as caught:
                change()
            assert caught.value.status == 503
            assert served.detector.threshold is threshold
            assert (tmp_path / monitoring.THRESHOLD).read_bytes() == stored
            assert (tmp_path / "recalibrations.jsonl").read_bytes() == logged
    recent.undo()
    assert served.detector.threshold is not threshold


@pytest.mark.parametrize("end", [b"\xff", b"\xc3", b"\x80", b"0\xff"])
def test_half_an_escape_before_any_bytes_is_refused(end):
    body = b'"\\ud80' + end + b'"'
    with pytest.raises(RequestError) as caught:
        BodyLimits(10, 10, 100).check_text(body, "application/json")
    assert caught.value.status == 400
