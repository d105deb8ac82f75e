"""Streams of the service, without HTTP: how many there may be, what is on the disk, who holds them."""

import asyncio
import os
from types import SimpleNamespace

import numpy as np
import pytest

from tests.serving.services import saved_detector
from tsad.detector.detector import Detector
from tsad.series import Series
from tsad.serving import stream_sessions as live
from tsad.serving.errors import RequestError
from tsad.serving.executor import ScoringExecutor
from tsad.serving.stream_ages import AGES, StreamAges
from tsad.serving.stream_sessions import NewStream, StreamLimits, Streams
from tsad.streaming import StreamPolicy
from tsad.thresholds.threshold import GivenThreshold


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return saved_detector(tmp_path_factory.mktemp("detector"))


@pytest.fixture
def detector(made):
    return made[0]


@pytest.fixture
def rows(made):
    return made[1].values


def always(detector):
    """The only detector of a model in service."""
    detectors = SimpleNamespace(of=lambda entity: detector)
    return lambda: detectors


def opened(folder, detector, **limits):
    return Streams(folder / "streams", always(detector), StreamLimits(**limits))


def begun(streams):
    return streams.begin(NewStream())["id"]


def in_turn(streams, number, work):
    """Returns what `work` returns of the held stream."""

    async def run():
        async with streams.filled(number) as session:
            return work(session)

    return asyncio.run(run())


def pushed(streams, number, values, after=None):
    return in_turn(streams, number, lambda session: streams.push(session, values, None, after)[0])


def test_what_was_answered_is_on_the_disk(tmp_path, detector, rows):
    number = begun(opened(tmp_path, detector))
    scores = []
    for first in range(0, 100, 7):
        fresh = opened(tmp_path, detector)  # as after a kill
        scores += pushed(fresh, number, rows[first : first + 7], after=first)["score"]
    whole = detector.score(Series(rows, detector.scorer.features))
    np.testing.assert_allclose(np.array(scores, float), whole.values, rtol=1e-6)


def full(stream, folder):
    raise OSError("the disk is full")


def test_rows_whose_state_cannot_be_saved_have_not_come(tmp_path, detector, rows, monkeypatch):
    streams = opened(tmp_path, detector)
    number = begun(streams)
    pushed(streams, number, rows[:10])
    with monkeypatch.context() as broken:
        broken.setattr(live.Stream, "save", full)
        with pytest.raises(OSError, match="the disk is full"):
            pushed(streams, number, rows[10:20])
    assert in_turn(streams, number, streams.describe)["rows"] == 10
    assert pushed(streams, number, rows[10:20], after=10)["rows_total"] == 20


def test_a_stream_keeps_the_threshold_that_it_began_with(tmp_path, detector, rows):
    number = begun(opened(tmp_path, detector))
    recalibrated = Detector(detector.scorer, GivenThreshold(value=1e9))
    found = pushed(opened(tmp_path, recalibrated), number, rows)
    assert set(found["threshold"]) == {detector.threshold.value}
    other = opened(tmp_path, recalibrated)
    assert set(pushed(other, begun(other), rows)["threshold"]) == {1e9}


def test_streams_are_let_go_from_memory_and_come_back(tmp_path, detector, rows):
    streams = opened(tmp_path, detector, loaded=2)
    numbers = [begun(streams) for _ in range(5)]
    for first in (0, 10):
        for number in numbers:
            assert pushed(streams, number, rows[first : first + 10], after=first)["rows_total"] == first + 10
    assert sum(session.stream is not None for session in streams._sessions.values()) == 2


def test_one_that_nobody_used_for_long_makes_room_and_others_do_not(tmp_path, detector, rows):
    streams = opened(tmp_path, detector, streams=2, idle_seconds=1000)
    old, young = begun(streams), begun(streams)
    with pytest.raises(RequestError, match="2 streams are open, no more may be; delete one"):
        streams.begin(NewStream())
    streams.ages._arrivals[old] = streams.ages._arrivals[old].model_copy(update={"seconds": -1001.0})
    newest = begun(streams)
    assert {path.name for path in (tmp_path / "streams").iterdir() if path.is_dir()} == {young, newest}
    with pytest.raises(RequestError, match="no stream"):
        in_turn(streams, old, streams.describe)


