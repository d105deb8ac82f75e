"""Judgements on the first and last lines of a CSV: which are names, which are rows, and what an empty cell among them says."""

import pytest

from tsad.data.io.issues import FatalIssueError, Issues
from tsad.data.io.table_shape import judge_layout
from tsad.data.io.text import Layout, TextOptions
from tsad.workflows.check import check


def first_line_is_a_row(first, *below, header=True):
    """Returns whether a first line is judged to be a row among those below it."""
    layout = Layout("utf-8", ",", ".", tuple(first.split(",")), 0, tuple(tuple(line.split(",")) for line in below))
    try:
        judge_layout(layout, TextOptions(header=header), Issues("load.csv"))
    except FatalIssueError as error:
        assert dict(error.issue.fix) == {"header": False}  # noqa: PT017 (other errors must pass)
        return True
    return False


@pytest.mark.parametrize(
    ("first", "below"),
    [
        ("1.5,2.5", ["3.5,4.5"]),
        ("2024-01-01 00:00,2.5", ["2024-01-01 00:01,4.5"]),
        ("2024-01-01,,2.5", ["2024-01-02,4.5,1.5"]),  # an empty cell is of every type
        (",2.5,3.5", ["1.5,2.5,3.5"]),
        ("1.5,on", ["2.5,off"]),
        ("1.5,2.5", []),
        ("1.5,2.5", ["a,b", "3.5,4.5"]),
        ("1,0", ["3,4"]),
    ],
)
def test_a_first_line_of_the_types_below_is_a_row(first, below):
    assert first_line_is_a_row(first, *below)
    assert not first_line_is_a_row(first, *below, header=False)


@pytest.mark.parametrize(
    ("first", "below"),
    [
        (",a,b", ["0,1.5,2.5"]),  # an index without a name
        (",,", ["0,1.5,2.5"]),
        (",a,2020", ["0,1.5,2.5"]),
        ("at,2020", ["2024-01-01,2.5"]),
        ("0,1,2", ["5.5,6.5,7.5"]),  # names as pandas numbers them
        ("1.5,a", []),
        ("1.5,2.5", ["on,3.5"]),
        ("a,b", ["1.5,2.5"]),
    ],
)
def test_a_first_line_with_another_type_names_the_columns(first, below):
    assert not first_line_is_a_row(first, *below)


@pytest.mark.parametrize("names", ["a,b,c,d\n", ""])
@pytest.mark.parametrize("above", ["300,4,ok,bad,unknown\n", "300,4\n", "export of,pump 3\nsite,north\n"])
def test_a_first_line_that_no_other_is_like_is_skipped_and_no_row_is_lost(tmp_path, monkeypatch, above, names):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{row % 7},{row % 5 + 0.5},{row % 3},{row % 2}\n" for row in range(300))
    (tmp_path / "rows.csv").write_text(above + names + rows)
    settings: dict = {}
    for _ in range(4):
        result = check("rows.csv", {f"data.{name}": value for name, value in settings.items()})
        if not result.fixes or result.ready:
            break
        settings |= result.fixes
    assert result.ready, [str(issue) for issue in result.issues]
    assert "bad_lines" not in settings
    assert len(result.data.train) + len(result.data.test) == 300


@pytest.mark.parametrize("mark", [",", ";"])
@pytest.mark.parametrize("title", [["note"], ["Report plant 3", "2024"], ["Export", "of", "pump 3"], ["2024-03-04"]])
@pytest.mark.parametrize("blank", [[], [["", "", "", ""]]])
def test_a_title_as_wide_as_the_table_loses_no_name(tmp_path, monkeypatch, mark, title, blank):
    monkeypatch.chdir(tmp_path)
    rows = [
        [f"2024-03-04 {row // 60:02}:{row % 60:02}:00", str(row % 7), str(row % 5), str(row % 3)] for row in range(300)
    ]
    lines = [[*title, *[""] * (4 - len(title))], *blank, ["time", "temp", "pressure", "flow"], *rows]
    (tmp_path / "rows.csv").write_text("".join(mark.join(line) + "\n" for line in lines))
    result = check("rows.csv")
    assert result.fixes == {"skip": 1 + len(blank), "time": "time"}
    assert result.data.train.features == ("temp", "pressure", "flow")
    assert len(result.data.train) + len(result.data.test) == 300


@pytest.mark.parametrize(
    "lines",
    [
        ["temp,pressure,flow", "C,bar,m3/h"],
        ["temp,,flow", "mean,,max"],
        ["temp,,flow", "mean,max,max"],
        [",state,mode", "04.03.2024 10:00,on,auto"],
        ["temp,pressure,flow"],
        [",temp,flow"],
        ["temp,flow"],  # of three cells a row
    ],
)
def test_names_above_units_words_times_or_numbers_are_no_title(tmp_path, lines):
    (tmp_path / "rows.csv").write_text(
        "\n".join([*lines, *(f"{row % 7},{row % 5},{row % 3}" for row in range(300))]) + "\n"
    )
    result = check(tmp_path / "rows.csv")
    assert "skip" not in result.fixes
    assert not [issue for issue in result.issues if "above the table" in str(issue)]
