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


WHOLE = {
    "int64": lambda rows: rows.astype("int64"),
    "uint8": lambda rows: rows.astype("int64").clip(lower=0).astype("uint8"),
    "Int64": lambda rows: rows.astype("int64").astype("Int64"),
    "bool": lambda rows: rows > 0,
    "boolean": lambda rows: (rows > 0).astype("boolean"),
    "float32": lambda rows: rows.astype("float32"),
    "Float64": lambda rows: rows.astype("Float64"),
    "int64[pyarrow]": lambda rows: rows.astype("int64").astype("int64[pyarrow]"),
    "mixed": lambda rows: rows.assign(sensor_00=rows["sensor_00"].astype("int64"), sensor_01=rows["sensor_01"] > 0),
    "convert_dtypes": lambda rows: rows.astype("int64").convert_dtypes(),
}


@pytest.mark.parametrize("change", WHOLE.values(), ids=WHOLE)
def test_columns_of_every_type_of_number_are_scored_as_the_same_numbers(logged, loaded, change):
    rows = change(logged.rows * 10)
    pd.testing.assert_frame_equal(loaded.predict(rows), loaded.predict(rows.astype("float64")))


@pytest.mark.parametrize("kind", ["Int64", "boolean", "Float64", "double[pyarrow]"])
def test_an_empty_cell_of_a_nullable_column_is_named(logged, loaded, kind):
    cells = (logged.rows["sensor_01"] > 0).astype("boolean" if kind == "boolean" else "int64").astype(kind)
    cells[17] = pd.NA
    with pytest.raises(MlflowException, match="'sensor_01' has 1 empty cells, first at row 17") as caught:
        loaded.predict(logged.rows.assign(sensor_01=cells))
    assert caught.value.get_http_status_code() == 400


SHAPES = {
    "array": lambda rows: rows.to_numpy(),
    "mapping": lambda rows: rows.to_dict("list"),
    "records": lambda rows: rows.to_dict("records"),
}


@pytest.mark.parametrize("change", SHAPES.values(), ids=SHAPES)
def test_rows_may_come_in_any_shape_that_mlflow_passes_on(logged, loaded, change):
    pd.testing.assert_frame_equal(loaded.predict(change(logged.rows)), loaded.predict(logged.rows))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((40, 3)), r"an array must be \(n, 4\), in the order of \['sensor_00'.*but is \(40, 3\)"),
        ([1.0, 2.0], r"but is \(2,\)"),
        ({"sensor_00": [1.0], "sensor_01": [1.0, 2.0]}, "columns of one length"),
    ],
    ids=["narrow", "flat", "ragged"],
)
def test_what_is_no_table_is_answered_with_400(loaded, rows, message):
    with pytest.raises(MlflowException, match=message) as caught:
        loaded.predict(rows)
    assert caught.value.get_http_status_code() == 400


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
