import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import RobustScaler
from sklearn.utils.estimator_checks import check_estimator

from tests.examples import from_defaults, members, sensors
from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet
from tsad.detector.detector import Detector
from tsad.errors import DataError, SpecError
from tsad.experiment import run
from tsad.models import ModelSpec
from tsad.outlier_detector import OutlierDetector
from tsad.series import Series
from tsad.spec import parse

ROW = OutlierDetector()
WINDOW = OutlierDetector(
    model={"kind": "window_linear", "components": 2}, window={"length": 2}, scoring={"over": "window"}, validation=0.5
)
SMOOTHED = OutlierDetector(scoring={"smooth": {"kind": "mean", "length": 2}}, validation=0.5)
NETWORK = OutlierDetector(
    model={"kind": "lstm_ae", "hidden": 4, "latent": 2}, window={"length": 2}, training={"epochs": 1}, validation=0.5
)
TRAINED = {"model": {"kind": "lstm_ae", "hidden": 8, "latent": 3}, "window": {"length": 8}, "training": {"epochs": 2}}

LOOKS_BACK = {
    "check_outliers_train": "asks that predict is 1 exactly where decision_function is at least 0; a row without a score "
    "has NaN there and is not flagged, because nobody knows anything about it",
    "check_methods_sample_order_invariance": "shuffles the rows and asks for the same scores; a score is made of the rows "
    "before it, so the order counts",
    "check_methods_subset_invariance": "passes one row at a time; a score needs the rows before it",
}
"""The checks of scikit-learn that a detector cannot pass if it looks at more than one row, each with the reason."""

every_configuration = pytest.mark.parametrize(
    ("estimator", "impossible"),
    [(ROW, {}), (WINDOW, LOOKS_BACK), (SMOOTHED, LOOKS_BACK), (NETWORK, LOOKS_BACK)],
    ids=["row", "window", "smoothed", "network"],
)


@pytest.fixture
def rows():
    """300 rows of 6 sensors, and 100 later ones of which five are strange."""
    values = sensors(400).values
    values[350:355] += 5
    return values[:300], values[300:]


def fitted(rows, **sections):
    return OutlierDetector(**sections).fit(rows[0])


@every_configuration
def test_scikit_learn_finds_nothing_wrong_but_what_no_such_detector_can_pass(estimator, impossible):
    results = check_estimator(estimator, expected_failed_checks=impossible, on_fail=None, on_skip=None)
    failed = {result["check_name"]: repr(result["exception"]) for result in results if result["status"] == "failed"}
    assert not failed
    # a check that runs in two forms fails in at least one of them
    assert {result["check_name"] for result in results if result["status"] == "xfail"} == set(impossible)
    assert sum(result["status"] == "passed" for result in results) > 35


# --- what it comes to ---


@pytest.mark.parametrize("model", [from_defaults(member) for member in members(ModelSpec)], ids=lambda spec: spec.kind)
def test_scores_are_those_of_the_detector_with_the_sign_changed(rows, model):
    estimator = fitted(rows, model=model.model_dump(mode="json"), window={"length": 8}, training={"epochs": 1})
    series = Series(rows[1], tuple(f"x{place}" for place in range(6)))
    scores = estimator.detector_.score(series)
    np.testing.assert_array_equal(estimator.score_samples(rows[1]), -scores.values)
    np.testing.assert_array_equal(estimator.predict(rows[1]) == -1, estimator.detector_.flag(scores))


def test_a_fit_comes_to_what_a_run_on_the_same_parts_comes_to(rows):
    series = sensors(400)
    strange = Series(rows[1], series.features)
    values = TRAINED | {"data": {"kind": "synthetic"}, "split": {"validation": 0.25, "gap": 8}, "seed": 5}
    data = DataSet("sensors", "made here", Series(rows[0], series.features), strange)
    outcome = run(parse(ExperimentConfig, values, "experiment"), data)
    estimator = OutlierDetector(**TRAINED, seed=5).fit(pd.DataFrame(rows[0], columns=series.features))
    assert estimator.detector_.threshold == outcome.detector.threshold
    np.testing.assert_array_equal(estimator.detector_.score(strange).values, outcome.test.values)


