"""Times that several columns hold together, and times with words: understood or asked about, never dropped and no features."""

import numpy as np
import pandas as pd
import pytest

from tsad.data.io.read_options import ReadOptions
from tsad.data.io.row_chunks import row_chunks
from tsad.data.io.table_files import open_table
from tsad.data.io.time_columns import companions
from tsad.data.io.time_parts import calendar_parts, time_cells
from tsad.data.io.time_words import durations
from tsad.workflows.check import check

ROWS = 240
HOURS = pd.date_range("2023-12-28 00:00", periods=ROWS, freq="h")
QUARTERS = pd.date_range("2024-01-31 22:00", periods=ROWS, freq="15min")
DAYS = pd.date_range("2023-06-01", periods=ROWS, freq="D")
MONTHS = pd.date_range("1990-01-01", periods=ROWS, freq="MS")
QUARTER_YEARS = pd.date_range("1959-01-01", periods=ROWS, freq="QS")
NOISE = np.random.default_rng(0).normal(size=(ROWS, 2)).round(3)


@pytest.fixture
def checked(tmp_path, monkeypatch):
    """Checks a file of columns of times and two features."""
    monkeypatch.chdir(tmp_path)

    def run(columns, settings=None):
        table = pd.DataFrame({**columns, "flow": NOISE[:, 0], "heat": NOISE[:, 1]})
        table.to_csv("load.csv", index=False)
        return check("load.csv", settings or {})

    return run


def read_times(result):
    """Returns the times of training and test rows."""
    return np.concatenate([result.data.train.times, result.data.test.times])


def ends(times):
    """Returns moments an hour later, as hours that count from 1 to 24 mean them."""
    return times + pd.Timedelta("1h")


def iso(times):
    return times.strftime("%Y-%m-%d")


VARIANTS = {
    "year, day of year": ({"year": DAYS.year, "doy": DAYS.day_of_year}, DAYS),
    "year, day of year, hour": ({"Year": HOURS.year, "DayOfYear": HOURS.day_of_year, "Hour": HOURS.hour}, HOURS),
    "julian day and minutes": (
        {"YEAR": QUARTERS.year, "JDAY": QUARTERS.day_of_year, "HR": QUARTERS.hour, "MIN": QUARTERS.minute},
        QUARTERS,
    ),
    "year, month": ({"Year": MONTHS.year, "Month": MONTHS.month}, MONTHS),
    "year, quarter": ({"year": QUARTER_YEARS.year * 1.0, "quarter": QUARTER_YEARS.quarter * 1.0}, QUARTER_YEARS),
    "buoy": (
        {"#YY": HOURS.year % 100, "MM": HOURS.month, "DD": HOURS.day, "hh": HOURS.hour, "mm": HOURS.minute},
        HOURS,
    ),
    "hours to 24 in a calendar": (
        {"year": HOURS.year, "month": HOURS.month, "day": HOURS.day, "hour": HOURS.hour + 1},
        ends(HOURS),
    ),
    "date, hour": ({"date": iso(HOURS), "hour": HOURS.hour}, HOURS),
    "date, hour to 24": ({"date": iso(HOURS), "HE": HOURS.hour + 1}, ends(HOURS)),
    "Datum, Stunde": ({"Datum": HOURS.strftime("%d.%m.%Y"), "Stunde": HOURS.hour + 1}, ends(HOURS)),
    "date, hour, minute": ({"Date": iso(QUARTERS), "Hour": QUARTERS.hour, "Minute": QUARTERS.minute}, QUARTERS),
    "hour (LST)": ({"day": HOURS.strftime("%d %b %Y"), "hour (LST)": HOURS.hour}, HOURS),
    "number, hour": ({"date": HOURS.strftime("%Y%m%d").astype(int), "hour_utc": HOURS.hour}, HOURS),
    "hours without a name": ({"date": iso(HOURS), "interval": HOURS.hour}, HOURS),
    "hours to 24 without a name": ({"date": HOURS.strftime("%d.%m.%Y"), "period": HOURS.hour + 1}, ends(HOURS)),
    "number, number": (
        {"date": QUARTERS.strftime("%Y%m%d").astype(int), "time": QUARTERS.strftime("%H%M").astype(int)},
        QUARTERS,
    ),
    "date, number with seconds": (
        {"date": iso(QUARTERS), "hhmmss": QUARTERS.strftime("%H%M%S").astype(int)},
        QUARTERS,
    ),
    "date, clock with a word": (
        {"Datum": HOURS.strftime("%d.%m.%Y"), "Uhrzeit": HOURS.strftime("%H:%M Uhr")},
        HOURS,
    ),
    "date, French clock": ({"date": HOURS.strftime("%d/%m/%Y"), "heure": HOURS.strftime("%Hh%M")}, HOURS),
    "midnights, hour": ({"date": HOURS.strftime("%Y-%m-%d 00:00:00"), "hour": HOURS.hour}, HOURS),
}


