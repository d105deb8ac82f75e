import dataclasses

import numpy as np
import pytest

from tests.examples import from_defaults, members
from tsad.errors import DataError
from tsad.experiment import Experiment, run
from tsad.search.objective import LabelledSpec, MaximiseSpec, MisfitSpec
from tsad.spec import parse, put

OBJECTIVES = [from_defaults(member) for member in members(MaximiseSpec)]
every_objective = pytest.mark.parametrize("maximise", OBJECTIVES, ids=lambda spec: spec.kind)

MISFIT = MisfitSpec(kind="misfit")
L2 = {"window.length": 1, "model": {"kind": "l2"}}


@pytest.fixture
def outcome(small_experiment, small_data):
    """Returns what a changed `small_experiment` comes to, on other test labels if wanted."""

    def result(changes, labels=None):
        experiment = parse(Experiment, put(small_experiment.model_dump(mode="json"), changes), "changed experiment")
        test = small_data.test if labels is None else dataclasses.replace(small_data.test, labels=labels)
        return run(experiment, dataclasses.replace(small_data, test=test))

    return result


def flipped(labels, rows):
    changed = labels.copy()
    changed[rows] ^= True
    return changed


# --- every objective ---


@every_objective
def test_what_is_maximised_is_one_finite_number(outcome, maximise):
    value = maximise.value(outcome(L2))
    assert isinstance(value, float)
    assert np.isfinite(value)


@every_objective
def test_labels_of_reported_rows_have_no_hand_in_it(outcome, maximise):
    first = outcome(L2)
    labels = flipped(first.parts.test.labels, first.parts.reported)
    other = outcome(L2, labels)
    assert other.report != first.report
    assert maximise.value(other) == maximise.value(first)


@every_objective
def test_labels_of_selection_rows_matter_only_where_it_says_so(outcome, maximise):
    first = outcome(L2)
    other = outcome(L2, flipped(first.parts.test.labels, first.parts.selection))
    assert (maximise.value(other) != maximise.value(first)) == (maximise.labels_used == "selection")


# --- labelled ---


@pytest.mark.parametrize("metric", ["ranking/pr_auc", "ranking/roc_auc", "oracle/best_f1", "point/f1"])
def test_a_labelled_value_is_the_metric_of_the_selection_rows(outcome, metric):
    found = outcome(L2)
    assert LabelledSpec(kind="labelled", metric=metric).value(found) == found.selection.metrics[metric]
    assert found.selection.metrics[metric] != found.report.metrics[metric]


def test_a_labelled_value_needs_selection_rows(outcome):
    with pytest.raises(DataError, match=r"maximise: labelled needs rows to choose by; set split\.selection above 0"):
        LabelledSpec(kind="labelled").value(outcome(L2 | {"split.selection": 0}))


def test_a_labelled_value_needs_anomalies_among_the_selection_rows(outcome, small_data):
    labels = small_data.test.labels.copy()
    labels[:200] = False
    with pytest.raises(
        DataError, match=r"do not define ranking/pr_auc \(all \d+ rows are normal\); set split\.selection"
    ):
        LabelledSpec(kind="labelled").value(outcome(L2, labels))


def test_an_unknown_metric_is_refused():
    with pytest.raises(Exception, match="metric: input should be 'ranking/pr_auc'"):
        parse(LabelledSpec, {"kind": "labelled", "metric": "accuracy"}, "maximise")


# --- misfit ---


def test_the_misfit_is_that_of_validation_rows_in_training_deviations(outcome):
    parts = outcome(L2).parts
    fit, validation = parts.fit.values.astype(np.float64), parts.validation.values.astype(np.float64)
    by_hand = np.square((validation - fit.mean(axis=0)) / fit.std(axis=0)).mean()
    assert MISFIT.value(outcome(L2)) == pytest.approx(-by_hand, rel=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"scoring.compress": "log1p"},
        {"scoring.misfit": "absolute", "scoring.features": "max"},
        {"scoring.scale": "validation"},
        {"scoring.smooth": {"kind": "mean", "length": 10}},
        {"scaler": {"kind": "none"}},
        {"threshold": {"kind": "sigma"}},
    ],
    ids=str,
)
def test_the_misfit_does_not_depend_on_scoring_scaler_or_threshold(outcome, changes):
    assert MISFIT.value(outcome(L2 | changes)) == pytest.approx(MISFIT.value(outcome(L2)), rel=1e-5)


def test_the_misfit_is_that_of_the_last_step_whatever_steps_a_score_is_made_of(outcome):
    linear = {"model": {"kind": "window_linear", "components": 4}}
    values = [MISFIT.value(outcome(linear | {"scoring.over": over})) for over in ("last", "window", "mean")]
    assert values[1:] == values[:1] * 2


def test_a_better_fit_has_a_larger_value(outcome):
    values = [
        MISFIT.value(outcome({"window.length": 1, "model": {"kind": "pca_error", "components": components}}))
        for components in (1, 3, 5)
    ]
    assert values == sorted(values)
    assert values[0] < values[-1] < 0
