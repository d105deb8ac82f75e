"""Anchors are tried first, on the rows and the split of the search, as far as the rows allow."""

from dataclasses import replace

import numpy as np
import pytest

from tsad.data.dataset import DataSet
from tsad.errors import SpecError
from tsad.selection.trial import Trial
from tsad.series import Series
from tsad.tuning.algorithms.anchored import Anchored
from tsad.tuning.algorithms.random import RandomSpec
from tsad.tuning.spec import parse_search

SPACE = {
    "search": {"trials": 40},
    "data": {"kind": "synthetic"},
    "model": {"kind": "l2"},
    "window": {"length": {"choice": [1, 2, 3, 4, 5, 6]}},
}


def rows(train, test=2000):
    names = ("a", "b", "c")
    return DataSet(
        "rows",
        "memory",
        Series(np.random.default_rng(0).normal(size=(train, 3)).astype(np.float32), names),
        Series(np.zeros((test, 3), np.float32), names),
    )


def search(train=2000, test=2000, **settings):
    return parse_search({**SPACE, "search": {**SPACE["search"], **settings}}, "space", "a test").on(rows(train, test))


def names(config):
    return [candidate.anchor for candidate in config.anchors]


def test_the_default_is_first_then_its_members_then_other_families():
    config = search()
    assert names(config)[:6] == ["default", "multiscale", "multiscale scaled", "linear", "ridge", "nearest_neighbor"]
    assert names(config)[6:] == ["k_means", "ridge scaled", "linear scaled", "l2"]
    assert [candidate.number for candidate in config.anchors] == list(range(10))
    assert config.anchors[0].name == "g00-default-000"
    assert config.anchors[7].name == "g00-ridge_scaled-007"


def test_long_rows_add_normalized_members():
    config = search(30_000, 30_000)
    assert sum("normalized" in name for name in names(config)) == 4
    assert config.spec.maximize.edge == config.anchors[0].experiment.lookback == 1440 + 63
    assert all(candidate.experiment.split.gap == 1440 + 64 for candidate in config.anchors)
    assert config.space.template["split"]["gap"] == 1440 + 64


def test_a_wide_gap_stays():
    config = parse_search({**SPACE, "split": {"gap": 300}}, "space", "a test").on(rows(2000))
    assert config.anchors[0].experiment.split.gap == 300


def test_short_rows_leave_out_what_does_not_fit():
    few = parse_search({**SPACE, "split": {"gap": 5}}, "space", "a test").on(rows(100, 100))
    assert names(few)[0] == "default"
    assert len(few.anchors[0].experiment.scorers) < 5
    assert max(candidate.experiment.lookback for candidate in few.anchors) < 10
    assert search(12, 12).anchors == ()


@pytest.mark.parametrize(("trials", "count"), [(1, 1), (2, 1), (3, 2), (8, 4), (40, 10)])
def test_anchors_are_at_most_half_of_the_trials(trials, count):
    config = search(trials=trials)
    assert (len(config.anchors), config.trials) == (count, trials)


def test_a_grid_is_tried_whole_after_the_anchors():
    config = search(trials=None, algorithm={"kind": "grid"}, anchors=["default"])
    assert config.trials == 6 + 1


def test_own_anchors_have_auto_lengths():
    own = {"window": {"length": "auto"}, "model": {"kind": "window_linear", "components": "auto"}}
    config = search(anchors=[own, "default"])
    assert [name.split("-")[0] for name in names(config)] == ["own", "default"]
    assert (config.anchors[0].experiment.window.length, config.anchors[0].experiment.model.components) == (64, 16)


def test_equal_anchors_are_tried_once():
    assert names(search(anchors=["default", "default"])) == ["default"]


def test_a_mistake_in_an_anchor_is_named():
    with pytest.raises(SpecError, match=r"search\.anchors: own-[0-9a-f]{8}: model: must name its kind"):
        search(anchors=[{"model": {"knid": "l2"}}])
    with pytest.raises(SpecError, match="pbt has a population of its own space and no anchors"):
        search(pbt={"every": 2}, anchors=["default"])


def test_a_resumed_search_has_the_anchors_it_had():
    data = rows(2000)
    one, other = search(), search(anchors=["default"])
    assert one.search_fingerprint(data) == search().search_fingerprint(data) != other.search_fingerprint(data)


def test_the_algorithm_proposes_after_the_anchors_and_learns_nothing_of_them():
    config = search(anchors=["default", "members"])
    count = len(config.anchors)

    class Recording:
        def __init__(self):
            self.algorithm = RandomSpec(kind="random").build(config.space, 0)
            self.learned = []

        def suggest(self):
            candidate = self.algorithm.suggest()
            return replace(candidate, parents=(0,))

        def update(self, trial):
            self.learned.append(trial.candidate.number)

    inner = Recording()
    anchored = Anchored(config.anchors, inner)
    proposed = [anchored.suggest() for _ in range(count + 2)]
    assert [candidate.number for candidate in proposed] == list(range(count + 2))
    assert tuple(proposed[:count]) == config.anchors
    assert proposed[count].parents == (count,)
    for candidate in proposed:
        anchored.update(Trial(candidate, "finished", 0.5, seconds=1.0))
    assert inner.learned == [0, 1]


@pytest.mark.parametrize(
    ("threshold", "kind"),
    [
        (None, "ewma"),
        ({"kind": "percentile", "percentile": 98}, "percentile"),
        ({"kind": "percentile", "percentile": {"choice": [98, 99]}}, "ewma"),
    ],
)
def test_anchors_have_the_threshold_of_the_space_unless_it_is_a_hyperparameter(threshold, kind):
    values = SPACE if threshold is None else {**SPACE, "threshold": threshold}
    config = parse_search(values, "space", "a test").on(rows(2000))
    assert {candidate.experiment.threshold.kind for candidate in config.anchors} == {kind}


def test_an_auto_gap_is_wide_enough_for_the_whole_space():
    values = {**SPACE, "split": {"gap": "auto"}, "window": {"length": {"choice": [4, 100]}}}
    config = parse_search(values, "space", "a test").on(rows(2000))
    assert config.space.template["split"]["gap"] == 100
    assert config.spec.maximize.edge == 100  # the default, no less than 99
    wide = parse_search({**values, "window": {"length": {"choice": [4, 120]}}}, "space", "a test").on(rows(2000))
    assert (wide.space.template["split"]["gap"], wide.spec.maximize.edge) == (120, 119)


def test_an_average_has_no_validation_error():
    assert names(search(maximize={"kind": "validation_error"}))[:2] == ["multiscale", "multiscale scaled"]


def test_own_anchors_are_named_by_what_they_say_and_follow_the_rows():
    own = {"window": {"length": "auto"}, "model": {"kind": "window_linear", "components": "auto"}}
    alone, after = search(anchors=[own]), search(2500, anchors=["default", own])
    assert names(alone)[0] == names(after)[1] != names(search(anchors=[{**own, "scoring": {"over": "window"}}]))[0]
