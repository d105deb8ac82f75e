"""Calls of a database are not interrupted in the middle."""

import signal
import threading
import time

import pytest

from tests.stores import opened
from tsad.tracking.steady import steady


class Client:
    def __init__(self):
        self.calls = []
        self.name = "a client"

    def write(self, what, seconds=0.0):
        self.calls.append(f"begin {what}")
        time.sleep(seconds)
        self.calls.append(f"end {what}")
        return what

    def fail(self):
        raise ValueError("no")


def test_an_interrupted_call_ends_before_the_next_begins():
    client = Client()
    calm = steady(client)
    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            calm.write("first", 0.4)
    finally:
        signal.signal(signal.SIGALRM, handler)
    assert client.calls == ["begin first"]
    assert calm.write("second") == "second"
    assert client.calls == ["begin first", "end first", "begin second", "end second"]


def test_values_and_errors_of_a_client_are_passed_on():
    calm = steady(Client())
    assert calm.name == "a client"
    with pytest.raises(ValueError, match="no"):
        calm.fail()
    with pytest.raises(AttributeError):
        calm.unknown()


def test_the_store_of_a_file_makes_its_calls_in_one_thread(tmp_path_factory, monkeypatch):
    store = opened(tmp_path_factory.getbasetemp() / "store")
    seen = []
    monkeypatch.setattr(type(store.client._client), "ping", lambda self: seen.append(threading.current_thread()), False)
    store.client.ping()
    store.client.ping()
    assert len(set(seen)) == 1
    assert seen[0] is not threading.main_thread()
