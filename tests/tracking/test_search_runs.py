import json
import shutil
from collections import Counter
from dataclasses import replace

import pytest
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from tsad.config import ExperimentConfig
from tsad.errors import TsadError
from tsad.selection.trial import Candidate, Trial
from tsad.spec import flatten, parse, put
from tsad.tracking.runs import RunWriter
from tsad.tracking.search_runs import TrialRecorder, end_orphans, interrupted_run, unfinished
from tsad.tracking.trial_cache import MlflowTrialCache


@pytest.fixture
def parent(store):
    return RunWriter.create(store, store.experiment(), "a search", {}).run_id


@pytest.fixture
def recorder(store, parent, small_data):
    return TrialRecorder(store, parent, small_data, "selection")


@pytest.fixture
def candidate(small_experiment):
    """Returns a candidate of a number."""

    def numbered(number, **fields):
        values = put(small_experiment.model_dump(mode="json"), {"model.hidden": number + 1})
        experiment = parse(ExperimentConfig, values, "a test")
        return Candidate(number, fields.pop("generation", 0), {"model.hidden": number}, experiment, **fields)

    return numbered


@pytest.fixture
def run(store, recorder):
    """Returns the child run of a candidate as the store has it."""
    return lambda candidate: store.client.get_run(recorder.runs[candidate.number])


def children(store, parent):
    return store.client.search_runs([store.experiment()], f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent}'")


def test_a_trial_is_a_child_run_from_its_start_on(store, parent, recorder, candidate, run):
    child_candidate = candidate(17, generation=3, parents=(4, 9))
    recorder.on_started(child_candidate)
    (child,) = children(store, parent)
    assert child.info.run_id == run(child_candidate).info.run_id
    assert child.info.run_name == "g03-lstm_ae-017"
    assert child.info.status == "RUNNING"
    wanted = {
        "tsad.trial": "17",
        "tsad.generation": "3",
        "tsad.family": "lstm_ae",
        "tsad.parents": "4 9",
        "tsad.labels_used.training": "nothing",
        "tsad.labels_used.selection": "selection",
        "tsad.labels_used.threshold": "nothing",
    }
    assert wanted.items() <= child.data.tags.items()
    assert not {"tsad.oracle", "tsad.supervised"} & child.data.tags.keys()


def test_a_trial_that_labels_trained_and_flagged_says_so(recorder, candidate, run):
    tried = candidate(0)
    changes = {"threshold": {"kind": "best_f1"}, "split.contamination": 0.1}
    values = put(tried.experiment_values, changes)
    recorder.on_started(replace(tried, experiment=parse(ExperimentConfig, values, "a test")))
    tags = run(tried).data.tags
    found = [tags[f"tsad.labels_used.{part}"] for part in ("training", "threshold", "selection")]
    assert found == ["development", "test", "selection"]
    assert (tags["tsad.supervised"], tags["tsad.oracle"]) == ("true", "true")


def test_a_trial_shows_its_whole_experiment_and_its_rows(recorder, candidate, run):
    first = candidate(0)
    recorder.on_started(first)
    params = run(first).data.params
    assert params.keys() == flatten(first.experiment_values).keys()
    assert params["model.hidden"] == "1"
    assert {given.dataset.name for given in run(first).inputs.dataset_inputs} == {
        "synthetic-0-train",
        "synthetic-0-test",
    }


def test_losses_of_trials_that_run_side_by_side_do_not_mix(store, recorder, candidate):
    one, other = candidate(0), candidate(1)
    recorder.on_started(one)
    recorder.on_started(other)
    recorder.on_epoch(one, 1, {"train/loss": 0.5})
    recorder.on_epoch(other, 1, {"train/loss": 5.0})
    recorder.on_epoch(one, 2, {"train/loss": 0.25})
    histories = {
        number: [(point.step, point.value) for point in store.client.get_metric_history(run_id, "train/loss")]
        for number, run_id in recorder.runs.items()
    }
    assert histories == {0: [(1, 0.5), (2, 0.25)], 1: [(1, 5.0)]}


