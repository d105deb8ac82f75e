"""What the served model answers, without a server: rows in, scores and flags out, or an error that becomes a 4xx."""

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.examples import detector_of, from_defaults, members, sensors
from tsad.detector.scoring import MeanSmoothing, ScoringSpec
from tsad.models import ModelSpec
from tsad.registry.pyfunc import ServedDetector
from tsad.series import Series

LENGTH, SMOOTHED = 8, 3
BEFORE = LENGTH - 1 + SMOOTHED - 1
SCORINGS = {
    "last": ScoringSpec(over="last", smooth=MeanSmoothing(kind="mean", length=SMOOTHED)),
    "mean": ScoringSpec(over="mean", smooth=MeanSmoothing(kind="mean", length=SMOOTHED)),
}
MODELS = [from_defaults(member) for member in members(ModelSpec)]

every_model = pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.kind)


def table(series):
    return pd.DataFrame(series.values.astype(np.float64), columns=list(series.features))


def served(detector):
    """Returns the served model of a detector."""
    model = ServedDetector()
    model.read = lambda: detector
    return model


@pytest.fixture(scope="module")
def series():
    return sensors(120)


@pytest.fixture(scope="module")
def detector(series):
    return detector_of(MODELS[0], series, LENGTH, SCORINGS["last"])


@pytest.fixture(scope="module")
def answer(detector):
    """Returns the answer to a table."""
    return lambda rows: served(detector).predict(None, rows)


@every_model
@pytest.mark.parametrize("scoring", SCORINGS.values(), ids=SCORINGS)
def test_every_row_gets_the_score_and_flag_of_the_detector(series, spec, scoring):
    detector = detector_of(spec, series, LENGTH, scoring)
    scores = detector.score(series)
    found = served(detector).predict(None, table(series))
    np.testing.assert_array_equal(found["score"].astype(float), scores.values)
    np.testing.assert_array_equal(found["flag"], detector.flag(scores))
    assert found["flag"].dtype == bool


def test_a_row_without_a_score_has_none_and_no_flag(answer, series):
    found = answer(table(series))
    assert [value is None for value in found["score"]] == [True] * BEFORE + [False] * (120 - BEFORE)
    assert not found["flag"][:BEFORE].any()


def test_the_least_number_of_rows_gets_one_score(answer, series):
    assert answer(table(series).head(BEFORE + 1))["score"].notna().sum() == 1


def test_rows_keep_their_names(answer, series):
    rows = table(series).set_axis(pd.date_range("2026-01-01", periods=120, freq="min"))
    assert answer(rows).index.equals(rows.index)


def test_whole_numbers_and_numbers_written_as_text_are_numbers(answer, series):
    rows = table(series).round(2)
    written = rows.astype({"s0": str})
    pd.testing.assert_frame_equal(answer(written), answer(rows))
    whole = rows.assign(s1=1)
    pd.testing.assert_frame_equal(answer(whole), answer(rows.assign(s1=1.0)))


def test_columns_with_whole_numbers_as_labels_are_features_named_by_their_text(series):
    numbered = Series(series.values, tuple("012345"))
    detector = detector_of(MODELS[0], numbered, LENGTH, SCORINGS["last"])
    rows = pd.DataFrame(series.values.astype(np.float64))
    pd.testing.assert_frame_equal(served(detector).predict(None, rows), served(detector).predict(None, table(numbered)))


def empty_at(rows, row, column, value=np.nan):
    changed = rows.astype({column: object})
    changed.loc[row, column] = value
    return changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: rows.drop(columns="s3"),
            r"input: column 's3' is missing; it has \['s0', 's1', 's2', 's4', 's5'\]",
        ),
        (lambda rows: empty_at(rows, 17, "s2"), "column 's2' has 1 empty cells, first at row 17"),
        (lambda rows: empty_at(rows, 17, "s2", None), "column 's2' has 1 empty cells, first at row 17"),
        (lambda rows: empty_at(rows, 5, "s4", "high"), r"column 's4' must hold numbers, .* first at row 5 \('high'\)"),
        (lambda rows: empty_at(rows, 5, "s4", [1.0]), r"column 's4' must hold numbers, .* first at row 5"),
        (lambda rows: empty_at(rows, 9, "s1", np.inf), "column 's1' has 1 infinite cells, first at row 9"),
        (lambda rows: empty_at(rows, 9, "s1", 1e39), "column 's1' has 1 infinite cells, first at row 9"),
        (lambda rows: rows.head(BEFORE), r"at least 10 consecutive rows .* but got 9; send more rows"),
        (lambda rows: rows.head(0), "at least 10 consecutive rows .* but got 0; send more rows"),
    ],
    ids=["absent", "NaN", "null", "text", "list", "infinite", "beyond float32", "too few", "none"],
)
def test_rows_that_cannot_be_scored_are_a_client_error_that_names_the_fault(answer, series, change, message):
    with pytest.raises(MlflowException, match=message) as caught:
        answer(change(table(series)))
    assert caught.value.get_http_status_code() == 400


def test_an_error_does_not_show_rows_that_are_not_at_fault(answer, series):
    with pytest.raises(MlflowException) as caught:
        answer(empty_at(table(series), 5, "s4", "high"))
    assert len(str(caught.value)) < 400


def test_a_request_may_set_the_threshold(detector, series):
    scores = detector.score(series).values
    threshold = float(np.nanmedian(scores))
    found = served(detector).predict(None, table(series), {"threshold": threshold})
    np.testing.assert_array_equal(found["flag"], scores > threshold)
    assert served(detector).predict(None, table(series), {"threshold": None})["flag"].sum() < found["flag"].sum()


def test_a_request_may_ask_which_features_made_the_score(detector, series):
    found = served(detector).predict(None, table(series), {"explain": 6})
    by_feature = detector.score(series).by_feature[BEFORE:]
    np.testing.assert_array_equal(found["feature_1"][BEFORE:], np.array(series.features)[by_feature.argmax(axis=1)])
    shares = found[[f"share_{place}" for place in range(1, 7)]][BEFORE:].astype(float)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (found["feature_1"][:BEFORE].isna()).all()
    assert list(served(detector).predict(None, table(series), {"explain": 0}).columns) == ["score", "flag"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"color": 1}, r"params must be among threshold and explain, but got \['color'\]"),
        ({"threshold": np.inf}, "threshold: value: input should be a finite number, but got inf"),
        ({"explain": -1}, "must be at least 0, but got -1"),
    ],
)
def test_parameters_that_mean_nothing_are_a_client_error(detector, series, params, message):
    with pytest.raises(MlflowException, match=message) as caught:
        served(detector).predict(None, table(series), params)
    assert caught.value.get_http_status_code() == 400
