"""Attacks on the service, bounded in time and number: each ends with a refusal or a cut, and good clients are served."""

import io
import json
import select
import socket
import statistics
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.serving.services import csv, service, split
from tsad.errors import StoppedError
from tsad.serving.access_log import ACCESS_LOG, AccessLog
from tsad.serving.body_limits import BodyLimits
from tsad.serving.connections import ConnectionLimits
from tsad.serving.errors import RequestError
from tsad.serving.middleware import SecurityPolicy
from tsad.serving.parquet_bodies import plain_parquet
from tsad.serving.service_parts import Limits

PARQUET, JSON, CSV = "application/vnd.apache.parquet", "application/json", "text/csv"
CONNECTIONS = ConnectionLimits(
    connections=20,
    per_address=20,
    head_seconds=0.5,
    idle_seconds=0.6,
    linger_seconds=0.4,
    write_seconds=0.4,
    unread_bytes=40_000_000,
)
RULES = SecurityPolicy(max_bytes=4_000_000, read_seconds=0.8)
HEAD = b"POST /api/score HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n"


@pytest.fixture(scope="module")
def client(folder, rows):
    limits = Limits(rows=50_000, cells=500_000)
    with service(folder / "detector", folder / "state", RULES, limits, connections=CONNECTIONS) as client:
        yield client


@contextmanager
def connected(client, *sent, receive_buffer=None):
    """A connection that has sent some bytes."""
    with socket.socket() as connection:
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(5)
        connection.connect(("127.0.0.1", client.port))
        for part in sent:
            connection.sendall(part)
        yield connection


def cut_after(connection, trickle=None, most=5.0):
    """Returns the seconds until the service cuts a connection, and what it said; the client sends `trickle` all the while."""
    start, said = time.monotonic(), b""
    while time.monotonic() - start < most:
        try:
            if trickle is not None:
                connection.sendall(trickle)
            if select.select([connection], [], [], 0.05)[0]:
                part = connection.recv(65536)
                if not part:
                    return time.monotonic() - start, said
                said += part
        except ConnectionError:
            return time.monotonic() - start, said
    pytest.fail(f"the service held the connection for {most} s and said {said[:200]!r}")


# --- connections ---


def test_a_connection_that_says_nothing_is_cut(client):
    with connected(client) as connection:
        seconds, said = cut_after(connection)
    assert (0.2 < seconds < 3, said) == (True, b"")


