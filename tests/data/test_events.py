"""Labels that lie in another file, and labeled anomalies that are left out of the fit rows."""

import json

import numpy as np
import pandas as pd
import pytest

from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet, TypedEvent
from tsad.data.io.events import EventSpec, labeled
from tsad.data.io.time_options import TimeOptions
from tsad.data.sets.csv import CsvSpec
from tsad.data.split import SplitSpec, split
from tsad.errors import DataError, SpecError
from tsad.series import Series
from tsad.spec import parse, parse_overrides
from tsad.workflows.inputs import read_experiment

ROWS = 200
TIMES = pd.date_range("2024-03-13", periods=ROWS, freq="min")
SPANS = ((110, 114), (150, 150), (190, 195))
"""First and last rows of the anomalies."""
FLAGS = np.zeros(ROWS, bool)
for _first, _last in SPANS:
    FLAGS[_first : _last + 1] = True


def text(row):
    return str(TIMES[row])


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Reads the rows with labels from another file."""
    monkeypatch.chdir(tmp_path)
    values = np.sin(np.arange(ROWS) / 5)
    pd.DataFrame({"at": TIMES, "cpu": values, "disk": -values}).to_csv("rows.csv", index=False)

    def read(name, content, **settings):
        if isinstance(content, pd.DataFrame):
            content.to_csv(name, index=False)
        else:
            (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        spec = parse(CsvSpec, {"kind": "csv", "path": "rows.csv", "time": "at", "events": name, **settings}, "data")
        return spec.load(tmp_path)

    return read


FORMS = {
    "intervals by time": (
        "e.csv",
        pd.DataFrame({"start": [text(a) for a, _ in SPANS], "end": [text(b) for _, b in SPANS]}),
    ),
    "intervals by row": (
        "e.csv",
        pd.DataFrame({"first_row": [a for a, _ in SPANS], "last_row": [b for _, b in SPANS]}),
    ),
    "intervals in seconds": (
        "e.csv",
        pd.DataFrame(
            {"from": [TIMES[a].timestamp() for a, _ in SPANS], "to": [TIMES[b].timestamp() for _, b in SPANS]}
        ),
    ),
    "semicolons": (
        "e.csv",
        "\n".join(["Begin;End", *(f"{text(a)};{text(b)}" for a, b in SPANS)]),
    ),
    "a label for each time": ("e.csv", pd.DataFrame({"timestamp": TIMES, "label": FLAGS.astype(int)})),
    "words for some times": (
        "e.csv",
        pd.DataFrame({"time": TIMES, "state": 0, "attack": np.where(FLAGS, "Attack", "Normal")}),
    ),
    "a label for each row": ("e.csv", pd.DataFrame({"label": FLAGS.astype(int)})),
    "minus one": ("e.csv", pd.DataFrame({"is_anomaly": 1 - 2 * FLAGS})),
    "zeros and ones without a name": ("e.csv", pd.DataFrame({"y": FLAGS.astype(int)})),
    "moments": ("e.csv", pd.DataFrame({"time": TIMES[FLAGS]})),
    "rows": ("e.csv", pd.DataFrame({"row": np.flatnonzero(FLAGS)})),
    "windows of JSON": ("e.json", {"data/rows.csv": [[text(a), text(b)] for a, b in SPANS], "data/other.csv": []}),
    "moments of JSON": ("e.json", {"rows.csv": [text(row) for row in np.flatnonzero(FLAGS)]}),
    "AM and PM": (
        "e.csv",
        pd.DataFrame(
            {
                key: [TIMES[span[k]].strftime("%m/%d/%Y %I:%M %p") for span in SPANS]
                for k, key in enumerate(("from", "to"))
            }
        ),
    ),
    "moments between rows": ("e.csv", pd.DataFrame({"time": TIMES[FLAGS] + pd.Timedelta("30s")})),
    "a list of JSON": ("e.json", [[a, b] for a, b in SPANS]),
}


@pytest.mark.parametrize("form", FORMS)
def test_labels_of_another_file_are_those_of_the_rows(load, form):
    name, content = FORMS[form]
    data = load(name, content)
    assert np.concatenate([data.train.labels, data.test.labels]).tolist() == FLAGS.tolist()


def test_types_are_told_by_test_row(load):
    table = FORMS["intervals by time"][1].assign(type=["jam", None, "leak"])
    data = load("e.csv", table, test_from=112)
    assert data.typed_events == (TypedEvent(0, 3, "jam"), TypedEvent(78, 84, "leak"))


def test_entities_have_events_of_their_own(tmp_path):
    rows = pd.DataFrame(
        {"at": [*TIMES, *TIMES], "host": ["a"] * ROWS + ["b"] * ROWS, "cpu": np.sin(np.arange(2 * ROWS))}
    )
    rows.to_csv(tmp_path / "rows.csv", index=False)
    pd.DataFrame({"start": [text(150), text(160)], "end": [text(151), text(160)], "machine": ["a", "b"]}).to_csv(
        tmp_path / "e.csv", index=False
    )
    values = {"path": str(tmp_path / "rows.csv"), "events": str(tmp_path / "e.csv"), "entity": "host", "time": "at"}
    data = parse(CsvSpec, {"kind": "csv", **values}, "data").load(tmp_path)
    assert np.flatnonzero(data.test.labels).tolist() == [50, 51, 100 + 60]


def test_events_may_stand_in_the_experiment(load, tmp_path):
    events = [{"start": text(150), "end": text(152)}, {"start": 160}]
    values = {"kind": "csv", "path": "rows.csv", "time": "at", "events": events[:1]}
    assert parse(CsvSpec, values, "data").load(tmp_path).test.labels.sum() == 3
    assert parse(CsvSpec, {**values, "events": events[1:]}, "data").load(tmp_path).test.labels.sum() == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.csv", pd.DataFrame({"label": [0, 1]}), r"must have a label for each of the 200 rows, but has 2"),
        ("e.csv", pd.DataFrame({"start": ["2030-01-01"], "end": ["2030-01-02"]}), "no row is in one of the 1 events"),
        ("e.csv", pd.DataFrame({"start": ["soon"], "end": ["later"]}), "must hold timestamps, but row 0 has 'soon'"),
        (
            "e.csv",
            pd.DataFrame({"start": [text(5)], "end": [text(3)]}),
            "ends at .* before its start .*; exchange them",
        ),
        (
            "e.csv",
            pd.DataFrame({"start": [text(5)], "duration": [300]}),
            "events are read from starts and ends",
        ),
        ("e.json", "{", "must be JSON of labeled anomalies"),
        ("e.json", {"a.csv": [], "b.csv": []}, r"must list the anomalies of rows.csv once, but has 0 lists"),
        ("e.json", {"rows.csv": 3}, r"must hold a list of \[start, end\]"),
    ],
)
def test_what_is_no_event_is_named(load, name, content, message):
    with pytest.raises(DataError, match=message):
        load(name, content)


def test_events_that_no_row_is_in_are_counted(load):
    table = FORMS["intervals by time"][1]
    late = pd.DataFrame({"start": ["2030-01-01"], "end": ["2030-01-02"]})
    data = load("e.csv", pd.concat([table, late]))
    assert any("1 of 4 events have no row, first from 2030-01-01" in defect for defect in data.defects)


def test_labels_come_from_one_place(load):
    with pytest.raises(SpecError, match="labels come from the column 'cpu' or from events, but both are set"):
        load("e.csv", pd.DataFrame({"row": [1]}), label="cpu")


def test_a_span_includes_both_ends():
    events = (EventSpec(start=text(3), end=text(5)), EventSpec(start=text(5), end=text(6), entity="b"))
    numbers = np.arange(10)
    found = labeled(events, "a", TIMES[:10].to_numpy(), numbers, TimeOptions())
    assert np.flatnonzero(found.labels).tolist() == [3, 4, 5]
    assert np.flatnonzero(labeled(events, "b", TIMES[:10].to_numpy(), numbers, TimeOptions()).labels).tolist() == [
        3,
        4,
        5,
        6,
    ]


# --- where the test rows begin ---


@pytest.mark.parametrize(("at", "edge"), [(50, 50), ("2024-03-13 01:00", 60), ("2024-03-13T01:00:30", 61)])
def test_the_cut_is_at_a_row_or_a_moment(load, tmp_path, at, edge):
    load("e.csv", FORMS["rows"][1])
    values = {"data": {"kind": "csv", "path": "rows.csv", "time": "at"}, "split": {"at": at}, "model": {"kind": "l2"}}
    config = read_experiment(values)
    assert len(config.data.load(tmp_path).train) == edge
    assert "at" not in config.model_dump(mode="json")["split"]


def test_a_moment_is_typed_without_quotes():
    assert parse_overrides(["split.at=2024-03-13", "split.gap=3"], ExperimentConfig) == {
        "split.at": "2024-03-13",
        "split.gap": 3,
    }


def test_a_moment_needs_times(load, tmp_path):
    with pytest.raises(DataError, match=r"is a moment, but rows have no times; name their column in data.time"):
        load("e.csv", FORMS["rows"][1], time=None, ignore=["at"], test_from="2024-03-13")


# --- anomalies among the fit rows ---


def test_labeled_anomalies_are_left_out_of_the_fit_rows_and_no_window_crosses_them():
    labels = np.zeros(100, bool)
    labels[[10, 11, 40]] = True
    labels[95:] = True
    rows = Series(np.arange(100, dtype=np.float32)[:, None], ("x",), labels, boundaries=(30, 41))
    parts = split(DataSet("d", "memory", rows, rows), SplitSpec(validation=0.2, gap=5, exclude_labeled=True), 5)
    assert parts.fit.values[:, 0].tolist() == [row for row in range(80) if row not in {10, 11, 40}]
    assert parts.fit.boundaries == (10, 28, 38)
    assert parts.validation.values[:, 0].tolist() == list(range(85, 95))
    assert parts.validation.boundaries == ()


def test_without_labels_none_can_be_left_out():
    rows = Series(np.zeros((100, 1), np.float32), ("x",))
    with pytest.raises(
        DataError, match=r"split.exclude_labeled leaves out labeled anomalies, but the training rows have no"
    ):
        split(DataSet("d", "memory", rows, rows), SplitSpec(gap=5, exclude_labeled=True), 5)


def test_leaving_anomalies_out_is_a_use_of_labels():
    values = {"data": {"kind": "synthetic"}, "model": {"kind": "l2"}, "split": {"exclude_labeled": True}}
    assert parse(ExperimentConfig, values, "test").provenance.training == "development"
