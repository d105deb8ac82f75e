import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.examples import from_defaults, members
from tsad.config import ExperimentConfig
from tsad.errors import DataError
from tsad.experiment import run
from tsad.models import ModelSpec
from tsad.series import Series
from tsad.spec import parse, put
from tsad.thresholds import ThresholdSpec
from tsad.thresholds.ewma import EwmaSpec
from tsad.windows import cut

MODELS = [from_defaults(member) for member in members(ModelSpec)]
THRESHOLDS = [from_defaults(member) for member in members(ThresholdSpec)]

every_model = pytest.mark.parametrize("model", MODELS, ids=lambda spec: spec.kind)


def changed(experiment, **sections):
    """Returns the experiment with sections put in; `__` stands for the dot of a path."""
    changes = {name.replace("__", "."): value for name, value in sections.items()}
    return parse(ExperimentConfig, put(experiment.model_dump(mode="json"), changes), "changed experiment")


def with_test(data, **columns):
    return dataclasses.replace(data, test=dataclasses.replace(data.test, **columns))


def assert_same(first, second):
    """Asserts that two outcomes have the same scores, threshold, history and reports."""
    np.testing.assert_array_equal(first.validation.values, second.validation.values)
    np.testing.assert_array_equal(first.test.values, second.test.values)
    assert first.detector.threshold == second.detector.threshold
    assert first.history == second.history
    assert first.report == second.report
    assert first.selection == second.selection


@every_model
def test_the_same_experiment_gives_exactly_the_same_outcome(small_experiment, small_data, model):
    experiment = changed(small_experiment, model={"kind": model.kind})
    first = run(experiment, small_data)
    torch.rand(7)  # whatever was drawn before must not matter
    assert_same(first, run(experiment, small_data))


def test_another_seed_gives_another_outcome(small_experiment, small_data):
    first, second = (run(changed(small_experiment, seed=seed), small_data) for seed in (1, 2))
    assert not np.array_equal(first.test.values, second.test.values, equal_nan=True)


def test_an_outcome_scores_and_flags_as_its_detector_does(small_experiment, small_data):
    outcome = run(small_experiment, small_data)
    scores = outcome.detector.score(small_data.test)
    np.testing.assert_array_equal(scores.values, outcome.test.values)
    reported = outcome.parts.reported
    assert outcome.report.metrics["ratio/predicted"] == outcome.detector.flag(scores)[reported].mean()
    assert outcome.report.metrics["ratio/true"] == small_data.test.labels[reported].mean()
    assert outcome.detector.threshold == small_experiment.threshold.fit(outcome.validation.values)


def test_a_threshold_that_follows_the_scores_goes_on_from_the_validation_rows(small_experiment, small_data):
    outcome = run(changed(small_experiment, threshold={"kind": "ewma", "factor": 1.0, "span": 20}), small_data)
    threshold = EwmaSpec(kind="ewma", factor=1.0, span=20).fit(outcome.validation.values)
    assert outcome.detector.threshold == threshold
    flags = threshold.flags(outcome.test.values)[outcome.parts.reported]
    assert outcome.report.metrics["ratio/predicted"] == flags.mean()
    assert 0 < flags.sum() < len(flags)


def test_too_few_validation_scores_for_a_threshold_are_refused(small_experiment, small_data):
    with pytest.raises(
        ValueError, match="threshold conformal needs at least 999 scores, but only 81 of 88 rows have one"
    ):
        run(changed(small_experiment, threshold={"kind": "conformal"}), small_data)


# --- looking at a run ---


def test_looking_at_a_run_does_not_change_it(small_experiment, small_data):
    def look(progress):
        progress.outcome()
        torch.rand(3)

    experiment = changed(small_experiment, model__layers=2, model__dropout=0.3)
    assert_same(run(experiment, small_data), run(experiment, small_data, look))


def test_a_kept_outcome_stays_what_it_was(small_experiment, small_data):
    kept = []
    run(small_experiment, small_data, lambda progress: kept.append(progress.outcome()))
    np.testing.assert_array_equal(kept[0].detector.score(small_data.test).values, kept[0].test.values)


def test_the_outcome_of_an_epoch_is_that_of_a_run_that_ends_there(small_experiment, small_data):
    # a learning rate this high makes some epochs worse than the one before
    experiment = changed(small_experiment, training__epochs=4, training__learning_rate=0.1, training__patience=4)
    seen = []
    run(experiment, small_data, lambda progress: seen.append(progress.outcome()))
    losses = [epoch.validation["squared_error"] for epoch in seen[-1].history]
    assert losses != sorted(losses, reverse=True)
    for epochs, outcome in enumerate(seen, start=1):
        assert_same(outcome, run(changed(experiment, training__epochs=epochs), small_data))


def test_progress_tells_epochs_and_curves(small_experiment, small_data):
    told = []
    outcome = run(small_experiment, small_data, lambda progress: told.append((progress.epoch, progress.losses)))
    assert [epoch for epoch, _ in told] == [1, 2]
    assert [losses for _, losses in told] == [epoch.curves() for epoch in outcome.history]


def test_checkpoints_hold_the_weights_of_the_outcome(small_experiment, small_data, tmp_path):
    run(small_experiment, small_data, checkpoints=tmp_path / "checkpoints")
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "best.safetensors",
        "last.safetensors",
        "training.safetensors",
    ]


# --- labels ---


