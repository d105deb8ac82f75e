"""One line says whether a search paid."""

from types import SimpleNamespace

import pytest

from tsad.config import ExperimentConfig
from tsad.selection.trial import Candidate, Trial
from tsad.spec import parse
from tsad.workflows.payoff import METRIC, payoff

EXPERIMENT = parse(ExperimentConfig, {"data": {"kind": "synthetic"}, "model": {"kind": "l2"}}, "a test")


def trial(number, vus, anchor="", state="finished"):
    candidate = Candidate(number, 0, {}, EXPERIMENT, anchor=anchor)
    return Trial(candidate, state, 0.5, seconds=1.0, metrics={} if vus is None else {METRIC: vus}, elapsed=3.0 * number)


def assessed(vus, chance=None):
    metrics = {} if vus is None else {METRIC: vus}
    baselines = {name: SimpleNamespace(metrics={METRIC: value}) for name, value in (("l2", 0.2), ("k-means", 0.6))}
    certainty = None if chance is None else SimpleNamespace(chance={METRIC: SimpleNamespace(mean=chance)})
    return SimpleNamespace(report=SimpleNamespace(metrics=metrics), baselines=baselines, certainty=certainty)


TRIALS = (trial(0, 0.4, "default"), trial(1, 0.3), trial(2, 0.1), trial(3, 0.9, state="stopped"))


def test_labeled_rows_compare_test_metrics():
    assert payoff(TRIALS, assessed(0.5, chance=0.1), 0.7) == (
        "VUS-PR on the reported rows: the champion 0.500, the default detector 0.400, the median trial 0.300, the best "
        "baseline (k-means) 0.600; 4 trials in 9 s."
    )


def test_unlabeled_rows_compare_values():
    trials = (trial(0, None, "default"), trial(1, None))
    assert payoff(trials, assessed(None), 0.75) == (
        "By the objective, which reads no test label: the champion 0.750, the default detector 0.500, the median trial "
        "0.500; 2 trials in 3 s."
    )


@pytest.mark.parametrize(("chance", "below"), [(0.5, True), (0.6, True), (0.4, False)])
def test_a_champion_below_chance_is_said(chance, below):
    assert ("below chance" in payoff(TRIALS, assessed(0.5, chance), 0.7)) == below