@pytest.mark.parametrize(
    ("state", "value", "reason", "status"),
    [
        ("finished", 0.75, "", "FINISHED"),
        ("stopped", 0.5, "behind at a rung", "FINISHED"),
        ("failed", None, "ValueError: no", "FAILED"),
    ],
)
def test_a_trial_ends_as_its_run_does(recorder, candidate, run, state, value, reason, status):
    tried = candidate(0)
    recorder.on_started(tried)
    recorder.on_result(Trial(tried, state, value, seconds=2.0, metrics={"oracle/best_f1": 0.9}, reason=reason), None)
    found = run(tried)
    assert found.info.status == status
    assert found.data.tags["tsad.state"] == state
    assert found.data.tags.get("tsad.reason", "") == reason
    assert found.data.metrics == {"oracle/best_f1": 0.9} | ({} if value is None else {"value": value})


def test_files_of_a_trial_become_artifacts_of_its_run(store, recorder, candidate, tmp_path):
    tried = candidate(0)
    (tmp_path / "detector").mkdir()
    (tmp_path / "detector/detector.json").write_text("{}")
    recorder.on_started(tried)
    recorder.on_result(Trial(tried, "finished", 0.5, seconds=1.0), tmp_path)
    assert [found.path for found in store.client.list_artifacts(recorder.runs[0], "detector")] == [
        "detector/detector.json"
    ]


def test_closing_kills_the_runs_that_are_open_and_no_others(store, parent, recorder, candidate, run):
    done, cut, cut_too = (candidate(number) for number in range(3))
    for tried in (done, cut, cut_too):
        recorder.on_started(tried)
    recorder.on_result(Trial(done, "finished", 0.5, seconds=1.0), None)
    recorder.close()
    recorder.close()
    assert Counter(child.info.status for child in children(store, parent)) == {"FINISHED": 1, "KILLED": 2}
    assert run(done).info.status == "FINISHED"
    assert run(cut).data.tags["tsad.reason"] == "the search ended before it"


# --- a search that was killed ---


@pytest.fixture
def again(store, parent, small_data):
    """Returns a recorder of the same search in another session."""
    return lambda result="a result": TrialRecorder(store, parent, small_data, "selection", result)


def test_a_trial_that_is_tried_again_has_one_run_and_each_loss_once(store, parent, recorder, again, candidate):
    tried = candidate(0)
    recorder.on_started(tried)
    recorder.on_epoch(tried, 1, {"train/loss": 0.5})
    recorder.close()
    second = again()
    second.on_started(tried)
    assert [child.info.status for child in children(store, parent)] == ["RUNNING"]
    second.on_epoch(tried, 1, {"train/loss": 0.5})
    second.on_epoch(tried, 2, {"train/loss": 0.25})
    second.on_result(Trial(tried, "finished", 0.5, seconds=1.0), None)
    (child,) = children(store, parent)
    assert child.info.status == "FINISHED"
    assert child.data.tags["tsad.reason"] == ""
    history = store.client.get_metric_history(child.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.25)]


def test_what_the_store_lacks_of_ended_trials_is_written_when_resumed(
    store, parent, recorder, again, candidate, tmp_path
):
    (tmp_path / "scores.npy").write_bytes(b"")
    stored, cut, never = (candidate(number) for number in range(3))
    recorder.on_started(stored)
    recorder.on_result(Trial(stored, "finished", 0.1, seconds=1.0), None)
    recorder.on_started(cut)
    last_update = store.client.get_run(recorder.runs[0]).info.end_time
    again().catch_up(
        [
            (Trial(stored, "finished", 0.1, seconds=1.0), None),
            (Trial(cut, "failed", None, seconds=1.0, reason="ValueError: no"), None),
            (Trial(never, "finished", 0.3, seconds=1.0), tmp_path),
        ]
    )
    found = {child.data.tags["tsad.trial"]: child for child in children(store, parent)}
    assert {number: child.info.status for number, child in found.items()} == {
        "0": "FINISHED",
        "1": "FAILED",
        "2": "FINISHED",
    }
    assert found["0"].info.end_time == last_update
    assert found["2"].data.metrics["value"] == 0.3
    assert [each.path for each in store.client.list_artifacts(found["2"].info.run_id)] == ["scores.npy"]