@pytest.mark.parametrize(("columns", "times"), VARIANTS.values(), ids=VARIANTS)
def test_columns_that_hold_a_time_together_are_proposed_and_read(checked, columns, times):
    result = checked(columns)
    assert result.fixes["time"] == list(columns)
    assert set(result.fixes) <= {"time", "time_format"}
    assert result.data.train.features == ("flow", "heat")
    np.testing.assert_array_equal(read_times(result), times.to_numpy().astype("datetime64[ns]"))


@pytest.mark.parametrize(("columns", "times"), VARIANTS.values(), ids=VARIANTS)
def test_a_chunk_has_the_times_of_the_whole_file(checked, columns, times):
    options = checked(columns).data.read_options
    assert options.is_streamable
    table = open_table(checked(columns).path, options)
    parts = [part.times for part in row_chunks(table, table.chunks(7), ("flow", "heat"), options)]
    np.testing.assert_array_equal(np.concatenate(parts), times.to_numpy().astype("datetime64[ns]"))
    assert ReadOptions.model_validate_json(options.model_dump_json()) == options


def test_hours_beside_dates_that_are_set_are_asked_about(checked):
    result = checked({"date": iso(HOURS), "hour": HOURS.hour}, {"data.time": "date"})
    assert result.fixes == {"time": ["date", "hour"]}
    assert checked({"date": iso(DAYS), "hour": 12}, {"data.time": "date"}).ready  # a date a row needs no hour


def test_hours_that_reach_24_are_said_to_end_the_day(checked):
    late = checked({"date": iso(HOURS), "hour": HOURS.hour + 1})
    assert "'hour' up to 24, which is the midnight that ends the day" in str(late.issues[0])
    assert "midnight" not in str(checked({"date": iso(HOURS), "hour": HOURS.hour}).issues[0])


def test_parts_of_a_time_that_stay_features_are_told(checked):
    result = checked({"at": HOURS, "hour": HOURS.hour, "month": HOURS.month}, {"data.time": "at"})
    assert result.data.train.features == ("hour", "month", "flow", "heat")
    assert any(
        "columns ['hour', 'month'] are called like parts of a time, and are features" in d for d in result.data.defects
    )


def test_a_column_called_like_an_hour_with_other_numbers_is_a_feature(checked):
    result = checked({"date": iso(HOURS), "hour": NOISE[:, 1] * 30}, {"data.time": "date", "data.duplicates": "keep"})
    assert result.data.train.features == ("hour", "flow", "heat")


def test_minutes_and_months_are_told_apart_by_capitals():
    assert calendar_parts(["YYYY", "MM", "DD", "hh", "mm"])["mm"] == "minute"
    assert calendar_parts(["yyyy", "mm", "dd"])["mm"] == "month"


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        ({"year": [2023], "doy": [366]}, "2023 366"),
        ({"year": [2024], "doy": [366]}, "2024-12-31"),
        ({"year": [1969], "month": [13], "day": [1]}, "1969 13 1"),
        ({"yy": [69], "month": [2], "day": [1]}, "2069-02-01"),
        ({"yy": [70], "month": [2], "day": [1]}, "1970-02-01"),
        ({"date": ["2024-01-01"], "hour": [25]}, "2024-01-01 25"),
        ({"date": ["2024-01-01"], "hour": [24], "minute": [1]}, "2024-01-01 24 1"),
        ({"date": ["2024-01-01"], "hour": [24]}, "2024-01-01 24:00:00"),
        ({"date": ["2024-01-01"], "hour": [5.5]}, "2024-01-01 05:30:00"),
        ({"date": ["2024-01-01"], "hour": [5], "minute": [59], "second": [1.25]}, "2024-01-01 05:59:01.250"),
        ({"date": ["2024-01-01"], "hour": [np.nan]}, np.nan),
    ],
)
def test_parts_are_joined_as_they_are_meant(cells, text):
    joined = time_cells(pd.DataFrame(cells), list(cells))
    assert joined.iloc[0] == text or (text is np.nan and joined.isna().all())


