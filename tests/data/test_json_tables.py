"""JSON documents: every usual form of a table gives the same rows, and everything else says what a table is."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from tsad.data.io.containers.kinds import is_table
from tsad.data.io.tables import read_table
from tsad.errors import DataError
from tsad.workflows.check import check
from tsad.workflows.score_files import input_files

TABLE = pd.DataFrame(
    {
        "at": pd.date_range("2024-03-01", periods=60, freq="min").strftime("%Y-%m-%d %H:%M:%S"),
        "cpu": np.arange(60) * 7 % 11 / 8,
        "load": np.arange(60) * 5 % 13,
    }
)
RECORDS = TABLE.to_dict("records")
FORMS = {
    "records": TABLE.to_json(orient="records"),
    "records, indented": json.dumps(RECORDS, indent=2),
    "split": TABLE.to_json(orient="split"),
    "split without an index": json.dumps({"columns": list(TABLE), "data": TABLE.to_numpy(object).tolist()}),
    "data before columns": json.dumps({"data": TABLE.to_numpy(object).tolist(), "columns": list(TABLE)}),
    "columns as objects": TABLE.to_json(orient="columns"),
    "columns as lists": json.dumps(TABLE.to_dict("list")),
    "rows as objects": TABLE.to_json(orient="index"),
    "table": TABLE.to_json(orient="table", index=False),
    "records inside": json.dumps({"status": "ok", "count": 60, "results": RECORDS}),
    "lists with names": json.dumps([list(TABLE), *TABLE.to_numpy(object).tolist()]),
    "lines": TABLE.to_json(orient="records", lines=True),
    "a mark": "\ufeff" + TABLE.to_json(orient="records"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["rows.json", "rows.JSON"])
def test_every_form_of_a_table_gives_the_same_rows(tmp_path, form, name):
    (tmp_path / name).write_text(FORMS[form], encoding="utf-8")
    pd.testing.assert_frame_equal(read_table(tmp_path / name), TABLE, check_dtype=False)
    result = check(tmp_path / name)
    assert result.fixes == {"time": "at"}
    assert result.data.train.features == ("cpu", "load")


def test_an_index_of_moments_is_a_column(tmp_path):
    indexed = TABLE.set_index("at")
    expected = TABLE.rename(columns={"at": "index"})
    for orient in ("split", "columns", "index"):
        (tmp_path / "rows.json").write_text(indexed.to_json(orient=orient))
        pd.testing.assert_frame_equal(read_table(tmp_path / "rows.json"), expected, check_dtype=False)


def test_digits_nulls_and_objects_are_those_of_json_lines(tmp_path):
    text = '[{"a": 9007199254740993, "b": {"c": 1.10}}, {"a": null, "b": {"c": true}, "d": "x"}]'
    (tmp_path / "rows.json").write_text(text)
    (tmp_path / "rows.jsonl").write_text(
        '{"a": 9007199254740993, "b": {"c": 1.10}}\n{"a": null, "b": {"c": true}, "d": "x"}\n'
    )
    pd.testing.assert_frame_equal(read_table(tmp_path / "rows.json"), read_table(tmp_path / "rows.jsonl"))


def test_lists_of_numbers_have_numbered_columns(tmp_path):
    (tmp_path / "rows.json").write_text("[[1, 2.5], [3, 4.5]]")
    table = read_table(tmp_path / "rows.json")
    assert list(table) == ["f00", "f01"]
    assert table["f01"].tolist() == [2.5, 4.5]


def test_columns_of_several_levels_are_joined(tmp_path):
    (tmp_path / "rows.json").write_text('{"columns": [["pump", "a"], ["pump", "b"]], "data": [[1, 2], [3, 4]]}')
    assert list(read_table(tmp_path / "rows.json")) == ["pump.a", "pump.b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}', r"holds no rows; a table is a list of objects .*pandas.read_json\(\"rows.json\"\)"),
        ("[]", "holds no rows"),
        ("{}", "holds no rows"),
        ("3", "holds no rows"),
        ('[1, {"a": 2}]', "holds no rows"),
        ('[[1], {"a": 2}]', "holds no rows"),
        ('{"a": [{"x": 1}], "b": [{"x": 2}]}', "holds no rows"),
        ('{"a": [1, 2], "b": [1]}', "is no table .its columns differ in length"),
        ('{"columns": ["a", "b"], "data": [[1]]}', "row 0 must be a list of 2 cells"),
        ('{"columns": ["a", "a"], "data": [[1, 2]]}', "two columns have one name"),
        ('[{"a": 1}] 2', "has text after its JSON"),
        ('[{"a": 1, "a": 2}]', "is not JSON .key 'a' comes twice"),
        ('[{"a": 1}', "is not JSON"),
        ("[" * 5000, "is not JSON"),
        ("", "is empty"),
        ("\xff", "is not JSON"),
    ],
)
def test_another_document_says_what_a_table_is(tmp_path, text, message):
    (tmp_path / "rows.json").write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "rows.json")


def test_a_missing_cell_is_empty(tmp_path):
    (tmp_path / "rows.json").write_text('{"a": {"0": 1, "1": 2}, "b": {"0": 3}}')
    table = read_table(tmp_path / "rows.json")
    assert math.isnan(table["b"][1])
    assert is_table(tmp_path / "rows.json")


def test_documents_beside_tables_are_no_rows(tmp_path):
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(FORMS["records"])
    assert [file.name for file in input_files(tmp_path)] == ["a.json", "b.json"]
    TABLE.to_csv(tmp_path / "c.csv", index=False)
    assert [file.name for file in input_files(tmp_path)] == ["c.csv"]