@pytest.mark.parametrize("threshold", THRESHOLDS, ids=lambda spec: spec.kind)
def test_labels_change_no_score_and_no_threshold_but_that_of_an_oracle(small_experiment, threshold):
    long = {
        "model": {"kind": "l2"},
        "data__rows": 5000,
    }  # as many validation rows as the most demanding threshold needs
    experiment = changed(small_experiment, threshold={"kind": threshold.kind}, **long)
    data = experiment.data.load(Path())
    labels = data.test.labels
    first, flipped, rolled = (
        run(experiment, with_test(data, labels=changed_labels))
        for changed_labels in (labels, ~labels, np.roll(labels, 57))
    )
    for other in (flipped, rolled):
        np.testing.assert_array_equal(first.validation.values, other.validation.values)
        np.testing.assert_array_equal(first.test.values, other.test.values)
        if not threshold.reads_labels:
            assert first.detector.threshold == other.detector.threshold
        assert first.report != other.report
    if threshold.reads_labels:
        assert first.detector.threshold.value != flipped.detector.threshold.value
        assert first.detector.threshold.labels_used == "test"


def test_labels_of_training_rows_are_never_read(small_experiment, small_data):
    labels = np.arange(len(small_data.train)) % 3 == 0
    labeled = dataclasses.replace(small_data, train=dataclasses.replace(small_data.train, labels=labels))
    assert_same(run(small_experiment, small_data), run(small_experiment, labeled))


def test_without_labels_there_are_scores_and_flags_but_no_metrics_of_them(small_experiment, small_data):
    outcome = run(small_experiment, with_test(small_data, labels=None))
    assert np.isfinite(outcome.test.values).any()
    assert outcome.report.undefined["point/f1"] == "no labels"


def test_an_oracle_flags_as_well_as_any_threshold_can(small_experiment, small_data):
    report = run(changed(small_experiment, threshold={"kind": "best_f1"}), small_data).report
    for name in ("precision", "recall", "f1"):
        assert report.metrics[f"point/{name}"] == pytest.approx(report.metrics[f"oracle/best_{name}"])


def test_an_oracle_without_labels_is_refused(small_experiment, small_data):
    with pytest.raises(ValueError, match="best_f1 needs test rows with labeled anomalies"):
        run(changed(small_experiment, threshold={"kind": "best_f1"}), with_test(small_data, labels=None))


def test_labels_of_selection_rows_do_not_move_the_report(small_experiment, small_data):
    labels = small_data.test.labels.copy()
    outcome = run(small_experiment, small_data)
    labels[outcome.parts.selection] ^= True
    other = run(small_experiment, with_test(small_data, labels=labels))
    assert other.report == outcome.report
    assert other.selection != outcome.selection


# --- rows ---


def test_selection_and_reported_rows_are_disjoint_with_the_gap_between_them(small_experiment, small_data):
    parts = run(small_experiment, small_data).parts
    assert parts.selection == slice(0, 200)
    assert parts.reported == slice(200 + 12, 400)
    ends = cut(parts.test, small_experiment.window.length).ends.numpy()
    first_reported_window = ends[ends >= parts.reported.start].min() - small_experiment.window.length + 1
    assert first_reported_window >= parts.selection.stop


@pytest.mark.parametrize("over", ["last", "window"])
def test_future_rows_do_not_change_earlier_causal_scores(small_experiment, small_data, over):
    experiment = changed(small_experiment, scoring={"over": over, "smooth": {"kind": "mean", "length": 5}})
    values = small_data.test.values.copy()
    values[250:] = 7
    later = with_test(small_data, values=values)
    first, second = run(experiment, small_data), run(experiment, later)
    np.testing.assert_array_equal(first.test.values[:250], second.test.values[:250])
    assert not np.array_equal(first.test.values[250:], second.test.values[250:])
    assert first.detector.threshold == second.detector.threshold


def test_test_rows_have_no_hand_in_the_fit(small_experiment, small_data):
    first = run(small_experiment, small_data)
    second = run(small_experiment, with_test(small_data, values=small_data.test.values[::-1].copy()))
    np.testing.assert_array_equal(first.validation.values, second.validation.values)
    assert first.history == second.history
    np.testing.assert_array_equal(first.detector.scorer.scaler.center, second.detector.scorer.scaler.center)


def test_a_scaler_is_fitted_on_the_fit_rows_alone(small_experiment, small_data):
    outcome = run(small_experiment, small_data)
    fitted = small_data.train.values[:300].astype(np.float64)
    np.testing.assert_allclose(outcome.detector.scorer.scaler.center, fitted.mean(axis=0))


def test_no_window_reaches_across_a_break(small_experiment, small_data):
    broken = with_test(small_data, boundaries=(100, 104, 300))
    scores = run(small_experiment, broken).test.values
    unscored = {*range(7), *range(100, 111), *range(300, 307)}
    assert set(np.flatnonzero(np.isnan(scores))) == unscored


# --- mistakes ---


def test_a_gap_shorter_than_the_window_is_refused(small_experiment, small_data):
    with pytest.raises(DataError, match="got gap=12 and 13 rows"):
        run(changed(small_experiment, window__length=13), small_data)


def test_a_gap_shorter_than_window_and_smoothing_is_refused(small_experiment, small_data):
    smooth = {"kind": "mean", "length": 300}
    with pytest.raises(DataError, match="got gap=12 and 307 rows"):
        run(changed(small_experiment, scoring__smooth=smooth), small_data)


def test_sizes_that_contradict_each_other_are_refused(small_experiment, small_data):
    with pytest.raises(ValueError, match="components must not exceed the values they explain"):
        run(changed(small_experiment, model={"kind": "pca_error", "components": 7}), small_data)


def test_a_series_of_one_feature_is_enough(small_experiment, small_data):
    def narrow(series):
        return Series(series.values[:, :1].copy(), series.features[:1], series.labels, series.boundaries)

    data = dataclasses.replace(small_data, train=narrow(small_data.train), test=narrow(small_data.test))
    assert np.isfinite(run(small_experiment, data).report.metrics["ranking/roc_auc"])
