"""The same rows come out of every container; what holds no table ends in one line that says so."""

import gc
import gzip
import json
import os
import pickle
import re
import sys
import tempfile
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.containers import (
    COLUMNAR,
    CONTAINERS,
    ROWS,
    annotated,
    arrow,
    frame,
    npy,
    npz,
    parquet,
    partitioned,
    served,
    sheet,
    text,
    workbook,
    zipped,
    zstd,
)
from tsad.data.io.containers.kinds import beside, is_table, scored_path, table_name
from tsad.data.io.containers.location import Address, location
from tsad.data.io.containers.plain import reuse
from tsad.data.io.read_options import ReadOptions
from tsad.data.io.table_files import open_table
from tsad.data.io.tables import read_table
from tsad.data.io.text import TextOptions
from tsad.data.sets.csv import CsvSpec
from tsad.errors import DataError
from tsad.spec import parse

TABLE = frame()
CONTENTS = {name: content(TABLE) for name, content in CONTAINERS.items()}
TIMED = {"time": "at", "label": "label"}


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Folder of the temporary files, in which nothing may be left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    if any(folder.iterdir()):
        gc.collect()  # what an error still refers to
    assert list(folder.iterdir()) == []


def load(path, **options):
    return parse(CsvSpec, {"kind": "csv", "path": str(path), **options}, "data").load(Path())


def chunked(path, rows=17, options=TextOptions()):  # noqa: B008
    table = open_table(location(path), options)
    return pd.concat([chunk.columns(table.names) for chunk in table.chunks(rows)])


def assert_times(column):
    np.testing.assert_array_equal(pd.to_datetime(column).dt.tz_localize(None).to_numpy(), TABLE["at"].to_numpy())


# --- the same rows ---


@pytest.fixture(scope="module")
def digest(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "rows.csv"
    path.write_text(text(TABLE))
    return load(path, **TIMED).digest


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_gives_the_same_rows(tmp_path, digest, name):
    path = tmp_path / name
    path.write_bytes(CONTAINERS[name](TABLE))
    data = load(path, **TIMED)
    assert data.digest == digest
    assert data.name == name.split(".")[0]
    np.testing.assert_array_equal(np.concatenate([data.train.times, data.test.times]), TABLE["at"].to_numpy())
    assert is_table(path)
    for read in (read_table(path), chunked(path)):
        assert list(read.columns) == list(TABLE.columns)
        np.testing.assert_array_equal(read["cpu"].to_numpy(), TABLE["cpu"].to_numpy())
        assert_times(read["at"])


@pytest.mark.parametrize("name", CONTAINERS)
def test_scored_rows_lie_next_to_their_file(name):
    ending = "parquet" if name in COLUMNAR else "csv"
    assert scored_path(Path("data") / name) == Path("data") / f"{name.split('.')[0]}.scored.{ending}"


@pytest.mark.parametrize(
    ("path", "name", "target"),
    [
        ("s3://bucket/a/pump.7.csv.gz", "pump.7", "pump.7.scored.csv"),
        ("https://host.org/a/load.parquet?version=3&key=x.y", "load", "load.scored.parquet"),
        ("https://host.org/", "rows", "rows.scored.csv"),
        ("gs://bucket/table", "table", "table.scored.csv"),
        ("file:///data/load%20a.csv", "load a", "/data/load a.scored.csv"),
        ("data/load.v2", "load", "data/load.scored.csv"),
    ],
)
def test_a_table_and_its_scores_have_a_name(path, name, target):
    assert table_name(location(path)) == name
    assert str(scored_path(location(path))) == target


def test_a_folder_is_scored_next_to_itself(tmp_path, monkeypatch):
    folder = partitioned(tmp_path / "run.2024", TABLE)
    assert scored_path(folder) == tmp_path / "run.2024.scored.parquet"
    monkeypatch.chdir(folder)
    assert beside(Path(), ".png") == tmp_path / "run.2024.png"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.yaml", False), ("a.yml", False), ("a", False), ("a.Csv", True), ("a.jsonl.bz2", True)],
)
def test_a_config_is_no_table(name, expected):
    assert is_table(Path(name)) is expected
    assert is_table(location(f"https://host.org/{name}")) is (name not in {"a.yaml", "a.yml"})