def test_a_run_that_was_made_twice_because_an_answer_was_lost_is_deleted(store, parent, recorder, again, candidate):
    recorder.on_started(candidate(0))
    (first,) = children(store, parent)
    RunWriter.create(store, store.experiment(), "its double", {"tsad.trial": "0"}, parent)
    assert again().runs == {0: first.info.run_id}
    assert [child.info.run_id for child in children(store, parent)] == [first.info.run_id]


def test_a_trial_knows_what_it_was_taken_from(recorder, candidate, run):
    tried = candidate(0)
    recorder.on_started(tried)
    recorder.on_result(Trial(tried, "finished", 0.5, seconds=0.0, reused="abc"), None)
    assert run(tried).data.tags["tsad.reused"] == "abc"


def a_search(store, fingerprint, status):
    writer = RunWriter.create(
        store, store.experiment(), "s", {"tsad.kind": "search", "tsad.search_fingerprint": fingerprint}
    )
    if status != "RUNNING":
        writer.end(status)
    return writer.run_id


def test_searches_that_did_not_come_to_their_end_are_found_newest_first(store):
    assert unfinished(store, "one") == []
    older = a_search(store, "one", "KILLED")
    newest = a_search(store, "one", "RUNNING")
    a_search(store, "one", "FINISHED")
    a_search(store, "other", "FAILED")
    assert [run.run_id for run in unfinished(store, "one")] == [newest, older]


def test_a_search_that_logged_to_another_experiment_is_found(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "of-another-team")
    elsewhere = a_search(store, "elsewhere", "KILLED")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    assert store.experiment_of(elsewhere) != store.experiment()
    assert [run.run_id for run in unfinished(store, "elsewhere")] == [elsewhere]


def test_searches_whose_process_is_gone_are_ended_with_their_trials_and_others_are_not(store):
    dead, alive = a_search(store, "a", "RUNNING"), a_search(store, "b", "RUNNING")
    trials = {
        parent: RunWriter.create(store, store.experiment(), "t", {"tsad.trial": "0"}, parent).run_id
        for parent in (dead, alive)
    }
    end_orphans(store, lambda run_id: run_id == dead)
    statuses = {run_id: store.client.get_run(run_id).info.status for run_id in (dead, alive, *trials.values())}
    assert statuses == {dead: "KILLED", trials[dead]: "KILLED", alive: "RUNNING", trials[alive]: "RUNNING"}


def test_trials_are_ended_where_their_search_was_ended_without_them(store):
    """As `mlflow run` does when the command it ran is killed."""
    dead = a_search(store, "a", "FAILED")
    trial = RunWriter.create(store, store.experiment(), "t", {"tsad.trial": "0"}, dead).run_id
    end_orphans(store, lambda run_id: run_id == dead)
    assert [store.client.get_run(run_id).info.status for run_id in (dead, trial)] == ["FAILED", "KILLED"]


# --- the cache ---


@pytest.fixture
def files(tmp_path):
    """What a finished trial leaves, as far as the cache asks."""
    (tmp_path / "files" / "detector").mkdir(parents=True)
    (tmp_path / "files" / "detector" / "detector.json").write_text("{}")
    (tmp_path / "files" / "scores.npy").write_bytes(b"rows")
    return tmp_path / "files"


