"""`tsad score`: whatever the file and however it is read, its rows come back with the scores of the whole."""

import dataclasses
import subprocess
import sys
from types import MappingProxyType

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.examples import detector_of, event_table, from_defaults, sensors
from tests.processes import environment
from tsad.detector.score_table import Events, explained
from tsad.detector.scoring import MeanSmoothing, ScoringSpec
from tsad.models.baselines.principal import WindowLinearSpec
from tsad.thresholds.ewma import EwmaSpec

pytestmark = pytest.mark.usefixtures("place")

ROWS, LENGTH = 300, 8
USUAL, SERIES = sensors(ROWS), sensors(ROWS)
SERIES.values[120:130, 2] += 5
SERIES.values[250:252, 4] -= 7
FEATURES = list(SERIES.features)
SCORINGS = {
    "last": ScoringSpec(smooth=MeanSmoothing(kind="mean", length=3)),
    "mean": ScoringSpec(over="mean"),
}
DETECTORS = {name: detector_of(from_defaults(WindowLinearSpec), USUAL, LENGTH, spec) for name, spec in SCORINGS.items()}
DETECTORS["ewma"] = dataclasses.replace(
    DETECTORS["last"], threshold=from_defaults(EwmaSpec).fit(DETECTORS["last"].score(USUAL).values)
)
every_detector = pytest.mark.parametrize("name", DETECTORS)


def moments(count, step="min", zone=None):
    return pd.date_range("2024-03-31", periods=count, freq=step, tz=zone)


def table(**columns):
    """Returns the rows, with columns beside them."""
    return pd.DataFrame(SERIES.values.astype(float), columns=FEATURES).assign(**columns)


@pytest.fixture
def score(tsad, place):
    """Scores rows, a table or the text of a CSV; returns the scored table, the events and what was printed."""

    def command(rows, *words, name="last", file="rows.csv", output="scored.csv", form=MappingProxyType({})):
        DETECTORS[name].save(place / "detector")
        write(rows, place / file)
        code, out, errors = tsad("score", "detector", file, "--output", output, *words)
        assert (code, errors) == (0, [])
        found = pd.read_csv(output, **form) if output.endswith(".csv") else pd.read_parquet(output)
        return found, pd.read_csv("scored.events.csv", **form), out

    return command


def write(rows, path):
    if isinstance(rows, str):
        path.write_text(rows)
    elif path.suffix == ".csv":
        rows.to_csv(path, index=False)
    else:
        rows.to_parquet(path)


def assert_scored(found, name="last"):
    detector = DETECTORS[name]
    scores = detector.score(SERIES)
    np.testing.assert_allclose(found["score"], scores.values, rtol=1e-6)
    np.testing.assert_array_equal(found["flag"], detector.flag(scores))
    assert 0 < found["flag"].sum() < ROWS / 2


# --- the scores of the whole ---


@every_detector
@pytest.mark.parametrize(("file", "at_once"), [("rows.csv", 23), ("rows.parquet", 100)])
def test_rows_get_the_scores_and_flags_of_the_whole_however_many_are_read_at_once(score, name, file, at_once):
    found, _, _ = score(table(), "--rows-at-once", at_once, name=name, file=file)
    assert_scored(found, name)


@every_detector
def test_rows_are_explained_and_stretches_of_flags_are_a_second_table(score, name):
    times = [f"{moment:%d.%m.%Y %H:%M}" for moment in moments(ROWS)]
    found, events, out = score(table(when=times), "--time", "when", "--explain", 2, "--rows-at-once", 97, name=name)
    scores = DETECTORS[name].score(SERIES)
    flags = DETECTORS[name].flag(scores)
    known = np.where(np.isnan(scores.values)[:, None], np.nan, scores.by_feature)
    assert found.columns[-6:].tolist() == ["score", "flag", "feature_1", "share_1", "feature_2", "share_2"]
    pd.testing.assert_frame_equal(
        found.iloc[:, -4:], explained(known, FEATURES, 2), check_dtype=False, check_index_type=False
    )
    expected = event_table(Events(FEATURES, 2), np.arange(ROWS), times, scores.values, flags, scores.by_feature)
    pd.testing.assert_frame_equal(events, expected, check_dtype=False)
    assert f"events: scored.events.csv ({len(events)})" in out
    assert len(events) >= 2