# --- text ---


def test_the_options_of_a_text_hold_inside_of_its_container(tmp_path):
    content = "pump 7\n" + text(TABLE, ";").replace(".", ",")
    path = tmp_path / "rows.txt.gz"
    path.write_bytes(gzip.compress(content.encode("utf-16")))
    options = TextOptions(skip=1, separator=";", decimal=",")
    np.testing.assert_array_equal(read_table(path, options)["cpu"], TABLE["cpu"])
    np.testing.assert_array_equal(chunked(path, options=options)["cpu"], TABLE["cpu"])


def test_a_file_that_trains_by_its_options_is_scored_from_any_other_container(tmp_path):
    """What was set for the text of the training is no hindrance for a form that has no such text."""
    options = TextOptions(skip=2, separator=";", encoding="cp1252", header=False)
    (tmp_path / "rows.jsonl").write_bytes(CONTAINERS["rows.jsonl"](TABLE))
    (tmp_path / "annotated.csv").write_bytes(annotated(TABLE))
    for name in ("rows.jsonl", "annotated.csv"):
        assert list(read_table(tmp_path / name, options)["disk"]) == list(
            chunked(tmp_path / name, options=options)["disk"]
        )
        assert list(read_table(tmp_path / name, options).columns) == list(TABLE.columns)


@pytest.mark.parametrize("name", ["PAR1,x", "BZh9,x", "PK,x", "datatype,x"])
def test_a_name_that_begins_like_another_kind_is_a_name(tmp_path, name):
    path = tmp_path / "rows.csv"
    path.write_text(f"{name}\n1,2\n3,4\n")
    assert list(read_table(path)) == list(chunked(path)) == name.split(",")


def test_a_parquet_file_in_a_folder_called_like_a_partition_has_its_own_columns_only(tmp_path):
    path = tmp_path / "day=1" / "rows.parquet"
    path.parent.mkdir()
    path.write_bytes(parquet(TABLE))
    assert list(read_table(path)) == list(chunked(path)) == list(TABLE)


# --- json lines ---


def test_json_lines_keep_every_digit_and_flatten_objects(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '\ufeff{"n": 9007199254740993, "x": 0.1, "in": {"a": 1, "b": {"c": true}}, "list": [1, 2], "t": "a;b,\\"c\\"\\nd"}\n'
        '\n{"n": 1, "x": null, "in": {"a": 2, "b": {"c": false}}, "list": [], "late": 5}\n',
        encoding="utf-8",
    )
    table = read_table(path)
    assert list(table.columns) == ["n", "x", "in.a", "in.b.c", "list", "t", "late"]
    assert table["n"].tolist() == [9007199254740993, 1]
    assert table["in.b.c"].tolist() == [True, False]
    assert table["t"][0] == 'a;b,"c"\nd'
    assert table["late"].isna().tolist() == [True, False]


def test_a_key_that_is_missing_in_a_line_is_an_empty_cell_that_is_reported(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1, "b": 2}\n{"a": 3}\n{"a": 5, "b": 6}\n')
    with pytest.raises(
        DataError, match=r"rows\.jsonl: column 'b' has 1 empty cells, first at row 1; set data\.missing"
    ):
        load(path)


# --- workbooks ---


def test_a_sheet_is_chosen_by_name(tmp_path):
    path = tmp_path / "rows.xlsx"
    path.write_bytes(workbook(first=[["a"], [1], [2]], second=[["b"], [3], [4]]))
    assert list(read_table(path)) == ["a"]
    assert read_table(path, TextOptions(sheet="second"))["b"].tolist() == [3, 4]
    assert chunked(path, options=TextOptions(sheet="second"))["b"].tolist() == [3, 4]
    with pytest.raises(DataError, match=r"has no sheet 'third'; it has \['first', 'second'\]; name one of them"):
        read_table(path, TextOptions(sheet="third"))
    data = load(path, sheet="second")
    assert data.read_options.sheet == "second"
    assert "sheet 'first' was read, the first of 2" in load(path).defects[0]
    assert ReadOptions().sheet is None


