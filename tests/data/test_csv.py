import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsad.data.five_features import FIVE, five_features
from tsad.data.sets.csv import CsvSpec
from tsad.errors import DataError, SpecError
from tsad.spec import parse

ROWS = 10


def table(**columns):
    plain = {
        "at": pd.date_range("2024-03-01", periods=ROWS, freq="min"),
        "cpu": np.arange(ROWS) / 4,
        "disk": np.arange(ROWS) % 3,
        "anomaly": np.arange(ROWS) >= 8,
    }
    return pd.DataFrame(plain | columns)


def write(frame, path):
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return path


def load(path, **keys):
    return CsvSpec(kind="csv", path=path, **({"time": "at", "label": "anomaly"} | keys)).load(path.parent)


suffixes = pytest.mark.parametrize("suffix", [".csv", ".parquet"])


@suffixes
def test_a_file_is_cut_in_time_into_train_and_test(tmp_path, suffix):
    path = write(table(anomaly=(np.arange(ROWS) >= 8).astype(int)), tmp_path / f"load{suffix}")
    data = load(path, test_ratio=0.3)
    assert (data.name, data.source) == ("load", str(path))
    assert data.train.features == data.test.features == ("cpu", "disk")
    assert (len(data.train), len(data.test)) == (7, 3)
    np.testing.assert_array_equal(data.test.values, np.array([[1.75, 1], [2, 2], [2.25, 0]], np.float32))
    assert data.test.labels.tolist() == [False, True, True]
    np.testing.assert_array_equal(data.test.times, table()["at"][7:].to_numpy())


def test_the_second_file_is_the_test(tmp_path):
    path = write(table(), tmp_path / "train.csv")
    later = write(table().tail(4), tmp_path / "test.csv")
    data = load(path, test_path=later)
    assert (len(data.train), len(data.test)) == (ROWS, 4)


def test_without_label_and_time_there_is_neither(tmp_path):
    path = write(table()[["cpu", "disk"]], tmp_path / "plain.csv")
    data = load(path, time=None, label=None)
    assert data.test.labels is None
    assert data.test.times is None


def test_only_the_named_features_are_used_in_the_named_order(tmp_path):
    path = write(table(note=["text"] * ROWS), tmp_path / "load.csv")
    data = load(path, features=("disk", "cpu"))
    assert data.train.features == ("disk", "cpu")
    assert data.train.values[3].tolist() == [0, 0.75]


def test_times_with_a_zone_are_kept_in_utc(tmp_path):
    path = write(table(at=pd.date_range("2024-03-01", periods=ROWS, tz="Europe/Berlin")), tmp_path / "load.parquet")
    assert load(path).train.times[0] == np.datetime64("2024-02-29T23:00")


def test_an_empty_cell_can_take_the_value_above(tmp_path):
    cpu = np.arange(ROWS, dtype=float)
    cpu[[3, 4]] = np.nan
    path = write(table(cpu=cpu), tmp_path / "gaps.csv")
    assert load(path, missing="ffill").train.values[:, 0].tolist() == [0, 1, 2, 2, 2]


def test_a_first_cell_has_no_value_above(tmp_path):
    cpu = np.arange(ROWS, dtype=float)
    cpu[0] = np.nan
    path = write(table(cpu=cpu), tmp_path / "gaps.csv")
    with pytest.raises(DataError, match="column 'cpu' has 1 empty cells, first at row 0; "):
        load(path, missing="ffill")


def with_cells(column, rows, value):
    values = table()[column].astype(object)
    values[rows] = value
    return {column: values}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            with_cells("cpu", [3, 6], None),
            "column 'cpu' has 2 empty cells, first at row 3; drop their rows, or accept data.missing=ffill (2 of 20 cells",
        ),
        (
            with_cells("cpu", [6], "n/k"),
            "column 'cpu' must hold numbers, but has 1 other cells, first at row 6 ('n/k')",
        ),
        (
            with_cells("disk", [2], "Infinity"),
            "column 'disk' has 1 infinite cells, first at row 2; set data.empty=[inf] data.missing=ffill (1 of 10 cells emptied "
            "and filled, 10.0%), or replace them",
        ),
        (
            with_cells("disk", [2], 1e39),
            "column 'disk' has 1 infinite cells, first at row 2; set data.empty=",
        ),
        (
            {"anomaly": [0] * 5 + [2] * 5},
            "label column 'anomaly' must hold 0 or 1, but has 5 other cells, first at row 5 (2)",
        ),
        (with_cells("anomaly", [5], None), "label column 'anomaly' must hold 0 or 1, but has"),
        (with_cells("at", [5], "soon"), "time column 'at' must hold timestamps, but row 5 has 'soon'"),
        (with_cells("at", [0], "soon"), "time column 'at' must hold timestamps, but row 0 has 'soon'"),
        (
            with_cells("at", [5], pd.Timestamp("2023-01-01")),
            "times must ascend, but row 5 is before the row above",
        ),
    ],
)
def test_a_wrong_cell_is_named_by_file_column_and_row(tmp_path, columns, message):
    path = write(table(**columns), tmp_path / "wrong.csv")
    with pytest.raises(DataError, match=rf"wrong\.csv: {re.escape(message)}"):
        load(path)


