"""`tsad generate`: series with labeled anomalies as CSV."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from tsad.data.injection import ANOMALY_TYPES
from tsad.data.sets.csv import CsvSpec
from tsad.data.sets.synthetic import SingleAnomalySpec
from tsad.series import runs


@pytest.fixture
def generate(place, tsad):
    """Runs `tsad generate` in an empty folder; returns its exit code, what it printed and the lines of its errors."""
    return partial(tsad, "generate")


FORM = (
    *("--num-samples", 200, "--num-features", 3, "--seed", 5),
    *("--anomaly-start", 120, "--anomaly-length", 15, "--anomaly-magnitude", -2.5),
    *("--output-path", "rows.csv", "--labels-path", "marks.csv"),
)


def test_the_fixed_form_writes_rows_and_labels(generate, tmp_path):
    code, out, _ = generate(*FORM)
    rows, marks = pd.read_csv("rows.csv"), pd.read_csv("marks.csv")
    assert code == 0
    assert out.splitlines() == [
        "file: rows.csv",
        "file: marks.csv",
        "200 rows of 3 features, 15 anomalous in 1 events",
    ]
    spec = SingleAnomalySpec(
        kind="synthetic_sensors", rows=200, features=3, seed=5, start=120, length=15, magnitude=-2.5
    )
    np.testing.assert_allclose(rows.to_numpy(np.float32), spec.load(tmp_path).test.values)
    assert runs(marks["label"].to_numpy(bool)) == [(120, 135)]
    assert marks["anomaly_type"][120:135].eq("level_shift").all()
    assert marks["anomaly_type"].notna().sum() == 15


@pytest.mark.parametrize(("generator", "columns"), [("sensors", 8), ("five", 5), ("anomaly_types", 8)])
def test_a_generator_needs_no_option(generate, generator, columns):
    assert generate(generator)[0] == 0
    rows, marks = pd.read_csv("synthetic.csv"), pd.read_csv("synthetic.labels.csv")
    assert rows.shape == (len(marks), columns)
    assert list(marks.columns) == ["label", "anomaly_type"]
    assert 0 < marks["label"].mean() < 0.2


def test_anomaly_types_can_be_chosen(generate):
    generate("anomaly_types", "--anomaly-types", "point,flat_line", "--anomaly-ratio", 0.05, "--num-samples", 600)
    assert (
        set(pd.read_csv("synthetic.labels.csv")["anomaly_type"].dropna()) == {"point", "flat_line"} < set(ANOMALY_TYPES)
    )


def test_what_is_generated_can_be_learned_from(generate, tmp_path):
    generate(*FORM, "--train-path", "clean.csv")
    data = CsvSpec(kind="csv", path="clean.csv", test_path="rows.csv").load(tmp_path)
    assert len(data.train) == len(data.test) == 200
    assert not np.array_equal(data.train.values, data.test.values)
    assert data.defects == ()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["five", "--anomaly-start", 3], 2, "--anomaly-start is no option of the generator five"),
        (["sensors", "--period", 3], 2, "--period is no option of the generator sensors"),
        (["waves"], 2, "'waves' is not one of 'sensors', 'five', 'anomaly_types'"),
        (["--num-samples", "many"], 2, "'many' is not a valid integer"),
        (["--num-samples", 10], 1, "SpecError: sensors: rows: input should be greater than or equal to 20, but got 10"),
        (
            ["anomaly_types", "--anomaly-types", "odd"],
            1,
            "SpecError: anomaly_types: anomaly_types.0: input should be 'point'",
        ),
        (["--output-path", "rows.txt"], 1, "DataError: rows.txt: what is generated is written as .csv; rename it"),
        (["--anomaly-start", 990, "--anomaly-length", 20], 1, "the anomaly must end within the rows"),
    ],
    ids=str,
)
def test_what_cannot_be_generated_is_said(generate, tmp_path, words, code, message):
    left, _, errors = generate(*words)
    assert left == code
    assert message in "\n".join(errors)
    assert not list(tmp_path.iterdir())
