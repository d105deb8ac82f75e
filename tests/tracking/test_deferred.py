"""Signals wait until a write is complete, and are what they were afterwards."""

import os
import signal

import pytest

from tsad.tracking.deferred import deferred_signals


def write(number, steps):
    with deferred_signals():
        os.kill(os.getpid(), number)
        steps.append("written")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_arrives_after_the_write(number):
    steps = []

    def interrupt(signalled, frame):
        steps.append("interrupted")
        raise KeyboardInterrupt

    before = signal.signal(number, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            write(number, steps)
        assert steps == ["written", "interrupted"]
        assert signal.getsignal(number) is interrupt
    finally:
        signal.signal(number, before)


def test_an_error_of_the_write_is_not_hidden():
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="of the write"), deferred_signals():
        raise ValueError("of the write")
    assert signal.getsignal(signal.SIGINT) is handler