# --- words ---

OFFSETS = {"CET": -1, "CEST": -2, "MEZ": -1, "EDT": 4, "PDT": 7, "PST": 8, "JST": -9, "AEDT": -11}


@pytest.mark.parametrize("word", OFFSETS)
@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M", "%Y-%m-%d %I:%M %p", "%d-%b-%Y %H:%M"])
def test_an_abbreviation_of_a_zone_asks_for_the_zone_and_is_its_offset(checked, word, form):
    result = checked({"time": [f"{cell} {word}" for cell in HOURS.strftime(form)]})
    assert "time_zone" in result.fixes
    expected = HOURS + pd.Timedelta(OFFSETS[word], "h")
    np.testing.assert_array_equal(read_times(result), expected.to_numpy().astype("datetime64[ns]"))


def test_both_abbreviations_of_a_zone_tell_the_hour_that_comes_twice(checked):
    moments = pd.date_range("2024-10-26 12:00", periods=ROWS, freq="h", tz="UTC").tz_convert("Europe/Berlin")
    result = checked({"time": moments.strftime("%Y-%m-%d %H:%M %Z")})
    assert result.fixes == {"time": "time", "time_zone": "Europe/Berlin"}
    np.testing.assert_array_equal(read_times(result), moments.tz_convert(None).to_numpy().astype("datetime64[ns]"))


@pytest.mark.parametrize(
    ("word", "zones"),
    [
        ("IST", ["Asia/Kolkata", "Europe/Dublin", "Asia/Jerusalem"]),
        ("CST", ["America/Chicago", "Asia/Shanghai"]),
        ("EST", ["America/New_York", "America/Panama"]),
    ],
)
def test_an_abbreviation_of_several_zones_names_each_setting(checked, word, zones):
    result = checked({"time": [f"{cell} {word}" for cell in HOURS.strftime("%Y-%m-%d %H:%M")]}, {"data.time": "time"})
    assert result.data is None
    text = " ".join(str(issue) for issue in result.remaining)
    for zone in zones:
        assert f"data.time_zone={zone}" in text
        settings = {"data.time": "time", "data.time_zone": zone}
        assert checked({"time": [f"{cell} {word}" for cell in iso(DAYS) + " 12:00"]}, settings).ready


def test_an_abbreviation_of_another_zone_is_an_issue(checked):
    cells = {"time": [f"{cell} PDT" for cell in HOURS.strftime("%Y-%m-%d %H:%M")]}
    result = checked(cells, {"data.time": "time", "data.time_zone": "Europe/Berlin"})
    assert "says PDT ('2023-12-28 00:00 PDT'), which are no times of Europe/Berlin" in str(result.issues[0])
    fixed = checked(cells, {"data.time": "time", "data.time_zone": "UTC-07:00"})
    assert fixed.data.train.times[0] == np.datetime64("2023-12-28T07:00")


@pytest.mark.parametrize(
    "form",
    [
        *("%Y-%m-%d %H:%M:%S Uhr", "%d.%m.%Y %H:%M Uhr", "%d.%m.%Y %H.%M Uhr", "%d.%m.%Y %H Uhr", "%d.%m.%Y %H:%M h"),
        *("%Y-%m-%d %Hh%M", "%d/%m/%Y %Hh", "%d/%m/%Y %Hh%Mmin", "%Y-%m-%d %Hh%Mm00s", "%d.%m.%Y %H Uhr %M"),
    ],
)
def test_a_clock_with_words_is_read(checked, form):
    result = checked({"time": HOURS.strftime(form)})
    assert set(result.fixes) <= {"time", "time_format"}
    np.testing.assert_array_equal(read_times(result), HOURS.to_numpy().astype("datetime64[ns]"))