def test_timestamps_are_no_feature(tmp_path):
    path = write(table(), tmp_path / "load.parquet")
    with pytest.raises(DataError, match="column 'at' holds times"):
        load(path, time=None)


@pytest.mark.parametrize(
    "keys", [{"label": "alarm"}, {"time": "alarm"}, {"features": ("cpu", "alarm")}, {"ignore": ("alarm",)}]
)
def test_an_absent_column_is_answered_with_those_that_are_there(tmp_path, keys):
    path = write(table(), tmp_path / "load.csv")
    with pytest.raises(DataError, match=r"load\.csv: has no column 'alarm'; it has \['at', 'cpu', 'disk', 'anomaly'\]"):
        load(path, **keys)


def test_the_label_is_no_feature(tmp_path):
    path = write(table(), tmp_path / "load.csv")
    with pytest.raises((DataError, ValueError), match="label"):
        load(path, features=("cpu", "anomaly"))


def test_both_files_have_the_same_features(tmp_path):
    path = write(table(), tmp_path / "train.csv")
    other = write(table().rename(columns={"cpu": "gpu"}), tmp_path / "test.csv")
    with pytest.raises(
        DataError, match=r"test\.csv: must have the features \('cpu', 'disk'\), but has \('gpu', 'disk'\)"
    ):
        load(path, test_path=other)


@suffixes
def test_a_missing_file_is_named(tmp_path, suffix):
    with pytest.raises(DataError, match=rf"absent\{suffix}: cannot be read \(.*No such file"):
        load(tmp_path / f"absent{suffix}")


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", b""), ("a.csv", b'a,b\n"1'), ("a.parquet", b"PAR"), ("a.csv", b"a\n\xff")]
)
def test_a_file_that_is_no_table_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{re.escape(name)}: is not a (csv|parquet) table"):
        load(tmp_path / name)


def test_a_table_of_an_unknown_format_is_refused(tmp_path):
    (tmp_path / "a.mat").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.mat: a table must be a \.csv or \.parquet file"):
        load(tmp_path / "a.mat")


