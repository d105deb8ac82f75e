"""What the service answers when its state is damaged: the table of `docs/reference/http_api.md`, row by row."""

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import REPOSITORY
from tests.serving.services import csv, saved_detector, service, table
from tsad.errors import TsadError
from tsad.serving.middleware import SecurityPolicy
from tsad.serving.tokens import create_token

STREAM = "STREAM"
"""Stands for the stream that is damaged; another one is not."""
TABLE = REPOSITORY / "docs/reference/http_api.md"


# --- kinds of damage ---


def cut(path: Path) -> None:
    """Leaves the first half of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def foreign(path: Path) -> None:
    """Leaves bytes of another program."""
    path.write_bytes(b'{"version": 3, "mappings": ";;AAAA"}' if path.suffix == ".json" else os.urandom(500))


def deep(path: Path) -> None:
    path.write_text("[" * 100_000)


def unreadable(path: Path) -> None:
    """Leaves a name that nobody can read, root included: a link to itself."""
    remove(path)
    path.symlink_to(path.name)


def folder(path: Path) -> None:
    """Leaves a folder in the place of a file."""
    remove(path)
    path.mkdir()


def file(path: Path) -> None:
    """Leaves a file in the place of a folder."""
    remove(path)
    path.write_text("a file")


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def stray(path: Path) -> None:
    """Adds files and folders of others."""
    for name in ("notes.txt", ".DS_Store", "Thumbs.db", "f" * 32):
        (path / name).write_bytes(b"mine")
    (path / "lost+found").mkdir()
    (path / ("e" * 32)).symlink_to("nowhere")


# --- what is answered ---


@dataclass(frozen=True)
class Case:
    """A damage, and what is answered after the next start; what is not stated is as it was without the damage.

    Attributes:
        path: Path that is damaged, below the folder of state and tokens; `STREAM` is the damaged stream.
        damage: What is done to it.
        row: Beginning of its row in the documentation.
        says: Part of the message with which the service does not start; None if it starts.
        stream: Status of a push to the damaged stream; the other stream always goes on, unless all are gone.
        recalibration: Statuses of a recalibration.
        health: Problems that `/health` tells.
    """

    path: str
    damage: Callable[[Path], None]
    row: str
    says: str | None = None
    stream: int = 200
    recalibration: int = 200
    health: str = ""


def cases(path, row, *damages, **answers):
    return [Case(path, damage, row, **answers) for damage in damages]


LOST = {"stream": 409, "health": "1 streams have a damaged state; delete them"}
STATE = f"state/streams/{STREAM}/stream.safetensors"
NO_THRESHOLD = "must be a recalibrated threshold, but .* remove it to go on with the model's own"
CASES = [
    *cases(STATE, "state of a stream", cut, empty, foreign, unreadable, folder, remove, **LOST),
    *cases(
        f"state/streams/{STREAM}/threshold.json",
        "threshold of a stream",
        cut,
        foreign,
        deep,
        unreadable,
        remove,
        **LOST,
    ),
    *cases(f"state/streams/{STREAM}/origin.json", "origin of a stream", cut, foreign, unreadable, **LOST),
    *cases(f"state/streams/{STREAM}/origin.json", "origin of a stream gone", remove),
    *cases(f"state/streams/{STREAM}", "folder of a stream gone", file, unreadable, remove, stream=404),
    *cases(f"state/streams/{STREAM}", "stray files", stray),
    *cases("state/streams", "stray files", stray),
    *cases("state", "stray files", stray),
    *cases("state/streams/ages.json", "ages of streams", cut, foreign, deep, unreadable, folder, remove),
    *cases("state/streams", "no folder of streams", file, unreadable, says="streams: must be a folder .* move it away"),
    *cases("state/streams", "folder of streams gone", remove, stream=404),
    *cases(
        "state/threshold.json", "`threshold.json`", cut, empty, foreign, deep, unreadable, folder, says=NO_THRESHOLD
    ),
    *cases("state/threshold.json", "`threshold.json` gone", remove),
    *cases("state/recalibrations.jsonl", "log of recalibrations", cut, foreign, remove),
    *cases(
        "state/recalibrations.jsonl",
        "log of recalibrations that cannot be written",
        unreadable,
        folder,
        recalibration=503,
    ),
    *cases("state/access.log", "log of requests", cut, foreign, remove),
    *cases(
        "state/access.log",
        "log of requests that cannot be written",
        unreadable,
        folder,
        health="the log of requests cannot be written",
    ),
    *cases("state/model", "copy of the served detector", file, unreadable, remove, stray),
    *cases("state/jobs", "folder of jobs", file, unreadable, stray),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with a detector and a state: two streams, a recalibration, logs; the rows, and the ids of the streams."""
    place = tmp_path_factory.mktemp("whole")
    rows = saved_detector(place / "detector")[1]
    with service(place / "detector", place / "state") as client:
        numbers = [client.post("/api/streams").json["id"] for _ in range(2)]
        for number in numbers:
            assert client.post(f"/api/streams/{number}/rows", {"rows": rows.values.tolist()}).status == 200
        scored_as_production(client, rows)
        assert client.post("/api/recalibrate").status == 200
    (place / "state/jobs").mkdir()
    return place, rows, numbers


