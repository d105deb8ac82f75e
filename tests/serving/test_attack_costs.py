"""What attacks cost: the memory of the service, and the time of a client that does nothing wrong; in a process of its own."""

import json
import re
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.processes import PYTHON, environment
from tests.serving.services import Client, csv, saved_detector, split
from tests.serving.test_attacks import BOMBS, CSV, HEAD, JSON, PARQUET, attacking, connected, median_latency, parquet
from tests.serving.test_protocol_attacks import BROKEN

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory of a process is read from /proc"),
]

MOST_MEMORY = 200e6
"""Bytes by which attacks may enlarge the service."""


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """Rows, a client and the id of a service that a user has started, with the usual limits and timeouts of a second."""
    folder = tmp_path_factory.mktemp("attacked")
    rows = saved_detector(folder / "detector")[1]
    words = [PYTHON, "-m", "tsad", "serve", "detector", "--port", "0", "--state", "state"]
    times = {"TSAD_SERVE_TIMEOUTS": "head=1 body=1 idle=1 fetch=1"}
    command = {"cwd": folder, "env": environment(**times), "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, **command) as process:
        try:
            page = next(line for line in process.stdout if line.startswith("Page: "))
            client = Client(int(page.rpartition(":")[2]))
            for _ in range(3):  # what is loaded by the first of each
                client.post("/api/score", csv(rows), Content_Type=CSV)
                client.post("/invocations", split(rows))
                client.post("/invocations", columns_of(rows.values, rows.features), Content_Type=PARQUET)
            yield rows, client, process.pid
        finally:
            process.terminate()


def columns_of(values, features):
    return parquet(dict(zip(features, values.T.astype(float), strict=True)))


@contextmanager
def highest_memory(process):
    """Gives a list whose last item is, after the block, by how many bytes the memory of a process had grown at most."""
    ended, growth = threading.Event(), []

    def resident():
        return int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())[1]) * 1000

    def watch():
        most = first
        while not ended.wait(0.005):
            most = max(most, resident())
        growth.append(most - first)

    first = resident()
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield growth
    finally:
        ended.set()
        thread.join()


def largest_bodies(rows):
    """Returns the path, the media type and the bytes of the largest bodies that the limits allow, in each form."""
    values = np.tile(rows.values, (800, 1))[:80_000]
    names = list(rows.features)
    header, lines = ",".join(names), "\n".join(",".join(f"{value:.6f}" for value in row) for row in values)
    records = [dict(zip(names, row, strict=True)) for row in values[:60_000].tolist()]
    return [
        ("/api/score", JSON, json.dumps({"columns": names, "rows": values.tolist()}).encode()),
        ("/api/score", CSV, f"{header}\n{lines}\n".encode()),
        ("/invocations", CSV, f"{header}\n{lines}\n".encode()),
        ("/invocations", JSON, json.dumps({"dataframe_records": records}).encode()),
        ("/invocations", PARQUET, columns_of(values, names)),
    ]


def test_attacks_enlarge_the_service_by_less_than_200_mb(started):
    rows, client, process = started
    answers = []

    def post(path, media, body):
        try:
            answers.append(client.post(path, body, Content_Type=media).status)
        except ConnectionError:
            answers.append(0)

    with highest_memory(process) as growth:
        for path, media, make, _ in BOMBS.values():
            post(path, media, make())
        for sent in BROKEN.values():
            with connected(client) as connection:
                try:
                    connection.sendall(sent)
                    connection.recv(100)
                except OSError:
                    pass
        for path, media, body in largest_bodies(rows):
            threads = [threading.Thread(target=post, args=(path, media, body)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert set(answers) <= {0, 200, 400, 413, 503}
    assert answers.count(200) >= 10
    assert growth[-1] < MOST_MEMORY


def test_a_good_client_waits_at_most_twice_as_long_during_attacks(started):
    rows, client, process = started
    body = csv(rows)
    attacks = [
        (b"", b""),
        (HEAD + b"Content-Length: 90000\r\n\r\n", b"1"),
        (b"GET / HTTP/1.1\r\nX: ", b"a"),
        (BROKEN["TLS"], b""),
        (BROKEN["an extension of a megabyte"][:60_000], b"a"),
    ]
    before = median_latency(client, body, 2)
    with attacking(client, attacks * 4), highest_memory(process) as growth:
        during = median_latency(client, body, 4)
    assert during < 2 * before, (before, during)
    assert growth[-1] < MOST_MEMORY
