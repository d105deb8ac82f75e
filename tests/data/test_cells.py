import csv
import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pandas._libs.parsers import STR_NA_VALUES

from tsad.data.io.cells import EMPTY_TEXTS, CellFormat, numbers, typed_cells
from tsad.data.io.row_reader import read_csv_text
from tsad.data.io.table_files import open_table
from tsad.data.io.tables import read_table
from tsad.data.io.text import TextOptions
from tsad.data.io.values import to_values
from tsad.data.sets.csv import CsvSpec
from tsad.errors import DataError
from tsad.serving.errors import RequestError
from tsad.serving.requests import CSV, Body, read_rows

NUMBERS = (
    "1",
    "-2",
    "+3.5",
    ".5",
    "7.",
    "1e5",
    "1E-3",
    "00012",
    "-0",
    "9223372036854775808",
    "1e400",
    "inf",
    "-Infinity",
    "NAN",
    "nan(1)",
)
WORDS = (
    "true",
    "False",
    "TRUE",
    "0",
    "high",
    "0x10",
    "1_000",
    "1d5",
    "1 000",
    "--1",
    "1e",
    ".",
    "-",
    "\u0661",
    "2024-01-01",
)
BLANKS = st.sampled_from(["", " ", "\t", "  "])
cells = st.tuples(
    BLANKS,
    st.one_of(
        st.sampled_from([*EMPTY_TEXTS, *NUMBERS, *WORDS]),
        st.floats(allow_nan=False, width=64).map(repr),
        st.integers().map(str),
        st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=5),
    ),
    BLANKS,
).map("".join)
columns = st.lists(cells, min_size=1, max_size=8)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("cells") / "rows.csv"


def csv_text(column, separator=","):
    """Returns a table of the column and one of row numbers, which keeps a row of blanks from being a blank line."""
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows(
        [["a", "row"], *([cell, str(row)] for row, cell in enumerate(column))]
    )
    return text.getvalue()


def typed(*texts, **options):
    """Returns the cells of one column as pandas holds them."""
    cells = typed_cells(pa.chunked_array([pa.array(texts, pa.string())]), **options)
    return pa.table([cells], ["a"]).to_pandas()["a"]


def outcome(read):
    """Returns the values that a reader returns, in float32, or that it refuses the cells."""
    try:
        return read().astype(np.float32).tolist()
    except (DataError, RequestError):
        return "refused"


def trained(path):
    spec = CsvSpec(kind="csv", path=path, test_path=path, separator=",", decimal=".", features=("a",), sentinels="keep")
    return spec.load(path.parent).train.values


# --- the three readers ---


@settings(max_examples=300, deadline=None)
@given(column=columns, rows=st.integers(1, 8))
@example(column=["Null"], rows=1)
@example(column=["#NA", "1"], rows=2)
@example(column=["true", "1", "0"], rows=3)
@example(column=["true", "0.5"], rows=2)
@example(column=["+1.5", "x"], rows=2)
def test_training_files_and_requests_read_equal_cells_to_equal_values(path, column, rows):
    path.write_text(csv_text(column), encoding="utf-8")
    options = TextOptions(separator=",", decimal=".")
    table = open_table(path, options)
    readers = {
        "training": read_table(path, options)["a"],
        "file": next(table.chunks(len(column))).columns(["a"])["a"],
        "request": read_csv_text(path.read_text(encoding="utf-8"), "body")["a"],
    }
    values, words = zip(*map(numbers, readers.values()), strict=True)
    for other in (1, 2):
        np.testing.assert_array_equal(values[other], values[0])
        np.testing.assert_array_equal(words[other], words[0])
    if not words[0].any():  # a chunk has fewer rows, which may all be truth values, or whole
        chunks = [numbers(chunk.columns(["a"])["a"]) for chunk in table.chunks(rows)]
        if not any(word.any() for _, word in chunks):
            np.testing.assert_array_equal(np.concatenate([value for value, _ in chunks]), values[0])


@settings(max_examples=150, deadline=None)
@given(column=columns)
@example(column=["1,5", "1.5"])
@example(column=["-,5", "+2", "n/k", "1,5e3"])
def test_training_and_files_read_decimal_commas_alike(path, column):
    texts = [cell.replace(".", ",") if row % 2 else cell for row, cell in enumerate(column)]
    path.write_text(csv_text(texts, ";"), encoding="utf-8")
    options = TextOptions(separator=";", decimal=",", empty=("n/k", "0"))
    (training, trained_words), (file, file_words) = (
        numbers(frame["a"])
        for frame in (read_table(path, options), next(open_table(path, options).chunks(len(texts))).columns(["a"]))
    )
    np.testing.assert_array_equal(file, training)
    np.testing.assert_array_equal(file_words, trained_words)


