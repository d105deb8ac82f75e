"""Columns whose role nobody named: which are noticed, and what is proposed."""

import numpy as np
import pandas as pd
import pytest

from tsad.data.sets.csv import CsvSpec
from tsad.errors import DataError, SpecError
from tsad.spec import parse
from tsad.workflows.check import check

ROWS = 200
TIMES = pd.date_range("2024-03-01", periods=ROWS, freq="min")
DAYS = TIMES + pd.Timedelta("15D")
WAVE = np.sin(np.arange(ROWS) / 5)
FLAGS = (np.arange(ROWS) % 50 > 45).astype(int)


@pytest.fixture
def fixes(tmp_path, monkeypatch):
    """Checks a table with these columns beside two features; returns the settings that are proposed."""
    monkeypatch.chdir(tmp_path)

    def proposed(settings=None, **columns):
        table = pd.DataFrame({**columns, "a": WAVE, "b": np.cos(np.arange(ROWS) / 7)})
        table.columns = [{"_": ""}.get(name, name) for name in table.columns]
        table.to_csv("load.csv", index=False)
        result = check("load.csv", settings or {})
        assert result.data is not None, [str(issue) for issue in result.remaining]
        assert result.data.train.features[-2:] == ("a", "b")
        return dict(result.fixes), result.data

    return proposed


TEXTS = {
    "iso": TIMES.strftime("%Y-%m-%d %H:%M:%S"),
    "T": TIMES.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "slashes": TIMES.strftime("%Y/%m/%d %H:%M"),
    "UTC": TIMES.strftime("%Y-%m-%d %H:%M:%S UTC"),
    "GMT": TIMES.strftime("%Y-%m-%d %H:%M:%S GMT"),
    "offset and UTC": TIMES.strftime("%Y-%m-%d %H:%M:%S +0000 UTC"),
    "comma": TIMES.strftime("%Y-%m-%d %H:%M:%S,250"),
}


@pytest.mark.parametrize(
    ("form", "name"), list(zip(TEXTS, ["time", "t", "Time", "when", "x", "Datum", "_time"], strict=True))
)
def test_times_that_are_read_as_they_are(fixes, name, form):
    found, data = fixes(**{name: TEXTS[form]})
    assert found == {"time": name}
    assert data.step_seconds == 60
    assert data.train.times[0].astype("datetime64[s]") == TIMES[0]


@pytest.mark.parametrize(
    "form",
    [
        *("%m/%d/%Y %I:%M:%S %p", "%b %d, %Y %H:%M", "%d-%b-%Y %H:%M:%S", "%d %B %Y %H:%M", "%a %b %d %H:%M:%S %Y"),
        *("%d/%b/%Y:%H:%M:%S", "%d/%m/%Y %H.%M.%S", "%y-%m-%d %H:%M", "%b-%d-%Y %H:%M"),
    ],
)
def test_the_format_of_other_times_is_proposed(fixes, form):
    days = pd.date_range("2024-03-11 04:00", periods=ROWS, freq="3h")
    found, data = fixes(stamp=days.strftime(form))
    assert (found["time"], found["time_format"]) == ("stamp", form)
    np.testing.assert_array_equal(data.train.times, days[: len(data.train)].to_numpy())


@pytest.mark.parametrize(
    ("cells", "step"),
    [
        (TIMES.as_unit("s").astype("int64"), 60),
        (TIMES.as_unit("ms").astype("int64"), 60),
        (TIMES.as_unit("ns").astype("int64"), 60),
        (TIMES.as_unit("s").astype("int64") + 0.5, 60),
    ],
)
def test_numbers_since_1970_are_times_whatever_they_are_called(fixes, cells, step):
    found, data = fixes(x=cells)
    assert found == {"time": "x"}
    assert data.step_seconds == step


@pytest.mark.parametrize(
    ("form", "freq", "step"), [("%Y%m%d", "D", 86_400), ("%Y%m%d%H", "h", 3600), ("%Y%m%d%H%M", "min", 60)]
)
def test_dates_as_whole_numbers_are_no_seconds(fixes, form, freq, step):
    days = pd.date_range("2019-01-01", periods=ROWS, freq=freq)
    found, data = fixes(day=days.strftime(form).astype("int64"))
    assert found == {"time": "day", "time_format": form}
    assert data.step_seconds == step


