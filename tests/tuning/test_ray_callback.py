"""What Ray Tune's callback passes on to a search session, and the reports that it gets from workers."""

import pytest

from tests.tuning.test_pbt import donor, factory
from tests.tuning.test_ray_tune import Witness
from tsad.tuning.algorithms.random import RandomSearch
from tsad.tuning.journal import Journal
from tsad.tuning.pbt import explore
from tsad.tuning.ray_callback import BEHIND, OUT_OF_TIME, RayCallback
from tsad.tuning.session import NoTrialCache, SearchSession
from tsad.tuning.trial_report import RUNG_VALUE, Evaluation, TrialReport

# --- what the callback passes on ---


class FakeTrial:
    """Stands for a trial of Ray Tune, which left a checkpoint in some folder."""

    def __init__(self, name, path, checkpoint=None):
        self.name, self.path, self.error_file = name, str(path), None
        self.checkpoint = None if checkpoint is None else FakeTrial(name, checkpoint)

    def __str__(self):
        return self.name


class Driver:
    """A callback with two candidates that have started, and all that it passes on."""

    def __init__(self, folder):
        self.folder, self.witness = folder, Witness()
        journal = Journal(folder / "journal.jsonl")
        self.session = SearchSession(RandomSearch(factory()), 2, journal, self.witness, NoTrialCache())
        self.callback = RayCallback(self.session)
        self.names = [candidate.name for candidate in self.callback.propose_all()]
        for name in self.names:
            self.start(FakeTrial(name, folder / name, folder / name / "checkpoint"))

    def start(self, trial):
        self.callback.on_trial_start(0, [], trial)

    def report(self, *report, **fields):
        trial = FakeTrial(self.names[0], self.folder / self.names[0])
        self.callback.on_trial_result(0, [], trial, TrialReport(*report, **fields).to_result() | {"added by Tune": 1})

    def complete(self):
        self.callback.on_trial_complete(0, [], FakeTrial(self.names[0], self.folder / self.names[0]))


@pytest.fixture
def driver(tmp_path):
    result = Driver(tmp_path)
    assert len(result.names) == 2
    return result


LOSSES = {"train/loss": 1.0}


def test_a_trial_that_resumes_after_a_pause_does_not_start_again(driver):
    driver.start(FakeTrial(driver.names[0], "elsewhere"))
    assert [kind for kind, *_ in driver.witness.of(0)] == ["started"]


def test_no_epoch_is_passed_on_twice_when_a_trial_copies_a_younger_one(driver):
    for epoch in (1, 2, 3, 4, 3, 4, 5, 8):  # back to 2, then ahead to 7
        driver.report(epoch, "n", LOSSES)
    assert [epoch for kind, _, epoch, *_ in driver.witness.of(0)[1:]] == [1, 2, 3, 4, 5, 8]


def test_a_trial_that_copied_ends_as_what_it_became(driver):
    copy = explore(donor(), factory())
    driver.report(2, "n", LOSSES, Evaluation({}, donor().experiment, 0.1, {}))
    driver.report(4, "n", evaluation=Evaluation(copy.params, copy.experiment, 0.3, {"m": 1.0}), finished=True)
    driver.complete()
    ((trial, _),) = driver.session.ended
    assert (trial.candidate.number, trial.candidate.params) == (0, copy.params)
    assert trial.candidate.experiment == copy.experiment
    assert (trial.state, trial.value, trial.epochs, trial.reason) == ("finished", 0.3, 4, "")
    assert (trial.metrics, trial.node) == ({"m": 1.0}, "n")


def test_a_stopped_trial_has_the_value_of_its_last_rung(driver):
    driver.report(2, "n", LOSSES, Evaluation({}, donor().experiment, 0.1, {"m": 2.0}))
    driver.report(3, "n", LOSSES)
    driver.complete()
    ((trial, _),) = driver.session.ended
    assert (trial.state, trial.value, trial.epochs, trial.metrics) == ("stopped", 0.1, 3, {"m": 2.0})


def test_a_stopped_trial_was_behind_or_out_of_time(driver):
    driver.complete()
    driver.callback.close(seconds=1e-9)
    assert [(trial.state, trial.reason) for trial, _ in driver.session.ended] == [
        ("stopped", BEHIND),
        ("stopped", OUT_OF_TIME),
    ]