# --- settings ---


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("time_zone", "Mars/Olympus", "time_zone: must be the name of a time zone such as Europe/Berlin"),
        (
            "time_format",
            "hours",
            "time_format: must be s, ms, us, ns, min, h, D, excel, elapsed or elapsed_minutes, or a strptime format",
        ),
        ("resample", {"step": "often"}, "resample.step: string should match pattern"),
        ("separator", "::", "separator: input should be"),
        ("gap", 1.0, "gap: input should be greater than or equal to 1.5"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(key, value, message):
    with pytest.raises(SpecError, match=message):
        parse(CsvSpec, {"kind": "csv", "path": "load.csv", key: value}, "data")


@pytest.mark.parametrize(
    ("how", "values"),
    [
        ("mean", [[0.25, 1], [1, 1], [1.75, 1], [2.25, 0]]),
        ("last", [[0.5, 2], [1.25, 2], [2, 2], [2.25, 0]]),
        ("max", [[0.5, 2], [1.25, 2], [2, 2], [2.25, 0]]),
    ],
)
def test_rows_are_made_into_one_by_the_stated_rule(tmp_path, how, values):
    path = write(table(), tmp_path / "load.csv")
    data = load(path, resample={"step": "3min", "how": how}, test_ratio=0.25)
    np.testing.assert_array_equal(np.concatenate([data.train.values, data.test.values]), np.array(values, np.float32))
    assert data.test.labels.tolist() == [True]
    assert data.train.labels.tolist() == [False, False, True]
    assert data.step_seconds == 180
    assert data.test.times[0] == np.datetime64("2024-03-01T00:09")


def test_bins_without_a_row_are_filled_up_to_the_gap_and_a_break_beyond_it(tmp_path):
    at = pd.Timestamp("2024-03-01") + pd.to_timedelta([0, 1, 4, 5, 6, 30, 31, 32, 33, 34], unit="min")
    path = write(table(at=at), tmp_path / "load.csv")
    data = load(path, resample={"step": "1min"}, missing="ffill", test_ratio=0.1)
    assert data.train.boundaries == (7,)
    assert data.train.values[:, 0].tolist() == [0, 0.25, 0.25, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]
    assert "2 empty rows were inserted in 1 gaps" in "".join(data.defects)


# --- one feature as five ---


def test_five_features_by_hand():
    found = five_features(np.array([1.0, 3.0, 2.0, 6.0, 4.0]), period=2)
    np.testing.assert_allclose(
        found,
        [
            [1, 1, 0, 0, 0],
            [3, 2, 0, 2, 1],
            [2, 2.5, 0, -1, 0.5],  # season: x - trend at row 0, which is 0
            [6, 4, 1, 4, 2],  # at row 1: 1
            [4, 5, -0.25, -2, 1],  # at rows 2 and 0: -0.5 and 0
        ],
    )


@settings(max_examples=20)
@given(st.integers(1, 59), st.integers(2, 30))
def test_no_feature_of_five_knows_a_row_to_come(row, period):
    values = np.random.default_rng(0).standard_normal(60)
    other = np.concatenate([values[:row], values[row:] + 9])
    np.testing.assert_array_equal(five_features(values, period)[:row], five_features(other, period)[:row])
    halves = np.concatenate([five_features(part, period) for part in (values[:row], values[row:])])
    np.testing.assert_array_equal(five_features(values, period, boundaries=(row,)), halves)


def test_a_single_feature_becomes_five_if_asked_to(tmp_path):
    path = write(table(), tmp_path / "load.csv")
    assert load(path, features=("cpu",)).train.features == ("cpu",)
    data = load(path, features=("cpu",), univariate="five_features", period=3)
    assert data.train.features == FIVE
    np.testing.assert_allclose(data.test.values[:, 0], np.arange(5, 10) / 4)
    assert load(path, univariate="five_features").train.features == ("cpu", "disk")


# --- two files ---


def test_a_column_left_out_of_the_training_rows_is_left_out_of_the_test_rows(tmp_path):
    path = write(table(**with_cells("disk", [2], None)), tmp_path / "train.csv")
    data = load(path, test_path=write(table(), tmp_path / "test.csv"), missing="drop_column")
    assert data.train.features == data.test.features == ("cpu",)


def test_a_problem_of_the_second_file_names_it(tmp_path):
    path = write(table(), tmp_path / "train.csv")
    with pytest.raises(DataError, match=r"test\.csv: column 'cpu' has 1 empty cells, first at row 2"):
        load(path, test_path=write(table(**with_cells("cpu", [2], None)), tmp_path / "test.csv"))


# --- what repairs keep ---


def test_sorting_keeps_the_order_of_rows_of_one_time(tmp_path):
    at = pd.Timestamp("2024-03-01") + pd.to_timedelta([1, 0] * 200, unit="min")
    path = write(pd.DataFrame({"at": at, "cpu": np.arange(400)}), tmp_path / "load.csv")
    data = load(path, label=None, features=("cpu",), unsorted="sort", duplicates="keep")
    assert data.train.values[:, 0].tolist() == list(range(1, 400, 2))
    assert data.test.values[:, 0].tolist() == list(range(0, 400, 2))


def test_a_break_is_no_step(tmp_path):
    at = pd.Timestamp("2024-03-01") + pd.to_timedelta([*range(5), *range(60, 65)], unit="min")
    data = load(write(table(at=at), tmp_path / "load.csv"))
    assert (data.train.boundaries, data.test.boundaries) == ((), ())
    data = load(tmp_path / "load.csv", test_ratio=0.2)
    assert (data.train.boundaries, data.step_seconds) == ((5,), 60)


def test_a_row_that_was_put_in_is_not_anomalous(tmp_path):
    at = pd.Timestamp("2024-03-01") + pd.to_timedelta([*range(9), 10], unit="min")
    data = load(write(table(at=at), tmp_path / "load.csv"), gaps="fill", missing="ffill", test_ratio=0.3)
    assert data.test.labels.tolist() == [True, False, True]


def test_a_value_is_not_carried_across_a_break(tmp_path):
    at = pd.Timestamp("2024-03-01") + pd.to_timedelta([*range(5), *range(60, 65)], unit="min")
    path = write(table(at=at, **with_cells("cpu", [5], None)), tmp_path / "load.csv")
    with pytest.raises(DataError, match=r"column 'cpu' has 1 empty cells, first at row 5; set data\.missing=interp"):
        load(path, missing="ffill")


def test_a_wrong_cell_is_one_problem(tmp_path):
    path = write(table(**with_cells("cpu", [6], "n/k"), **with_cells("disk", [2], "inf")), tmp_path / "load.csv")
    found = CsvSpec(kind="csv", path=path, time="at", label="anomaly").inspect()
    assert len(found.issues) == 2
