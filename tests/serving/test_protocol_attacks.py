"""Requests that break or stretch HTTP/1.1: each gets a 4xx or a cut, and none of them another client's answer."""

import re
import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from types import SimpleNamespace

import pytest

from tests.serving import test_attacks
from tests.serving.services import csv, service
from tests.serving.test_attacks import connected
from tsad.serving.connections import ConnectionLimits, Connections
from tsad.serving.middleware import SecurityPolicy
from tsad.serving.proxies import ProxyRules
from tsad.serving.service_parts import Limits
from tsad.serving.stream_sessions import StreamLimits

CONNECTIONS = replace(test_attacks.CONNECTIONS, per_address=10)
LIMITS = Limits(rows=50_000, cells=500_000, streams=StreamLimits(streams=30))


@pytest.fixture(scope="module")
def client(folder, rows):
    rules = SecurityPolicy(max_bytes=4_000_000, read_seconds=0.8)
    with service(folder / "detector", folder / "state", rules, LIMITS, connections=CONNECTIONS) as client:
        yield client


def said_to(client, *sent, most=5.0):
    """Returns what the service says until it ends the connection, or for some seconds."""
    said, end = b"", time.monotonic() + most
    with connected(client) as connection:
        with suppress(ConnectionError):
            for part in sent:
                connection.sendall(part)
        connection.settimeout(0.3)
        while time.monotonic() < end:
            try:
                part = connection.recv(65536)
            except TimeoutError:
                continue
            except ConnectionError:
                break
            if not part:
                break
            said += part
    return said


def statuses(said):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]


GET = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /api/score HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n"
BROKEN = {
    "ten thousand headers": GET + b"".join(b"X-%d: 1\r\n" % number for number in range(10_000)) + b"\r\n",
    "a header of a megabyte": GET + b"X: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "a path of a megabyte": b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a hundred and one headers": GET + b"X: 1\r\n" * 100 + b"\r\n",
    "no host": b"GET /ping HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"Host: evil.example\r\n\r\n",
    "a length that comes twice": POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\na\n1\n",
    "a list of lengths": POST + b"Content-Length: 3, 4\r\n\r\na\n1\n",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a length of many digits": POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "a length and chunks": POST
    + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
    "chunks of an unknown coding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a chunk of a negative size": POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n",
    "a chunk of many digits": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"F" * 5000 + b"\r\na\r\n0\r\n\r\n",
    "an extension of a megabyte": POST
    + b"Transfer-Encoding: chunked\r\n\r\n1;x="
    + b"a" * 1_000_000
    + b"\r\na\r\n0\r\n\r\n",
    "trailers of a megabyte": POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "an absolute address of another host": b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "a proxy's request": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": b"GET /ping HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
    "bytes of no text": b"\x00" * 70_000,
}


@pytest.mark.parametrize("sent", BROKEN.values(), ids=BROKEN)
def test_what_is_no_request_is_refused_or_cut(client, sent):
    said = said_to(client, sent)
    assert all(400 <= status < 500 for status in statuses(said)), said[:300]
    assert len(statuses(said)) <= 1
    assert client.get("/ping").status == 200


def test_an_absolute_address_of_this_service_is_its_path(client):
    end = b"Connection: close\r\n\r\n"
    said = said_to(client, b"GET http://localhost/ping HTTP/1.1\r\nHost: localhost\r\n" + end)
    assert statuses(said)[0] in {200, 404}
    said = said_to(client, b"GET http://evil.example/ping HTTP/1.1\r\nHost: localhost\r\n" + end)
    assert b"evil.example" not in said.partition(b"\r\n\r\n")[0]


def test_who_asks_for_a_web_socket_gets_the_answer_of_http(client):
    upgrade = b"Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: YQ==\r\n\r\n"
    said = said_to(client, GET + upgrade)
    assert statuses(said) == [200]
    assert b"upgrade" not in said.lower()
    said = said_to(
        client, GET + b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n"
    )
    assert statuses(said) == [200]


def test_pipelined_requests_are_answered_in_their_order_and_one_at_a_time(client):
    paths = ["/ping", "/nowhere", "/version", "/api/streams/x"] * 25
    sent = b"".join(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for path in paths)
    got = statuses(said_to(client, sent + GET + b"Connection: close\r\n\r\n"))
    assert got == [200, 404, 200, 404] * 25 + [200]


def test_a_flood_of_pipelined_requests_that_nobody_reads_is_cut(client):
    request, sent = GET + b"\r\n", 0
    with connected(client, receive_buffer=4096) as connection, suppress(OSError):
        connection.settimeout(0.5)
        end = time.monotonic() + 8
        while time.monotonic() < end:
            sent += connection.send(request * 500)
    assert sent < 20_000_000
    assert client.get("/ping").status == 200


def test_streams_that_are_created_without_end_are_refused_and_others_go_on(client, rows):
    number = client.post("/api/streams").json["id"]
    answers = [client.post("/api/streams").status for _ in range(60)]
    assert set(answers) == {201, 429}
    assert answers.count(201) <= 30
    assert client.post(f"/api/streams/{number}/rows", {"rows": rows.values[:5].tolist()}).status == 200


# --- shares ---


def test_one_address_takes_at_most_its_share_of_the_connections(client):
    head = POST + b"Content-Length: 10\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(CONNECTIONS.connections):
            stack.enter_context(connected(client, head))
        time.sleep(0.2)
        other = stack.enter_context(socket.socket())
        other.bind(("127.0.0.2", 0))
        other.settimeout(5)
        other.connect(("127.0.0.1", client.port))
        other.sendall(GET + b"Connection: close\r\n\r\n")
        assert other.recv(1000).startswith(b"HTTP/1.1 200 ")


class Held(SimpleNamespace):
    __hash__ = object.__hash__
    __eq__ = object.__eq__


def protocol(origin, *, busy):
    transport = SimpleNamespace(abort=lambda: None)
    return Held(origin=origin, is_busy=busy, transport=transport)


def test_shares_are_by_address_and_a_stated_proxy_has_all():
    limits = ConnectionLimits(8, per_address=3, proxies=ProxyRules.of(["10.0.0.1"], ""))
    connections = Connections(limits)
    admitted = [connections.admit(protocol("a", busy=True)) for _ in range(5)]
    assert admitted == [True, True, True, False, False]
    assert [connections.admit(protocol("b", busy=False)) for _ in range(4)] == [True] * 4  # one in place of another
    assert connections.count == 6
    assert [connections.admit(protocol("10.0.0.1", busy=True)) for _ in range(9)].count(True) == 5
    assert connections.count == 8  # in place of the idle ones of b
    half = Connections(ConnectionLimits(8))
    assert [half.admit(protocol("a", busy=True)) for _ in range(8)].count(True) == 4


def test_a_good_client_keeps_its_answers_while_pieces_of_requests_come(client, rows):
    with ExitStack() as stack:
        for begin in (b"G", POST, POST + b"Content-Length: 9\r\n\r\n", GET * 20):
            stack.enter_context(connected(client, begin))
        for _ in range(5):
            assert client.post("/api/score", csv(rows), Content_Type="text/csv").status == 200