def test_cells_of_a_sheet_have_their_values(tmp_path):
    import datetime as dt

    path = tmp_path / "rows.xlsx"
    rows = [
        ["day", "clock", "on", "n", "x", "mixed", "", "bad"],
        [dt.date(2024, 3, 1), dt.time(6, 0), True, 3, 0.1, dt.datetime(2024, 3, 1), "", 1],
        [],
        [dt.date(2024, 3, 2), dt.time(6, 30), False, 4, 1e300, dt.datetime(2024, 3, 1, 0, 0, 7), "", "#N/A"],
        ["", "", "", "", "", "", "", " "],
    ]
    path.write_bytes(workbook(rows=rows))
    assert read_table(path).astype(object).to_numpy().tolist()[0] == [
        "2024-03-01", "06:00:00", True, 3, 0.1, "2024-03-01 00:00:00", 1.0,
    ]  # fmt: skip
    table = read_table(path)
    assert len(table) == 2
    assert table["bad"].isna().tolist() == [False, True]
    assert table["mixed"].tolist() == ["2024-03-01 00:00:00", "2024-03-01 00:00:07"]


def test_a_title_over_merged_cells_is_left_out_by_skip(tmp_path):
    path = tmp_path / "rows.xlsx"
    path.write_bytes(workbook(merged=["A1:C1"], rows=[["Pump 7", "", ""], *[row[1:4] for row in sheet(TABLE)]]))
    with pytest.raises(DataError, match=r"its cells A1 to C1 are merged; set data\.skip=1, or unmerge them"):
        load(path)
    assert load(path, skip=1).train.features == ("cpu", "disk", "net")


def test_a_workbook_of_open_document_is_read(tmp_path):
    cell = '<table:table-cell office:value-type="{}" office:{}="{}"><text:p>{}</text:p></table:table-cell>'
    rows = [
        [("string", "string-value", "at", "at"), ("string", "string-value", "x", "x")],
        [("date", "date-value", "2024-03-01T00:00:07", "1 March"), ("float", "value", "0.1", "0,1")],
    ]
    lines = "".join(f"<table:table-row>{''.join(cell.format(*one) for one in row)}</table:table-row>" for row in rows)
    names = "".join(
        f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    content = (
        f"<office:document-content{names}><office:body><office:spreadsheet>"
        f'<table:table table:name="A">{lines}</table:table></office:spreadsheet></office:body></office:document-content>'
    )
    manifest = '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
    mimetype = "application/vnd.oasis.opendocument.spreadsheet"
    archive = zipped(**{"mimetype": mimetype, "content.xml": content, "META-INF/manifest.xml": manifest})
    for name in ("a.ods", "called.csv"):
        (tmp_path / name).write_bytes(archive)
        assert read_table(tmp_path / name).to_dict("list") == {"at": ["2024-03-01 00:00:07"], "x": [0.1]}


# --- arrays ---


@pytest.mark.parametrize("dtype", ["f8", ">f4", "f2", "i2", "u8", "?", "longdouble"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_plain_array_has_numbered_columns(tmp_path, dtype, order):
    array = np.asarray(np.arange(36).reshape(12, 3) % 5, dtype, order=order)
    (tmp_path / "a.npy").write_bytes(npy(array))
    (tmp_path / "a.npz").write_bytes(npz(x=array, label=np.arange(12) > 9))
    for table in (read_table(tmp_path / "a.npy"), read_table(tmp_path / "a.npz"), chunked(tmp_path / "a.npy", rows=5)):
        assert list(table)[:3] == ["f00", "f01", "f02"]
        np.testing.assert_array_equal(table[["f00", "f01", "f02"]].astype(float), array.astype(float))
    assert read_table(tmp_path / "a.npz")["label"].tolist() == [False] * 10 + [True] * 2


def test_a_series_of_numbers_is_one_column(tmp_path):
    (tmp_path / "a.npy").write_bytes(npy(np.arange(5.0)))
    assert read_table(tmp_path / "a.npy").to_dict("list") == {"f00": [0, 1, 2, 3, 4]}


# --- folders ---


def test_a_folder_of_parquet_files_has_its_partitions_as_columns(tmp_path):
    folder = partitioned(tmp_path / "rows", TABLE)
    for table in (read_table(folder), chunked(folder)):
        assert list(table) == [*TABLE, "day"]
        assert table["day"].tolist() == [9] * 30 + [10] * 30  # 9 before 10
        np.testing.assert_array_equal(table["cpu"], TABLE["cpu"])
    data = load(folder, ignore=["day"], **TIMED)
    assert data.name == "rows"


def test_partitions_are_typed_and_decoded_like_cells(tmp_path):
    folder = partitioned(
        tmp_path / "rows", TABLE, key="host%20name", values=("a%2Fb", "__HIVE_DEFAULT_PARTITION__", "1")
    )
    column = read_table(folder)["host name"]
    assert column.dropna().unique().tolist() == ["1", "a/b"]
    assert column.isna().sum() == 20


def test_files_of_a_folder_may_lack_a_column_and_differ_in_the_type_of_numbers(tmp_path):
    folder = tmp_path / "rows"
    folder.mkdir()
    pq.write_table(pa.table({"a": [1, 2], "b": [1.5, 2.5]}), folder / "p2.parquet")
    pq.write_table(pa.table({"b": [3, 4], "c": [5, 6]}), folder / "p10.parquet")
    table = read_table(folder)
    assert table["b"].tolist() == [1.5, 2.5, 3, 4]
    assert table["a"].isna().tolist() == table["c"].notna().tolist() == [False, False, True, True]


def test_a_folder_whose_files_have_the_partition_too_is_read(tmp_path):
    folder = tmp_path / "rows" / "day=1"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"x": [1.0, 2.0], "day": [7, 8]}), folder / "a.parquet")
    assert read_table(tmp_path / "rows").to_dict("list") == {"x": [1, 2], "day": [7, 8]}