def test_a_stream_is_used_by_one_request_at_a_time(tmp_path, detector):
    streams = opened(tmp_path, detector)
    number, inside, most = begun(streams), 0, 0

    async def use():
        nonlocal inside, most
        async with streams.filled(number):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= 1

    async def run():
        await asyncio.gather(*(use() for _ in range(10)))

    asyncio.run(run())
    assert most == 1


def test_who_waits_for_a_stream_that_is_deleted_does_not_find_it(tmp_path, detector):
    streams = opened(tmp_path, detector)
    number = begun(streams)

    async def remove():
        async with streams.filled(number) as session:
            await asyncio.sleep(0.01)
            streams.remove(session)

    async def use():
        async with streams.filled(number):
            pytest.fail("it was deleted")

    async def run():
        return await asyncio.gather(remove(), use(), return_exceptions=True)

    nothing, refusal = asyncio.run(run())
    assert nothing is None
    assert refusal.status == 404


# --- workers ---


def test_work_that_nobody_waits_for_keeps_its_place_until_it_is_done():
    async def run():
        workers, gate = ScoringExecutor(1), asyncio.Event()

        async def work():
            await gate.wait()
            raise ValueError("too late")

        async def other():
            return "done"

        given_up = asyncio.create_task(workers.take(work))
        await asyncio.sleep(0)
        given_up.cancel()
        next_one = asyncio.create_task(workers.take(other))
        impatient = asyncio.create_task(workers.take(other))
        await asyncio.sleep(0.01)
        impatient.cancel()
        assert not next_one.done()
        gate.set()
        return await next_one, workers.waiting

    assert asyncio.run(run()) == ("done", 0)


def test_only_so_many_requests_are_worked_on_and_wait():
    inside, most = 0, 0

    async def work():
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.01)
        inside -= 1

    async def run():
        workers = ScoringExecutor(2, waiting=3)
        found = await asyncio.gather(*(workers.take(work) for _ in range(7)), return_exceptions=True)
        return found, workers.waiting

    found, pending = asyncio.run(run())
    assert most == 2
    assert pending == 0
    refusals = [each for each in found if each is not None]
    assert [refusal.status for refusal in refusals] == [503, 503]
    assert "3 requests wait already" in refusals[0].message
    assert refusals[0].headers["Retry-After"]


# --- silence ---


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.now = 1_900_000_000.0

    def __call__(self):
        return self.now


def watched(folder, detector, clock, wall=None, **limits):
    (folder / "streams").mkdir(exist_ok=True)
    ages = StreamAges(folder / "streams" / AGES, clock, wall or clock)
    return Streams(folder / "streams", always(detector), StreamLimits(**limits), ages)


def silence_of(streams, number):
    return in_turn(streams, number, streams.describe)["silence"]


def test_a_stream_that_gets_no_rows_is_silent_by_the_clock_of_the_service_also_after_a_restart(
    tmp_path, detector, rows
):
    clock = Clock()
    streams = watched(tmp_path, detector, clock)
    number = streams.begin(NewStream(policy=StreamPolicy(step_seconds=10, silence=3)))["id"]
    other = begun(streams)
    times = np.datetime64("1999-01-01") + np.arange(5).astype("timedelta64[s]") * 10  # rows of long ago are rows

    def push(count):
        return in_turn(streams, number, lambda session: streams.push(session, rows[:count], times[:count], None))

    clock.now += 29
    assert silence_of(streams, number) is None
    clock.now += 1
    assert silence_of(streams, number) == {"since": "2030-03-17T17:46:40.000Z", "seconds": 30.0, "steps": 3}
    push(0)
    assert silence_of(streams, number)["steps"] == 3  # no rows are no rows
    push(5)
    assert silence_of(streams, number) is None
    assert streams.silent() == {}
    clock.now += 45
    streams.ages.save()
    clock.now += 1000  # for which no service ran
    again = watched(tmp_path, detector, clock)
    assert {key: silence.steps for key, silence in again.silent().items()} == {number: 4}
    assert silence_of(again, number)["steps"] == 4
    assert silence_of(again, other) is None