@pytest.mark.parametrize("begin", [b"", b"GET /ping HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_no_trickle_of_bytes_keeps_a_head_open(client, begin):
    with connected(client, begin) as connection:
        seconds, _ = cut_after(connection, b"a")
    assert 0.2 < seconds < 3


def test_an_idle_connection_is_closed_and_a_second_head_has_no_more_time_than_the_first(client):
    request = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(client, request) as connection:
        time.sleep(0.3)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        sent = time.monotonic()
        connection.sendall(request)  # which was not idle for too long
        time.sleep(0.3)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        assert cut_after(connection)[0] < 2
        assert time.monotonic() - sent > CONNECTIONS.idle_seconds
    with connected(client, request) as connection:
        time.sleep(0.1)
        connection.recv(1000)
        assert 0.3 < cut_after(connection, b"G")[0] < 2


def test_a_body_that_comes_slowly_is_refused_and_its_connection_cut(client):
    with connected(client, HEAD + b"Content-Length: 100000\r\n\r\n") as connection:
        seconds, said = cut_after(connection, b"1")
    assert said.startswith(b"HTTP/1.1 408 ")
    assert 0.8 < seconds < 3


def test_a_body_in_chunks_that_never_ends_is_cut(client):
    with connected(client, HEAD + b"Transfer-Encoding: chunked\r\n\r\n") as connection:
        seconds, said = cut_after(connection, b"1\r\n1\r\n")
    assert said.startswith(b"HTTP/1.1 408 ")
    assert 0.8 < seconds < 3


@pytest.mark.parametrize("head", [b"Origin: http://evil.example\r\n", b"Content-Encoding: gzip\r\n"])
def test_who_is_refused_cannot_go_on_sending(client, head):
    with connected(client, HEAD + head + b"Content-Length: 1000000000\r\n\r\n") as connection:
        seconds, said = cut_after(connection, b"x" * 100)
    assert said.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 415 "))
    assert seconds < 2


def test_compressed_bodies_are_refused_before_they_are_decompressed(client):
    import gzip

    bomb = gzip.compress(b"0" * 100_000_000)
    for path in ("/api/score", "/invocations", "/api/streams", "/train_predict", "/api/searches"):
        for encoding in ("gzip", "deflate", "br", "zstd", "gzip, gzip", "GZIP"):
            assert client.post(path, bomb, Content_Type=JSON, Content_Encoding=encoding).status == 415


def test_a_client_that_does_not_read_its_answer_is_cut(client, rows):
    lines = "".join(
        f"2026-01-01T00:00:00.000000000,{','.join(f'{value:.2f}' for value in row)}\n" for row in rows.values
    )
    body = f"time,{','.join(rows.features)}\n{lines * 490}".encode()
    with connected(client, HEAD + b"Content-Length: %d\r\n\r\n" % len(body), body, receive_buffer=4096) as connection:
        time.sleep(3)  # the answer waits, and is more than the buffers between hold
        fetched = b""
        with suppress(ConnectionError):
            while part := connection.recv(65536):
                fetched += part
    length = int(fetched.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert len(fetched) < length
    assert client.get("/ping").status == 200


def test_idle_connections_make_room_and_busy_ones_do_not(client):
    with ExitStack() as stack:
        idle = [stack.enter_context(connected(client, b"G")) for _ in range(2 * CONNECTIONS.connections)]
        assert client.get("/ping").status == 200
        assert cut_after(idle[0], most=1)[1] == b""
    head = HEAD + b"Content-Length: 10\r\n\r\n"
    with ExitStack() as stack:
        busy = [stack.enter_context(connected(client, head)) for _ in range(CONNECTIONS.connections)]
        time.sleep(0.2)
        with connected(client, b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n") as connection:
            said = b""
            with suppress(ConnectionResetError):  # what was sent is not read
                while part := connection.recv(1000):
                    said += part
        assert said == b"" or json.loads(said.partition(b"\r\n\r\n")[2])["error_code"] == "TEMPORARILY_UNAVAILABLE"
        assert said == b"" or said.startswith(b"HTTP/1.1 503 ")
        assert cut_after(busy[0])[1].startswith(b"HTTP/1.1 408 ")
    assert client.get("/ping").status == 200


def median_latency(client, body, seconds):
    """Returns the median seconds of a request with a CSV body, over some seconds of such requests."""
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.perf_counter()
        assert client.post("/api/score", body, Content_Type=CSV).status == 200
        times.append(time.perf_counter() - start)
    return statistics.median(times)


@contextmanager
def attacking(client, kinds):
    """Connections that begin with some bytes and go on with a trickle, each again and again until the block ends."""
    ended = threading.Event()

    def attack(begin, trickle):
        while not ended.is_set():
            try:
                with connected(client, begin) as connection:
                    for _ in range(10):
                        connection.sendall(trickle)
                        ended.wait(0.05)
            except OSError:
                ended.wait(0.01)

    threads = [threading.Thread(target=attack, args=kind) for kind in kinds]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_a_good_client_is_served_while_others_attack(client, rows):
    body = csv(rows)
    before = median_latency(client, body, 1)
    kinds = [
        (b"", b""),
        (b"GET / HTTP/1.1\r\nX: ", b"a"),
        (HEAD + b"Content-Length: 90000\r\n\r\n", b"1"),
        (b"\0\xff", b""),
    ]
    with attacking(client, kinds * 3):
        during = median_latency(client, body, 2)
    assert during < 2 * before + 0.05, (before, during)


# --- bodies ---


def parquet(columns, **options):
    content = io.BytesIO()
    pq.write_table(pa.table(columns), content, **options)
    return content.getvalue()


def zeros(count, names, **options):
    return parquet({name: np.zeros(count) for name in names}, **options)


MANY = [f"c{number}" for number in range(30_000)]


def wide_json(columns):
    return json.dumps({"dataframe_split": {"columns": columns, "data": [[1] * len(columns)]}}).encode()


WIDE = ",".join(MANY)
BOMBS = {
    "5 million rows of Parquet": ("/invocations", PARQUET, lambda: zeros(5_000_000, ["s0"]), "50000 rows"),
    "wide Parquet": ("/invocations", PARQUET, lambda: zeros(1, MANY[:12_000]), "10000 columns|its metadata"),
    "wide JSON": ("/invocations", JSON, lambda: wide_json(MANY), "10000 columns"),
    "wide CSV": ("/invocations", CSV, lambda: f"{WIDE}\n{WIDE}\n".encode(), "10000 columns"),
    "wide CSV to score": ("/api/score", CSV, lambda: f"{WIDE}\n{WIDE}\n".encode(), "10000 columns"),
    "wide CSV to search on": ("/api/searches", CSV, lambda: f"{WIDE}\n{WIDE}\n".encode(), "10000 columns"),
    "a header over many lines": ("/api/score", CSV, lambda: b'"\n",' * 20_000 + b"x\n1\n", "10000 columns"),
    "wide JSON to score": (
        "/api/score",
        JSON,
        lambda: json.dumps({"columns": MANY, "rows": [[1] * 30_000]}).encode(),
        "10000 columns",
    ),
    "records of different keys": (
        "/invocations",
        JSON,
        lambda: json.dumps({"dataframe_records": [{name: 1} for name in MANY]}).encode(),
        "10000 columns",
    ),
    "records of fewer keys that make too many cells": (
        "/invocations",
        JSON,
        lambda: json.dumps({"instances": [{name: 1} for name in MANY[:5_000]]}).encode(),
        "500000 cells",
    ),
    "inputs of many names": (
        "/invocations",
        JSON,
        lambda: json.dumps({"inputs": {name: [1] for name in MANY}}).encode(),
        "10000 columns",
    ),
    "many empty lists": (
        "/api/score",
        JSON,
        lambda: b'{"columns":[],"rows":[' + b"[]," * 200_000 + b"[]]}",
        "50000 rows",
    ),
    "many cells": (
        "/api/score",
        JSON,
        lambda: b'{"columns":["a"],"rows":[[' + b"1," * 900_000 + b"1]]}",
        "500000 cells",
    ),
    "many lines": ("/api/score", CSV, lambda: b"a\n" + b"1\n" * 60_000, "50000 rows"),
    "many empty lines": ("/api/score", CSV, lambda: b"a\n" + b"\r" * 1_900_000, "50000 rows"),
    "many commas": ("/api/score", CSV, lambda: b"a\n" + (b"," * 900 + b"\n") * 1000, "500000 cells"),
    "a long stream": ("/api/streams", JSON, lambda: b"[" * 1_900_000, "must not nest"),
    "a long series": ("/train_predict", JSON, lambda: b'{"y_true":[' + b"1," * 600_000 + b"1]}", "500000 cells"),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_table_that_is_too_large_is_refused_before_it_is_made(client, bomb):
    path, media, make, says = bomb
    body = make()
    start = time.perf_counter()
    answer = client.post(path, body, Content_Type=media)
    seconds = time.perf_counter() - start
    assert answer.status in {400, 413}, answer.content
    assert any(word in answer.json["message"] for word in says.split("|")), answer.json
    assert seconds < 2


def test_parquet_gets_the_answer_of_json(client, rows):
    ours = client.post("/invocations", split(rows))
    columns = dict(zip(rows.features, rows.values.T.astype(float), strict=True))
    for options in (
        {},
        {"compression": "zstd"},
        {"use_dictionary": False, "data_page_version": "2.0", "row_group_size": 7},
    ):
        theirs = client.post(
            "/invocations", parquet({"more": ["x"] * len(rows), **columns}, **options), Content_Type=PARQUET
        )
        assert (theirs.status, theirs.json) == (ours.status, ours.json)
    missing = client.post("/invocations", parquet({"s0": columns["s0"]}), Content_Type=f"{PARQUET}; charset=utf-8")
    assert missing.status == 400
    assert "s1" in missing.json["message"]


FEATURES = ("a", "b")


def test_a_page_that_decompresses_to_more_than_it_may_is_refused_whatever_the_metadata_say():
    content = zeros(20_000, FEATURES, compression="gzip", use_dictionary=False)
    assert len(content) < 20_000
    with pytest.raises(RequestError, match="a body may decompress to 100000 bytes, but would to 3") as caught:
        plain_parquet(content, FEATURES, BodyLimits(decoded_bytes=100_000))
    assert caught.value.status == 413
    metadata = pq.ParquetFile(io.BytesIO(content)).metadata
    total = metadata.row_group(0).column(0).total_uncompressed_size
    lying = content.replace(_varint(total), _varint(7).ljust(len(_varint(total)), b"\x00"))
    with pytest.raises(RequestError):
        plain_parquet(lying, FEATURES, BodyLimits(decoded_bytes=100_000))


def _varint(value):
    value <<= 1
    digits = []
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def test_columns_that_are_no_numbers_are_not_decoded():
    long = pa.DictionaryArray.from_arrays(np.zeros(1000, np.int32), ["x" * 1_000_000])
    content = parquet({"a": np.zeros(1000), "b": np.zeros(1000), "more": long})
    assert len(content) < 200_000
    table = pq.read_table(io.BytesIO(plain_parquet(content, FEATURES, BodyLimits())))
    assert table.column_names == ["a", "b"]
    for wrong in (long, pa.array([[1.0]] * 1000), pa.array([{"x": 1}] * 1000), pa.array([b"x"] * 1000)):
        content = parquet({"a": wrong})
        if pa.types.is_nested(wrong.type):  # which has other names, and is left to whoever misses the column
            assert pq.read_table(io.BytesIO(plain_parquet(content, ("a",), BodyLimits()))).num_columns == 0
        else:
            with pytest.raises(RequestError, match="must hold numbers"):
                plain_parquet(content, ("a",), BodyLimits())


def test_bytes_of_parquet_that_were_changed_end_in_a_table_or_a_refusal():
    generator = np.random.default_rng(7)
    content = np.frombuffer(zeros(300, FEATURES, compression="snappy"), np.uint8)
    for _ in range(400):
        damaged = content.copy()
        for position in generator.integers(0, len(content), generator.integers(1, 6)):
            damaged[position] = generator.integers(0, 256)
        cut = damaged[: generator.integers(1, len(content) + 1)] if generator.random() < 0.3 else damaged
        with suppress(RequestError):
            plain_parquet(cut.tobytes(), FEATURES, BodyLimits(rows=1000, decoded_bytes=1_000_000))


# --- work ---


def test_work_ends_with_its_504_and_the_next_request_finds_a_worker(folder, rows, monkeypatch):
    from tsad.detector import scoring

    ended = []
    asked = scoring.stop_if_asked

    def slow():
        time.sleep(0.05)
        try:
            asked()
        except StoppedError:
            ended.append(time.monotonic())
            raise

    monkeypatch.setattr(scoring, "stop_if_asked", slow)
    rules, limits = SecurityPolicy(answer_seconds=0.6), Limits(workers=1)
    lines = csv(rows).split("\n", 1)
    long = f"{lines[0]}\n{lines[1] * 200}"  # 156 batches of windows
    with service(folder / "detector", folder / "slow", rules, limits) as client:
        for path in ("/api/score", "/invocations"):
            start = time.monotonic()
            assert client.post(path, long, Content_Type=CSV).status == 504
            assert client.post(path, csv(rows), Content_Type=CSV).status == 200
            assert time.monotonic() - start < 2
        stream = f"/api/streams/{client.post('/api/streams').json['id']}/rows"
        assert client.post(stream, {"rows": rows.values.tolist() * 200}).status == 504
        assert client.post(stream, {"rows": rows.values.tolist(), "after": 0}).status == 200
    assert len(ended) == 3


def test_a_gap_flood_is_refused_and_changes_nothing(client, rows):
    number = client.post("/api/streams", {"policy": {"step_seconds": 1, "gap": "ffill", "longest_fill": 1000}}).json[
        "id"
    ]
    times = [str(np.datetime64("2026-01-01") + np.timedelta64(900 * row, "s")) for row in range(len(rows))]
    answer = client.post(f"/api/streams/{number}/rows", {"rows": rows.values.tolist(), "times": times})
    assert answer.status == 400
    assert "may be filled with 10000 rows" in answer.json["message"]
    assert client.get(f"/api/streams/{number}").json["rows"] == 0
    policy = {"step_seconds": 1, "gap": "ffill", "longest_fill": 1000, "most_filled": 10**9}
    assert client.post("/api/streams", {"policy": policy}).status == 400


# --- the log ---


def test_each_request_is_one_short_line_whatever_its_path(client, folder):
    for path in ("/" + "a" * 5000, "/%0a%0dforged", "/%E2%80%AE", "/%ff", "/api/model?token=secret"):
        client.get(path)
    time.sleep(0.2)  # the line follows the answer
    lines = (folder / "state" / ACCESS_LOG).read_text(encoding="ascii").splitlines()
    assert max(map(len, lines)) < 500
    assert not any("secret" in line for line in lines)
    seen = [(line["method"], line["path"][:20], line["status"]) for line in map(json.loads, lines)]
    for path, status in (
        ("/" + "a" * 19, 404),
        ("/\\n\\rforged", 404),
        ("/\\u202e", 404),
        ("/\\ufffd", 404),
        ("/api/model", 400),
    ):
        assert seen.count(("GET", path, status)) == 1, path


def test_the_log_rotates_and_a_full_disk_stops_no_request(tmp_path, monkeypatch):
    monkeypatch.setattr("tsad.serving.access_log._BYTES", 1000)
    log = AccessLog(tmp_path)
    for _ in range(200):
        log.write("127.0.0.1", "GET", "/x", 200, 0.1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [ACCESS_LOG, *(f"{ACCESS_LOG}.{n}" for n in range(1, 5))]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 5000
    log.close()
    full = AccessLog(Path("/dev/full"))  # no folder
    full.write("-", "GET", "/x", 200, 0.1)
    assert "/dev/full/access.log" in full.failure
    full.close()