# --- annotated csv ---


def test_an_annotated_default_fills_its_empty_cells(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(
        "#group,false,false,false,false\n#datatype,string,long,double,string\n#default,mean,,1.5,\n"
        ",result,table,x,Result\n,,0,,a\n,,0,2,b\n"
    )
    assert read_table(path).to_dict("list") == {"x": [1.5, 2.0], "Result": ["a", "b"]}


def test_tables_of_the_same_columns_in_another_order_follow_each_other(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(
        "#datatype,string,long,double,double\n,result,table,x,y\n,,0,1,2\n\n"
        "#datatype,string,long,double,double\n,result,table,y,x\n,,1,4,3\n"
    )
    assert read_table(path).to_dict("list") == {"x": [1, 3], "y": [2, 4]}


def test_annotations_in_the_first_column_take_none_away(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("#datatype measurement,double,dateTime:RFC3339\nm,table,time\nmem,1,2024-01-01T00:00:00Z\n")
    assert list(read_table(path)) == ["m", "table", "time"]


# --- damage ---


def encrypted():
    content = bytearray(zipped(rows__csv=text(TABLE)))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    return bytes(content)


def three_tables(second):
    return f"#datatype,string,long,double\n,result,table,x\n,,0,1\n\n#datatype,string,long,double\n{second}\n".encode()


DAMAGED = {
    "an empty gzip file": ("a.csv.gz", b"", "is empty; give a file with rows"),
    "a gzip file of nothing": ("a.csv.gz", gzip.compress(b""), r"is not a csv table \(it is empty\)"),
    "a gzip file cut off": ("a.csv.gz", gzip.compress(text(TABLE).encode())[:200], "is not a gzip file, or not all of it"),
    "a gzip file damaged": (
        "a.csv.gz", gzip.compress(text(TABLE).encode())[:100] + bytes(900), "not all of it",
    ),
    "text called gzip": ("a.csv.gz", text(TABLE).encode(), "is not a gzip file, or not all of it"),
    "an empty bz2 file": ("a.csv.bz2", b"", "is empty"),
    "a bz2 file cut off": ("a.csv.bz2", CONTAINERS["rows.csv.bz2"](TABLE)[:-40], "is not a bz2 file, or not all of it"),
    "an empty zstd file": ("a.csv.zst", b"", "is empty"),
    "a zstd file cut off": ("a.csv.zst", zstd(text(TABLE).encode())[:-9], "is not a zstd file, or not all of it"),
    "a tar archive": ("a.tar.gz", gzip.compress(bytes(257) + b"ustar" + bytes(300)), "is a tar archive; unpack it"),
    "archives without end": (
        "a.csv.gz", gzip.compress(gzip.compress(gzip.compress(gzip.compress(gzip.compress(b"x"))))), "files inside of files",
    ),
    "two tables in a zip archive": (
        "a.zip", zipped(one__csv="a\n1", two__csv="a\n1"), r"must hold one table, but holds 2 among 2 files: .'one.csv', 'two",
    ),
    "no table in a zip archive": ("a.zip", zipped(readme__md="x"), r"holds 0 among 1 files: \['readme.md'\]"),
    "an empty zip archive": ("a.zip", zipped(), "holds 0 among 0 files"),
    "an encrypted zip archive": ("a.zip", encrypted(), "holds 'rows.csv', which is encrypted; unpack it"),
    "an empty file called zip": ("a.zip", b"", "is not a zip archive"),
    "a zip archive cut off": ("a.zip", zipped(rows__csv=text(TABLE))[:-30], "is not a zip archive, or a damaged one"),
    "an empty workbook": ("a.xlsx", b"", "is empty"),
    "a workbook without sheets": ("a.xlsx", workbook(), "has no sheet with cells"),
    "a sheet without cells": ("a.xlsx", workbook(pump=[]), "has no cells in sheet 'pump'; name another sheet"),
    "a workbook cut off": ("a.xlsx", workbook(rows=sheet(TABLE))[:-100], "is not a workbook, or a damaged one"),
    "text called workbook": ("a.xlsx", b"a,b\n1,2\n", "is not a workbook, or a damaged one"),
    "names that are merged": (
        "a.xlsx", workbook(merged=["B1:C1"], rows=sheet(TABLE)), "its cells B1 to C1 are merged; set data.skip=1, or unmerge",
    ),
    "an empty file of json lines": ("a.jsonl", b"", "is empty"),
    "blank json lines": ("a.jsonl", b"\n\n", "is not a csv table|has no rows|is empty"),
    "a broken line of json": ("a.jsonl", b'{"a": 1}\n{"a": 2\n', "line 2 is not JSON"),
    "a json line that is no object": ("a.jsonl", b'{"a": 1}\n[1, 2]\n', r"line 2 must hold an object .*holds '\[1, 2\]'"),
    "a json array": ("a.ndjson", b'[\n{"a": 1}\n]', "line 1 is not JSON"),
    "a key that comes twice": ("a.jsonl", b'{"a": 1, "a": 2}\n', "line 1 is not JSON .key 'a' comes twice"),
    "keys that become one": ("a.jsonl", b'{"a.b": 1, "a": {"b": 2}}\n', "line 1 is not a row .key 'a.b' comes twice"),
    "json lines in another encoding": ("a.jsonl", '{"a": "\u00b0"}\n'.encode("latin-1"), "line 1 is not JSON"),
    "json without end": ("a.jsonl", b"[" * 100_000, "line 1 is not JSON"),
    "an empty Arrow file": ("a.feather", b"", "is empty"),
    "an Arrow file cut off": ("a.feather", arrow(TABLE)[:-200], "is not an Arrow table"),
    "text called Arrow": ("a.arrow", b"a,b\n1,2\n", "is not an Arrow table"),
    "an empty array file": ("a.npy", b"", "is empty"),
    "an array cut off": ("a.npy", npy(np.ones((50, 3)))[:-8], "is not an array of numbers"),
    "an array of objects": ("a.npy", npy(np.array([{}, 1]), allow_pickle=True), "is not an array of numbers|must hold numbers"),
    "an array of windows": ("a.npy", npy(np.ones((5, 4, 3))), r"must have the shape \(rows, columns\), but has \(5, 4, 3\)"),
    "a single number": ("a.npy", npy(np.float64(3)), r"must have the shape \(rows, columns\), but has \(\)"),
    "complex numbers": ("a.npy", npy(np.ones(3, complex)), "must hold numbers, but holds 'complex128'"),
    "an array without rows": ("a.npy", npy(np.ones((0, 3))), "has no rows below its first line"),
    "an array without columns": ("a.npy", npy(np.ones((3, 0))), r"must have the shape \(rows, columns\), but has \(3, 0\)"),
    "arrays of several tables": (
        "a.npz", npz(train=np.ones((5, 2)), test=np.ones((5, 2))), "must hold one two-dimensional array",
    ),
    "arrays of unequal length": ("a.npz", npz(a=np.ones(5), b=np.ones(4)), r"holds \{'a': \(5,\), 'b': \(4,\)\}"),
    "arrays of one name": ("a.npz", npz(x=np.ones((5, 2)), f01=np.ones(5)), "two of its arrays give columns of one name"),
    "windows among arrays": ("a.npz", npz(x=np.ones((5, 2, 2))), r"its array 'x' must have the shape"),
    "objects among arrays": ("a.npz", npz(x=np.array([None, 1])), "its array 'x' (is not an array|must hold numbers)"),
    "an empty file called npz": ("a.npz", b"", "is empty"),
    "arrays cut off": ("a.npz", npz(a=np.ones(500))[:-30], "is not an .npz file, or a damaged one"),
    "an empty Parquet file": ("a.parquet", b"", r"is not a parquet table"),
    "a Parquet file cut off": ("a.parquet", parquet(TABLE)[:-50], r"is not a parquet table"),
    "annotated tables of different columns": (
        "a.csv", three_tables(",result,table,y\n,,0,1"), r"holds tables of different columns, \['x'\] and, from line 6, \['y'\]",
    ),
    "an annotated table cut off": ("a.csv", three_tables(",result,table,x\n,,"), "line 7 must have 4 cells, .* but has 3"),
    "an annotated error": (
        "a.csv", b"#datatype,string,string\n#group,true,true\n#default,,\n,error,reference\n,no such bucket,897\n",
        r"is the answer to a faulty query \('no such bucket, 897'\)",
    ),
    "an annotation that says more": ("a.csv", three_tables("#timezone,x,y,z"), "has the annotation '#timezone', which says more"),
    "an annotated table without rows": ("a.csv", b"#datatype,string\n#group,false\n", r"is not a csv table \(it is empty\)"),
    "another form": ("a.mat", b"MATLAB", "a table must be a .csv or .parquet file, or one of the other kinds"),
    "no such archive": ("absent/a.csv.gz", None, r"cannot be read \(No such file\)"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "message"), DAMAGED.values(), ids=DAMAGED)
def test_what_holds_no_table_ends_in_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{re.escape(str(path))}: .*({message})") as caught:
        load(path)
    assert "\n" not in str(caught.value)
    if "has no rows" not in message:
        with pytest.raises(DataError, match=rf"{re.escape(str(path))}: .*({message})"):
            open_table(path)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted(set(CONTAINERS) - {"rows.csv", "rows.CSV", "rows.tsv", "rows.txt", "rows.DAT"})),
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=6), st.integers(0, 60)), min_size=1, max_size=4
    ),
)
def test_damaged_bytes_end_in_rows_or_in_one_line(tmp_path_factory, name, changes):
    content = bytearray(CONTENTS[name])
    for position, inserted, removed in changes:
        start = int(position * len(content))
        content[start : start + removed] = inserted
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(content)
    for read in (read_table, chunked):
        try:
            read(path)
        except DataError as error:
            assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "must hold one table as Parquet files, but has 0 of them; give the path"),
        ({"a.csv": b"a\n1"}, r"has 0 of them and \['a.csv'\]"),
        ({"a.parquet": parquet(TABLE), "b.jsonl": b"{}"}, r"has 1 of them and \['b.jsonl'\]"),
        ({"a.parquet": parquet(TABLE), "b.parquet": parquet(TABLE)[:-9]}, "b.parquet is not a parquet table"),
        (
            {"a.parquet": parquet(TABLE), "b.parquet": parquet(TABLE.assign(cpu="high"))},
            "b.parquet does not go together with the files before it .*cpu",
        ),
    ],
)
def test_a_folder_that_is_no_table_ends_in_one_line(tmp_path, files, message):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(folder)
    with pytest.raises(DataError, match=message):
        open_table(folder)