def test_days_of_a_spreadsheet_are_times(fixes):
    found, data = fixes(Date=45_000 + np.arange(ROWS) / 24)
    assert found == {"time": "Date", "time_format": "excel"}
    assert data.step_seconds == pytest.approx(3600)
    assert str(data.train.times[0]).startswith("2023-03-15")


@pytest.mark.parametrize(
    ("name", "unit", "step"),
    [("timestamp", "s", 1), ("timestamp_(min)", "min", 60), ("Time [h]", "h", 3600), ("time_in_ms", "ms", 0.001)],
)
def test_a_count_called_like_a_time_becomes_one_in_the_unit_of_its_name(fixes, name, unit, step):
    found, data = fixes(**{name: np.arange(ROWS)})
    assert found == {"time": name, "time_format": unit}
    assert data.step_seconds == pytest.approx(step)


@pytest.mark.parametrize(
    ("name", "step"),
    [("index", 1), ("Cycle", -1), ("_", 1), ("row_no", 10), ("x", 0.25), ("seq", -2), ("sampleCounter", 1)],
)
def test_a_count_is_no_feature(fixes, name, step):
    found, _ = fixes(**{name: step * np.arange(ROWS)})
    assert found == {"ignore": [name if name != "_" else "unnamed_0"]}


def test_a_count_with_rows_absent_is_a_count(fixes):
    rows = np.setdiff1d(np.arange(ROWS + 8), [5, 50, 51, 52, 99, 120, 150, 151])
    assert fixes(x=rows)[0] == {"ignore": ["x"]}


@pytest.mark.parametrize(
    "cells",
    [np.cumsum(np.random.default_rng(0).integers(0, 9, ROWS)), np.arange(ROWS) % 24, np.sqrt(np.arange(ROWS)), WAVE],
)
def test_a_counter_of_events_and_a_season_are_features(fixes, cells):
    found, data = fixes(energy=cells)
    assert not found
    assert data.train.features == ("energy", "a", "b")


def test_a_date_and_a_clock_are_one_time(fixes):
    found, data = fixes(Time=DAYS.strftime("%H:%M:%S"), Date=DAYS.strftime("%d/%m/%Y"))
    assert found["time"] == ["Date", "Time"]
    assert len(data.train) + len(data.test) == ROWS
    assert data.step_seconds == 60


def test_a_clock_beside_a_time_of_dates_completes_it(fixes):
    found, data = fixes({"data.time": "Date"}, Date=TIMES.strftime("%Y-%m-%d"), Time=TIMES.strftime("%H:%M"))
    assert found == {"time": ["Date", "Time"]}
    assert data.step_seconds == 60


def test_year_month_day_and_hour_are_one_time(fixes):
    hours = pd.date_range("2024-02-27", periods=ROWS, freq="h")
    parts = {name: getattr(hours, name) for name in ("year", "month", "day", "hour")}
    found, data = fixes(No=np.arange(ROWS), **parts)
    assert found == {"time": ["year", "month", "day", "hour"], "ignore": ["No"]}
    assert data.step_seconds == 3600


# --- answers ---

