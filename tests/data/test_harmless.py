"""Proposals of a check: none loses rows, cells or columns of numbers unsaid, and what is unsure is asked."""

import io
import re
import shlex

import numpy as np
import pandas as pd
import pytest

from tsad.config import ExperimentConfig
from tsad.data.io.issues import Cost
from tsad.spec import parse_overrides
from tsad.workflows.check import check

ROWS = 400
TIMES = pd.date_range("2024-03-13", periods=ROWS, freq="min")
WAVE = np.round(np.sin(np.arange(ROWS) / 5), 3)
BASE = pd.DataFrame({"at": TIMES, "a": WAVE, "b": np.round(np.cos(np.arange(ROWS) / 7), 3)})


@pytest.fixture
def checked(tmp_path, monkeypatch):
    """Checks a table, or the text of a file."""
    monkeypatch.chdir(tmp_path)

    def run(content, settings=None):
        text = content.to_csv(index=False) if isinstance(content, pd.DataFrame) else content
        (tmp_path / "load.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        return check("load.csv", settings or {})

    return run


def values(result, name):
    """Returns the values of a feature in training and test rows."""
    column = result.data.train.features.index(name)
    return np.concatenate([result.data.train.values, result.data.test.values])[:, column]


def messages(result):
    return " | ".join(str(issue) for issue in (*result.issues, *result.remaining))


# --- what a proposal costs ---


@pytest.mark.parametrize(
    ("count", "total", "cheap"), [(1, 10, True), (2, 10, False), (10, 1000, True), (11, 1000, False), (0, 5, True)]
)
def test_a_cost_is_cheap_up_to_a_hundredth(count, total, cheap):
    assert Cost("rows", count, total).is_cheap == cheap


@pytest.mark.parametrize("share", [0.005, 0.02])
@pytest.mark.parametrize("kind", ["empty cells", "words", "bad lines", "equal times", "infinite"])
def test_a_fix_that_changes_more_than_a_hundredth_is_asked_for(checked, share, kind):
    rows = np.linspace(20, ROWS - 30, int(ROWS * (share * (2 if kind == "empty cells" else 1)))).astype(int)
    table = BASE.astype({"a": object})
    text = None
    if kind == "empty cells":
        table.loc[rows, "a"] = None
    elif kind == "words":
        table.loc[rows, "a"] = np.where(np.arange(len(rows)) % 2, "Bad", "No Data")
    elif kind == "infinite":
        table.loc[rows, "a"] = np.inf
    elif kind == "equal times":
        table.loc[rows, "at"] = table.loc[rows - 1, "at"].to_numpy()
    else:
        lines = table.to_csv(index=False).splitlines()
        text = "\n".join(f"{line},x" if row - 1 in rows else line for row, line in enumerate(lines)) + "\n"
    result = checked(table if text is None else text, {"data.time": "at"})
    costly = share > 0.01
    if kind == "equal times":
        assert result.fixes["duplicates"] == ("keep" if costly else "mean")
        return
    assert (result.data is None) == costly
    if costly:
        assert re.search(rf"accept data\.\S+.* \({len(rows)} of \d+ .*, \d+\.\d%\)", messages(result))
    else:
        assert f"{len(rows)} of " in messages(result)


def test_what_is_accepted_at_a_cost_has_a_command_that_solves_it(checked):
    empty = BASE.assign(a=np.where(np.arange(ROWS) % 20 == 5, np.nan, BASE["a"]))
    text = str(checked(empty, {"data.time": "at"}))
    command = text.split("Or accept what was named with its cost:\n  ")[1].splitlines()[0]
    words = shlex.split(command)
    assert words[:4] == ["tsad", "data", "check", "load.csv"]
    overrides = parse_overrides(words[5::2], ExperimentConfig)
    assert overrides == {"data.time": "at", "data.missing": "ffill"}
    assert checked(empty, overrides).ready
    unknown = empty.assign(when=[f"{1700 + row}Q{1 + row % 4}" for row in range(ROWS)])
    assert "Or accept" not in str(checked(unknown, {"data.time": "at"}))  # one of the issues has no setting


def test_after_the_fixes_the_rows_are_counted(checked):
    lines = [*BASE.to_csv(index=False).splitlines(), ",,", ",,"]
    lines.insert(9, lines[8])
    result = checked("\n".join(lines))
    assert str(result.account) == f"{ROWS + 3} rows read, {ROWS} used, 1 merged into others, 2 left out"


# --- dates and clocks ---


def test_rows_at_one_date_are_never_merged(checked):
    table = pd.DataFrame({"Date": TIMES.strftime("%d/%m/%Y"), "Time": TIMES.strftime("%H:%M:%S"), "power": WAVE})
    result = checked(table.to_csv(index=False, sep=";"))
    assert result.fixes == {"time": ["Date", "Time"]}
    assert result.account.used == ROWS


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_a_clock_that_was_set_back_asks_for_its_zone(checked, zone):
    local = pd.date_range("2023-10-28", periods=12 * 24 * 10, freq="5min", tz=zone)
    table = pd.DataFrame({"time": local.strftime("%Y-%m-%d %H:%M:%S"), "a": np.sin(np.arange(len(local)) / 9)})
    result = checked(table)
    assert "sort" not in str(result.fixes)
    assert result.data is None
    assert "by one hour, as where a clock is set back; name the zone of the clock in data.time_zone" in messages(result)
    result = checked(table, {"data.time": "time", "data.time_zone": zone})
    np.testing.assert_array_equal(
        np.concatenate([result.data.train.times, result.data.test.times]), local.tz_convert(None).to_numpy()
    )


# --- machines and metrics ---


def panel(name="sensor_id", machines=("p1", "p2", "p3"), in_turn=False):
    parts = [BASE[["at", "a"]].assign(**{name: machine}, a=BASE["a"] + 10 * k) for k, machine in enumerate(machines)]
    table = pd.concat(parts, ignore_index=True)
    return table.sort_values("at", kind="stable", ignore_index=True) if in_turn else table


@pytest.mark.parametrize("name", ["sensor_id", "host", "k"])
@pytest.mark.parametrize("machines", [("p1", "p2", "p3"), (7, 8, 9)])
def test_machines_after_each_other_stay_apart(checked, name, machines):
    result = checked(panel(name, machines))
    assert result.fixes == {"time": "at", "entity": name}
    assert [entity.name for entity in result.data.entities] == [str(machine) for machine in machines]
    assert result.data.train.boundaries == (ROWS // 2, ROWS)
    assert result.account.used == 3 * ROWS


def test_metrics_in_turn_become_columns(checked):
    result = checked(panel("metric", in_turn=True))
    assert result.fixes == {"time": "at", "pivot": {"name": "metric", "value": "a"}}
    assert result.data.train.features == ("p1", "p2", "p3")
    np.testing.assert_allclose(values(result, "p2"), BASE["a"] + 10, rtol=1e-6)
    assert "data.entity=metric if they are machines" in messages(result)


def test_a_panel_of_several_features_is_no_long_table(checked):
    table = panel(in_turn=True).assign(b=WAVE.repeat(3))
    result = checked(table)
    assert result.fixes == {"time": "at", "entity": "sensor_id"}
    assert result.data.train.features == ("a", "b")


def test_files_are_machines(tmp_path):
    for machine in ("m1", "m2"):
        (tmp_path / "machines").mkdir(exist_ok=True)
        BASE.to_csv(tmp_path / "machines" / f"{machine}.csv", index=False)
    result = check(str(tmp_path / "machines" / "*.csv"), {"data.time": "at"})
    assert [entity.name for entity in result.data.entities] == ["m1", "m2"]
    BASE.drop(columns="b").to_csv(tmp_path / "machines" / "m3.csv", index=False)
    result = check(str(tmp_path / "machines" / "*.csv"), {"data.time": "at"})
    assert result.data is None
    assert "m3.csv: has no column 'b'" in messages(result)


# --- outages and rows without cells ---


def test_an_outage_becomes_a_break(checked):
    table = BASE.copy()
    table.loc[150:299, ["a", "b"]] = np.nan
    result = checked(table)
    assert result.fixes == {"time": "at", "outages": "break", "missing": "ffill"} or result.fixes == {
        "time": "at",
        "outages": "break",
    }
    assert result.account.dropped == 150
    series = (result.data.train, result.data.test)
    assert sum(map(len, series)) == ROWS - 150
    assert sum(len(part.boundaries) for part in series) == 1 or len(result.data.train) == 150


def test_an_outage_of_one_sensor_is_asked_about(checked):
    table = BASE.copy()
    table.loc[150:299, "a"] = np.nan
    result = checked(table)
    assert result.data is None
    assert "accept data.outages=break" in messages(result)


@pytest.mark.parametrize("separator", [";", ",", "\t"])
def test_rows_without_cells_are_no_rows(checked, separator):
    lines = BASE.to_csv(index=False, sep=separator).splitlines()
    blank = separator * 2
    result = checked("\n".join([*lines[:100], blank, *lines[100:], *[blank] * 30]))
    assert result.fixes == {"time": "at"}
    assert (result.account.dropped, result.account.used) == (31, ROWS)


# --- forms of numbers ---


@pytest.mark.parametrize("separator", [";", ",", "\t"])
@pytest.mark.parametrize(("mark", "decimal"), [(",", "."), (" ", "."), ("'", "."), ("\u202f", ".")])
def test_thousands_are_no_decimals(checked, separator, mark, decimal):
    counts = 900 + np.arange(ROWS) * 7 % 311
    cells = [f"{count:,}".replace(",", mark) for count in counts]
    text = BASE.assign(a=cells).to_csv(index=False, sep=separator)
    result = checked(text)
    assert result.fixes == {"time": "at", "thousands": " " if mark == "\u202f" else mark}
    np.testing.assert_array_equal(values(result, "a"), counts)


def test_three_digits_after_every_comma_are_asked_about(checked):
    cells = [f"{1 + row % 9},{100 + row % 700}" for row in range(ROWS)]
    result = checked(BASE.assign(a=cells))
    assert result.data is None
    assert "data.thousands=, if the comma separates thousands, or data.decimal=, if it is a decimal mark" in messages(
        result
    )


def test_decimal_commas_in_quotes_are_decimals(checked):
    cells = [f"{value:.3f}".replace(".", ",") for value in WAVE]
    result = checked(BASE.assign(a=cells, b=cells))
    assert result.fixes == {"time": "at", "decimal": ","}
    np.testing.assert_allclose(values(result, "b"), WAVE, atol=1e-6)


@pytest.mark.parametrize("unit", ["%", " %", " °C", "kB", " m/s"])
def test_units_are_left_out(checked, unit):
    result = checked(BASE.assign(a=[f"{value}{unit}" for value in WAVE]))
    assert result.fixes == {"time": "at", "units": [unit.strip()]}
    np.testing.assert_allclose(values(result, "a"), WAVE, atol=1e-6)


def test_numbers_of_several_units_are_asked_about(checked):
    cells = [f"{row}{'kB' if row % 2 else 'MB'}" for row in range(ROWS)]
    result = checked(BASE.assign(a=cells))
    assert "units" not in result.fixes


# --- lines around the rows ---


def test_a_line_of_units_is_no_row(checked):
    lines = BASE.to_csv(index=False).splitlines()
    result = checked("\n".join([lines[0], "[utc],[degC],[bar]", *lines[1:]]))
    assert result.fixes == {"skip_after_header": 1, "time": "at"}
    assert result.account.used == ROWS


@pytest.mark.parametrize(
    "footer", [["Total,,"], ["Total,,", "End of file,,"], ["End of file"], ["exported by logger 3", "2 pages"]]
)
def test_lines_at_the_end_are_no_rows(checked, footer):
    result = checked("\n".join([BASE.to_csv(index=False).rstrip(), *footer]))
    assert result.fixes == {"skip_footer": len(footer), "time": "at"}
    assert result.account.used == ROWS


def test_a_table_aligned_with_blanks_is_a_table(checked):
    buffer = io.StringIO()
    BASE[["a", "b"]].to_string(buffer, index=False)
    result = checked(buffer.getvalue())
    assert result.ready
    np.testing.assert_allclose(values(result, "b"), BASE["b"], atol=1e-6)


def test_a_first_row_is_no_name(checked):
    result = checked(BASE.to_csv(index=False, header=False))
    assert result.fixes == {"header": False, "time": "f00"}
    assert result.account.used == ROWS


def test_numbered_names_are_names(checked):
    table = BASE[["a", "b"]].set_axis(["0", "1"], axis=1)
    assert checked(table).ready


# --- words ---


def test_states_are_features_on_request(checked):
    modes = np.array(["off", "idle", "run"])[np.arange(ROWS) // 20 % 3]
    result = checked(BASE.assign(mode=modes))
    assert result.fixes == {"time": "at", "ignore": ["mode"]}
    assert "data.states={mode: one_hot} if its 3 words are states" in messages(result)
    result = checked(BASE.assign(mode=modes), {"data.time": "at", "data.states": {"mode": ["off", "idle", "run"]}})
    np.testing.assert_array_equal(values(result, "mode"), np.arange(ROWS) // 20 % 3)
    result = checked(BASE.assign(mode=modes), {"data.time": "at", "data.states": {"mode": "one_hot"}})
    assert result.data.train.features == ("a", "b", "mode=idle", "mode=off", "mode=run")
    np.testing.assert_array_equal(values(result, "mode=run"), modes == "run")
    result = checked(BASE.assign(mode=modes), {"data.time": "at", "data.states": {"mode": ["off", "run"]}})
    assert "cells that are none of its states ['off', 'run'], first at row 20 ('idle')" in messages(result)


def test_an_unnamed_index_of_parquet_has_one_name(tmp_path):
    BASE.set_index("at").rename_axis(None).to_parquet(tmp_path / "load.parquet")
    result = check(tmp_path / "load.parquet")
    assert result.fixes == {"time": "unnamed_2"}
    assert result.data.step_seconds == 60


# --- columns that look like something else and are none ---


@pytest.mark.parametrize("name", ["sensor_2", "battery", "pump_1", "line_voltage", "channel", "unit"])
def test_numbers_of_a_machine_are_no_names_of_machines(checked, name):
    result = checked(BASE.assign(**{name: 220 + np.arange(ROWS) * 7 % 11 // (1 if name != "pump_1" else 6)}))
    assert result.fixes == {"time": "at"}
    assert name in result.data.train.features


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("target_temp", 19 + np.arange(ROWS) * 7 % 4),
        ("event_count", np.random.default_rng(0).poisson(2, ROWS)),
        ("class_size", 10 + np.arange(ROWS) * 7 % 10),
        ("hour", np.arange(ROWS) // 60 % 24),
        ("day_of_week", np.arange(ROWS) % 7),
    ],
)
def test_small_numbers_are_no_labels_and_no_times(checked, name, cells):
    result = checked(BASE.assign(**{name: cells}))
    assert result.fixes == {"time": "at"}
    assert name in result.data.train.features


@pytest.mark.parametrize(
    ("name", "cells", "rare"),
    [
        ("label", {0: -1, 1: 1}, None),
        ("Normal/Anomaly", {0: 0, 1: 1}, None),
        ("not_normal", {0: 0, 1: 1}, None),
        ("is_healthy", {0: 1, 1: 0}, "1"),
        ("Pass/Fail", {0: -1, 1: 1}, None),
        ("Störung", {0: "nein", 1: "ja"}, None),
    ],
)
def test_the_rare_class_is_the_anomaly(checked, name, cells, rare):
    truth = (np.arange(ROWS) % 50 > 46).astype(int)
    result = checked(BASE.assign(**{name: pd.Series(truth).map(cells)}))
    assert result.fixes["label"] == name
    labels = np.concatenate([result.data.train.labels, result.data.test.labels])
    assert labels.tolist() == (truth == 1).tolist()


def test_labels_of_most_rows_are_told(checked):
    result = checked(
        BASE.assign(label=(np.arange(ROWS) % 10 > 0).astype(int)), {"data.time": "at", "data.label": "label"}
    )
    assert any("360 of 400 rows are anomalous by the label column 'label'" in defect for defect in result.data.defects)


@pytest.mark.parametrize(
    ("name", "cells", "fixes"),
    [
        ("Serial", (45300 + np.arange(ROWS) / 24).round(6), {"time": "Serial", "time_format": "excel"}),
        ("Date", 45300 + np.arange(ROWS), {"time": "Date", "time_format": "excel"}),
        ("year", 1700 + np.arange(ROWS), {"time": "year", "time_format": "%Y"}),
        ("created", 1_600_000_000 + np.cumsum(1 + np.arange(ROWS) * 7 % 119), {"time": "created"}),
        ("elapsed", np.cumsum(0.5 + np.arange(ROWS) * 7 % 11), {"time": "elapsed", "time_format": "s"}),
        ("Zeit_s", (np.arange(ROWS) / 3).round(3), {"time": "Zeit_s", "time_format": "s"}),
        ("sample", np.arange(ROWS), {"ignore": ["sample"]}),
    ],
)
def test_moments_of_many_forms_are_no_features(checked, name, cells, fixes):
    assert checked(BASE.drop(columns="at").assign(**{name: cells})).fixes == fixes


def test_short_names_of_parts_of_a_moment(checked):
    hours = pd.date_range("2024-01-31", periods=ROWS, freq="h")
    parts = {"Year": hours.year, "Mo": hours.month, "Dy": hours.day, "Hr": hours.hour}
    result = checked(BASE.drop(columns="at").assign(**parts))
    assert result.fixes == {"time": ["Year", "Mo", "Dy", "Hr"]}
    assert result.data.step_seconds == 3600


@pytest.mark.parametrize(
    "cells",
    [
        TIMES.strftime("%d. Januar %Y %H:%M"),
        TIMES.strftime("[%d/%b/%Y:%H:%M:%S +0100]"),
        [f"{1700 + row}Q{1 + row % 4}" for row in range(ROWS)],
        [f"${value:.2f}" for value in np.arange(ROWS) * 7 % 311],
        [f"0x{row:04x}" for row in range(ROWS)],
    ],
)
def test_times_and_numbers_of_an_unknown_form_are_asked_about(checked, cells):
    result = checked(BASE.assign(when=cells), {"data.time": "at"})
    assert result.data is None
    assert "when" not in str(result.fixes)
    assert "data.time=when with data.time_format if it holds times, or data.ignore=[when]" in messages(result)


def test_points_for_thousands_and_a_decimal_comma(checked):
    amounts = 900.25 + np.arange(ROWS) * 17.5 % 4000
    cells = [f"{amount:,.2f}".translate(str.maketrans(",.", ".,")) for amount in amounts]
    result = checked(BASE.assign(a=cells).to_csv(index=False, sep=";"), {"data.time": "at", "data.features": ["a"]})
    assert result.fixes == {"decimal": ",", "thousands": "."}
    np.testing.assert_allclose(values(result, "a"), amounts)


def test_zeros_may_be_typed_and_one_name_is_a_list(checked):
    overrides = parse_overrides(["data.missing=0", "data.ignore=b"], ExperimentConfig)
    assert overrides == {"data.missing": 0, "data.ignore": ["b"]}


@pytest.mark.parametrize("name", ["dev", "tag", "maschine", "k"])
def test_machines_whose_times_begin_anew_stay_apart_whatever_the_column_is_called(checked, name):
    parts = [
        BASE.assign(**{name: machine, "at": TIMES - k * pd.Timedelta("30D")})
        for k, machine in enumerate(("A", "B", "C"))
    ]
    result = checked(pd.concat(parts))
    assert result.fixes == {"time": "at", "entity": name}
    assert [entity.name for entity in result.data.entities] == ["A", "B", "C"]