def test_a_pipe_is_refused_and_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "rows.csv")
    with pytest.raises(DataError, match=r"rows\.csv: is neither a file nor a folder; write its rows into a file first"):
        open_table(tmp_path / "rows.csv")


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    path = tmp_path / "rows.csv"
    path.write_text("a\n1\n")

    def refuse(*words, **names):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"rows\.csv: cannot be read \(Permission denied\)"):
        open_table(path)


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(text(TABLE).encode()))

    def refuse(*words, **names):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tsad.data.io.containers.plain.tempfile.mkdtemp", refuse)
    with pytest.raises(DataError, match=r"rows\.csv\.gz: cannot be read \(No space left on device\)"):
        load(path)


@pytest.mark.parametrize(
    ("package", "name", "extra"), [("python_calamine", "rows.xlsx", "excel"), ("aiohttp", None, "remote")]
)
def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, package, name, extra):
    path = "https://127.0.0.1:9/rows.csv" if name is None else tmp_path / name
    if name is not None:
        path.write_bytes(CONTAINERS[name](TABLE))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DataError, match=rf"needs .*not installed.*; pip install 'tsad\[{extra}\]'"):
        load(path)


# --- addresses ---


@pytest.mark.parametrize(
    "text_form",
    ["s3://bucket/a b/rows.csv", "gs://b/r.parquet", "https://h.org//a/./r.csv?q=http://x//y#z", "memory://m/r.csv"],
)
def test_an_address_stays_as_it_was_written(text_form):
    address = location(text_form)
    assert isinstance(address, Address)
    assert (
        str(address)
        == str(location(address))
        == str(pickle.loads(pickle.dumps(address)))
        == os.fspath(address)
        == text_form
    )
    spec = parse(CsvSpec, {"kind": "csv", "path": text_form}, "data")
    assert spec.model_dump(mode="json")["path"] == text_form
    assert str(CsvSpec(kind="csv", path=text_form).path) == text_form
    assert str(location(Path("s3://bucket/rows.csv"))) == "s3://bucket/rows.csv"


