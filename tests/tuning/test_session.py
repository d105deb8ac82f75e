"""The session of a search, killed at any point: nothing finished is lost or repeated."""

import pytest

from tests.tuning.landscapes import worth
from tsad.errors import TsadError
from tsad.selection.trial import Trial
from tsad.tuning.algorithms.contract import SpaceExhaustedError
from tsad.tuning.algorithms.evolution import EvolutionSpec
from tsad.tuning.algorithms.random import RandomSpec
from tsad.tuning.journal import Journal
from tsad.tuning.session import SearchSession
from tsad.tuning.space import Space

TRIALS = 12
SPACE = {
    "data": {"kind": "synthetic"},
    "window": {"length": {"choice": [4, 8, 16, 32]}},
    "model": {"kind": "lstm_ae", "hidden": {"choice": [4, 8, 16, 32]}, "latent": {"choice": [2, 3, 4]}},
    "training": {"learning_rate": {"range": [1e-4, 1e-1], "log": True}},
}


class Silence:
    """A listener and a cache that knows nothing."""

    def __init__(self):
        self.events = []

    def on_started(self, candidate):
        self.events.append(("started", candidate.number))

    def on_epoch(self, candidate, epoch, losses):
        self.events.append(("advanced", candidate.number))

    def on_result(self, trial, folder):
        self.events.append(("ended", trial.candidate.number))

    def find(self, candidate):
        return None


class KilledError(Exception):
    """The driver is gone."""


def session(folder, algorithm=None, cache=None, listener=None, seed=5, trials=TRIALS):
    algorithm = algorithm or EvolutionSpec(population=4, elites=2)
    silence = Silence()
    return SearchSession(
        algorithm.build(Space(SPACE), seed),
        trials,
        Journal(folder / "journal.jsonl"),
        listener or silence,
        cache or silence,
    )


def finished(candidate, elapsed=1.0):
    return Trial(candidate, "finished", worth(candidate), seconds=1.0, elapsed=elapsed)


def walk(session, after=None):
    """Runs two trials at a time, the older one first, as workers would; dies after so many proposals and ends."""
    running, events = [], 0
    exhausted = False
    while not exhausted or running:
        try:
            while not exhausted and len(running) < 2 and (candidate := session.propose()) is not None:
                session.on_started(candidate)
                running.append(candidate)
                events += 1
                if events == after:
                    raise KilledError
        except SpaceExhaustedError:
            exhausted = True
        if running:
            session.on_result(finished(running.pop(0)), None)
            events += 1
            if events == after:
                raise KilledError


def experiments(session):
    return [trial.candidate.experiment for trial, _ in session.ended]


@pytest.mark.parametrize("algorithm", [EvolutionSpec(population=4, elites=2), RandomSpec(kind="random")])
@pytest.mark.parametrize("kills", [(1,), (2, 1, 1), (9, 7), (23,)])
def test_a_search_that_was_killed_tries_what_it_would_have_tried(tmp_path, algorithm, kills):
    undisturbed = session(tmp_path / "undisturbed", algorithm)
    walk(undisturbed)
    for after in kills:
        with pytest.raises(KilledError):
            walk(session(tmp_path / "killed", algorithm), after)
    last = session(tmp_path / "killed", algorithm)
    walk(last)
    assert experiments(last) == experiments(undisturbed)
    assert len(last.ended) == TRIALS
    assert len({trial.candidate.number for trial, _ in last.ended}) == TRIALS


def test_what_was_running_is_tried_again_first_and_what_had_ended_is_not(tmp_path):
    first = session(tmp_path)
    one, other = first.propose(), first.propose()
    first.on_started(one)
    first.on_started(other)
    first.on_result(finished(one), None)
    second = session(tmp_path)
    assert [trial.candidate for trial, _ in second.ended] == [one]
    assert second.propose() == other
    assert second.propose() not in (one, other)


def test_a_search_that_had_ended_has_nothing_left_to_try(tmp_path):
    walk(session(tmp_path))
    again = session(tmp_path)
    with pytest.raises(SpaceExhaustedError):
        again.propose()
    assert len(again.ended) == TRIALS


def test_a_search_that_goes_on_with_fewer_trials_than_it_had_tries_nothing_new(tmp_path):
    walk(session(tmp_path))
    with pytest.raises(SpaceExhaustedError):
        session(tmp_path, trials=TRIALS - 4).propose()


def test_the_journal_knows_of_a_trial_before_any_listener(tmp_path):
    class Dies(Silence):
        def on_result(self, trial, folder):
            raise KilledError

    first = session(tmp_path, listener=Dies())
    candidate = first.propose()
    with pytest.raises(KilledError):
        first.on_result(finished(candidate), tmp_path)
    assert session(tmp_path).ended == [(finished(candidate), tmp_path)]


def test_seconds_go_on_from_the_last_trial_that_ended(tmp_path):
    first = session(tmp_path)
    assert first.elapsed == 0
    first.on_result(finished(first.propose(), elapsed=7.5), None)
    assert session(tmp_path).elapsed == 7.5


def test_another_algorithm_cannot_go_on_with_a_journal(tmp_path):
    walk(session(tmp_path))
    with pytest.raises(
        TsadError, match="must propose the candidates of the journal again, but did not propose g00-lstm_ae-000"
    ):
        session(tmp_path, seed=6)


# --- trials of earlier searches ---


class Earlier:
    """A cache that knows every second experiment."""

    def __init__(self):
        self.known = {}

    def find(self, candidate):
        if candidate.number % 2:
            self.known[candidate.number] = Trial(candidate, "finished", 0.5, seconds=0.0, reused="a run")
            return self.known[candidate.number], None
        return None


def test_a_trial_of_an_earlier_search_is_not_run_and_counts(tmp_path):
    witness, cache = Silence(), Earlier()
    whole = session(tmp_path, RandomSpec(kind="random"), cache, witness)
    walk(whole)
    reused = {trial.candidate.number: bool(trial.reused) for trial, _ in whole.ended}
    assert reused == {number: number % 2 == 1 for number in range(TRIALS)}
    assert [witness.events.count(("ended", number)) for number in range(TRIALS)] == [1] * TRIALS


def test_what_was_running_when_the_search_was_killed_may_be_a_trial_of_an_earlier_one(tmp_path):
    """Killed between the proposal and the cache's answer."""
    first = session(tmp_path, RandomSpec(kind="random"))
    first.propose(), first.propose()
    second = session(tmp_path, RandomSpec(kind="random"), Earlier())
    assert [second.propose().number, second.propose().number] == [0, 2]
    assert [(trial.candidate.number, trial.reused) for trial, _ in second.ended] == [(1, "a run")]


def test_a_trial_of_an_earlier_search_ends_when_it_is_taken(tmp_path):
    whole = session(tmp_path, RandomSpec(kind="random"), Earlier())
    whole.on_result(finished(whole.propose(), elapsed=7.5), None)
    whole.propose()
    assert [(trial.candidate.number, trial.elapsed) for trial, _ in whole.ended] == [(0, 7.5), (1, 7.5)]
