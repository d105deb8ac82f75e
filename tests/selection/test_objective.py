import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.examples import from_defaults, members
from tsad.config import ExperimentConfig
from tsad.detector.scoring import Scores
from tsad.errors import DataError
from tsad.experiment import run
from tsad.selection import objective
from tsad.selection.objective import (
    LabeledSpec,
    LabelFreeSpec,
    MaximizeSpec,
    ValidationErrorSpec,
    other_values,
    value_and_components,
)
from tsad.spec import parse, put
from tsad.tuning.spec import SearchSpec

OBJECTIVES = [from_defaults(member) for member in members(MaximizeSpec)]
every_objective = pytest.mark.parametrize("maximize", OBJECTIVES, ids=lambda spec: spec.kind)

LABEL_FREE = LabelFreeSpec(kind="label_free")
ERROR = ValidationErrorSpec(kind="validation_error")
L2 = {"window.length": 1, "model": {"kind": "l2"}}


@pytest.fixture
def outcome(small_experiment, small_data):
    """Returns what a changed `small_experiment` comes to, on other test labels if wanted."""

    def result(changes, labels=None):
        experiment = parse(
            ExperimentConfig, put(small_experiment.model_dump(mode="json"), changes), "changed experiment"
        )
        test = small_data.test if labels is None else dataclasses.replace(small_data.test, labels=labels)
        return run(experiment, dataclasses.replace(small_data, test=test))

    return result


def flipped(labels, rows):
    changed = labels.copy()
    changed[rows] ^= True
    return changed


# --- every objective ---


@every_objective
def test_what_is_maximized_is_one_finite_number(outcome, maximize):
    value = maximize.value(outcome(L2))
    assert isinstance(value, float)
    assert np.isfinite(value)


@every_objective
def test_labels_of_reported_rows_have_no_hand_in_it(outcome, maximize):
    first = outcome(L2)
    labels = flipped(first.parts.test.labels, first.parts.reported)
    other = outcome(L2, labels)
    assert other.report != first.report
    assert maximize.value(other) == maximize.value(first)


@every_objective
def test_labels_of_selection_rows_matter_only_where_it_says_so(outcome, maximize):
    first = outcome(L2)
    other = outcome(L2, flipped(first.parts.test.labels, first.parts.selection))
    assert (maximize.value(other) != maximize.value(first)) == (maximize.labels_used == "selection")


@every_objective
def test_the_components_come_with_the_value(outcome, maximize):
    result = outcome(L2)
    value, components = value_and_components(maximize, result)
    assert value == maximize.value(result)
    assert bool(components) == (maximize.kind == "label_free")


def test_the_components_are_the_precision_of_each_anomaly_type(outcome):
    result = outcome(L2)
    both = LABEL_FREE.model_copy(update={"anomaly_types": LABEL_FREE.anomaly_types[:2]})
    value, components = both.evaluated(result)
    assert components.keys() == {f"injection/{name}" for name in both.anomaly_types}
    assert value == pytest.approx(np.mean(list(components.values())))
    precisions = both.precisions(result.detector, result.parts.validation)
    first = sorted(both.anomaly_types)[0]
    assert components[f"injection/{first}"] == pytest.approx(np.mean(precisions[::2]))


def test_a_search_reads_no_label_unless_asked():
    assert SearchSpec().maximize == LABEL_FREE
    assert SearchSpec().maximize.labels_used == "nothing"


# --- label-free ---


class Witness:
    """A detector that scores a row by what `sees` makes of the rows that changed; it remembers what it was shown."""

    def __init__(self, normal, sees, silent=0):
        self.normal, self.sees, self.silent, self.shown = normal, sees, silent, []
        self.scorer = self
        self.lookback, self.lookahead = silent, 0

    def score(self, series):
        self.shown.append(series)
        values = self.sees((series.values != self.normal.values).any(axis=1).astype(float))
        values[: self.silent] = np.nan
        return Scores(values, values[:, None])


def remembers(changed):
    """Returns the largest of a row and the two before it: events of these rows have two to four."""
    return np.maximum.reduce([np.roll(changed, back) for back in range(3)])


@pytest.fixture
def judged(outcome):
    """Returns the label-free value of a detector made by hand, and that detector."""
    found = outcome(L2)

    def result(sees, silent=0, **options):
        witness = Witness(found.parts.validation, sees, silent)
        spec = LabelFreeSpec(kind="label_free", **options)
        return spec.value(dataclasses.replace(found, detector=witness)), witness

    return result