def test_a_gap_in_time_begins_a_segment(score):
    times = moments(ROWS).where(np.arange(ROWS) < 200, moments(ROWS) + pd.Timedelta("600s"))
    found, _, _ = score(table(when=times), "--time", "when", "--step", 60)
    whole = DETECTORS["last"].score(dataclasses.replace(SERIES, boundaries=(200,))).values
    np.testing.assert_allclose(found["score"], whole, rtol=1e-6)
    assert found["score"][200:209].isna().all()


def test_without_a_step_a_gap_is_none(score):
    times = moments(ROWS).where(np.arange(ROWS) < 200, moments(ROWS) + pd.Timedelta("90s"))
    assert_scored(score(table(when=times), "--time", "when")[0])


# --- the rows as they were ---


def test_cells_of_a_csv_come_back_to_the_letter(score, place):
    text = table(when=moments(ROWS, zone="Europe/Berlin"), code="007", note='a "quoted", note').to_csv(index=False)
    text = text.replace(",0.", ",00.")
    assert text.splitlines()[1].endswith(',2024-03-31 00:00:00+01:00,007,"a ""quoted"", note"')
    score(text)
    lines = (place / "scored.csv").read_text().splitlines()
    for line, scored in zip(text.splitlines(), lines, strict=True):
        assert scored.startswith(f"{line},")


def test_columns_of_a_parquet_file_keep_their_types_and_the_index_too(score):
    rows = table(count=np.arange(ROWS), kind=pd.Categorical(["a"] * ROWS), day=moments(ROWS, "D").date)
    rows = rows.set_index(moments(ROWS, zone="Europe/Berlin").rename("when"))
    found, _, _ = score(rows, file="rows.parquet", output="scored.parquet", name="mean")
    pd.testing.assert_frame_equal(found[rows.columns], rows, check_freq=False)
    assert_scored(found, "mean")
    assert found["score"].isna().sum() == 2 * (LENGTH - 1)
    types = {field.name: field.type for field in pq.read_schema("scored.parquet")}
    assert (types["score"], types["flag"], types["share_1"]) == (pa.float64(), pa.bool_(), pa.float64())


def test_a_csv_becomes_a_parquet_file_of_numbers_and_texts(score):
    found, _, _ = score(table(code="007", when=moments(ROWS)).to_csv(index=False), output="scored.parquet")
    assert found["code"].unique().tolist() == ["007"]
    assert found["when"][1] == "2024-03-31 00:01:00"
    np.testing.assert_array_equal(found[FEATURES], SERIES.values.astype(float))
    assert_scored(found)


def test_a_parquet_file_becomes_a_csv(score):
    found, _, _ = score(table(when=moments(ROWS), note="a,b"), file="rows.parquet", name="mean")
    assert found["when"][:2].tolist() == ["2024-03-31 00:00:00", "2024-03-31 00:01:00"]
    assert found["note"].unique().tolist() == ["a,b"]
    assert_scored(found, "mean")


def test_a_csv_with_decimal_commas_gets_scores_with_decimal_commas(score):
    text = table().to_csv(index=False, sep=";", decimal=",")
    found, events, _ = score(text, form={"sep": ";", "decimal": ","})
    assert_scored(found)
    assert events["peak_score"].max() == found["score"].max()


# --- what explains, and where it goes ---


def test_three_features_explain_a_row_unless_another_number_is_asked_for(score):
    assert score(table())[0].columns[-1] == "share_3"
    assert score(table(), "--explain", 0)[0].columns[-1] == "flag"
    assert score(table(), "--explain", 99)[0].columns[-1] == "share_6"