def test_strange_rows_have_the_lowest_scores_and_are_flagged(rows):
    estimator = fitted(rows)
    assert set(np.argsort(estimator.score_samples(rows[1]))[:5]) == {50, 51, 52, 53, 54}
    assert (estimator.predict(rows[1])[50:55] == -1).all()
    assert (estimator.predict(rows[1]) == -1).mean() < 0.25


def test_the_offset_is_minus_the_threshold_and_divides_flagged_rows_from_others(rows):
    estimator = fitted(rows, threshold={"kind": "sigma", "factor": 2.0})
    decision = estimator.decision_function(rows[1])
    assert estimator.offset_ == -estimator.detector_.threshold.value
    assert estimator.detector_.threshold.method == "mean + 2 sigma"
    np.testing.assert_array_equal(decision, estimator.score_samples(rows[1]) - estimator.offset_)
    np.testing.assert_array_equal(estimator.predict(rows[1]), np.where(decision >= 0, 1, -1))


def test_a_threshold_that_follows_the_scores_divides_by_the_threshold_of_each_row(rows):
    estimator = fitted(rows, threshold={"kind": "ewma", "factor": 2.0, "span": 20})
    thresholds = estimator.detector_.threshold.per_row(-estimator.score_samples(rows[1]))
    assert estimator.offset_ == -thresholds[0]
    assert len(set(thresholds)) > 50
    np.testing.assert_array_equal(estimator.decision_function(rows[1]), thresholds + estimator.score_samples(rows[1]))
    assert (estimator.predict(rows[1])[50:55] == -1).all()


def test_a_row_without_a_score_is_nan_and_not_flagged(rows):
    estimator = fitted(rows, **TRAINED, scoring={"smooth": {"kind": "mean", "length": 3}})
    unknown = np.arange(100) < 7 + 2
    np.testing.assert_array_equal(np.isnan(estimator.score_samples(rows[1])), unknown)
    np.testing.assert_array_equal(np.isnan(estimator.decision_function(rows[1])), unknown)
    assert (estimator.predict(rows[1])[unknown] == 1).all()


def test_later_rows_have_no_hand_in_the_scaler(rows):
    changed = rows[0].copy()
    changed[300 - 75 :] *= 3
    first, second = fitted(rows).detector_, OutlierDetector().fit(changed).detector_
    np.testing.assert_array_equal(first.scorer.scaler.center, second.scorer.scaler.center)
    assert first.threshold != second.threshold


def test_rows_next_to_the_validation_are_left_out(rows):
    changed = rows[0].copy()
    changed[300 - 75 : 300 - 75 + 8] = 1e3  # as many as one score looks at
    first, second = (fitted((values,), **TRAINED).detector_ for values in (rows[0], changed))
    assert first.threshold == second.threshold


# --- scikit-learn's ways ---


def test_the_names_of_a_table_become_the_features(rows):
    table = pd.DataFrame(rows[0], columns=list("abcdef"))
    estimator = OutlierDetector().fit(table)
    assert estimator.detector_.scorer.features == tuple("abcdef")
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.predict(table[list("fedcba")])


def test_a_pipeline_scales_first_and_detects_then(rows):
    pipeline = make_pipeline(RobustScaler(), OutlierDetector(scaler={"kind": "none"})).fit(rows[0])
    scaler = RobustScaler().fit(rows[0])
    alone = OutlierDetector(scaler={"kind": "none"}).fit(scaler.transform(rows[0]))
    np.testing.assert_array_equal(pipeline.predict(rows[1]), alone.predict(scaler.transform(rows[1])))
    np.testing.assert_array_equal(
        pipeline.decision_function(rows[1]), alone.decision_function(scaler.transform(rows[1]))
    )


