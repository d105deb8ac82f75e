"""Runs that stayed RUNNING: who lives, who is dead, and how the dead are ended."""

import math
import time
from datetime import UTC, datetime, timedelta

import pytest

import tsad.tracking.heartbeat as module
from tsad.tracking.heartbeat import beating, is_alive, silence
from tsad.tracking.orphans import end_orphan, orphans, session_of
from tsad.tracking.runs import RunWriter, leading_run
from tsad.tracking.tags import Tag


def ago(seconds):
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="seconds")


@pytest.fixture
def run(store):
    """Makes a RUNNING run whose last sign of life was so many seconds ago."""

    def made(seconds=None, parent="", **tags):
        heartbeat = {} if seconds is None else {Tag.HEARTBEAT: ago(seconds)}
        return RunWriter.create(store, store.experiment(), "a run", heartbeat | tags, parent).run_id

    yield made
    for found in store.search(store.experiment(), "attributes.status = 'RUNNING'"):
        store.client.set_terminated(found.info.run_id)


def unknown(leader):
    return None


def test_a_leading_run_gives_signs_of_life_until_it_ends(store, monkeypatch):
    monkeypatch.setattr(module, "INTERVAL", 0.05)
    with leading_run(store, "a command", {Tag.KIND: "train"}) as writer:
        first = store.client.get_run(writer.run_id).data.tags[Tag.HEARTBEAT]
        deadline = time.monotonic() + 10
        while store.client.get_run(writer.run_id).data.tags[Tag.HEARTBEAT] == first:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert silence(store.client.get_run(writer.run_id)) < 3
    time.sleep(0.3)
    last = store.client.get_run(writer.run_id).data.tags[Tag.HEARTBEAT]
    time.sleep(1.2)
    assert store.client.get_run(writer.run_id).data.tags[Tag.HEARTBEAT] == last


def test_a_store_that_is_away_ends_no_work(store, monkeypatch):
    def away(*values):
        raise ConnectionError

    class Client:
        set_tag = staticmethod(away)

    with beating(Client(), "7"):
        pass


def test_silence_and_nothing_else_makes_an_orphan_of_a_run_of_another_machine(store, run):
    dead, alive = run(400, **{Tag.KIND: "search"}), run(200, **{Tag.KIND: "search"})
    trial, living = run(parent=dead, **{Tag.TRIAL: "0"}), run(parent=alive, **{Tag.TRIAL: "0"})
    foreign, new = run(), run(**{Tag.KIND: "train"})
    found = orphans(store, unknown)
    assert {orphan.run_id for orphan in found} == {dead}  # the trial was made just now
    old = orphans(store, lambda leader: leader.info.run_id == dead or None, math.inf)
    assert [(orphan.run_id, orphan.kind) for orphan in old] == [(trial, "trial"), (dead, "search")]
    assert not {living, foreign, new} & {orphan.run_id for orphan in old}
    assert "no sign of life since" in found[0].reason


def test_a_machine_that_knows_is_believed_before_the_heartbeat(store, run):
    silent, fresh = run(4000, **{Tag.KIND: "search"}), run(1, **{Tag.KIND: "search"})
    found = orphans(store, lambda leader: leader.info.run_id == fresh)
    assert [orphan.run_id for orphan in found] == [fresh]
    assert found[0].reason == "its process on this machine is gone"
    assert silent


def test_a_run_without_a_heartbeat_counts_from_its_start(store, run):
    old = store.client.create_run(store.experiment(), start_time=1_000_000, tags={Tag.KIND: "train"}).info.run_id
    assert [orphan.run_id for orphan in orphans(store, unknown)] == [old]


def test_an_orphan_is_killed_with_its_reason_once(store, run):
    dead = run(400, **{Tag.KIND: "search"})
    (orphan,) = orphans(store, unknown)
    end_orphan(store, orphan)
    ended = store.client.get_run(dead)
    assert (ended.info.status, ended.data.tags[Tag.REASON]) == ("KILLED", orphan.reason)
    store.client.set_terminated(dead, "FINISHED")
    end_orphan(store, orphan)
    assert store.client.get_run(dead).info.status == "FINISHED"
    assert session_of(ended) is None


def test_a_run_is_alive_if_its_heart_is_seen_to_beat_whatever_the_clocks_say(store, run):
    fast = run(-100, **{Tag.KIND: "search"})  # its clock is ahead
    assert not is_alive(store.client, fast, wait=lambda seconds: None)
    assert is_alive(store.client, fast, wait=lambda seconds: store.client.set_tag(fast, Tag.HEARTBEAT, ago(-200)))
    waits = []
    assert not is_alive(store.client, run(1000, **{Tag.KIND: "search"}), wait=waits.append)
    store.client.set_terminated(fast, "KILLED")
    assert not is_alive(store.client, fast, wait=waits.append)
    assert waits == []