@pytest.mark.parametrize("name", ["score", "flag", "feature_2", "share_1"])
def test_added_columns_give_way_to_those_of_the_file(score, tsad, place, name):
    plain, _, _ = score(table())
    found, _, out = score(table(**{name: "mine"}))
    assert (found[name] == "mine").all()
    added = [f"tsad_{column}" for column in plain.columns[-8:]]
    assert found.columns[-8:].tolist() == added
    np.testing.assert_array_equal(found["tsad_score"], plain["score"])
    assert f"rows.csv has a column {name!r} already, so the added columns are called tsad_{name}, ..." in out
    assert tsad("plot", "scored.csv", "--output", "found.png")[0] == 0


def test_events_go_where_they_are_wanted(tsad, score, place):
    _, events, _ = score(table())
    code, out, _ = tsad("score", "detector", "rows.csv", "--output", "other.parquet", "--events", "found.csv")
    assert code == 0
    assert pd.read_csv("found.csv").equals(events)
    assert not (place / "other.events.csv").exists()
    assert f"events: found.csv ({len(events)})" in out


# --- what cannot be scored ---


def assert_refused(result, message):
    code, _, errors = result
    assert code == 1
    (line,) = errors
    assert message in line


@pytest.fixture
def refused(tsad, place):
    """Scores rows of which something is wrong; asserts that one line says so and that nothing is written."""

    def command(rows, message, *words, file="rows.csv"):
        DETECTORS["last"].save(place / "detector")
        write(rows, place / file)
        assert_refused(tsad("score", "detector", file, *words), message)
        assert {path.name for path in place.iterdir()} == {"detector", file, "outputs"}

    return command


ASCENDING = {"when": moments(ROWS).astype(str)}
TWICE = np.where(np.arange(ROWS) == 150, ASCENDING["when"][149], ASCENDING["when"])
CLOCKLESS = np.where(np.arange(ROWS) == 150, "noon", ASCENDING["when"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: rows.drop(columns="s3"),
            "rows.csv: column 's3' is missing; it has ['s0', 's1', 's2', 's4', 's5']",
        ),
        (
            lambda rows: rows.assign(s0=rows["s0"].where(rows.index != 217)),
            "rows.csv, rows 200-249: column 's0' has 1 empty cells, first at row 217",
        ),
        (
            lambda rows: rows.assign(s0=rows["s0"].astype(object).where(rows.index != 17, "high")),
            "column 's0' must hold numbers, but has 1 other cells, first at row 17 ('high')",
        ),
        (
            lambda rows: rows.assign(s2=rows["s2"].where(rows.index != 299, np.inf)),
            "has 1 infinite cells, first at row 299",
        ),
        (
            lambda rows: rows.head(9),
            "rows.csv: a score needs at least 10 consecutive rows, but it has 9; give more rows",
        ),
        (lambda rows: rows.head(0), "a score needs at least 10 consecutive rows, but it has 0; give more rows"),
        (
            lambda rows: f"{rows.to_csv(index=False)}1,2\n",
            "every line must have 6 cells, as the header has, but line 302 has 2",
        ),
        (lambda rows: "not a table at all\n\x00", "rows.csv: is not a csv table"),
    ],
    ids=["missing", "empty", "text", "infinite", "too few", "none", "short line", "no table"],
)
def test_rows_that_cannot_be_scored_are_named_by_their_place_in_the_file(refused, change, message):
    refused(change(table()), message, "--rows-at-once", 50)


@pytest.mark.parametrize(
    ("times", "message", "words"),
    [
        (
            TWICE,
            "column 'when' must ascend, but row 150 has '2024-03-31 02:29:00', which is not after the row above",
            [],
        ),
        (CLOCKLESS, "column 'when' must hold timestamps, but row 150 has 'noon'", []),
        (
            moments(ROWS, "D"),
            "needs at least 10 consecutive rows, but it has 300, with gaps; give more",
            ["--step", 60],
        ),
    ],
    ids=["twice", "no time", "only gaps"],
)
def test_times_that_cannot_be_used_are_named(refused, times, message, words):
    refused(table(when=times), message, "--time", "when", "--rows-at-once", 75, *words)