LABELS = {
    "0/1": (FLAGS, {}),
    "-1/1": (1 - 2 * FLAGS, {"normal": "1"}),
    "0/3": (3 * FLAGS, {"normal": "0"}),
    "0..4": (FLAGS * (1 + np.arange(ROWS) // 50), {"normal": "0"}),
    "booleans": (FLAGS == 1, {}),
    "words": (np.where(FLAGS, "Attack", "Normal"), {"normal": "Normal"}),
    "types": (np.where(FLAGS, "DDoS", "BENIGN"), {"normal": "BENIGN"}),
    "other words": (np.where(FLAGS, "kaputt", "heil"), {"normal": "heil"}),
}


@pytest.mark.parametrize(
    "name", ["label", "Anomaly", "is_attack", "kpi_label", "EVENT", "isAnomaly", "Normal/Attack", "fault"]
)
@pytest.mark.parametrize("cells", LABELS)
def test_answers_are_the_label(fixes, name, cells):
    values, normal = LABELS[cells]
    found, data = fixes(**{name: values})
    assert found == {"label": name, **normal}
    assert np.concatenate([data.train.labels, data.test.labels]).tolist() == (FLAGS == 1).tolist()


@pytest.mark.parametrize("cells", [1 - FLAGS, FLAGS == 0])
def test_a_column_called_normal_says_what_is_normal(fixes, cells):
    found, data = fixes(normal=cells)
    assert found["label"] == "normal"
    assert np.concatenate([data.train.labels, data.test.labels]).tolist() == (FLAGS == 1).tolist()


@pytest.mark.parametrize("set_already", [True, False])
def test_further_answers_are_left_out(fixes, set_already):
    columns = {
        "label": FLAGS,
        "changepoint": np.diff(FLAGS, prepend=0) != 0,
        "anomaly_type": 2 * FLAGS,
        "anomaly_score": WAVE,
    }
    found, data = fixes({"data.label": "label"} if set_already else None, **columns)
    assert sorted(found["ignore"]) == ["anomaly_score", "anomaly_type", "changepoint"]
    assert found.get("label") == (None if set_already else "label")
    assert data.test.labels.sum() == FLAGS[ROWS // 2 :].sum()


def test_a_measured_event_rate_is_a_feature(fixes):
    found, data = fixes(event_rate=WAVE * 100, target_temperature=20 + WAVE)
    assert not found
    assert data.train.features[:2] == ("event_rate", "target_temperature")


def test_what_is_named_in_features_is_not_judged(fixes):
    found, data = fixes({"data.features": ["label", "a", "b"]}, label=FLAGS)
    assert not found
    assert data.train.features == ("label", "a", "b")


@pytest.mark.parametrize("key", ["features", "ignore", "empty", "units"])
@pytest.mark.parametrize(
    ("value", "texts"),
    [("x0", ("x0",)), (0, ("0",)), (-999.0, ("-999",)), (0.5, ("0.5",)), ([1, "b"], ("1", "b")), (("a",), ("a",))],
)
def test_a_single_text_needs_no_list_and_a_number_no_quotes(key, value, texts):
    assert getattr(parse(CsvSpec, {"kind": "csv", "path": "a.csv", key: value}, "test"), key) == texts


@pytest.mark.parametrize("value", [True, {"a": 1}, [["a"]], [None]])
def test_what_is_no_text_is_refused_as_a_list_of_texts(value):
    with pytest.raises(SpecError, match="features"):
        parse(CsvSpec, {"kind": "csv", "path": "a.csv", "features": value}, "test")


def test_names_with_a_comma_between_them_are_told_to_be_a_list(fixes, tmp_path):
    fixes(when=TIMES)
    spec = parse(CsvSpec, {"kind": "csv", "path": str(next(tmp_path.glob("*.csv"))), "features": "a,b"}, "test")
    with pytest.raises(DataError, match=r"has no column 'a,b'.*several are written as a list, \[a, b\]"):
        spec.load(tmp_path)


# --- long tables ---


def long_table(name, entity=None, quality=False, rows=100):
    """A row for each metric, moment and machine, in the order of the times."""
    table = pd.DataFrame(
        [
            (moment, machine, metric, round(level + np.sin(number / 9), 3), "GOOD")
            for number, moment in enumerate(pd.date_range("2024-03-04", periods=rows, freq="min"))
            for machine in (("pumpA", "pumpB") if entity else ("pumpA",))
            for metric, level in (("temp", 20), ("pressure", 3), ("flow", 9))
        ],
        columns=["time", entity or "machine", name, "value", "quality"],
    )
    absent = [*([] if entity else ["machine"]), *([] if quality else ["quality"])]
    return table.drop(columns=absent)


@pytest.mark.parametrize("quality", [False, True])
@pytest.mark.parametrize("entity", [None, "device", "asset_id"])
@pytest.mark.parametrize("name", ["metric", "sensor", "what"])
def test_metrics_become_columns_of_their_machine(tmp_path, name, entity, quality):
    long_table(name, entity, quality).to_csv(tmp_path / "rows.csv", index=False)
    pivot = {"pivot": {"name": name, "value": "value"}} | ({"ignore": ["quality"]} if quality else {})
    result = check(tmp_path / "rows.csv")
    assert result.fixes == {"time": "time", **pivot, **({"entity": entity} if entity else {})}
    assert set(result.data.train.features) == {"temp", "pressure", "flow"}
    assert len(result.data.train) + len(result.data.test) == (200 if entity else 100)
    if entity:
        named = check(tmp_path / "rows.csv", {"data.time": "time", "data.entity": entity})
        assert named.fixes == pivot  # also where the machine is named
        assert "of their machine" in str(named.issues[0])