@settings(max_examples=150, deadline=None)
@given(column=columns)
@example(column=["none"])
@example(column=["1", "inf"])
@example(column=["1e39"])
@example(column=["true", "1"])
def test_training_files_and_requests_agree_on_what_they_refuse(path, column):
    path.write_text(csv_text(column), encoding="utf-8")
    table = open_table(path, TextOptions(separator=",", decimal="."))
    body = Body(path.read_bytes(), CSV)
    training = outcome(lambda: trained(path))
    chunk = next(table.chunks(len(column)))
    assert outcome(lambda: to_values(chunk.columns(["a"]), ["a"], "rows")) == training
    assert outcome(lambda: read_rows(body, ["a"], 100).series(["a"]).values) == training


# --- the rule ---


def test_the_empty_texts_of_pandas_are_empty():
    assert set(EMPTY_TEXTS) >= STR_NA_VALUES


@pytest.mark.parametrize("text", [*EMPTY_TEXTS, "NAN", "+nan", "nan(1)", " NA ", "\tnull"])
def test_a_cell_that_says_nothing_is_empty_among_numbers_and_among_words(text):
    for other in ("1.5", "high"):
        values, words = numbers(typed(other, text))
        assert np.isnan(values[1])
        assert not words[1]


@pytest.mark.parametrize("text", [word for word in WORDS if word not in {"0", "true", "False", "TRUE"}])
def test_a_cell_that_is_no_number_is_a_word(text):
    values, words = numbers(typed("1.5", text))
    assert words.tolist() == [False, True]
    assert values[0] == 1.5


@given(st.lists(st.floats(allow_nan=False, width=64), min_size=1))
def test_numbers_are_read_to_the_last_bit_beside_words_too(values):
    texts = [*map(repr, values), "high"]
    np.testing.assert_array_equal(numbers(typed(*texts))[0][:-1], values)
    np.testing.assert_array_equal(numbers(pd.Series(texts, dtype=object))[0][:-1], values)


def test_texts_that_mean_nothing_are_empty_where_the_settings_say_so():
    np.testing.assert_array_equal(
        typed("1", "n/k", "-999", cell_format=CellFormat(empty=("n/k", "-999"))), [1, np.nan, np.nan]
    )


def test_numbers_with_a_decimal_comma_are_read_and_those_with_a_point_are_words():
    assert typed("1,5", "-,5", "2", "3,5e2", cell_format=CellFormat(",")).tolist() == [1.5, -0.5, 2.0, 350.0]
    assert numbers(typed("1,5", "1.5", "2", cell_format=CellFormat(",")))[1].tolist() == [False, True, False]


def test_truth_values_are_numbers_if_a_column_has_nothing_else():
    assert typed("true", "FALSE", "1", "").tolist() == [True, False, True, None]
    assert numbers(typed("true", "0.5"))[1].tolist() == [True, False]


def test_lists_and_moments_are_no_numbers():
    frame = pa.table({"a": [[1.0], None], "b": pa.array([0, None], pa.timestamp("s"))}).to_pandas()
    for name in frame:
        assert numbers(frame[name])[1].tolist() == [True, False]


# --- tables of requests ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "body: is empty; give a header row"),
        ("\n \n", "body: is empty; give a header row"),
        ("a,a\n1,2\n", "body: columns must differ in name, but two are called 'a'; rename one of them"),
        ("a,b\n1\n", "body: every line must have 2 cells, as the header has, but line 2 has 1; correct that line"),
        ('a,b\n1,2\n"3,4\n', "body: line 3 is not CSV .*; correct its quotes"),
    ],
)
def test_a_text_that_is_no_table_is_refused_with_its_line(text, message):
    with pytest.raises(DataError, match=message):
        read_csv_text(text, "body")


def test_a_table_without_rows_has_its_columns():
    assert read_csv_text("a, b,\n", "body").columns.tolist() == ["a", "b", "unnamed_2"]


def test_columns_that_are_to_stay_texts_do():
    frame = read_csv_text("a,Time,b\n1,007,2\n", "body", raw=("time",))
    assert frame.to_dict("list") == {"a": [1], "Time": ["007"], "b": [2]}