def test_a_column_of_times_that_is_not_there_is_named(refused):
    refused(table(), "column 'when' is missing", "--time", "when")


def test_a_list_cannot_be_written_as_a_csv(refused):
    rows = table(pair=[[1, 2]] * ROWS)
    refused(rows, "column 'pair' of type list<", "--output", "scored.csv", file="rows.parquet")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--output", "rows.csv"],
            "rows.csv: the output must not be the file that is read; give --output another name",
        ),
        (["--output", "./outputs/../rows.csv"], "the output must not be the file that is read"),
        (["--events", "rows.csv"], "rows.csv: events must not be written over the rows; give --events another name"),
        (["--output", "a.csv", "--events", "a.csv"], "a.csv: events must not be written over the rows"),
        (["--events", "events.parquet"], "events.parquet: events are written as a .csv file; rename it"),
        (
            ["--output", "absent/a.csv"],
            "absent/a.csv and absent/a.events.csv: cannot be written (No such file or directory)",
        ),
        (["--threshold", "nan"], "--threshold: value: input should be a finite number"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_places_that_cannot_be_written_to_are_named(refused, place, words, message):
    (place / "outputs").mkdir()
    rows = table()
    refused(rows, message, *words)
    np.testing.assert_array_equal(pd.read_csv("rows.csv"), rows)


def test_a_result_of_before_outlives_an_error(tsad, score, place):
    score(table())
    before = (place / "scored.csv").read_bytes()
    write(table().assign(s0=table()["s0"].where(table().index != 280)), place / "rows.csv")
    words = ("--output", "scored.csv", "--rows-at-once", 50)
    assert_refused(tsad("score", "detector", "rows.csv", *words), "first at row 280")
    assert (place / "scored.csv").read_bytes() == before


def test_a_step_without_times_is_wrong_usage(tsad, place):
    DETECTORS["last"].save(place / "detector")
    code, _, errors = tsad("score", "detector", "rows.csv", "--step", 60)
    assert code == 2
    assert "a step is the time between rows, but no column of times is named; give --time COLUMN too" in errors[-1]


# --- files of any size ---

PEAKS = """
import resource, sys
from pathlib import Path
from tsad.workflows.score import score
for file in sys.argv[1:]:
    print(score("detector", Path(file)))
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_memory_does_not_grow_with_the_file(place, ending):
    DETECTORS["mean"].save(place / "detector")
    sizes = (100_000, 400_000)
    files = [place / f"rows{rows}.{ending}" for rows in sizes]
    for rows, file in zip(sizes, files, strict=True):
        write(pd.DataFrame(sensors(rows).values, columns=FEATURES), file)
    words = [sys.executable, "-c", PEAKS, *files]
    done = subprocess.run(words, cwd=place, env=environment(), capture_output=True, text=True, check=True)
    assert [f"of {rows} rows flagged" in done.stdout for rows in sizes] == [True, True]
    small, large = (int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("peak"))
    assert large - small < 40, (small, large)  # MB; the texts of 300,000 rows alone are more


def test_the_rows_without_a_score_are_counted_with_the_reason(score):
    _, _, out = score(table())
    assert f"{LENGTH + 1} rows have no score: each needs {LENGTH + 1} rows before it\n" in out


@pytest.mark.parametrize("rows_at_once", ["7", "300"])
def test_rows_after_gaps_are_counted_with_the_reason(score, rows_at_once):
    times = pd.Series(moments(ROWS)) + pd.to_timedelta(np.arange(ROWS) // 100 * 3, unit="h")
    words = ("--rows-at-once", rows_at_once, "--set", "data.time=at", "--set", "data.step_seconds=60")
    _, _, out = score(table(at=times), *words)

    count = 3 * (LENGTH + 1)
    assert f"{count} rows have no score: each needs {LENGTH + 1} rows before it without a gap of more" in out
    assert "more than 600 s, which rows lack in 3 stretches of the file" in out
