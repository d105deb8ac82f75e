"""Writes that wait while the store is away, and how they end."""

import os
import time

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from requests.exceptions import ConnectionError as NoConnectionError

import tsad.tracking.outbox as module
from tsad.errors import StoreError
from tsad.tracking.failures import brief_requests, first_cause, is_outage, store_error, store_failures
from tsad.tracking.outbox import Outbox

URI = "http://ada:secret@127.0.0.1:9"


class Copy:
    def size(self):
        return 1

    def extend(self, size):
        pass

    refresh = flush = lambda self: None


class Recorder:
    """A recorder whose first calls fail."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.calls = []

    def on_epoch(self, candidate, epoch, losses):
        if self.failures:
            raise self.failures.pop(0)
        self.calls.append(epoch)

    def recover(self):
        self.calls.append("recover")

    def close(self):
        self.calls.append("close")


def refused():
    try:
        try:
            raise ConnectionRefusedError(111, "Connection refused")
        except OSError as error:
            raise NoConnectionError("HTTPConnectionPool(host='127.0.0.1'): Max retries exceeded") from error
    except NoConnectionError as error:
        outer = MlflowException(f"API request to http://127.0.0.1 failed with exception {error}")
        outer.__cause__ = error
        return outer


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(module, "_PAUSE", 0.02)


def write(outbox, *epochs):
    for epoch in epochs:
        outbox.on_epoch(None, epoch, {})


def test_writes_keep_their_order_over_an_outage_and_the_user_learns_of_both_ends():
    recorder = Recorder(refused(), refused())
    outbox, news = Outbox(recorder, Copy(), URI, 60), []
    write(outbox, 1, 2, 3)
    outbox.finish(lambda: news.extend(outbox.news()))
    assert recorder.calls == ["recover", "recover", 1, 2, 3, "close"]
    away, back = news
    assert away.startswith(
        "tracking store http://ada:***@127.0.0.1:9 is away (Connection refused); the search continues"
    )
    assert "is back after 0 s" in back


def test_a_store_that_stays_away_ends_the_search_with_its_first_cause():
    outbox = Outbox(Recorder(*[refused() for _ in range(1000)]), Copy(), URI, 0.1)
    write(outbox, 1)
    with pytest.raises(
        StoreError, match=r"^tracking store http://ada:\*\*\*@.* cannot be reached \(Connection refused\)$"
    ):
        outbox.finish(lambda: None)
    with pytest.raises(StoreError):
        write(outbox, 2)
    outbox.abandon()


def test_a_refusal_is_not_asked_again():
    refusal = MlflowException("Permission denied", error_code=PERMISSION_DENIED)
    recorder = Recorder(refusal)
    outbox = Outbox(recorder, Copy(), URI, 60)
    write(outbox, 1)
    with pytest.raises(StoreError, match=r"refused a request \(Permission denied\)"):
        outbox.finish(lambda: None)
    assert "recover" not in recorder.calls


def test_an_error_of_our_own_stays_what_it_is():
    outbox = Outbox(Recorder(ValueError("ours")), Copy(), URI, 60)
    write(outbox, 1)
    with pytest.raises(ValueError, match="ours"):
        outbox.finish(lambda: None)


def test_an_interrupted_search_writes_what_waits_and_does_not_wait_for_a_store_that_is_away():
    recorder = Recorder()
    outbox = Outbox(recorder, Copy(), URI, 60)
    write(outbox, 1, 2)
    outbox.abandon()
    assert recorder.calls == [1, 2, "close"]
    away = Recorder(*[refused() for _ in range(1000)])
    outbox = Outbox(away, Copy(), URI, 60)
    write(outbox, 1)
    begin = time.monotonic()
    outbox.abandon()
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize(("code", "outage"), [(404, False), (401, False), (429, True), (500, True), (503, True)])
def test_answers_of_a_server_are_refusals_or_outages(code, outage):
    text = f"API request to endpoint /api failed with error code {code} != 200. Response body: ''"
    assert is_outage(MlflowException(text)) is outage


def test_other_errors_are_none_of_a_store():
    assert not is_outage(ValueError("no"))
    with pytest.raises(ValueError, match="no"), store_failures(URI):
        raise ValueError("no")
    with pytest.raises(StoreError, match="Connection refused"), store_failures(URI):
        raise refused()


def test_a_cause_without_words_has_its_name_and_no_password_is_shown():
    assert first_cause(NoConnectionError()) == "ConnectionError"
    assert "secret" not in str(store_error(URI, MlflowException(f"cannot open {URI}")))


def test_requests_are_brief_unless_the_user_says_otherwise(monkeypatch):
    name = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    monkeypatch.delenv(name, raising=False)
    with brief_requests():
        assert os.environ[name] == "2"
    assert name not in os.environ
    monkeypatch.setenv(name, "9")
    with brief_requests():
        assert os.environ[name] == "9"
    assert os.environ[name] == "9"
