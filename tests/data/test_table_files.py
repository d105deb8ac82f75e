import csv
import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tsad.data.io.table_files import open_table
from tsad.data.io.text import TextOptions
from tsad.data.io.writers import CsvWriter, ParquetWriter, atomic_write
from tsad.errors import DataError

ODD = (
    'when,a, b ,note\n'
    '2024-01-01T00:00:00+01:00,1.50,-0,"one, two"\n'
    '2024-01-01T00:00:01+01:00,007,1e3,"a ""b"""\n'
    '"x",NA,,"two\nlines, and a comma"\n'
    "y,3.14159265358979323846,0.10,\n"
)  # fmt: skip


@pytest.fixture
def file(tmp_path):
    """Writes a CSV and opens it."""

    def write(text, name="rows.csv"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return open_table(tmp_path / name)

    return write


def lines(table, rows):
    return [line for chunk in table.chunks(rows) for line in chunk.lines()]


# --- CSV: in ---


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_the_lines_of_a_csv_are_as_they_were(file, rows):
    table = file(ODD)
    assert table.header == "when,a, b ,note"
    assert table.names == ["when", "a", "b", "note"]
    assert "\n".join([table.header, *lines(table, rows), ""]) == ODD


def test_a_csv_may_have_lines_above_it_and_no_names(tmp_path):
    (tmp_path / "rows.csv").write_text("pump 7\n\n1;2,5\n3;4,5\n")
    table = open_table(tmp_path / "rows.csv", TextOptions(skip=2, header=False))
    (chunk,) = table.chunks(10)
    assert (table.header, lines(table, 1)) == ("f00;f01", ["1;2,5", "3;4,5"])
    np.testing.assert_array_equal(chunk.columns(["f00", "f01"]), [[1, 2.5], [3, 4.5]])


def test_lines_above_a_csv_count_where_one_is_wrong(tmp_path):
    (tmp_path / "rows.csv").write_text("pump 7\n\na,b\n1,2\n3,4\n5\n")
    table = open_table(tmp_path / "rows.csv", TextOptions(skip=2))
    with pytest.raises(DataError, match="every line must have 2 cells, as the header has, but line 6 has 1"):
        list(table.chunks(10))


def test_the_cells_of_a_csv_are_texts_and_numbers(file):
    (chunk,) = file(ODD).chunks(10)
    assert chunk.texts("a") == ["1.50", "007", "NA", "3.14159265358979323846"]
    assert chunk.texts("note") == ["one, two", 'a "b"', "two\nlines, and a comma", ""]
    np.testing.assert_array_equal(chunk.columns(["b", "a"])["a"], [1.5, 7, np.nan, np.pi])


def test_chunks_are_numbered_as_the_rows_of_the_file(file):
    table = file("a\n" + "\n".join(map(str, range(5))) + "\n")
    chunks = list(table.chunks(2))
    assert [(chunk.first_row, len(chunk)) for chunk in chunks] == [(0, 2), (2, 2), (4, 1)]
    assert [index for chunk in chunks for index in chunk.columns(["a"]).index] == [0, 1, 2, 3, 4]
    assert sum(chunk.size for chunk in chunks) == table.size


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(
    st.lists(st.tuples(*[st.text(st.sampled_from('a1 ,"\n;é'), max_size=5)] * 2), min_size=1, max_size=8),
    st.integers(1, 4),
)
def test_whatever_the_csv_module_writes_is_read_in_any_chunks(file, rows, at_once):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([("left", "right"), *rows])
    table = file(text.getvalue())
    chunks = list(table.chunks(at_once))
    cells = [pair for chunk in chunks for pair in zip(chunk.texts("left"), chunk.texts("right"), strict=True)]
    assert cells == rows
    assert all(len(chunk.columns(["left"])) == len(chunk) for chunk in chunks)


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfa,b\n1,2.5\n",
        "a,b\n1,2.5\n".encode("utf-16"),
        b"a;b\n1;2,5\n",
        b"a\tb\r\n1\t2.5\r\n",
        b"\na,b\n\n1,2.5\n\n",
        b"a,b\n1,2.5",
    ],
    ids=["mark", "utf-16", "semicolon", "tab", "blank lines", "no end"],
)
def test_a_csv_is_read_however_it_is_written(file, text):
    (chunk,) = file(text).chunks(10)
    assert chunk.columns(["a", "b"]).to_numpy().tolist() == [[1, 2.5]]


