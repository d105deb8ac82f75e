"""Months of rows in minutes: streams with gaps, late rows and drift, clients that do not give up, and a network that can fail."""

import http.client
import random
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from tests.serving.services import Answer, Client
from tsad.detector.detector import Detector
from tsad.series import Series

STEP = np.timedelta64(1, "h")


class Line:
    """A network between a server and its clients that can be cut."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._is_cut = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Ends all connections, and refuses new ones."""
        self._is_cut.set()
        for one in list(self._sockets):
            _shut(one)

    def mend(self) -> None:
        """Lets connections through again."""
        self._is_cut.clear()

    def close(self) -> None:
        """Ends it for good."""
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._is_cut.is_set():
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()
                continue
            self._sockets |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while content := source.recv(65_536):
                sink.sendall(content)
        except OSError:
            pass
        for one in (source, sink):
            _shut(one)
            self._sockets.discard(one)


def _shut(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@dataclass
class Plant:
    """The rows of one stream over months, in the order in which they are sent.

    Attributes:
        values: (n, F) values.
        times: (n,) times, with gaps, and with late rows that are dropped.
        gap: What the policy does about gaps.
    """

    values: np.ndarray
    times: np.ndarray
    gap: str
    accepted: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        newest = np.maximum.accumulate(self.times)
        self.accepted = np.concatenate([[True], self.times[1:] > newest[:-1]])

    @property
    def policy(self) -> dict[str, object]:
        """Policy of its stream."""
        return {"step_seconds": 3600, "late": "drop", "gap": self.gap, "longest_fill": 3, "fill_to": 128}

    def scores(self, detector: Detector) -> np.ndarray:
        """Returns the scores of the batch for each accepted row: gaps filled, or a segment begun, as the policy says."""
        values, times = self.values[self.accepted], self.times[self.accepted]
        rows, numbers, boundaries = [], [], []
        for number, (row, moment) in enumerate(zip(values, times, strict=True)):
            missing = 0 if number == 0 else int((moment - times[number - 1]) / STEP) - 1
            if missing and self.gap == "ffill" and missing <= 3:
                rows += [values[number - 1]] * missing
                numbers += [-1] * missing
            elif missing:
                boundaries.append(len(rows))
            rows.append(row)
            numbers.append(number)
        series = Series(np.array(rows), detector.scorer.features, boundaries=tuple(boundaries))
        return detector.score(series).values[np.array(numbers) >= 0]


def plant(rows: Series, seed: int, gap: str) -> Plant:
    """Returns rows an hour apart of which some are missing, some come late, and the last third drifts away."""
    generator = np.random.default_rng(seed)
    count = len(rows)
    moments = np.arange(count)
    moments += np.cumsum(generator.choice([0, 1, 2, 30], count, p=[0.97, 0.015, 0.01, 0.005]))
    values = rows.values.copy()
    values[2 * count // 3 :] += 3.0
    late = generator.choice(np.arange(10, count), count // 50, replace=False)
    order = np.argsort(np.concatenate([np.arange(count), late + 0.5]), kind="stable")
    moments = np.concatenate([moments, moments[late - 5]])[order]
    values = np.concatenate([values, values[late] + 99])[order]
    return Plant(values, np.datetime64("2026-01-01", "s") + moments * STEP, gap)


@dataclass
class Sender:
    """A client that pushes the rows of a plant, and asks again until it knows that they have been taken.

    Attributes:
        plant: The rows.
        address: Returns the service of now.
        number: Id of the stream.
        answers: Row numbers, scores and versions of all answers.
        lost: Numbers of the rows with a final score in answers that never came, because the service was killed.
        faults: Answers that must not be.
    """

    plant: Plant
    address: "Address"
    number: str
    seed: int
    quota: int = 0
    sent: int = 0
    taken: int = 0
    rows: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    unheard: int = 0
    faults: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Pushes all rows, as many as the quota allows at a time."""
        sizes = random.Random(self.seed)
        while self.sent < len(self.plant.times):
            stop = min(self.sent + sizes.choice([1, 3, 10, 30]), self.quota, len(self.plant.times))
            if stop == self.sent:
                time.sleep(0.01)
                continue
            self._push(self.sent, stop)
            self.sent = stop

    def _push(self, first: int, stop: int) -> None:
        times = [f"{moment}Z" for moment in self.plant.times[first:stop]]
        body = {"rows": self.plant.values[first:stop].tolist(), "times": times, "after": self.taken}
        after = self.taken + int(self.plant.accepted[first:stop].sum())
        is_repeated = False
        while True:
            answer = self.address.post(f"/api/streams/{self.number}/rows", body)
            if answer is None:
                is_repeated = True
                continue
            if answer.status == 200:
                self._hear(answer)
            elif answer.status == 409 and is_repeated and answer.json.get("rows_total") == after:
                self.unheard += 1  # taken before the service was killed; the answer was lost with it
            else:
                self.faults.append(f"{answer.status} {answer.content[:200]!r}")
            self.taken = after
            return

    def _hear(self, answer: Answer) -> None:
        self.rows += answer.json["row"]
        self.scores += [np.nan if score is None else score for score in answer.json["score"]]
        self.versions += [answer.headers["X-Model-Version"]] * len(answer.json["row"])


class Address:
    """Where the service is now; nowhere between a kill and the next start."""

    def __init__(self) -> None:
        self.client: Client | None = None
        self.refused = 0
        self.broken: list[str] = []

    def post(self, path: str, body: object) -> Answer | None:
        """Returns an answer; None if the service was killed meanwhile, which is not the fault of whoever asks."""
        while (client := self.client) is None:
            time.sleep(0.02)
        try:
            return client.post(path, body)
        except (OSError, http.client.HTTPException) as error:
            deadline = time.monotonic() + 2  # the kill is noted right after it
            while self.client is client and time.monotonic() < deadline:
                time.sleep(0.02)
            if self.client is client:
                self.broken.append(f"{path}: {error}")
            self.refused += 1
            return None