def test_a_finished_trial_of_the_same_result_fingerprint_is_found_with_all_it_left(
    store, again, candidate, files, tmp_path
):
    tried, recorder = candidate(0, generation=2), again()
    recorder.on_started(tried)
    recorder.on_epoch(tried, 1, {"train/loss": 0.5})
    ended = Trial(tried, "finished", 0.75, seconds=3.0, epochs=1, metrics={"oracle/best_f1": 0.9})
    recorder.on_result(ended, files)
    same = candidate(0)
    found, folder = MlflowTrialCache(store, "a result", tmp_path / "reused").find(same)
    assert found == replace(ended, candidate=same, seconds=0.0, reused=recorder.runs[0])
    assert (folder / "scores.npy").read_bytes() == b"rows"


def test_what_did_not_finish_or_is_of_another_result_fingerprint_or_experiment_is_not_found(
    store, again, candidate, files, tmp_path
):
    recorder = again("ours")
    for number, state in enumerate(("finished", "stopped", "failed")):
        recorder.on_started(candidate(number))
        recorder.on_result(Trial(candidate(number), state, 0.5, seconds=1.0), files)
    recorder.on_started(candidate(3))
    cache, foreign = (MlflowTrialCache(store, result, tmp_path) for result in ("ours", "another"))
    assert [cache.find(candidate(number)) is not None for number in range(5)] == [True, False, False, False, False]
    assert foreign.find(candidate(0)) is None


def test_a_trial_whose_files_are_gone_is_not_found(store, again, candidate, files, tmp_path, caplog):
    recorder = again("ours")
    for number, left in enumerate((files, None)):
        recorder.on_started(candidate(number))
        recorder.on_result(Trial(candidate(number), "finished", 0.5, seconds=1.0), left)
    artifacts = store.client.get_run(recorder.runs[0]).info.artifact_uri
    shutil.rmtree(local_file_uri_to_path(artifacts))
    cache = MlflowTrialCache(store, "ours", tmp_path / "reused")
    assert [cache.find(candidate(number)) for number in (0, 1)] == [None, None]
    assert caplog.text.count("has no detector among its files, so it is trained again") == 2


# --- a search that goes on with less than it knew ---


def test_the_run_of_a_candidate_that_was_forgotten_gives_way_to_the_new_one(store, parent, recorder, again, candidate):
    recorder.on_started(candidate(0))
    forgotten = recorder.runs[0]
    other = again()
    other.on_started(replace(candidate(5), number=0))
    (child,) = children(store, parent)
    assert child.info.run_id == other.runs[0] != forgotten
    assert child.data.params["model.hidden"] == "6"


def test_losses_of_an_ended_trial_that_never_reached_the_store_come_from_its_files(
    store, recorder, again, candidate, tmp_path
):
    tried = candidate(0)
    recorder.on_started(tried)
    recorder.on_epoch(tried, 1, {"train/loss": 0.5})
    losses = [{"epoch": epoch, "train/loss": 0.5 / epoch} for epoch in (1, 2, 3)]
    (tmp_path / "history.json").write_text(json.dumps(losses))
    again().catch_up([(Trial(tried, "finished", 0.5, seconds=1.0), tmp_path)])
    history = store.client.get_metric_history(recorder.runs[0], "train/loss")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.25), (3, 0.5 / 3)]


@pytest.mark.parametrize(
    ("tags", "status", "message"),
    [
        ({"tsad.kind": "train"}, "KILLED", "must be that of a search, but is one of kind train"),
        ({"tsad.trial": "1"}, "KILLED", "of a trial"),
        ({"tsad.kind": "search"}, "FINISHED", "has finished, so there is nothing to resume"),
    ],
)
def test_what_cannot_be_resumed_says_why(store, tags, status, message):
    writer = RunWriter.create(store, store.experiment(), "s", tags)
    writer.end(status)
    with pytest.raises(TsadError, match=message):
        interrupted_run(store, writer.run_id)


def test_a_run_that_is_not_there_says_so(store):
    with pytest.raises(TsadError, match="has no run 'abc'"):
        interrupted_run(store, "abc")