def test_of_one_column_a_blank_line_is_an_empty_cell(file):
    (chunk,) = file("a\n1\n\n3\n").chunks(10)
    np.testing.assert_array_equal(chunk.columns(["a"])["a"], [1, np.nan, 3])
    assert chunk.lines() == ["1", "", "3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n\n3\n", "every line must have 2 cells, as the header has, but line 4 has 1; correct that line"),
        ('a,b\n"x\ny",2\n1,2,3\n', ".*but line 4 has 3; correct that line, or quote the cell that holds a ','"),
        ('a,b\n1,2\n"x\ny",2,3\n', ".*but line 3 has 3"),
        ('a,b\n1,2\n3,"4\n', r"line 3 is not CSV \(unexpected end of data\); correct its quotes"),
        ('a,b\n1,"2"2\n', "line 2 is not CSV"),
    ],
    ids=["too few", "too many", "over two lines", "open quote", "quote inside"],
)
def test_a_line_that_is_none_is_named(file, text, message):
    with pytest.raises(DataError, match=rf"rows\.csv: {message}"):
        list(file(text).chunks(1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is not a csv table .*empty"),
        (b"PAR1\x00\x01\xff\xfe", "is not a csv table"),
        (b"a,b\n1,\xff\n", "is not a csv table .*line 2"),
        (b"a,b,a\n1,2,3\n", "columns must differ in name, but two are called 'a'; rename one of them"),
    ],
    ids=["empty", "NUL", "no text", "same name"],
)
def test_a_file_that_is_no_csv_is_refused_before_its_rows(file, text, message):
    with pytest.raises(DataError, match=rf"rows\.csv: {message}"):
        file(text)


def test_columns_without_a_name_get_one(file):
    assert file(",a\n0,1\n").names == ["unnamed_0", "a"]


# --- Parquet: in ---


def parquet(path, **columns):
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return open_table(path)


def test_the_rows_of_a_parquet_file_come_in_chunks_with_their_types(tmp_path):
    table = parquet(tmp_path / "rows.parquet", a=[1, 2, 3, 4, None], b=pa.array("vwxyz"))
    chunks = list(table.chunks(3))
    assert [(chunk.first_row, len(chunk), chunk.size) for chunk in chunks] == [(0, 3, 3), (3, 2, 2)]
    assert table.size == 5
    assert pa.concat_tables([chunk.table([]) for chunk in chunks]).equals(pq.read_table(table.path))
    np.testing.assert_array_equal(chunks[1].columns(["a"])["a"], [4, np.nan])
    assert chunks[1].columns(["a"]).index.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array(["2024-01-01 00:00:00", "2024-01-01 00:00:00.5"]).cast(pa.timestamp("ns")),
         ["2024-01-01 00:00:00", "2024-01-01 00:00:00.500000000"]),
        (pa.array([0, 1_500_000]).cast(pa.timestamp("us", "UTC")), ["1970-01-01 00:00:00Z", "1970-01-01 00:00:01.500000Z"]),
        (pa.array([0.1, None]), ["0.1", ""]),
        (pa.array([2**53 + 1, 1]), ["9007199254740993", "1"]),
        (pa.array([True, None]), ["true", ""]),
        (pa.array(['a,"b"', ""]), ['a,"b"', ""]),
    ],
    ids=["time", "zone", "number", "whole", "truth", "text"],
)  # fmt: skip
def test_cells_of_a_parquet_file_become_texts_that_do_not_depend_on_their_neighbors(tmp_path, column, texts):
    (chunk,) = parquet(tmp_path / "rows.parquet", a=column, b=["x", "y"]).chunks(9)
    assert chunk.texts("a") == texts
    assert list(csv.reader(chunk.lines())) == [[texts[0], "x"], [texts[1], "y"]]


