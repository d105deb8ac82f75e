"""Requests that nobody waits for any more: what they started leaves the queue, and who remains has a turn."""

import json
import socket
import sys
import time

import pytest

from tests.processes import environment
from tests.serving.services import service
from tsad.serving.jobs import JobRunner
from tsad.serving.middleware import SecurityPolicy
from tsad.serving.tokens import create_token

WAITS = JobRunner((sys.executable, "-c", "import time; time.sleep(60)"), environment(), lambda folder: [])
BODY = json.dumps({"y_true": [float(number % 7) for number in range(50)]}).encode()


@pytest.fixture
def client(folder, rows, tmp_path):
    policy = SecurityPolicy((), "admin's", tmp_path / "tokens.json")
    with service(folder / "detector", tmp_path / "state", policy, runner=WAITS) as client:
        yield client


def asked(client, token):
    """Returns a connection on which `/train_predict` was asked, and whose answer nobody has read."""
    connection = socket.create_connection(("127.0.0.1", client.port))
    head = f"POST /train_predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
    return connection


def states(client, count):
    """Returns the states of the jobs, oldest first, once there are so many of them that have not ended."""
    deadline = time.monotonic() + 30
    while True:
        found = [job["state"] for job in client.get("/api/jobs", Authorization="Bearer admin's").json][::-1]
        if sum(state in {"queued", "running"} for state in found) == count:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


def test_who_hangs_up_leaves_the_queue_and_ends_what_runs_for_them(client, tmp_path):
    connections = []
    for number in range(3):
        connections.append(asked(client, "admin's"))
        states(client, number + 1)
    connections[1].close()
    assert states(client, 2) == ["running", "cancelled", "queued"]
    connections[0].close()
    deadline = time.monotonic() + 30
    while states(client, 1) != ["cancelled", "cancelled", "running"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    job = client.get("/api/jobs", Authorization="Bearer admin's").json[-1]
    assert job["error"] == "whoever asked has gone"
    connections[2].close()
    states(client, 0)


def test_the_queue_is_fair_to_tokens_of_the_same_address(client, tmp_path):
    greedy, modest = (create_token(tmp_path / "tokens.json", name, "score") for name in ("greedy", "modest"))

    def search(token, status=202):
        answer = client.post("/api/searches", {"series": "synthetic"}, Authorization=f"Bearer {token}")
        assert answer.status == status, answer.content
        return answer.json

    for _ in range(9):
        search(greedy)
        states(client, len(client.get("/api/jobs", Authorization=f"Bearer {greedy}").json))
    assert "8 jobs wait already, no more may of one client" in search(greedy, 429)["message"]
    job = search(modest)
    assert client.get(job["url"], Authorization=f"Bearer {modest}").json["position"] == 1
