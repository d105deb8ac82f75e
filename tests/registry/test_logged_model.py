"""A logged detector answers as the detector does, without other code than its own."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from tests.registry.logged import BEFORE
from tsad.detector.score_table import flag_table

# MLflow's look at the input example, under pandas 3.1
pytestmark = pytest.mark.filterwarnings("ignore:Operation with range is deprecated:pandas.errors.Pandas4Warning")


def test_the_served_model_says_what_the_detector_says(logged, loaded):
    served = loaded.predict(logged.rows)
    expected = flag_table(logged.detector, logged.rows, "input")
    pd.testing.assert_frame_equal(served, expected)
    scores = logged.detector.score(logged.data.test)
    np.testing.assert_array_equal(served["score"].astype(float), scores.values)
    np.testing.assert_array_equal(served["flag"], logged.detector.flag(scores))
    assert served["score"].isna().sum() == BEFORE
    assert 0 < served["flag"].sum() < len(served) - BEFORE


def test_overlapping_chunks_get_the_scores_of_the_whole(logged, loaded):
    whole = loaded.predict(logged.rows)
    chunks = [loaded.predict(logged.rows[max(0, start - BEFORE) : start + 90]) for start in range(0, 400, 90)]
    joined = pd.concat([chunks[0], *(chunk.iloc[BEFORE:] for chunk in chunks[1:])])
    pd.testing.assert_frame_equal(joined, whole)


def test_order_and_number_of_columns_do_not_matter(logged, loaded):
    first, *rest = logged.rows.columns
    turned = logged.rows[[*rest, first]].assign(comment=1.0)
    pd.testing.assert_frame_equal(loaded.predict(turned), loaded.predict(logged.rows))


def test_a_request_may_set_the_threshold_and_ask_for_an_explanation(logged, loaded):
    threshold = float(np.nanmedian(logged.detector.score(logged.data.test).values))
    found = loaded.predict(logged.rows, params={"threshold": threshold, "explain": 2})
    expected = flag_table(logged.detector, logged.rows, "input", top=2, threshold=threshold)
    pd.testing.assert_frame_equal(found, expected)
    assert list(found.columns) == ["score", "flag", "feature_1", "share_1", "feature_2", "share_2"]
    assert found["flag"].sum() == (len(found) - BEFORE) // 2
    assert found["feature_1"].isna().sum() == BEFORE


@pytest.mark.parametrize(
    "params",
    [
        {"threshold": "high"},
        {"threshold": [1.0]},
        {"threshold": np.nan},
        {"explain": 1.5},
        {"explain": -1},
        {"explain": "all"},
    ],
    ids=str,
)
def test_parameters_that_mean_nothing_are_answered_with_400(logged, loaded, params):
    with pytest.raises(MlflowException, match=next(iter(params))) as caught:
        loaded.predict(logged.rows, params=params)
    assert caught.value.get_http_status_code() == 400


def test_a_column_that_comes_twice_is_answered_with_400(logged, loaded):
    twice = pd.concat([logged.rows, logged.rows[["sensor_01"]]], axis=1)
    with pytest.raises(MlflowException, match="sensor_01") as caught:
        loaded.predict(twice)
    assert caught.value.get_http_status_code() == 400


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop(columns="sensor_01"), "sensor_01"),
        (lambda rows: rows.head(BEFORE), r"at least 10 consecutive rows .*but got 9"),
        (
            lambda rows: rows.assign(sensor_00=rows["sensor_00"].where(rows.index != 17)),
            r"'sensor_00' has 1 empty cells, first at row 17",
        ),
        (lambda rows: rows.astype({"sensor_02": str}).assign(sensor_02="high"), "sensor_02"),
        (lambda rows: rows.assign(sensor_03=np.inf), r"'sensor_03' has 400 infinite cells, first at row 0"),
    ],
    ids=["missing column", "too few rows", "empty cell", "text", "infinite"],
)
def test_rows_that_cannot_be_scored_are_answered_with_400_and_the_fault(logged, loaded, change, message):
    with pytest.raises(MlflowException, match=message) as caught:
        loaded.predict(change(logged.rows))
    assert caught.value.get_http_status_code() == 400


@pytest.mark.slow
def test_a_model_needs_no_code_but_its_own(logged, fetched, tmp_path):
    logged.rows.to_parquet(tmp_path / "rows.parquet")
    code = (
        "import mlflow, pandas, sys\n"
        f"model = mlflow.pyfunc.load_model({str(fetched)!r})\n"
        "model.predict(pandas.read_parquet('rows.parquet')).astype({'score': float}).to_parquet('scored.parquet')\n"
        "import tsad; print(tsad.__file__)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert str(fetched / "code") in done.stdout
    scored = pd.read_parquet(tmp_path / "scored.parquet")
    np.testing.assert_array_equal(scored["score"], logged.detector.score(logged.data.test).values)