def test_a_column_that_is_no_text_cannot_stand_in_a_csv(tmp_path):
    (chunk,) = parquet(tmp_path / "rows.parquet", a=[[1], [2]]).chunks(9)
    with pytest.raises(
        DataError, match=r"rows\.parquet: column 'a' of type list.* cannot be written as text; write --output"
    ):
        chunk.lines()


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "rows.parquet").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"rows\.parquet: is not a parquet table"):
        open_table(tmp_path / "rows.parquet")


def test_a_parquet_file_that_is_damaged_within_is_named(tmp_path):
    path = tmp_path / "rows.parquet"
    parquet(path, a=np.random.default_rng(0).random(1000).astype(str))
    content = bytearray(path.read_bytes())
    content[100:3000] = bytes(2900)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"rows\.parquet: is not a parquet table"):
        list(open_table(path).chunks(1000))


@pytest.mark.parametrize(
    ("name", "message"), [("rows.csv", "cannot be read"), ("rows.docx", "must be a .csv or .parquet")]
)
def test_a_path_that_is_no_table_is_refused(tmp_path, name, message):
    with pytest.raises(DataError, match=rf"{name}: .*{message}"):
        open_table(tmp_path / name)


# --- out ---


@pytest.mark.parametrize("decimal", [".", ","])
def test_added_cells_stand_beside_rows_that_waited_for_them(file, tmp_path, decimal):
    separator = "," if decimal == "." else ";"
    table = file(f"a{separator}b\n0{decimal}50{separator}x\n1{decimal}50{separator}y\n2{decimal}50{separator}z\n")
    added = pd.DataFrame({"score": [np.nan, 0.1, 2.0], "flag": [False, False, True], "who": ["p,q", None, "r;s"]})
    with CsvWriter(tmp_path / "out.csv", table) as writer:
        for chunk, ready in zip(table.chunks(1), (added[:0], added[:1], added[1:1]), strict=True):
            writer.append(chunk)
            writer.write(ready)
        writer.write(added[1:])
    expected = {
        ".": 'a,b,score,flag,who\n0.50,x,,False,"p,q"\n1.50,y,0.1,False,\n2.50,z,2.0,True,r;s\n',
        ",": 'a;b;score;flag;who\n0,50;x;;False;p,q\n1,50;y;0,1;False;\n2,50;z;2,0;True;"r;s"\n',
    }
    assert (tmp_path / "out.csv").read_text() == expected[decimal]


def test_a_parquet_file_gets_added_columns_with_one_type(file, tmp_path):
    table = file("a,b\n1,007\n2,x\n")
    added = pd.DataFrame({"score": [np.nan, 0.5], "who": pd.array([None, "a"], dtype="string")})
    with ParquetWriter(tmp_path / "out.parquet", ["a"]) as writer:
        for place, chunk in enumerate(table.chunks(1)):
            writer.append(chunk)
            writer.write(added[place : place + 1])
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == [
        {"a": 1.0, "b": "007", "score": None, "who": None},
        {"a": 2.0, "b": "x", "score": 0.5, "who": "a"},
    ]


def test_files_get_their_names_when_all_is_written(tmp_path):
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    with atomic_write(one, other) as temporary_paths:
        for temporary_path in temporary_paths:
            temporary_path.write_text("new")
        assert not one.exists()
    assert [path.read_text() for path in sorted(tmp_path.iterdir())] == ["new", "new"]


def write_half(*targets):
    with atomic_write(*targets) as temporary_paths:
        temporary_paths[0].write_text("half")
        raise DataError("row 5")


def test_after_an_error_the_files_of_before_are_left(tmp_path):
    one = tmp_path / "one.csv"
    one.write_text("old")
    with pytest.raises(DataError, match="row 5"):
        write_half(one, tmp_path / "other.csv")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("one.csv", "old")]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    target = tmp_path / "absent" / "one.csv"
    with (
        pytest.raises(DataError, match=r"one\.csv: cannot be written \(No such file"),
        atomic_write(target) as (temporary_path,),
    ):
        temporary_path.write_text("x")
