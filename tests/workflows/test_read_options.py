"""What a training on somebody's file says of how rows are read, and how `tsad score` reads others of its form then."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.examples import detector_of, from_defaults, sensors
from tsad.data.io.read_options import READ_OPTIONS, ReadOptions
from tsad.data.io.times import to_times
from tsad.data.io.values import to_values
from tsad.data.sets.csv import CsvSpec
from tsad.data.split import SplitSpec, split
from tsad.detector.scoring import MeanSmoothing, ScoringSpec
from tsad.errors import DataError, DetectorError
from tsad.models.baselines.principal import WindowLinearSpec

pytestmark = pytest.mark.usefixtures("place")

ROWS = 200
SERIES = sensors(ROWS)
SERIES.values[120:130, 2] += 5
FEATURES = list(SERIES.features)
DETECTOR = detector_of(
    from_defaults(WindowLinearSpec), sensors(ROWS), 8, ScoringSpec(smooth=MeanSmoothing(kind="mean", length=3))
)
FORM = {"separator": ";", "decimal": ",", "skip": 2, "time": "when", "empty": ("n/k", "-999"), "missing": "ffill"}
SETTINGS = CsvSpec(kind="csv", path="load.csv", **FORM)


def german(first="2024-03-10", step="min"):
    """Returns rows as a German spreadsheet writes them below two lines of title: days first, commas, `n/k` for nothing."""
    when = pd.date_range(first, periods=ROWS, freq=step).strftime("%d.%m.%Y %H:%M:%S")
    rows = pd.DataFrame(SERIES.values.astype(float), columns=FEATURES)
    return when, rows


def text(when, rows):
    numbers = rows.map(lambda cell: repr(cell).replace(".", ",") if isinstance(cell, float) else cell)
    body = numbers.assign(when=when).to_csv(index=False, sep=";")
    return f"pump 7\n\n{body}"


@pytest.fixture
def learned(place):
    """Writes a file, learns how it is read, and saves that beside the detector."""

    def learn(content=None, **changes):
        (place / "load.csv").write_text(content or text(*german("2024-03-13")))
        data = SETTINGS.model_copy(update=changes).load(place)
        DETECTOR.save(place / "detector")
        data.read_options.save(place / "detector")
        return data

    return learn


@pytest.fixture
def score(tsad, place):
    """Scores a file; returns exit code, the scores, what was printed and the line of the error."""

    def command(content, *words):
        (place / "new.csv").write_text(content)
        code, out, errors = tsad("score", "detector", "new.csv", *words)
        scores = None if code else pd.read_csv("new.scored.csv", sep=None, engine="python", decimal=",")["score"]
        return code, scores, out, (errors or [""])[-1]

    return command


# --- what is learned ---


def test_a_training_says_what_was_set_and_what_the_cells_decided(learned, place):
    data = learned()
    found = ReadOptions.load(place / "detector")
    assert (
        found == data.read_options == ReadOptions(**FORM, features=SERIES.features, day_first=True, step_seconds=60.0)
    )
    assert split(data, SplitSpec(gap=10), 10).read_options == found


def test_what_a_file_shows_by_itself_is_left_open(learned):
    plain = {"separator": None, "decimal": None, "empty": (), "missing": "error"}
    known = {"features": SERIES.features, "day_first": True, "step_seconds": 60.0}
    assert learned(**plain).read_options == ReadOptions(time="when", skip=2, **known)


def test_a_detector_of_before_leaves_all_open(tmp_path):
    assert ReadOptions.load(tmp_path) == ReadOptions()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "it: Invalid JSON"),
        ('{"format": "tsad-read-options-2"}', "format: Input should be 'tsad-read-options-1'"),
        ('{"separator": "x"}', "separator: Input should be"),
        ('{"stop": 1}', "stop: Extra inputs are not permitted"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, content, message):
    (tmp_path / READ_OPTIONS).write_text(content)
    with pytest.raises(
        DetectorError, match=rf"{READ_OPTIONS}: must say how rows are read, but {message}.*; train again, or"
    ):
        ReadOptions.load(tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / READ_OPTIONS).mkdir()
    with pytest.raises(DetectorError, match=rf"{READ_OPTIONS}: cannot be read"):
        ReadOptions.load(tmp_path)


# --- how it is used ---


def test_a_file_of_the_same_form_is_scored_without_an_option(learned, score):
    learned()
    when, rows = german("2024-04-01")  # which alone does not tell day from month
    code, scores, out, _ = score(text(when, rows))
    assert code == 0
    np.testing.assert_allclose(scores, DETECTOR.score(SERIES).values, rtol=1e-6)
    assert "apart" not in out
    assert pd.read_csv("new.scored.events.csv", sep=";")["start"].str.startswith("01.04.2024 02:0").any()


@pytest.mark.parametrize("at_once", [65, 1000])
def test_empty_cells_are_filled_as_in_the_training_whatever_the_chunks(learned, score, at_once):
    learned()
    when, rows = german()
    filled = SERIES.values.copy()
    filled[60:69, 1], filled[100, 3] = filled[59, 1], filled[99, 3]
    rows = rows.astype(object)
    rows.iloc[60:69, 1], rows.iloc[100, 3] = "n/k", -999.0
    _, scores, _, _ = score(text(when, rows), "--rows-at-once", at_once)
    np.testing.assert_allclose(scores, DETECTOR.score(dataclasses.replace(SERIES, values=filled)).values, rtol=1e-6)


def test_numbers_that_mean_nothing_are_empty_whatever_the_file():
    with pytest.raises(DataError, match="x: column 'a' has 1 empty cells, first at row 1"):
        to_values(pd.DataFrame({"a": [1.0, -999.0]}), ["a"], "x", ("n/k", "-999"))


def test_days_and_months_are_never_guessed():
    with pytest.raises(
        DataError,
        match=r"x: dates such as '01/03/2024' in row 0 can be read in two ways; say which it is: data\.day_first",
    ):
        to_times(pd.Series(["01/03/2024", "02/03/2024"]), "x")


@pytest.mark.parametrize("at_once", [65, 1000])
def test_a_longer_stretch_than_was_ever_filled_is_an_error(learned, score, at_once):
    learned(missing_limit=8)
    when, rows = german()
    rows = rows.astype(object)
    rows.iloc[60:69, 1] = "n/k"
    *_, error = score(text(when, rows), "--rows-at-once", at_once)
    assert "new.csv: column 's1' has 9 empty cells one after the other, more than missing_limit 8; give" in error


def test_a_parquet_file_is_read_so_too(learned, tsad):
    learned()
    _, rows = german()
    when = pd.date_range("2024-03-10", periods=ROWS, freq="min")
    rows.iloc[0, 1] = -999.0
    rows.assign(when=when).to_parquet("new.parquet")
    code, _, (*_, error) = tsad("score", "detector", "new.parquet")
    assert code == 1
    assert "column 's1' has 1 empty cells, first at row 0; give them a value" in error


def test_a_gap_in_time_begins_a_segment(learned, score):
    learned()
    when, rows = german()
    later = pd.date_range("2024-03-10 08:00", periods=100, freq="min").strftime("%d.%m.%Y %H:%M:%S")
    _, scores, _, _ = score(text([*when[:100], *later], rows))
    np.testing.assert_allclose(scores, DETECTOR.score(dataclasses.replace(SERIES, boundaries=(100,))).values, rtol=1e-6)


@pytest.mark.parametrize(("step", "seconds"), [("10min", "600"), ("s", "1")])
def test_another_step_is_said_and_is_that_of_the_gaps(learned, score, step, seconds):
    learned()
    code, scores, out, _ = score(text(*german(step=step)))
    assert code == 0
    assert (
        f"new.csv: its rows are {seconds} s apart, but the detector was trained on rows 60 s apart, so its scores"
        in out
    )
    np.testing.assert_allclose(scores, DETECTOR.score(SERIES).values, rtol=1e-6)


def test_a_step_that_is_given_is_taken(learned, score):
    learned()
    _, _, out, error = score(text(*german(step="30min")), "--step", 120)
    assert "its rows are 120 s apart, but the detector was trained on rows 60 s" in out
    assert "needs at least 10 consecutive rows, but it has 200, with gaps" in error


def test_what_is_given_counts(learned, score):
    learned()
    when, rows = german()
    other = rows.assign(at=when[::-1]).to_csv(index=False)
    words = [f"data.{name}" for name in ("skip=0", "decimal=.", "separator=null", "time=null")]
    code, *_ = score(other, *(word for setting in words for word in ("--set", setting)))
    assert code == 0
    np.testing.assert_allclose(pd.read_csv("new.scored.csv")["score"], DETECTOR.score(SERIES).values, rtol=1e-6)


def test_rows_without_a_header_get_one(score, place):
    DETECTOR.save(place / "detector")
    _, rows = german()
    content = rows.to_csv(index=False, header=False, sep=";", decimal=",")
    *_, error = score(content, "--set", "data.header=false")
    assert "column 's0' is missing; it has ['f00', 'f01', 'f02', 'f03', 'f04', 'f05']" in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--time", "at"], "column 'at' is missing, which holds the times; it has ['s0'"),
        (["--set", "data.time=at"], "column 'at' is missing"),
        (["--set", "data.skip=-1"], "how rows are read: data.skip: input should be greater than or equal to 0"),
        (["--set", "data.test_ratio=0.1"], "how rows are read: data.test_ratio: extra inputs are not permitted"),
        (
            ["--set", "data.skip=0"],
            "its first line must name the columns, but is 'pump 7', and line 3 is the first with 7 cells",
        ),
        (
            ["--set", "data.encoding=utf-16"],
            "has no byte order mark, which utf-16 needs; set data.encoding=utf-16-le, or",
        ),
        (["--set", "data.missing=error"], "column 's1' has 1 empty cells, first at row 60"),
        (["--set", "data.day_first=false"], "column 'when' must hold timestamps, but row 0 has '13.03.2024 00:00:00'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_settings_that_do_not_fit_are_named(learned, score, words, message):
    learned()
    when, rows = german("2024-03-13")
    rows = rows.astype(object)
    rows.iloc[60, 1] = "n/k"
    code, *_, error = score(text(when, rows), *words)
    assert code == 1
    assert message in error


@pytest.mark.slow
def test_a_table_is_drawn_with_the_scores_that_it_gets(learned, tsad, place):
    learned()
    (place / "new.csv").write_text(text(*german("2024-04-01")))
    code, out, _ = tsad("plot", "new.csv", "--model", "detector")
    assert code == 0
    assert f"{int(DETECTOR.flag(DETECTOR.score(SERIES)).sum())} of {ROWS} rows flagged" in out