def test_a_clone_has_the_parameters_and_nothing_that_was_learned(rows):
    estimator = fitted(rows, **TRAINED, seed=3)
    copy = clone(estimator)
    assert copy.get_params() == estimator.get_params()
    with pytest.raises(NotFittedError):
        copy.predict(rows[1])
    np.testing.assert_array_equal(copy.fit(rows[0]).score_samples(rows[1]), estimator.score_samples(rows[1]))


def test_a_grid_searches_whole_sections(rows):
    def highest(estimator, values, labels=None):
        return np.nanmax(-estimator.score_samples(values))

    grid = {"window": [{"length": 2}, {"length": 4}], "seed": np.arange(2)}
    model = OutlierDetector(model={"kind": "window_linear", "components": 2})
    search = GridSearchCV(model, grid, scoring=highest, cv=TimeSeriesSplit(2), error_score="raise").fit(rows[0])
    assert len(search.cv_results_["params"]) == 4
    assert search.best_params_["window"] in grid["window"]
    assert search.predict(rows[1]).shape == (100,)


def test_parameters_stay_as_they_were_given():
    sections = {"window": {"length": 2}, "model": {"kind": "l2"}}
    estimator = OutlierDetector(**sections, validation=7, seed=-1)  # nonsense is refused by the fit
    assert estimator.get_params()["window"] is sections["window"]
    assert estimator.set_params(window=None).get_params()["window"] is None


def test_another_model_gets_the_window_of_an_experiment(rows):
    lengths = [fitted(rows, model=model).detector_.scorer.window_length for model in (None, {"kind": "window_linear"})]
    assert lengths == [1, 32]


def test_the_detector_saves_without_pickle(rows, tmp_path):
    estimator = fitted(rows, **TRAINED)
    estimator.detector_.save(tmp_path / "detector")
    assert sorted(path.name for path in (tmp_path / "detector").iterdir()) == ["detector.json", "weights.safetensors"]
    loaded = Detector.load(tmp_path / "detector")
    scores = loaded.score(Series(rows[1], loaded.scorer.features))
    np.testing.assert_array_equal(-scores.values, estimator.score_samples(rows[1]))
    np.testing.assert_array_equal(loaded.flag(scores), estimator.predict(rows[1]) == -1)


# --- mistakes ---


def test_a_section_that_describes_nothing_is_refused_by_the_fit(rows):
    with pytest.raises(SpecError, match=r"OutlierDetector: window.length: .* got 0; model: .*'lstm'"):
        fitted(rows, window={"length": 0}, model={"kind": "lstm"})


@pytest.mark.parametrize("validation", [0, 1, -0.1, float("nan")])
def test_a_validation_that_is_no_share_is_refused(rows, validation):
    with pytest.raises(ValueError, match="validation must be a share of the rows, above 0 and below 1, but got"):
        fitted(rows, validation=validation)


def test_too_few_rows_for_a_fit_are_refused(rows):
    message = r"must hold the 9 rows of one score each, .* got n_samples=40, cut into 30 and 1; give more rows"
    with pytest.raises(ValueError, match=message):
        fitted((rows[0][:40],), **TRAINED, scoring={"smooth": {"kind": "mean", "length": 2}})
    assert fitted((rows[0][:72],), **TRAINED, scoring={"smooth": {"kind": "mean", "length": 2}}).offset_ < 0


def test_too_few_rows_for_a_score_are_refused(rows):
    with pytest.raises(DataError, match=r"a score needs at least 8 consecutive rows .* but got 7; send more rows"):
        fitted(rows, **TRAINED).predict(rows[1][:7])


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"threshold": {"kind": "best_f1"}}, "best_f1 needs test rows with labeled anomalies"),
        (
            TRAINED
            | {
                "objective": {
                    "terms": [{"kind": "squared_error", "weighting": {"kind": "forest", "against": "labels"}}]
                }
            },
            "forest weights against labels need labeled rows",
        ),
    ],
)
def test_what_reads_labels_is_refused(rows, section, message):
    with pytest.raises((ValueError, DataError), match=message):
        fitted(rows, **section)