def test_a_trial_cut_off_before_it_could_use_a_copy_has_no_files(driver):
    first, second = (driver.folder / name for name in driver.names)
    driver.start(FakeTrial(driver.names[0], first, second / "checkpoint"))
    driver.callback.close(seconds=1e-9)
    assert [folder for _, folder in driver.session.ended] == [None, second / "checkpoint"]


def test_an_interrupted_search_ends_no_trial(driver):
    with pytest.raises(KeyboardInterrupt):
        driver.callback.close(seconds=None)
    assert driver.session.ended == []


# --- the report ---


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("evaluated", [False, True])
def test_a_report_comes_back_from_the_result_of_ray_tune(finished, evaluated):
    evaluation = Evaluation({"a": 1}, donor().experiment, 0.5, {"m": 1.0}) if evaluated else None
    report = TrialReport(3, "n", LOSSES, evaluation, finished)
    assert TrialReport.from_result(report.to_result()) == report


def test_schedulers_compare_values_of_rungs_and_never_the_value_at_the_end():
    evaluation = Evaluation({}, donor().experiment, 0.5, {})
    assert TrialReport(3, "n", LOSSES, evaluation).to_result()[RUNG_VALUE] == 0.5
    assert RUNG_VALUE not in TrialReport(3, "n", LOSSES, evaluation, finished=True).to_result()
    assert RUNG_VALUE not in TrialReport(3, "n", LOSSES).to_result()


# --- a session that fails ---


def test_the_first_error_of_a_session_is_the_one_that_ends_the_search(driver):
    def fail(*values):
        raise ConnectionError("the store is gone")

    driver.session.on_result = fail
    with pytest.raises(ConnectionError):
        driver.complete()
    driver.callback.on_trial_error(0, [], FakeTrial(driver.names[0], driver.folder))  # as Ray Tune does after an error
    with pytest.raises(ConnectionError, match="the store is gone"):
        driver.callback.on_step_end(0, [])
    with pytest.raises(ConnectionError):
        driver.callback.propose()
    assert str(driver.callback.error) == "the store is gone"


def test_a_trial_that_ray_tune_ends_twice_is_passed_on_once(driver):
    driver.report(1, "node", finished=True)
    driver.complete()
    driver.callback.on_trial_error(0, [], FakeTrial(driver.names[0], driver.folder))
    assert len(driver.session.ended) == 1
    driver.callback.on_step_end(0, [])


# --- workers that are lost, trials that wait ---


class LostTrial(FakeTrial):
    """A trial of Ray Tune whose worker was lost."""

    max_failures = 2

    class run_metadata:  # noqa: N801 (the name in Ray Tune)
        num_failures = 1


def test_a_trial_that_is_tried_again_is_no_result_and_is_told(driver, caplog):
    driver.callback.on_trial_recover(0, [], LostTrial(driver.names[0], driver.folder))
    assert "is tried again (1 of 2 times)" in caplog.text
    assert driver.session.ended == []
    driver.callback.on_trial_error(0, [], LostTrial(driver.names[0], driver.folder))
    ((trial, _),) = driver.session.ended
    assert trial.state == "failed"
    assert trial.reason.startswith("lost its worker more than search.retries=2 times: ")


def test_an_error_that_a_worker_reported_is_the_reason_of_its_trial(driver):
    driver.report(2, "node", failure="ValueError: no", trace="a trace")
    driver.complete()
    ((trial, _),) = driver.session.ended
    assert (trial.state, trial.reason, trial.epochs) == ("failed", "ValueError: no", 2)


def test_trials_that_cannot_be_placed_are_told_once_a_minute_while_none_runs(driver, caplog, monkeypatch):
    class Waiting:
        status = "PENDING"

        def is_finished(self):
            return False

    class Running(Waiting):
        status = "RUNNING"

    clock = [1000.0]
    monkeypatch.setattr("tsad.tuning.ray_callback.time.monotonic", lambda: clock[0])
    driver.callback.on_step_begin(0, [Running()])
    for seconds, trials in ((59, [Waiting()]), (2, [Waiting()]), (50, [Waiting()]), (90, [Waiting(), Running()])):
        clock[0] += seconds
        driver.callback.on_step_begin(0, trials)
    assert caplog.text.count("no trial could be placed for 60 s") == 1