def test_no_file_time_and_no_clock_that_is_set_makes_a_stream_old(tmp_path, detector, rows):
    clock, wall = Clock(), Clock()
    streams = watched(tmp_path, detector, clock, wall, idle_seconds=1000)
    number = begun(streams)
    for path in [tmp_path / "streams" / number, *(tmp_path / "streams" / number).iterdir()]:
        os.utime(path, (1, 1))
    wall.now += 1e9
    clock.now += 999
    streams.ages.save()
    for jump in (1e9, -3e9):  # the machine starts again: with another date, and with a steady clock that begins anew
        wall.now += jump
        clock.now = 5.0
        streams = watched(tmp_path, detector, clock, wall, idle_seconds=1000)
        begun(streams)
        assert in_turn(streams, number, streams.describe)["rows"] == 0
    clock.now += 2
    for path in [tmp_path / "streams" / number, *(tmp_path / "streams" / number).iterdir()]:
        os.utime(path)
    begun(streams)
    with pytest.raises(RequestError, match="no stream"):
        in_turn(streams, number, streams.describe)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"seconds": "x", "arrivals": {}}', "\x00", "[" * 100_000])
def test_streams_whose_ages_are_lost_begin_anew_and_are_not_removed(tmp_path, detector, content):
    clock = Clock()
    streams = watched(tmp_path, detector, clock, idle_seconds=1000)
    number = begun(streams)
    clock.now += 2000
    (tmp_path / "streams" / AGES).write_text(content)
    again = watched(tmp_path, detector, clock, idle_seconds=1000)
    begun(again)
    assert in_turn(again, number, again.describe)["rows"] == 0
    clock.now += 2000
    begun(again)
    with pytest.raises(RequestError, match="no stream"):
        in_turn(again, number, again.describe)


def test_ages_are_written_when_rows_came_and_else_every_ten_seconds(tmp_path):
    clock = Clock()
    ages = StreamAges(tmp_path / AGES, clock)
    ages.save(due=True)
    assert not (tmp_path / AGES).exists()
    ages.arrive("a")
    ages.save(due=True)
    stored = (tmp_path / AGES).read_bytes()
    clock.now += 9
    ages.save(due=True)
    assert (tmp_path / AGES).read_bytes() == stored
    clock.now += 1
    ages.save(due=True)
    assert (tmp_path / AGES).read_bytes() != stored
    assert StreamAges(tmp_path / AGES, clock).seconds("a") == 10


def test_ages_that_cannot_be_written_stop_nothing(tmp_path, caplog):
    ages = StreamAges(tmp_path / "nowhere" / AGES)
    ages.arrive("a")
    ages.save()
    ages.save()
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "the ages of streams cannot be stored"
    ]


def test_each_silence_is_reported_once(tmp_path, detector, rows, caplog):
    clock = Clock()
    streams = watched(tmp_path, detector, clock)
    number = streams.begin(NewStream(policy=StreamPolicy(step_seconds=10, silence=3)))["id"]
    counted = []

    async def look():
        task = asyncio.create_task(live.watch(streams, counted.append, seconds=0.01))
        await asyncio.sleep(0.2)
        task.cancel()

    asyncio.run(look())
    assert counted == []
    clock.now += 35
    asyncio.run(look())
    assert counted == [1]
    assert [record.getMessage() for record in caplog.records if "silent" in record.message] == [
        f"stream {number} is silent: no row for 35 s (3 steps)"
    ]
    moment = np.array(["2030-01-01"], "datetime64[s]")
    in_turn(streams, number, lambda session: streams.push(session, rows[:1], moment, None))
    asyncio.run(look())
    clock.now += 31
    asyncio.run(look())
    assert counted == [1, 1]
