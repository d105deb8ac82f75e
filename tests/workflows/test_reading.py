"""One reading: rows, labels, times and scores of generated files equal those of the values that they were written from."""

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from tests.serving.services import service
from tsad.config import DetectorSpec
from tsad.data.io.read_options import ReadOptions
from tsad.data.split import SplitSpec, split
from tsad.fitting import fit_detector
from tsad.series import Series
from tsad.serving.csv_bodies import read_csv_body
from tsad.spec import parse
from tsad.streaming import Stream
from tsad.workflows.check import check
from tsad.workflows.file_scores import WholeFile, _policy
from tsad.workflows.score import score

WINDOW = 4
SPEC = parse(DetectorSpec, {"model": {"kind": "window_linear", "components": 2}, "window": {"length": WINDOW}}, "test")
BERLIN = "Europe/Berlin"


@dataclass
class Written:
    """A generated file and what it was written from.

    Attributes:
        text: Content of the file.
        truth: Rows in the order of the file: entity, time in UTC, features (NaN where a cell is empty), label.
        settings: What a person has to say, because no file shows it.
        labeled: Whether there is a column of labels.
    """

    text: str
    truth: pd.DataFrame
    labeled: bool
    settings: dict = field(default_factory=dict)


def generated(seed):
    """Returns a file with a random form: separator, marks, times, zone, order, gaps, empty cells, copies, labels, entities."""
    rng = np.random.default_rng(seed)
    entities = [""] if rng.random() < 0.7 else ["pump a", "pump b", "pump c"][: rng.integers(2, 4)]
    step = int(rng.choice([1, 60, 300, 3600]))
    truth = pd.concat([_machine(rng, name, step) for name in entities], ignore_index=True)
    if len(entities) > 1 and rng.random() < 0.5:
        truth = truth.sort_values("time", kind="stable", ignore_index=True)
    order = rng.choice(["as it is", "newest first", "shuffled"], p=[0.6, 0.2, 0.2])
    if order != "as it is":
        rows = np.arange(len(truth))[::-1] if order == "newest first" else rng.permutation(len(truth))
        truth = truth.iloc[rows].reset_index(drop=True)
    if rng.random() < 0.2:
        again = np.sort(np.append(np.arange(len(truth)), rng.choice(len(truth), 3, replace=False)))
        truth = truth.iloc[again].reset_index(drop=True)
    return _written(rng, truth, entities, step, order)


def _machine(rng, name, step):
    rows = int(rng.integers(220, 320))
    start = pd.Timestamp("2023-10-13 00:00:00") + pd.Timedelta(int(rng.integers(0, 20_000)), "min")
    numbers = np.arange(rows) + np.where(np.arange(rows) >= rng.integers(60, 160), rng.choice([0, 1, 25]), 0)
    walk = np.cumsum(rng.normal(size=(rows, 2)), axis=0) * rng.choice([0.1, 10])
    values = np.round(walk, 4) + np.array([0.0, 30.0])
    label = np.zeros(rows, int)
    for first in rng.integers(10, rows - 10, 3):
        label[first : first + 5] = 1
    if rng.random() < 0.3:
        values[rng.choice(np.arange(5, rows), 2, replace=False), 1] = np.nan
    frame = pd.DataFrame({"entity": name, "time": start + pd.to_timedelta(numbers * step, unit="s")})
    return frame.assign(level=values[:, 0], flow=values[:, 1], label=label)


def _written(rng, truth, entities, step, order):
    separator = str(rng.choice([",", ";", "\t", "|"]))
    decimal = "," if separator != "," and rng.random() < 0.5 else "."
    columns, settings = _times(rng, truth["time"], order)
    features = {name: _cells(truth[name], decimal, rng) for name in ("level", "flow")}
    words, labeled = rng.choice(["0/1", "-1/1", "words", "none"]), True
    label = {"0/1": truth["label"], "-1/1": 1 - 2 * truth["label"]}.get(words)
    if words == "words":
        label = truth["label"].map({0: "Normal", 1: "Attack"})
    if label is None:
        labeled, answers = False, {}
    else:
        answers = {str(rng.choice(["label", "is_anomaly", "Attack", "anomaly"])): label.astype(str)}
    machine = {"machine": truth["entity"]} if len(entities) > 1 else {}
    table = pd.DataFrame(columns | machine | features | answers)
    text = table.to_csv(index=False, sep=separator, lineterminator=str(rng.choice(["\n", "\r\n"])))
    return Written(text, truth, labeled, settings)


def _cells(values, decimal, rng):
    empty = str(rng.choice(["", "NaN", "null", "N/A"]))
    return [empty if np.isnan(value) else repr(float(value)).replace(".", decimal) for value in values]


def _times(rng, times, order):
    """Returns the columns of times, and what a person has to say about them."""
    if rng.random() < 0.25 and order == "as it is" and times.is_monotonic_increasing:
        local = times.dt.tz_localize("UTC").dt.tz_convert(BERLIN).dt.tz_localize(None)
        return {"when": local.dt.strftime("%Y-%m-%d %H:%M:%S")}, {"data.time_zone": BERLIN}
    forms = {
        "when": times.dt.strftime(
            str(rng.choice(["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S UTC"]))
        ),
        "stamp": times.dt.strftime(str(rng.choice(["%d-%b-%Y %H:%M:%S", "%b %d %Y %I:%M:%S %p", "%Y%m%dT%H%M%S"]))),
        "ts": times.dt.as_unit("s").astype("int64").astype(str),
        "epoch_ms": times.dt.as_unit("ms").astype("int64").astype(str),
        "day first": times.dt.strftime("%d.%m.%Y %H:%M:%S"),
    }
    name = str(rng.choice([*forms, "two"]))
    if name == "two":
        return {"Date": times.dt.strftime("%Y-%m-%d"), "Time": times.dt.strftime("%H:%M:%S")}, {}
    return {name: forms[name]}, {"data.day_first": True} if name == "day first" else {}