def test_an_address_has_the_parts_of_a_path():
    address = location("S3://bucket/a/rows.csv")
    assert (address.name, address.suffix, address.scheme) == ("rows.csv", ".csv", "s3")
    assert str(address.with_name("b.csv")) == "s3://bucket/a/b.csv"


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows.parquet", "rows.jsonl", "rows.xlsx"])
def test_rows_are_read_over_http(digest, name, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with served({f"/data/{name}": CONTAINERS[name](TABLE)}) as (address, _):
        data = load(f"{address}/data/{name}?v=1", **TIMED)
        assert (data.digest, data.name) == (digest, "rows")
        np.testing.assert_array_equal(chunked(f"{address}/data/{name}")["cpu"], TABLE["cpu"])


def test_an_address_without_an_ending_is_told_by_its_content(digest, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with served({"/export": text(TABLE).encode(), "/other": parquet(TABLE)}) as (address, _):
        assert load(f"{address}/export?format=x.y", **TIMED).digest == digest
        assert load(f"{address}/other", **TIMED).digest == digest


@pytest.mark.parametrize(
    ("options", "path", "message"),
    [
        ({}, "/absent.csv", r"absent\.csv: cannot be read \(No such file\); see that the address is right"),
        ({"status": 403}, "/rows.csv", r"cannot be read \(.*403"),
        ({"cut": 100}, "/rows.csv", r"cannot be read \("),
    ],
)
def test_an_address_that_cannot_be_read_ends_in_one_line(monkeypatch, options, path, message):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with (
        served({"/rows.csv": text(TABLE).encode()}, **options) as (address, _),
        pytest.raises(DataError, match=message),
    ):
        load(f"{address}{path}")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://127.0.0.1:9/rows.csv", r"http://127\.0\.0\.1:9/rows\.csv: cannot be read \("),
        ("https://me:secret@host.org/rows.csv", "an address must not hold a password"),
        ("ftp://host.org/rows.csv", r"must be a path, or an address that begins with one of s3://, gs://, https://"),
    ],
)
def test_an_address_that_is_wrong_ends_in_one_line(monkeypatch, address, message):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(DataError, match=message):
        load(address)
    with pytest.raises(DataError, match=message):
        open_table(location(address))


