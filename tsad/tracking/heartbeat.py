"""Signs of life: while a command leads a run, it renews a tag of the run, so that other machines see that it lives."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from tsad.tracking.tags import Tag

INTERVAL = 15.0
"""Seconds between two signs of life."""
SILENCE = 300.0
"""Seconds without a sign of life after which a command counts as dead."""

_logger = logging.getLogger(__name__)


@contextmanager
def beating(client: MlflowClient, run_id: str) -> Iterator[None]:
    """Renews the tag `tsad.heartbeat` of a run until the block ends; while the store is away, it tries again and again."""
    ended = threading.Event()
    _beat(client, run_id)

    def work() -> None:
        while not ended.wait(INTERVAL):
            _beat(client, run_id)

    thread = threading.Thread(target=work, daemon=True, name=f"heartbeat of {run_id}")
    thread.start()
    try:
        yield
    finally:
        ended.set()


def _beat(client: MlflowClient, run_id: str) -> None:
    try:
        client.set_tag(run_id, Tag.HEARTBEAT, datetime.now(UTC).isoformat(timespec="seconds"))
    except Exception as error:
        _logger.debug("no heartbeat of run %s: %s", run_id, error)


def last_sign(run: Run) -> datetime:
    """Returns when the process of a run gave its last sign of life: its last heartbeat, or its start if there is none."""
    text = run.data.tags.get(Tag.HEARTBEAT)
    return datetime.fromtimestamp(run.info.start_time / 1000, UTC) if text is None else datetime.fromisoformat(text)


def silence(run: Run) -> float:
    """Returns the seconds since the last sign of life of a run, by the clocks of both machines."""
    return (datetime.now(UTC) - last_sign(run)).total_seconds()


def is_alive(client: MlflowClient, run_id: str, wait: Callable[[float], None] = time.sleep) -> bool:
    """Returns whether the process of a run gives a sign of life; asks no clock but watches, for two intervals at most.

    A run that has ended, or has been silent for long, is not watched.
    """
    run = client.get_run(run_id)
    if run.info.status != "RUNNING" or silence(run) > SILENCE:
        return False
    before = last_sign(run)
    for _ in range(9):
        wait(INTERVAL / 4)
        run = client.get_run(run_id)
        if last_sign(run) != before:
            return str(run.info.status) == "RUNNING"
    return False


def owner(run: Run) -> str:
    """Returns the id of the run whose process writes a run: its parent's, or its own if it has a heartbeat of its own."""
    own = str(run.info.run_id)
    return own if Tag.HEARTBEAT in run.data.tags else str(run.data.tags.get(MLFLOW_PARENT_RUN_ID, own))
