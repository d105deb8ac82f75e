"""Niches: which one a candidate is in, and which trial is the best of each."""

import pytest

from tests.tuning.trials import in_niche
from tsad.experiment import ExperimentConfig
from tsad.selection.trial import Candidate
from tsad.spec import parse
from tsad.tuning.niches import Niche, memory, niche_elites, niche_of, niche_summaries


def candidate(length, scoring=None):
    values = {"data": {"kind": "synthetic"}, "model": {"kind": "l2"}, "window": {"length": length}}
    return Candidate(0, 0, {}, parse(ExperimentConfig, values | {"scoring": scoring or {}}, "a test"))


@pytest.mark.parametrize(
    ("length", "scoring", "expected"),
    [
        (1, {}, "short"),
        (16, {}, "short"),  # 15 rows before the last of a window of 16
        (17, {}, "medium"),
        (16, {"smooth": {"kind": "mean", "length": 2}}, "medium"),
        (64, {}, "medium"),
        (65, {}, "long"),
        (32, {"smooth": {"kind": "mean", "length": 33}}, "medium"),
        (32, {"smooth": {"kind": "mean", "length": 34}}, "long"),
        (8, {"normalization": {"kind": "rolling_median", "length": 8}}, "short"),
        (8, {"normalization": {"kind": "rolling_median", "length": 9}}, "medium"),
        (8, {"normalization": {"kind": "rolling_median"}}, "long"),
    ],
)
def test_memory_counts_the_rows_of_window_smoothing_and_normalization(length, scoring, expected):
    assert memory(candidate(length, scoring)) == expected
    assert niche_of(candidate(length, scoring)) == Niche("l2", expected)


def test_each_niche_has_its_own_best_trial():
    trials = [
        in_niche(0, 0.5, "l2", 8),
        in_niche(1, 0.75, "l2", 8),
        in_niche(2, 0.25, "l2", 8),
        in_niche(3, 0.1, "l2", 32),
        in_niche(4, 0.2, "tcn_ae", 8),
        in_niche(5, 0.75, "l2", 8),
    ]
    expected = {Niche("l2", "short"): 1, Niche("l2", "medium"): 3, Niche("tcn_ae", "short"): 4}
    assert {niche: trial.candidate.number for niche, trial in niche_elites(trials).items()} == expected
    assert niche_elites(reversed(trials)) == niche_elites(trials)


def test_only_finished_trials_with_a_finite_value_are_best():
    trials = [
        in_niche(0, 0.9, "l2", 8, state="stopped"),
        in_niche(1, None, "l2", 8, state="failed"),
        in_niche(2, float("inf"), "l2", 8),
        in_niche(3, float("nan"), "l2", 8),
        in_niche(4, None, "l2", 8),
    ]
    assert niche_elites(trials) == {}
    assert niche_summaries(trials) == [(Niche("l2", "short"), 5, None)]


def test_costs_decide_between_trials_of_equal_value():
    trials = [
        in_niche(number, value, "l2", 8, metrics={"cost/parameters": cost})
        for number, (value, cost) in enumerate([(0.5, 9.0), (0.5, 3.0), (0.25, 1.0)])
    ]
    (costly,), (cheap,) = niche_elites(trials).values(), niche_elites(trials, ["cost/parameters"]).values()
    assert (costly.candidate.number, cheap.candidate.number) == (0, 1)


def test_a_finished_trial_without_a_cost_is_refused():
    with pytest.raises(ValueError, match="minimize must name metrics that every finished trial has"):
        niche_elites([in_niche(0, 0.5, "l2", 8)], ["cost/parameters"])


def test_summaries_are_by_family_and_ascending_memory_and_count_every_trial():
    trials = [
        in_niche(0, 0.5, "tcn_ae", 8),
        in_niche(1, 0.5, "l2", 100),
        in_niche(2, 0.5, "l2", 32),
        in_niche(3, 0.5, "l2", 8),
        in_niche(4, None, "l2", 8, state="failed"),
    ]
    assert [(*niche, count, best.candidate.number) for niche, count, best in niche_summaries(trials)] == [
        ("l2", "short", 2, 3),
        ("l2", "medium", 1, 2),
        ("l2", "long", 1, 1),
        ("tcn_ae", "short", 1, 0),
    ]