SHIFTS = {"anomaly_types": ("level_shift",)}


def test_who_sees_every_injected_row_is_worth_1(judged):
    assert judged(lambda changed: changed, **SHIFTS)[0] == 1
    assert judged(lambda changed: -changed, **SHIFTS)[0] < 0.2


def test_who_sees_nothing_is_worth_the_share_of_anomalous_rows(judged):
    value, witness = judged(np.zeros_like, draws=1, **SHIFTS)
    inner = np.arange(29, 59)  # 88 validation rows, a third of them left out at either end
    labels = witness.shown[0].labels
    (start,), (stop,) = (
        np.flatnonzero(np.diff(labels.astype(int)) == 1) + 1,
        np.flatnonzero(np.diff(labels.astype(int)) == -1) + 1,
    )
    left_out = sum(stop <= row < 2 * stop - start for row in inner)
    assert value == pytest.approx((stop - start) / (30 - left_out))


def test_a_short_memory_of_an_event_costs_nothing(judged):
    assert judged(remembers, **SHIFTS, fraction=0.1)[0] == 1


def test_every_candidate_meets_the_same_rows_whatever_else_it_is(outcome, monkeypatch):
    shown = []
    inject = objective.inject

    def listened(*arguments, **options):
        shown.append(inject(*arguments, **options))
        return shown[-1]

    monkeypatch.setattr(objective, "inject", listened)
    for changes in (
        L2,
        {"window.length": 5, "model": {"kind": "window_linear", "components": 3}, "scaler": {"kind": "none"}},
    ):
        LABEL_FREE.value(outcome(changes))
    first, second = shown[:3], shown[3:]
    for before, after in zip(first, second, strict=True):
        np.testing.assert_array_equal(before.series.values, after.series.values)
        np.testing.assert_array_equal(before.inner, after.inner)
        assert before.events == after.events


def test_each_draw_has_other_anomalies_and_is_scored_once(judged):
    _, witness = judged(lambda changed: changed, draws=4)
    assert len(witness.shown) == 4
    assert len({series.values.tobytes() for series in witness.shown}) == 4


def test_another_seed_gives_other_anomalies(judged):
    first, second = (judged(lambda changed: changed, seed=seed)[1].shown[0] for seed in (0, 1))
    assert not np.array_equal(first.values, second.values)


def test_rows_without_a_score_near_the_ends_do_not_matter_but_a_judged_row_must_have_one(judged):
    assert judged(remembers, silent=29)[0] == judged(remembers)[0]
    with pytest.raises(
        DataError,
        match=r"on the same 30 validation rows, but this one has no score for 1 of them, because a score depends "
        r"on 30 other rows; "
        r"set search\.maximize\.edge=30 or more and provide segments of 90 rows, or use a shorter window",
    ):
        judged(remembers, silent=30)


def test_no_label_is_read_and_no_test_row(outcome):
    found = outcome(L2)
    labeled = dataclasses.replace(found.parts.validation, labels=np.arange(88) % 2 == 0)
    other = dataclasses.replace(found.parts, validation=labeled, test=found.parts.fit)
    assert LABEL_FREE.value(dataclasses.replace(found, parts=other)) == LABEL_FREE.value(found)


def test_the_threshold_has_no_hand_in_it(outcome):
    assert LABEL_FREE.value(outcome(L2 | {"threshold": {"kind": "sigma"}})) == LABEL_FREE.value(outcome(L2))


def test_a_detector_that_knows_the_sensors_is_worth_more_than_one_that_guesses():
    values = {"seed": 1, "data": {"kind": "synthetic", "rows": 2000}, "model": {"kind": "random"}}
    experiment = parse(ExperimentConfig, values | {"window": {"length": 1}}, "chance")
    knowing = parse(
        ExperimentConfig,
        values | {"window": {"length": 8}, "model": {"kind": "multiscale_linear"}, "scoring": {"error": "absolute"}},
        "multiscale",
    )
    data = experiment.data.load(Path())
    constant = parse(
        ExperimentConfig, put(experiment.model_dump(mode="json"), {"model": {"kind": "constant"}}), "constant"
    )
    guess, same, good = (LABEL_FREE.value(run(each, data)) for each in (experiment, constant, knowing))
    assert good > 2 * max(guess, same)
    assert same < 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"anomaly_types": []}, "anomaly_types: .* at least 1 item"),
        ({"anomaly_types": ["spike"]}, "anomaly_types.*: input should be 'point'"),
        ({"fraction": 0.5}, "fraction: input should be less than or equal to 0.3"),
        ({"draws": 0}, "draws: input should be greater than or equal to 1"),
    ],
)
def test_an_impossible_injection_is_refused(options, message):
    with pytest.raises(Exception, match=message):
        parse(LabelFreeSpec, {"kind": "label_free", **options}, "maximize")


