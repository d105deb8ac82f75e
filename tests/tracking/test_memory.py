"""The memory of labeled searches on other rows with the same columns, in a real store."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from tests.stores import opened
from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet
from tsad.errors import TsadError
from tsad.selection.trial import Candidate, Trial
from tsad.series import Series
from tsad.spec import parse
from tsad.tracking.memory import columns_fingerprint, series_fingerprint, sibling_metrics
from tsad.tracking.runs import RunWriter
from tsad.tracking.search_runs import TrialRecorder

VUS = "ranking/vus_pr"
EXPERIMENT = parse(ExperimentConfig, {"data": {"kind": "synthetic"}, "model": {"kind": "l2"}}, "a test")


def data(level, features=("a", "b")):
    values = Series(np.full((50, len(features)), level, np.float32), features)
    return DataSet(f"rows-{level}", "memory", values, values)


@pytest.fixture
def store(tmp_path):
    return opened(tmp_path)


@pytest.fixture
def searched(store):
    """Returns a function that writes the trials of a search on rows into the store, and returns the id of its run."""

    def search(rows, metrics, state="finished"):
        parent = RunWriter.create(store, store.experiment(), "search", {}).run_id
        recorder = TrialRecorder(store, parent, rows, "nothing")
        for number, (anchor, value) in enumerate(metrics.items()):
            candidate = Candidate(number, 0, {}, EXPERIMENT, anchor=anchor)
            recorder.on_started(candidate)
            measured = {} if value is None else {VUS: value}
            recorder.on_result(Trial(candidate, state, 0.5, seconds=1.0, metrics=measured), None)
        return parent

    return search


def test_labeled_anchors_on_other_rows_with_the_same_columns_are_siblings(store, searched):
    first = searched(data(1.0), {"default": 0.5, "ridge": 0.75, "": 0.9})
    second = searched(data(2.0), {"default": 0.25, "linear": 0.125})
    assert sibling_metrics(store, data(3.0), VUS) == {
        first: {"default": 0.5, "ridge": 0.75},
        second: {"default": 0.25, "linear": 0.125},
    }


def test_the_own_rows_other_columns_and_unlabeled_or_failed_trials_are_none(store, searched):
    searched(data(3.0), {"default": 0.5})
    searched(data(1.0, ("a", "c")), {"default": 0.5})
    searched(data(1.0, ("b", "a")), {"default": 0.5})
    searched(data(1.0), {"default": None})
    searched(data(2.0), {"default": 0.5}, state="failed")
    assert sibling_metrics(store, data(3.0), VUS) == {}


def test_of_two_searches_on_the_same_rows_the_newest_counts(store, searched):
    searched(data(1.0), {"default": 0.5})
    newest = searched(data(1.0), {"default": 0.75})
    assert sibling_metrics(store, data(3.0), VUS) == {newest: {"default": 0.75}}


def test_another_mlflow_experiment_is_looked_in_by_name(store, searched):
    store.client.create_experiment("elsewhere")
    searched(data(1.0), {"default": 0.5})
    assert sibling_metrics(store, data(3.0), VUS, "elsewhere") == {}
    assert len(sibling_metrics(store, data(3.0), VUS, "tsad")) == 1
    with pytest.raises(TsadError, match="there is no 'nowhere'"):
        sibling_metrics(store, data(3.0), VUS, "nowhere")


def test_the_order_of_columns_matters():
    one, other = (SimpleNamespace(train=SimpleNamespace(features=names)) for names in (("a", "b"), ("b", "a")))
    assert columns_fingerprint(one) != columns_fingerprint(other)
    assert columns_fingerprint(one) == columns_fingerprint(dataclasses.replace(data(1.0)))


def test_a_series_that_has_grown_or_has_other_labels_is_no_sibling_of_its_own(store, searched):
    searched(data(3.0), {"default": 0.5})
    grown = data(3.0)
    longer = Series(np.full((80, 2), 3.0, np.float32), ("a", "b"), labels=np.zeros(80, bool))
    grown = dataclasses.replace(grown, train=dataclasses.replace(longer, labels=None), test=longer)
    short = dataclasses.replace(data(3.0), test=longer)
    assert sibling_metrics(store, short, VUS) == {}
    assert grown.digest != data(3.0).digest


@pytest.mark.parametrize(("row", "same"), [(0, False), (99, False), (100, True)])
def test_a_series_is_recognized_by_its_first_hundred_training_rows(row, same):
    values = np.zeros((150, 2), np.float32)
    other = values.copy()
    other[row] = 1
    one, two = (SimpleNamespace(train=SimpleNamespace(values=each)) for each in (values, other))
    assert (series_fingerprint(one) == series_fingerprint(two)) == same
