"""Numbers that stand for no value, and times that no clock showed: counted and asked about, never assumed."""

import numpy as np
import pandas as pd
import pytest

from tsad.data.io.sentinels import is_usual_code, stray_times
from tsad.workflows.check import check

ROWS = 400
TIMES = pd.date_range("2024-03-01", periods=ROWS, freq="min")
FLOW = (20 + np.sin(np.arange(ROWS) / 9) * 5).round(3)
HEAT = (np.cos(np.arange(ROWS) / 7) * 3).round(3)
SOME = [40, 41, 250]


@pytest.fixture
def checked(tmp_path, monkeypatch):
    """Checks a table of times, a flow from 15 to 25 and a heat from -3 to 3, of which some cells are replaced."""
    monkeypatch.chdir(tmp_path)

    def run(settings=None, times=TIMES, **columns):
        table = pd.DataFrame({"at": times, "flow": FLOW, "heat": HEAT, **columns})
        table.to_csv("load.csv", index=False)
        return check("load.csv", {"data.time": "at", **(settings or {})})

    return run


def with_code(cells, code, rows=SOME):
    """Returns the cells with a number in place of some of them."""
    return np.where(np.isin(np.arange(ROWS), rows), code, cells)


CODES = [-999, -9999, -999.0, -99.9, 9999, 999999, 1e20, -1e30, 65535, 32767, -32768, 2147483647, -1]


@pytest.mark.parametrize("code", CODES)
def test_a_number_that_stands_for_no_value_is_asked_about_with_its_count(checked, code):
    result = checked(flow=with_code(FLOW, code))
    assert not result.ready
    text = str(result.issues[0])
    assert "column 'flow' has 3 cells of" in text
    assert "first at row 40" in text
    assert "data.sentinels=keep if they are measurements" in text
    assert [float(cell) for cell in result.fixes["empty"]] == [code]
    cells = np.concatenate([result.data.train.values, result.data.test.values])[:, 0]
    assert cells.max() <= 25
    assert cells.min() >= 15
    kept = checked({"data.sentinels": "keep"}, flow=with_code(FLOW, code))
    assert kept.ready
    assert kept.data.train.values[40, 0] == np.float32(code)


@pytest.mark.parametrize(
    ("code", "cells", "asked"), [(99.9, 2, False), (99.9, 3, True), (999, 1, True), (-99, 1, True)]
)
def test_a_single_peak_is_no_code_unless_no_one_would_measure_it(checked, code, cells, asked):
    assert checked(flow=with_code(FLOW, code, SOME[:cells])).ready is not asked


def test_codes_of_more_than_a_hundredth_are_not_emptied_unasked(checked):
    result = checked(flow=with_code(FLOW, -999, range(100, 120)))
    assert result.data is None
    assert "accept data.empty=['-999'] (20 of 400 cells emptied, 5.0%)" in str(result.remaining[0])
    fixed = checked({"data.empty": ["-999"], "data.missing": "ffill"}, flow=with_code(FLOW, -999, range(100, 120)))
    assert fixed.ready


def test_several_codes_of_several_columns_are_asked_about_one_by_one(checked):
    result = checked(flow=with_code(with_code(FLOW, -999), 9999, [7]), heat=with_code(HEAT, -999, [99]))
    texts = [str(issue) for issue in result.issues]
    assert any("3 cells of -999" in text and "so have 1 other columns" in text for text in texts)
    assert any("1 cells of 9999" in text for text in texts)
    assert result.fixes["empty"] == ["-999", "9999"]


def test_a_code_that_is_a_measurement_elsewhere_is_not_emptied_there(checked):
    result = checked(flow=with_code(FLOW, -1), heat=with_code(HEAT, -1, range(200, 230)))
    assert "empty" not in result.fixes
    assert "data.empty=['-1'], which would empty 30 cells of other columns too" in str(result.remaining[0])


def test_a_repeated_number_far_away_is_asked_about_whatever_it_is(checked):
    assert checked(flow=with_code(FLOW, 850.0)).fixes["empty"] == ["850"]
    assert checked(flow=with_code(FLOW, 850.0, SOME[:2])).ready  # twice may be chance
    assert checked(flow=with_code(FLOW, 100.0)).ready  # not far enough


@pytest.mark.parametrize(
    "cells",
    [
        np.arange(ROWS) * 37 % 101,  # percents reach 99 as well
        with_code(np.zeros(ROWS), 1),  # on and off
        with_code(np.arange(ROWS) % 2 - 0.0, -1),  # two states and a third
        with_code(FLOW, -1, [40]),  # one -1 alone
        with_code(FLOW, 0.0),  # a stop of the machine
        np.where(np.arange(ROWS) < 250, 999.0, 5.0 + np.arange(ROWS) % 3),  # most cells are no code
        65535 - np.arange(ROWS) * 7919 % 40_000.0,  # a counter that reaches its limit
    ],
)
def test_numbers_of_the_range_are_measurements(checked, cells):
    assert checked(flow=cells).ready