def expected(written):
    """Returns the rows of each entity in the order of their times, once each, empty cells filled, with their segments."""
    parts = []
    for name in pd.unique(written.truth["entity"]):
        rows = written.truth[written.truth["entity"] == name]
        rows = rows.sort_values("time", kind="stable").drop_duplicates("time")
        step = rows["time"].diff().median()
        segment = (rows["time"].diff() > 10 * step).cumsum()
        features = rows.groupby(segment)[["level", "flow"]].ffill()
        parts.append(rows.assign(**features, segment=segment))
    return parts


SERVED = 3
"""One in so many of the files is posted to a running service too, if its rows can be read one after the other."""

SEEDS = [
    *range(12),
    *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(12, 200)),
]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_generated_file_is_read_the_same_everywhere(tmp_path, monkeypatch, seed):
    monkeypatch.chdir(tmp_path)
    written = generated(seed)
    (tmp_path / "rows.csv").write_text(written.text, newline="")
    result = check("rows.csv", written.settings)
    assert result.data is not None, [str(issue) for issue in (*result.issues, *result.remaining)]
    parts = expected(written)

    # check and training: rows, times, labels and segments
    data = result.data
    assert data.train.features == ("level", "flow")
    assert [entity.name for entity in data.entities] == (
        [part["entity"].iloc[0] for part in parts] if len(parts) > 1 else []
    )
    assert result.account.read == len(written.truth)
    assert result.account.used == sum(map(len, parts))
    edges = [len(part) - round(len(part) * 0.5) for part in parts]
    for series, cut in ((data.train, slice(None, 1)), (data.test, slice(1, None))):
        halves = [part.iloc[:edge] if cut.stop else part.iloc[edge:] for part, edge in zip(parts, edges, strict=True)]
        rows = pd.concat(halves)
        np.testing.assert_array_equal(series.values, rows[["level", "flow"]].to_numpy(np.float32))
        np.testing.assert_array_equal(series.times, rows["time"].to_numpy().astype("datetime64[ns]"))
        assert (series.labels is not None) == written.labeled
        if written.labeled:
            np.testing.assert_array_equal(series.labels, rows["label"] == 1)
        segments = pd.concat([half["entity"] + half["segment"].astype(str) for half in halves])
        changes = np.flatnonzero((segments != segments.shift()).to_numpy()[1:]) + 1
        assert list(series.boundaries) == changes.tolist()

    # scores: of the file, and of a stream, equal those of the values
    pieces = split(dataclasses.replace(data, entities=()), SplitSpec(gap=WINDOW), WINDOW)
    detector = fit_detector(SPEC, pieces.fit, pieces.validation)
    detector.save(tmp_path / "detector")
    data.read_options.save(tmp_path / "detector")
    truths = {}
    for part in parts:
        bounds = tuple(np.flatnonzero(part["segment"].diff() > 0).tolist())
        series = Series(part[["level", "flow"]].to_numpy(np.float32), ("level", "flow"), boundaries=bounds)
        truths |= dict(zip(zip(part["entity"], part["time"], strict=True), detector.score(series).values, strict=True))
    wanted = [truths[key] for key in zip(written.truth["entity"], written.truth["time"], strict=True)]
    for rows_at_once in (10_000, 37):
        score("detector", "rows.csv", output="scored.csv", rows_at_once=rows_at_once)
        scored = pd.read_csv("scored.csv", sep=data_separator(written.text), engine="python", dtype=str)
        found = pd.to_numeric(scored["score"].str.replace(",", "."), errors="coerce").to_numpy()
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)
    read_options = ReadOptions.load(tmp_path / "detector")
    if read_options.is_streamable:
        part = parts[0]
        stream = Stream(detector, _policy(read_options))
        values = part[["level", "flow"]].to_numpy(np.float32)
        times = part["time"].to_numpy().astype("datetime64[ns]")
        pushed = [stream.push(values[row : row + 1], times[row : row + 1]).scores for row in range(len(part))]
        np.testing.assert_allclose(np.concatenate(pushed), wanted, rtol=1e-5, atol=1e-7)
        body = read_csv_body(written.text.encode(), data.train.features, read_options, 10_000)
        found = detector.score(body.series(data.train.features)).values
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)
        if seed % SERVED == 0:
            with service(tmp_path / "detector", tmp_path / "state") as client:
                answer = client.post("/api/score", written.text, Content_Type="text/csv")
            assert answer.status == 200, answer.json
            np.testing.assert_allclose(np.array(answer.json["score"], float), wanted, rtol=1e-5, atol=1e-7)
    else:
        whole = WholeFile.read(detector, tmp_path / "rows.csv", read_options, print)
        assert len(whole.series) == sum(map(len, parts))


def data_separator(text):
    header = text.splitlines()[0]
    return max([",", ";", "\t", "|"], key=header.count)
