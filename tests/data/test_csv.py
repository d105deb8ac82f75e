import re

import numpy as np
import pandas as pd
import pytest

from tsad.data.csv import CsvSpec
from tsad.errors import DataError

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
    assert data.test.times.tolist() == table()["at"][7:].to_numpy().tolist()


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
            "column 'cpu' has 2 empty cells, first at row 3; set missing: ffill, or drop them",
        ),
        (
            with_cells("cpu", [6], "n/k"),
            "column 'cpu' must hold numbers, but has 1 other cells, first at row 6 ('n/k')",
        ),
        (
            with_cells("disk", [2], "Infinity"),
            "column 'disk' has 1 infinite cells, first at row 2; replace or drop them",
        ),
        (with_cells("disk", [2], 1e39), "column 'disk' has 1 infinite cells, first at row 2; replace or drop them"),
        (
            {"anomaly": [0] * 5 + [2] * 5},
            "label column 'anomaly' must hold 0 or 1, but has 5 other cells, first at row 5 (2)",
        ),
        (with_cells("anomaly", [5], None), "label column 'anomaly' must hold 0 or 1, but has"),
        (with_cells("at", [5], "soon"), "time column 'at' must hold timestamps, but row 5 has 'soon'"),
        (with_cells("at", [0], "soon"), "time column 'at' must hold timestamps, but row 0 has 'soon'"),
        (
            with_cells("at", [5], pd.Timestamp("2023-01-01")),
            "time column 'at' must ascend, but row 5 is before the row above",
        ),
    ],
)
def test_a_wrong_cell_is_named_by_file_column_and_row(tmp_path, columns, message):
    path = write(table(**columns), tmp_path / "wrong.csv")
    with pytest.raises(DataError, match=rf"wrong\.csv: {re.escape(message)}"):
        load(path)


def test_timestamps_are_no_feature(tmp_path):
    path = write(table(), tmp_path / "load.parquet")
    with pytest.raises(DataError, match="column 'at' must hold numbers"):
        load(path, time=None)


@pytest.mark.parametrize("keys", [{"label": "alarm"}, {"time": "alarm"}, {"features": ("cpu", "alarm")}])
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
    (tmp_path / "a.xlsx").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.xlsx: a table must be a \.csv or \.parquet file"):
        load(tmp_path / "a.xlsx")
