"""Commands and servers as a user starts them, in processes of their own."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PYTHON = Path(sys.executable)


def environment(**changes):
    """Returns the variables of a fresh shell in which our Python comes first; those that are None are taken away."""
    ours = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "TSAD_", "RAY_", "TUNE_"))
    }
    ours |= {"PATH": f"{PYTHON.parent}:{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY)} | changes
    return {name: str(value) for name, value in ours.items() if value is not None}


def ran(words, folder, **variables):
    """Returns what a command printed; fails with all of it if it does not exit with 0."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, f"{words} exited with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return done.stdout


def free_port():
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


@contextmanager
def running(words, folder, ready, **variables):
    """Runs a server until the block ends; waits until it answers at `ready`."""
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [str(word) for word in words],
            cwd=folder,
            env=environment(**variables),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            wait_for(ready, process, folder / "server.log")
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def wait_for(url, process, log, seconds=120):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the server ended: {log.read_text()[-3000:]}"
        if answers(url):
            return
        time.sleep(0.3)
    pytest.fail(f"{url} did not answer in {seconds} s: {log.read_text()[-3000:]}")


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
