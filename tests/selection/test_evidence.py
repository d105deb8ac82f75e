"""The champion by evidence: the default, or its average with what labels show to be better."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet
from tsad.selection.evidence import LEAST_EVENTS, METRIC, WEIGHT_OF_EVENTS, WEIGHT_OF_SIBLINGS, choose
from tsad.selection.trial import Candidate, Trial
from tsad.series import Series
from tsad.spec import parse

EXPERIMENT = parse(
    ExperimentConfig,
    {
        "data": {"kind": "synthetic"},
        "model": {"kind": "l2"},
        "window": {"length": 1},
        "split": {"gap": 5, "selection": 0.5},
    },
    "a test",
)


def trial(number, value, anchor="", state="finished"):
    return Trial(Candidate(number, 0, {}, EXPERIMENT, anchor=anchor), state, value, seconds=1.0)


def data(events):
    labels = np.zeros(200, bool)
    for event in range(events):
        labels[10 + 10 * event : 13 + 10 * event] = True
    labels[150:160] = True  # reported, never read
    return DataSet("rows", "memory", rows(200), dataclasses.replace(rows(200), labels=labels))


def rows(count):
    return Series(np.zeros((count, 1), np.float32), ("a",))


def chosen(values, *, events=3, labeled=True, siblings=None):
    ended = [(each, Path("files")) for each in values]
    return choose(ended, data(events), labeled=labeled, siblings=siblings or {})


DEFAULT, BETTER, WORSE = trial(0, 0.5, "default"), trial(1, 0.7, "ridge"), trial(2, 0.3, "linear")


def test_without_a_default_there_is_no_choice():
    assert chosen([BETTER, WORSE]) is None
    assert chosen([trial(0, 0.5, "default", "failed"), BETTER]) is None


def test_without_labels_the_default_is_champion():
    choice = chosen([DEFAULT, BETTER, WORSE], labeled=False)
    assert (choice.trials, choice.weights, choice.labels_used) == ((DEFAULT,), (1.0,), "nothing")
    assert "no labels" in choice.reason


@pytest.mark.parametrize("events", range(5))
def test_events_count_from_two_on(events):
    choice = chosen([DEFAULT, BETTER, WORSE], events=events)
    enough = events >= LEAST_EVENTS == 2
    assert choice.trials == ((DEFAULT, BETTER) if enough else (DEFAULT,))
    assert choice.weights == ((1 - WEIGHT_OF_EVENTS, WEIGHT_OF_EVENTS) if enough else (1.0,))
    assert choice.labels_used == ("selection" if enough else "nothing")


@pytest.mark.parametrize("others", [[], [WORSE], [trial(1, 0.5)]])
def test_the_default_stays_if_it_is_the_best_by_labels(others):
    choice = chosen([DEFAULT, *others])
    assert choice.trials == (DEFAULT,)
    assert choice.labels_used == "selection"
    assert "3 labeled events" in choice.reason


def test_siblings_choose_by_the_mean_difference_from_the_default():
    siblings = {
        "one": {"default": 0.5, "ridge": 0.4, "linear": 0.7},
        "two": {"default": 0.5, "ridge": 0.9, "linear": 0.4},
        "none": {"ridge": 0.1, "linear": 0.9},
    }
    choice = chosen([DEFAULT, BETTER, WORSE], labeled=False, siblings=siblings)
    assert choice.trials == (DEFAULT, BETTER)
    assert choice.weights == (1 - WEIGHT_OF_SIBLINGS, WEIGHT_OF_SIBLINGS)
    assert "+0.150 VUS-PR on 3 labeled siblings" in choice.reason
    assert choice.labels_used == "sibling"


def test_the_default_stays_if_no_anchor_beat_it_on_siblings():
    choice = chosen([DEFAULT, BETTER], labeled=False, siblings={"one": {"default": 0.5, "ridge": 0.5}})
    assert choice.trials == (DEFAULT,)
    assert "no anchor beat it on 1 labeled sibling (" in choice.reason


def test_own_labels_go_before_siblings():
    choice = chosen([DEFAULT, WORSE], siblings={"one": {"default": 0.1, "linear": 0.9}})
    assert choice.trials == (DEFAULT,)


def test_the_metric_of_siblings_is_a_headline():
    assert METRIC == "ranking/vus_pr"


def test_the_weights_are_those_that_were_measured():
    assert (WEIGHT_OF_EVENTS, WEIGHT_OF_SIBLINGS) == (1 / 2, 1 / 3)
