import math
from pathlib import Path

import pytest

from tests.tuning.trials import experiment_of
from tsad.errors import TsadError
from tsad.selection.trial import Candidate, Trial
from tsad.tuning.journal import EndedEvent, Journal, ProposedEvent

CANDIDATE = Candidate(3, 1, {"model.hidden": 2, "rate": 0.1 + 0.2}, experiment_of("l2"), (0, 2))
TRIAL = Trial(CANDIDATE, "finished", 0.5, seconds=1.5, epochs=2, metrics={"a": 0.25, "b": math.inf}, elapsed=9.0)


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "search" / "journal.jsonl")


def test_what_is_written_is_read_in_its_order(journal):
    events = [
        ProposedEvent(CANDIDATE),
        EndedEvent(TRIAL, Path("/files")),
        EndedEvent(Trial(CANDIDATE, "failed", None, 1.0), None),
    ]
    for event in events:
        journal.write(event)
    assert journal.read() == events


def test_a_metric_that_is_no_number_survives(journal):
    journal.write(EndedEvent(Trial(CANDIDATE, "finished", 0.5, 1.0, metrics={"a": math.nan}), None))
    assert math.isnan(journal.read()[0].trial.metrics["a"])


def test_a_search_that_wrote_nothing_has_no_events(journal):
    assert journal.read() == []


@pytest.mark.parametrize("cut", [1, 20])
def test_a_line_that_a_kill_cut_off_is_no_event_and_does_not_spoil_the_next(journal, cut):
    journal.write(ProposedEvent(CANDIDATE))
    journal.write(EndedEvent(TRIAL, None))
    journal.path.write_bytes(journal.path.read_bytes()[:-cut])
    assert journal.read() == [ProposedEvent(CANDIDATE)]
    journal.write(EndedEvent(TRIAL, None))
    assert journal.read() == [ProposedEvent(CANDIDATE), EndedEvent(TRIAL, None)]


def test_who_peeks_while_another_writes_leaves_half_a_line_alone(journal):
    assert journal.peek() == []
    journal.write(ProposedEvent(CANDIDATE))
    journal.write(EndedEvent(TRIAL, None))
    half = journal.path.read_bytes()[:-1]
    journal.path.write_bytes(half)
    assert journal.peek() == [ProposedEvent(CANDIDATE)]
    assert journal.path.read_bytes() == half


@pytest.mark.parametrize("line", ['{"event": "gone"}', "nonsense", '{"event": "proposed", "candidate": 3}'])
def test_a_whole_line_that_is_no_event_is_named(journal, line):
    journal.write(ProposedEvent(CANDIDATE))
    with journal.path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(TsadError, match=r"journal\.jsonl: line 2 must be an event of a search, but .*without --resume"):
        journal.read()