SECONDS = np.arange(ROWS) * 450


@pytest.mark.parametrize(
    "cells",
    [
        [str(pd.Timedelta(int(value), "s")) for value in SECONDS],
        [f"{value // 3600}:{value // 60 % 60:02d}:{value % 60:02d}" for value in SECONDS],
        [f"{value // 3600:02d}:{value // 60 % 60:02d}:{value % 60:02d}.000" for value in SECONDS],
        [f"PT{value}S" for value in SECONDS],
        [pd.Timedelta(int(value), "s").isoformat() for value in SECONDS],
        [f"{value} s" for value in SECONDS],
        [f"{value // 3600}h {value // 60 % 60}m {value % 60}s" for value in SECONDS],
        [f"{value // 86400}.{value // 3600 % 24:02d}:{value // 60 % 60:02d}:{value % 60:02d}" for value in SECONDS],
    ],
    ids=lambda cells: cells[-1],
)
def test_durations_are_times_since_a_start(checked, cells):
    result = checked({"elapsed": cells})
    assert result.fixes == {"time": "elapsed", "time_format": "elapsed"}
    np.testing.assert_array_equal(read_times(result), (SECONDS * 10**9).astype("datetime64[ns]"))


def test_durations_of_a_parquet_file_are_times(tmp_path):
    table = pd.DataFrame({"t": pd.to_timedelta(SECONDS, unit="s"), "flow": NOISE[:, 0], "heat": NOISE[:, 1]})
    table.to_parquet(tmp_path / "load.parquet")
    result = check(tmp_path / "load.parquet")
    assert result.fixes["time"] == "t"
    assert result.data.step_seconds == 450


@pytest.mark.parametrize(("form", "seconds"), [("elapsed", 60), ("elapsed_minutes", 1)])
def test_two_numbers_are_asked_about(checked, form, seconds):
    cells = {"time": [f"{5 * row // 60:02d}:{5 * row % 60:02d}" for row in range(ROWS)]}
    asked = checked(cells)
    assert asked.data is None
    assert "data.time_format=elapsed for hours and minutes" in str(asked.remaining[0])
    assert "data.time_format=elapsed_minutes for minutes and seconds" in str(asked.remaining[0])
    assert checked(cells, {"data.time": "time", "data.time_format": form}).data.step_seconds == 5 * seconds


def test_times_of_day_that_begin_anew_ask_for_their_dates(checked):
    asked = checked({"clock": HOURS.strftime("%H:%M:%S")}, {"data.time": "clock"})
    assert asked.data is None
    assert "write the date in a column beside it and set data.time=[DATE, clock]" in str(asked.remaining[0])


@pytest.mark.parametrize("text", ["", "soon", "1:2:3:4", "PT", "12:75"])
def test_what_is_no_duration_is_not_read_as_one(text):
    assert durations(pd.Series([text]), "elapsed").isna().all()


def test_hour_24_is_read_by_a_format_too(checked):
    cells = ends(HOURS).strftime("%d.%m.%y %H:%M")
    late = [
        f"{before.strftime('%d.%m.%y')} 24:00" if cell.endswith("00:00") else cell
        for cell, before in zip(cells, HOURS, strict=True)
    ]
    result = checked({"at": late}, {"data.time": "at", "data.time_format": "%d.%m.%y %H:%M"})
    np.testing.assert_array_equal(read_times(result), ends(HOURS).to_numpy().astype("datetime64[ns]"))


@pytest.mark.parametrize(
    ("late", "is_clock"),
    [(2359, True), (235_959, True), (2400, True), (6000, False), (2360, False), (240_001, False), (1430.5, False)],
)
def test_numbers_beside_dates_are_times_of_day_only_if_all_of_them_are(late, is_clock):
    cells = np.where(np.arange(ROWS) == 100, late, HOURS.strftime("%H%M").astype(int))
    table = pd.DataFrame({"date": iso(HOURS), "time": cells, "flow": NOISE[:, 0]})
    assert companions(table, ("date",), ("time", "flow")) == (("time",) if is_clock else ())
