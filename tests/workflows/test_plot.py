"""`tsad plot`: tables with and without scores become pictures."""

import struct

import numpy as np
import pandas as pd
import pytest

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.examples import detector_of, from_defaults, sensors
from tsad.detector.scoring import ScoringSpec
from tsad.models.baselines.principal import WindowLinearSpec
from tsad.workflows import plot as command

pytestmark = pytest.mark.usefixtures("place")

ROWS = 300
USUAL, SERIES = sensors(ROWS), sensors(ROWS)
SERIES.values[120:130, 2] += 5
FEATURES = list(SERIES.features)
DETECTOR = detector_of(from_defaults(WindowLinearSpec), USUAL, 8, ScoringSpec(over="mean"))
FLAGS = DETECTOR.flag(DETECTOR.score(SERIES))


@pytest.fixture
def plot(tsad, monkeypatch, place):
    """Plots; returns the figure, after one run and a look at the PNG, and what was printed."""
    figures = []

    def draw(self, features, title):
        figures.append(drawn(self, features, title))
        return figures[-1]

    drawn = command.Detections.draw
    monkeypatch.setattr(command.Detections, "draw", draw)

    def run(*words, picture):
        code, out, errors = tsad("plot", *words)
        assert (code, errors) == (0, [])
        assert struct.unpack(">I", (place / picture).read_bytes()[16:20]) == (1080,)
        assert f"file: {picture}" in out
        return figures[-1], out

    return run


@pytest.fixture
def scored(tsad, place):
    """Writes rows, and scores them; returns the name of the scored file."""

    def write(ending="csv"):
        rows = pd.DataFrame(SERIES.values.astype(float), columns=FEATURES).assign(comment="fine")
        rows.to_csv(place / "rows.csv", index=False)
        DETECTOR.save(place / "detector")
        assert tsad("score", "detector", "rows.csv", "--output", f"scored.{ending}")[0] == 0
        return f"scored.{ending}"

    return write


def names(figure):
    return [axes.get_ylabel() for axes in figure.axes]


def test_a_scored_table_is_drawn_with_the_features_that_explain_it(plot, scored):
    figure, out = plot(scored(), picture="scored.png")
    assert names(figure)[0] == "s2"
    assert names(figure)[-1] == "score"
    assert len(names(figure)) == command.SHOWN + 1
    assert f"{FLAGS.sum()} of {ROWS} rows flagged, in " in out
    np.testing.assert_allclose(figure.axes[-1].lines[0].get_ydata(), DETECTOR.score(SERIES).values)
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), SERIES.values[:, 2])


def test_a_table_without_scores_is_scored_first(plot, scored, monkeypatch):
    scored()
    monkeypatch.setattr(command, "_ROWS_AT_ONCE", 70)
    monkeypatch.setattr(command, "SHOWN", 1)
    figure, _ = plot("rows.csv", "--model", "detector", picture="rows.png")
    assert names(figure) == ["s2", "score"]
    np.testing.assert_allclose(figure.axes[-1].lines[0].get_ydata(), DETECTOR.score(SERIES).values)
    assert figure.legends[0].get_texts()[-1].get_text().startswith("threshold ")


def test_scores_without_features_are_drawn_alone(plot, place):
    (place / "scores.csv").write_text("score,flag,note\n,False,a\n0.5,False,b\n2.5,True,c\n")
    figure, _ = plot("scores.csv", picture="scores.png")
    assert names(figure) == ["score"]
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), [np.nan, 0.5, 2.5])


@pytest.mark.slow
@pytest.mark.parametrize(("ending", "model"), [("parquet", []), ("csv", ["--model", "detector"])])
def test_rows_and_features_may_be_chosen(plot, scored, ending, model, monkeypatch):
    monkeypatch.setattr(command, "_ROWS_AT_ONCE", 50)
    words = ["--rows", "110:140", "--features", "s5, s0", *model]
    figure, out = plot(scored(ending), *words, picture="scored.png")
    assert names(figure) == ["s5", "s0", "score"]
    assert figure.axes[0].get_xlim() == (109.5, 140.5)
    np.testing.assert_array_equal(figure.axes[1].lines[0].get_ydata(), SERIES.values[110:141, 0])
    assert f"{FLAGS[110:141].sum()} of 31 rows flagged" in out


@pytest.mark.parametrize(
    ("text", "first", "count", "inside"),
    [
        (None, 10, 3, [0, 1, 2]),
        (":", 10, 3, [0, 1, 2]),
        ("11:", 10, 3, [1, 2]),
        (":11", 10, 3, [0, 1]),
        ("11:11", 10, 3, [1]),
        ("20:30", 10, 3, []),
        (":5", 10, 3, []),
    ],
)
def test_a_window_of_rows_includes_both_its_ends(text, first, count, inside):
    assert list(command.Window.parse(text).of(first, count)) == inside


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rows.csv"], "rows.csv: must have the columns 'score' and 'flag'; score it with tsad score, or give --model"),
        (["scored.csv", "--output", "a.jpg"], "a.jpg: a picture must be a .png file; rename it"),
        (["scored.csv", "--features", "s0,s9"], "scored.csv: column 's9' is missing; it has "),
        (["scored.csv", "--features", "comment"], "scored.csv: column 'comment' must hold numbers to be drawn"),
        (
            ["scored.csv", "--rows", "9"],
            "--rows must be FIRST:LAST with FIRST at most LAST, but got '9'; write 500:900",
        ),
        (["scored.csv", "--rows", "9:8"], "--rows must be FIRST:LAST with FIRST at most LAST, but got '9:8'"),
        (["scored.csv", "--rows", "300:"], "scored.csv: has no rows 300:, so there is nothing to draw"),
        (["scored.csv", "--model", "outputs"], "outputs: must hold detector.json"),
        (
            ["odd.csv"],
            "odd.csv: column 'flag' must be as tsad score writes it, but row 7 has 'maybe'; score the rows again",
        ),
        (["absent.csv"], "absent.csv: cannot be read (No such file)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_drawn_is_named(tsad, scored, place, words, message):
    table = pd.read_csv(scored())
    table.assign(flag=table["flag"].astype(str).where(table.index != 7, "maybe")).to_csv("odd.csv", index=False)
    code, _, errors = tsad("plot", *words)
    assert code == 1
    (line,) = errors
    assert message in line
    assert not list(place.glob("*.png"))