def test_rows_are_read_from_an_object_store(digest, monkeypatch):
    """The server answers as S3 does to the requests for one object, with the bytes that a range names."""
    with served({"/bucket/a/rows.csv.gz": CONTAINERS["rows.csv.gz"](TABLE)}) as (address, _):
        for name, value in {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "no_proxy": "127.0.0.1",
        }.items():
            monkeypatch.setenv(name, value)
        assert load("s3://bucket/a/rows.csv.gz", **TIMED).digest == digest
        with pytest.raises(DataError, match=r"s3://bucket/absent\.csv: cannot be read \("):
            load("s3://bucket/absent.csv")


def test_rows_are_read_from_google(digest, monkeypatch):
    """The server answers as Google Cloud Storage does to the requests for one object."""
    content, times = text(TABLE).encode(), "2030-01-01T00:00:00Z"
    about = {"kind": "storage#object", "name": "a/rows.csv", "bucket": "bucket", "size": str(len(content))}
    about |= {"generation": "1", "metageneration": "1", "updated": times, "timeCreated": times}
    path = "/storage/v1/b/bucket/o/a%2Frows.csv"
    with served({path: json.dumps(about).encode(), f"{path}?alt=media": content}) as (address, _):
        monkeypatch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", address)
        assert load("gs://anonymous@bucket/a/rows.csv?retry_limit_seconds=3", **TIMED).digest == digest