# --- labeled ---


@pytest.mark.parametrize("metric", ["ranking/pr_auc", "ranking/roc_auc", "oracle/best_f1", "point/f1"])
def test_a_labeled_value_is_the_metric_of_the_selection_rows(outcome, metric):
    found = outcome(L2)
    assert LabeledSpec(kind="labeled", metric=metric).value(found) == found.selection.metrics[metric]
    assert found.selection.metrics[metric] != found.report.metrics[metric]


def test_a_labeled_value_needs_selection_rows(outcome):
    with pytest.raises(DataError, match=r"maximize: labeled needs rows to choose by; set split\.selection above 0"):
        LabeledSpec(kind="labeled").value(outcome(L2 | {"split.selection": 0}))


def test_a_labeled_value_needs_anomalies_among_the_selection_rows(outcome, small_data):
    labels = small_data.test.labels.copy()
    labels[:200] = False
    with pytest.raises(
        DataError, match=r"do not define ranking/pr_auc \(all \d+ rows are normal\); set split\.selection"
    ):
        LabeledSpec(kind="labeled").value(outcome(L2, labels))


def test_an_unknown_metric_is_refused():
    with pytest.raises(Exception, match="metric: input should be 'ranking/pr_auc'"):
        parse(LabeledSpec, {"kind": "labeled", "metric": "accuracy"}, "maximize")


# --- error ---


def test_the_error_is_that_of_validation_rows_in_training_deviations(outcome):
    parts = outcome(L2).parts
    fit, validation = parts.fit.values.astype(np.float64), parts.validation.values.astype(np.float64)
    by_hand = np.square((validation - fit.mean(axis=0)) / fit.std(axis=0)).mean()
    assert ERROR.value(outcome(L2)) == pytest.approx(-by_hand, rel=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"scoring.compress": "log1p"},
        {"scoring.error": "absolute", "scoring.features": "max"},
        {"scoring.scale": "validation"},
        {"scoring.smooth": {"kind": "mean", "length": 10}},
        {"scaler": {"kind": "none"}},
        {"threshold": {"kind": "sigma"}},
    ],
    ids=str,
)
def test_the_error_does_not_depend_on_scoring_scaler_or_threshold(outcome, changes):
    assert ERROR.value(outcome(L2 | changes)) == pytest.approx(ERROR.value(outcome(L2)), rel=1e-5)


def test_the_error_is_that_of_the_last_step_whatever_steps_a_score_is_made_of(outcome):
    linear = {"model": {"kind": "window_linear", "components": 4}}
    values = [ERROR.value(outcome(linear | {"scoring.over": over})) for over in ("last", "window", "mean")]
    assert values[1:] == values[:1] * 2


def test_a_better_fit_has_a_larger_value(outcome):
    values = [
        ERROR.value(outcome({"window.length": 1, "model": {"kind": "pca_error", "components": components}}))
        for components in (1, 3, 5)
    ]
    assert values == sorted(values)
    assert values[0] < values[-1] < 0


# --- what the others would have said ---


def test_the_objectives_that_were_not_chosen_are_reported_with_the_one_that_was(small_experiment, small_data):
    outcome = run(small_experiment, small_data)
    chosen = LabelFreeSpec(kind="label_free", edge=10)
    found = other_values(chosen, outcome)
    assert found == {
        "objective/labeled": LabeledSpec(kind="labeled").value(outcome),
        "objective/validation_error": ValidationErrorSpec(kind="validation_error").value(outcome),
    }


def test_an_objective_that_is_not_defined_is_left_out(small_experiment, small_data):
    alone = parse(
        ExperimentConfig, put(small_experiment.model_dump(mode="json"), {"split.selection": 0}), "no selection"
    )
    found = other_values(LabelFreeSpec(kind="label_free"), run(alone, small_data))
    assert found.keys() == {"objective/validation_error"}