@pytest.mark.parametrize("value", [990.0, 9.9, 98.0, 65534.0, 1e17, 0.99, np.inf - np.inf])
def test_other_numbers_are_no_codes(value):
    assert not is_usual_code(value)


# --- times ---

STRAYS = ["1970-01-01", "1900-01-01", "2099-01-01", "1969-12-31 23:00:00", "2023-03-01 00:10:00", "2038-01-19 03:14:07"]


@pytest.mark.parametrize("rows", [[0], [200], [ROWS - 1], [3, 200, 201]])
@pytest.mark.parametrize("moment", STRAYS)
def test_times_far_from_all_others_are_asked_about_and_never_sorted(checked, moment, rows):
    times = TIMES.to_series().reset_index(drop=True)
    times[rows] = pd.Timestamp(moment)
    result = checked(times=times)
    assert f"{len(rows)} rows have times far from all others, first row {rows[0]} ({pd.Timestamp(moment)}" in str(
        result.issues[0]
    )
    assert result.fixes == {"stray_times": "drop"}
    assert str(result.account) == f"{ROWS} rows read, {ROWS - len(rows)} used, {len(rows)} left out"
    read = np.concatenate([result.data.train.times, result.data.test.times])
    np.testing.assert_array_equal(read, np.delete(TIMES.to_numpy().astype("datetime64[ns]"), rows))
    assert not result.data.read_options.is_streamable


def test_stray_times_may_be_kept(checked):
    times = [*TIMES[:-1], pd.Timestamp("2099-01-01")]
    result = checked({"data.stray_times": "keep"}, times=times)
    assert result.ready
    assert result.data.test.times[-1] == np.datetime64("2099-01-01")


@pytest.mark.parametrize(
    "times",
    [
        [*TIMES[:200], *(TIMES[200:] + pd.Timedelta("90D"))],  # an outage of a season
        [*TIMES[:-1], TIMES[-1] + pd.Timedelta("10h")],  # a last row after a night
        [*TIMES[:5], *(TIMES[5:] + pd.Timedelta("30D"))],  # five rows of four hundred
        [TIMES[0] + pd.Timedelta(int(row), "min") for row in np.cumsum(np.arange(ROWS) % 50)],
    ],
)
def test_gaps_are_no_stray_times(checked, times):
    assert checked(times=times, settings={"data.duplicates": "keep"}).ready


def test_a_clock_that_begins_with_1970_is_stray_beside_decades():
    times = np.append(pd.date_range("1994-01-01", "2023-12-31", freq="D"), [np.datetime64("1970-01-01")])
    nanoseconds = times.astype("datetime64[ns]").astype(np.int64)
    assert np.flatnonzero(stray_times(nanoseconds)).tolist() == [len(times) - 1]
    moved = np.append(nanoseconds[:-1], np.datetime64("1971-05-05", "ns").astype(np.int64))
    assert not stray_times(moved).any()


# --- units and cycles ---


def engines(first=1, word="", header=None, separator=" "):
    """Returns the rows of engines that each run from cycle `first` until they fail, after each other."""
    generator = np.random.default_rng(3)
    lines = [] if header is None else [separator.join(header)]
    for unit, cycles in enumerate((61, 45, 80, 52), start=1):
        for cycle in range(first, cycles + first):
            cells = [f"{word}{unit}", str(cycle), *(f"{value:.4f}" for value in generator.normal(size=4)), "100.0"]
            lines.append(separator.join(cells))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "unit", "cycle"),
    [
        (engines(), "f00", "f01"),
        (engines(first=0).replace("\n", "  \n"), "f00", "f01"),
        (engines(separator=","), "f00", "f01"),
        (engines(word="E", separator="\t"), "f00", "f01"),
        (engines(header=["unit", "cycle", "a", "b", "c", "d", "e"]), "unit", "cycle"),
        (engines(header=["nr", "t", "a", "b", "c", "d", "e"], separator=";"), "nr", "t"),
    ],
)
def test_units_and_their_cycles_are_asked_about(tmp_path, monkeypatch, text, unit, cycle):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "engines.txt").write_text(text)
    result = check("engines.txt")
    assert result.fixes["entity"] == unit
    assert result.fixes["ignore"] == [cycle]
    messages = " ".join(str(issue) for issue in result.issues)
    assert f"since '{cycle}' counts anew wherever it changes" in messages
    assert f"data.time={cycle} with data.time_format=s" in messages
    assert len(result.data.entities) == 4
    assert len(result.data.train.features) == 5


def test_a_count_that_runs_on_names_no_machines(tmp_path):
    lines = [f"{row // 60},{row},{np.sin(row):.3f},{np.cos(row):.3f}" for row in range(240)]
    (tmp_path / "rows.csv").write_text("block,n,a,b\n" + "\n".join(lines) + "\n")
    assert "entity" not in check(tmp_path / "rows.csv").fixes