def test_files_and_folders_are_read_through_fsspec(tmp_path, digest):
    memory = fsspec.filesystem("memory")
    folder = partitioned(tmp_path / "rows", TABLE)
    memory.put(str(folder), "/store/rows", recursive=True)
    memory.pipe("/store/rows.tsv.bz2", CONTAINERS["rows.csv.bz2"](TABLE))
    try:
        assert load("memory://store/rows.tsv.bz2", **TIMED).digest == digest
        assert load("memory://store/rows", ignore=["day"], **TIMED).digest == digest
        assert read_table(location("memory://store/rows"))["day"].tolist() == [9] * 30 + [10] * 30
        with pytest.raises(DataError, match=r"memory://store/absent\.csv: cannot be read \(No such file\)"):
            load("memory://store/absent.csv")
    finally:
        memory.rm("/store", recursive=True)


def test_a_file_address_is_its_path(tmp_path, digest):
    path = tmp_path / "a b.csv"
    path.write_text(text(TABLE))
    for address in (path.as_uri(), f"file://localhost{path}", Path(f"file://{path}")):
        assert load(address, **TIMED).digest == digest


# --- temporary files ---


def test_a_chunked_file_keeps_its_temporary_file_until_the_last_row(tmp_path, temporary):
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(text(TABLE).encode()))
    table = open_table(path)
    chunks = table.chunks(7)
    first = next(chunks)
    del table
    assert len(list(temporary.iterdir())) == 1
    assert len(first) + sum(map(len, chunks)) == ROWS
    del chunks, first
    gc.collect()
    assert list(temporary.iterdir()) == []


def test_one_command_unpacks_a_file_once_and_sees_a_change(tmp_path, temporary, monkeypatch):
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"a\n1\n"))
    with reuse():
        read_table(path)
        (folder,) = temporary.iterdir()
        assert read_table(path)["a"].tolist() == [1]
        assert list(temporary.iterdir()) == [folder]
        path.write_bytes(gzip.compress(b"a\n2\n3\n"))
        assert read_table(path)["a"].tolist() == [2, 3]
    gc.collect()
    assert list(temporary.iterdir()) == []


def test_a_sheet_that_was_read_is_not_taken_for_another(tmp_path):
    path = tmp_path / "rows.xlsx"
    path.write_bytes(workbook(first=[["a"], [1]], second=[["b"], [2]]))
    with reuse():
        columns = [list(read_table(path, TextOptions(sheet=name))) for name in ("first", "second", "first")]
    assert columns == [["a"], ["b"], ["a"]]


def test_unpacking_does_not_need_memory_for_the_whole_file(tmp_path):
    """200 MB of rows pass through a gzip file of 200 KB; Python's own memory stays below 8 MB."""
    import tracemalloc

    path = tmp_path / "rows.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"a,b\n")
        for _ in range(100):
            file.write(b"1.25,2.5\n" * 50_000)
    tracemalloc.start()
    pool = pa.total_allocated_bytes()
    table = open_table(path)
    next(table.chunks(10))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6
    assert pa.total_allocated_bytes() - pool < 8e6