def scored_as_production(client, rows):
    for _ in range(4):
        assert client.post("/api/score?source=production", table(rows)).status == 200


def copy_of(whole, target):
    shutil.copytree(whole[0] / "state", target / "state", symlinks=True)
    return target / "state"


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.damage.__name__} {case.path}")
def test_each_damage_is_answered_as_the_table_says(whole, tmp_path, case):
    place, rows, (damaged, other) = whole
    state = copy_of(whole, tmp_path)
    case.damage(tmp_path / case.path.replace(STREAM, damaged))
    if case.says is not None:
        with pytest.raises(TsadError, match=case.says), service(place / "detector", state):
            pass
        return
    with service(place / "detector", state) as client:
        push = {"rows": rows.values[:5].tolist()}
        assert client.post(f"/api/streams/{damaged}/rows", push).status == case.stream
        is_gone = not (state / "streams" / other).is_dir()
        assert client.post(f"/api/streams/{other}/rows", push).status == (404 if is_gone else 200)
        assert client.post("/api/score", csv(rows), Content_Type="text/csv").status == 200
        assert client.post("/api/streams").status == 201
        scored_as_production(client, rows)
        recalibrated = client.post("/api/recalibrate")
        assert recalibrated.status == case.recalibration
        assert str(tmp_path) not in str(recalibrated.content)
        health = client.get("/health")
        assert health.status == 200
        assert (health.json["problems"] if case.health else health.content) == ([case.health] if case.health else b"\n")
        assert client.ask("DELETE", f"/api/streams/{damaged}").status == (404 if case.stream == 404 else 204)
    if case.damage is stray and case.path in {"state", "state/streams"}:
        assert (tmp_path / case.path / "notes.txt").read_bytes() == b"mine"


# --- a disk that takes nothing ---


@contextmanager
def full_disk():
    """No file of this process can grow: the write fails as one on a full disk does, in the kernel."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def read_only(state):
    """Mounts a folder a second time in its own place, read-only; skips the test where that is not allowed."""
    bound = subprocess.run(["mount", "--bind", state, state], capture_output=True, check=False)
    if bound.returncode:
        pytest.skip("mounting needs root")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", state], check=True)
        yield
    finally:
        subprocess.run(["umount", state], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_a_disk_that_takes_nothing_costs_no_row_and_heals(whole, tmp_path, kind):
    place, rows, (number, _) = whole
    state = copy_of(whole, tmp_path)
    push = {"rows": rows.values[:5].tolist()}
    with service(place / "detector", state) as client:
        scored_as_production(client, rows)
        total = client.get(f"/api/streams/{number}").json["rows"]
        with full_disk() if kind == "full" else read_only(state):
            answers = [client.post(f"/api/streams/{number}/rows", push), client.post("/api/streams")]
            answers.append(client.post("/api/recalibrate"))
            assert [answer.status for answer in answers] == [503, 503, 503]
            assert client.post("/api/score", csv(rows), Content_Type="text/csv").status == 200
            health = client.get("/health")
            assert (health.status, health.json["status"]) == (503, "failing")
            assert "the state folder cannot be written" in health.json["problems"][0]
        assert client.get(f"/api/streams/{number}").json["rows"] == total
        assert client.post(f"/api/streams/{number}/rows", push).json["rows_total"] == total + 5
        assert client.post("/api/streams").status == 201
        assert client.post("/api/recalibrate").status == 200
        time.sleep(2.1)  # for which an answer of health lasts
        assert client.get("/health").content == b"\n"


@pytest.mark.slow
@pytest.mark.parametrize("damage", [cut, empty, foreign, deep, unreadable, folder])
def test_a_damaged_file_of_tokens_lets_nobody_in_but_the_bearer_of_the_environment(whole, tmp_path, damage):
    place, rows, _ = whole
    path = tmp_path / "tokens.json"
    token = create_token(path, "a", "score")
    with service(place / "detector", tmp_path / "state", SecurityPolicy((), "the first", path)) as client:
        damage(path)
        time.sleep(1.1)  # for which what was read counts
        body = {"body": csv(rows), "Content_Type": "text/csv"}
        assert client.post("/api/score", **body, Authorization=f"Bearer {token}").status == 503
        assert client.post("/api/score", **body, Authorization="Bearer the first").status == 200
        assert client.get("/health").json["problems"] == ["the file of tokens is damaged"]


# --- the table ---


def test_the_documentation_has_a_row_for_each_case_and_no_other():
    section = TABLE.read_text(encoding="utf-8").partition("### Damaged state")[2].partition("\n## ")[0]
    documented = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")][1:]
    tested = {case.row for case in CASES} | {"disk full", "disk read-only", "file of tokens"}
    assert set(documented) == tested
    kinds = {(case.path, case.damage) for case in CASES}
    assert len(kinds) >= 24
