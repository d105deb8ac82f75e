"""Tables as they are printed, and names in several lines: read as they are meant, or refused with the way out."""

import numpy as np
import pandas as pd
import pytest

from tsad.config import DetectorSpec
from tsad.data.io.tables import read_table
from tsad.data.split import SplitSpec, split
from tsad.errors import DataError
from tsad.fitting import fit_detector
from tsad.spec import parse
from tsad.workflows.check import check
from tsad.workflows.score import score

ROWS = 240
TIMES = pd.date_range("2024-03-01", periods=ROWS, freq="h")
FRAME = pd.DataFrame({"flow": np.sin(np.arange(ROWS) / 9).round(3) * 100, "level": np.arange(ROWS) * 7 % 31 / 8}, TIMES)
LEVELS = FRAME.assign(heat=FRAME["level"] * 2).set_axis(
    pd.MultiIndex.from_tuples([("pump", "flow"), ("pump", "level"), ("tank", "heat")]), axis=1
)

PRINTED = {
    "times": (FRAME.to_string(), "unnamed_0", ["flow", "level"]),
    "named times": (FRAME.rename_axis("at").to_string(), "at", ["flow", "level"]),
    "with a line end": (FRAME.to_string() + "\n", "unnamed_0", ["flow", "level"]),
    "other line ends": (FRAME.to_string().replace("\n", "\r\n"), "unnamed_0", ["flow", "level"]),
    "levels": (LEVELS.to_string(), "unnamed_0", ["pump.flow", "pump.level", "tank.heat"]),
    "named levels": (LEVELS.rename_axis("at").to_string(), "at", ["pump.flow", "pump.level", "tank.heat"]),
    "long names": (
        FRAME.rename(columns={"flow": "flow of water"}).rename_axis("at").to_string(),
        "at",
        ["flow of water", "level"],
    ),
}


@pytest.mark.parametrize(("text", "time", "features"), PRINTED.values(), ids=PRINTED)
def test_a_printed_table_is_read_with_its_times(tmp_path, text, time, features):
    (tmp_path / "rows.txt").write_bytes(text.encode())
    result = check(tmp_path / "rows.txt")
    assert result.fixes == {"time": time}
    assert list(result.data.train.features) == features
    expected = LEVELS if len(features) == 3 else FRAME
    values = np.concatenate([result.data.train.values, result.data.test.values])
    np.testing.assert_allclose(values, expected.to_numpy(), rtol=1e-5)
    times = np.concatenate([result.data.train.times, result.data.test.times])
    np.testing.assert_array_equal(times, TIMES.to_numpy().astype("datetime64[ns]"))
    assert any("is a printed table, it seems" in defect for defect in result.data.defects)


def test_a_printed_table_with_row_numbers_and_words(tmp_path):
    table = FRAME.reset_index(drop=True).assign(state=["on hold" if row % 7 else "running" for row in range(ROWS)])
    (tmp_path / "rows.txt").write_text(table.to_string())
    read = read_table(tmp_path / "rows.txt")
    assert list(read) == ["unnamed_0", "flow", "level", "state"]
    assert read["state"].tolist() == table["state"].tolist()


def test_blank_cells_of_a_printed_table_are_empty(tmp_path):
    table = FRAME.copy()
    table.iloc[5, 0] = np.nan
    table.iloc[8, 1] = np.nan
    (tmp_path / "rows.txt").write_text(table.to_string(na_rep=""))
    read = read_table(tmp_path / "rows.txt")
    assert np.flatnonzero(read["flow"].isna()).tolist() == [5]
    assert np.flatnonzero(read["level"].isna()).tolist() == [8]


@pytest.mark.parametrize("text", [repr(FRAME), repr(FRAME.reset_index()), FRAME.to_string(max_rows=20)])
def test_a_shortened_table_is_refused(tmp_path, text):
    (tmp_path / "rows.txt").write_text(text)
    with pytest.raises(
        DataError, match=r"is a table that was shortened when it was printed .*write all rows, with frame.to_csv"
    ):
        read_table(tmp_path / "rows.txt")


@pytest.mark.parametrize(
    "text",
    [
        FRAME.to_string(index=False),
        "".join(f"  {row}   {row * 7 % 11}.5   3.25\n" for row in range(10, 99)),
        "#YY MM DD\n#yr mo dy\n" + "".join(f"2024  3 {day:02d}\n" for day in range(1, 30)),
    ],
)
def test_lines_of_equally_many_words_are_no_printed_table(tmp_path, text):
    (tmp_path / "rows.txt").write_text(text)
    result = check(tmp_path / "rows.txt")
    assert not any("printed" in str(issue) for issue in (*result.issues, *result.remaining))
    assert result.data is None or not any("printed" in defect for defect in result.data.defects)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(("index", "time"), [(None, "unnamed_0"), ("at", "at")])
def test_names_in_several_lines_are_joined(tmp_path, separator, index, time):
    LEVELS.rename_axis(index).to_csv(tmp_path / "rows.csv", sep=separator)
    result = check(tmp_path / "rows.csv")
    assert result.fixes == {"time": time}
    assert result.data.train.features == ("pump.flow", "pump.level", "tank.heat")
    assert len(result.data.train) + len(result.data.test) == ROWS


def test_names_in_three_lines_are_joined(tmp_path):
    deep = LEVELS.set_axis(pd.MultiIndex.from_tuples([("a", *name) for name in LEVELS.columns]), axis=1)
    deep.rename_axis("at").to_csv(tmp_path / "rows.csv")
    assert list(read_table(tmp_path / "rows.csv")) == ["at", "a.pump.flow", "a.pump.level", "a.tank.heat"]


def test_units_below_names_that_differ_are_no_level(tmp_path):
    lines = FRAME.rename_axis("at").to_csv().splitlines()
    (tmp_path / "rows.csv").write_text("\n".join([lines[0], ",m3/h,m", *lines[1:]]))
    result = check(tmp_path / "rows.csv")
    assert result.fixes == {"skip_after_header": 1, "time": "at"}
    assert result.data.train.features == ("flow", "level")


@pytest.mark.parametrize("name", ["rows.txt", "rows.csv"])
def test_a_printed_table_is_trained_and_scored(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(FRAME.to_string() if name == "rows.txt" else LEVELS.to_csv())
    result = check(name)
    pieces = split(result.data, SplitSpec(gap=4), 4)
    spec = parse(DetectorSpec, {"model": {"kind": "window_linear", "components": 2}, "window": {"length": 4}}, "test")
    fit_detector(spec, pieces.fit, pieces.validation).save(tmp_path / "detector")
    result.data.read_options.save(tmp_path / "detector")
    scored = score("detector", name, output=tmp_path / "scored.csv")
    assert scored.rows == ROWS
    assert scored.scored == ROWS - 3
    times = pd.read_csv(tmp_path / "scored.csv", index_col=0, parse_dates=True).index
    np.testing.assert_array_equal(times.to_numpy(), TIMES.to_numpy())
