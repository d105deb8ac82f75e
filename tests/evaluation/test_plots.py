import io
import struct

import numpy as np
import pytest
from matplotlib.collections import PolyCollection

from tsad.evaluation.plots import (
    draw_f1_vs_threshold,
    draw_losses,
    draw_precision_recall,
    draw_reconstruction,
    draw_roc,
    draw_score_distribution,
    draw_scores,
    draw_series,
)
from tsad.evaluation.plots.style import BUCKETS, thinned
from tsad.evaluation.pointwise import pr_auc, roc_auc

# ranked: 0.8 anomalous, 0.4 normal, 0.35 anomalous, 0.1 normal; the areas are those of test_pointwise
SCORES = np.array([np.nan, 0.1, 0.4, 0.35, 0.8])
LABELS = np.array([True, False, False, True, True])
FLAGS = np.array([False, False, True, False, True])
THRESHOLDS = np.full(5, 0.38)
HEAVY = np.array([1.0, 2.0, 1.0, 1000.0])
NAN = np.full(5, np.nan)
VALUES = np.arange(10.0).reshape(5, 2)


def saved(figure):
    """Returns the (width, height) of the picture after saving it as PNG."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert file.getvalue().startswith(b"\x89PNG")
    return struct.unpack(">II", file.getvalue()[16:24])


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()] if figure.legends else []


def line(figure, label):
    """Returns the (x, y) of the one line whose label begins so."""
    (found,) = (one for axes in figure.axes for one in axes.lines if one.get_label().startswith(label))
    return np.asarray(found.get_xdata(), float), np.asarray(found.get_ydata(), float)


def shades(axes, label):
    """Returns the (first, last) edges of the stretches that are shaded under a label."""
    found = (one for one in axes.collections if isinstance(one, PolyCollection) and one.get_label() == label)
    return [tuple(path.get_extents().intervalx) for one in found for path in one.get_paths()]


def reason(figure):
    return figure.axes[0].texts[0].get_text()


def every_picture(scores, labels, flags, thresholds):
    """Returns each picture of scores by name."""
    rows = len(scores)
    values = np.arange(2.0 * rows).reshape(rows, 2)
    return {
        "scores": draw_scores(scores, labels, thresholds, "title"),
        "score_distribution": draw_score_distribution(scores, labels, thresholds, "title"),
        "roc": draw_roc(scores, flags, labels, "title", {"other": scores[::-1]}),
        "precision_recall": draw_precision_recall(scores, flags, labels, "title", {"other": scores[::-1]}),
        "f1_vs_threshold": draw_f1_vs_threshold(scores, labels, thresholds, "title"),
        "reconstruction": draw_reconstruction(values, values + 1, scores, ("a", "b"), labels, "title"),
        "series": draw_series(values, ("a", "b"), labels, flags, scores, "title"),
    }


AGAINST_LABELS = {"roc", "precision_recall", "f1_vs_threshold"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scores", "labels", "thresholds", "reasons"),
    [
        (SCORES, LABELS, THRESHOLDS, {}),
        (np.ones(5), LABELS, np.ones(5), {}),
        (HEAVY, np.array([False, False, False, True]), np.full(4, 3.0), {}),
        (SCORES, np.zeros(5, bool), THRESHOLDS, dict.fromkeys(AGAINST_LABELS, "all 4 rows are normal")),
        (np.ones(1), np.ones(1, bool), np.zeros(1), dict.fromkeys(AGAINST_LABELS, "all 1 rows are anomalous")),
        (np.ones(1), None, None, dict.fromkeys(AGAINST_LABELS, "no labels")),
        (
            NAN,
            LABELS,
            THRESHOLDS,
            dict.fromkeys(AGAINST_LABELS | {"scores", "score_distribution", "reconstruction"}, "no row has a score"),
        ),
    ],
)
def test_every_picture_is_drawn_of_whatever_there_is_and_says_why_it_is_empty(scores, labels, thresholds, reasons):
    flags = None if thresholds is None else scores > thresholds
    pictures = every_picture(scores, labels, flags, thresholds)
    for name, figure in pictures.items():
        assert saved(figure)[0] == 1080
        assert figure.get_suptitle() == "title"
        assert bool(figure.axes[0].texts) == (name in reasons)
    assert {name: reason(pictures[name]) for name in reasons} == {
        name: f"nothing to draw: {why}" for name, why in reasons.items()
    }


# --- scores ---


def test_scores_are_drawn_over_their_row_numbers_with_their_anomalies():
    figure = draw_scores(SCORES, LABELS, THRESHOLDS, "title", first_row=100)
    rows, values = line(figure, "score")
    np.testing.assert_array_equal(rows, [100, 101, 102, 103, 104])
    np.testing.assert_array_equal(values, SCORES)
    assert shades(figure.axes[0], "labeled anomaly") == [(99.5, 100.5), (102.5, 104.5)]
    assert figure.axes[0].get_xlim() == (99.5, 104.5)
    assert legend(figure) == ["score", "labeled anomaly", "threshold 0.38"]


def test_the_first_reported_row_is_marked():
    figure = draw_scores(SCORES, None, None, "title", reported_from=2)
    assert legend(figure) == ["score", "reported from here"]
    assert line(figure, "reported")[0].tolist() == [2, 2]


@pytest.mark.parametrize("draw", [draw_scores, draw_score_distribution, draw_f1_vs_threshold])
def test_a_threshold_that_labels_chose_is_named_an_oracle(draw):
    assert "threshold 0.38" in legend(draw(SCORES, LABELS, THRESHOLDS, "title", threshold_from="selection"))
    assert "oracle threshold 0.38" in legend(draw(SCORES, LABELS, THRESHOLDS, "title", threshold_from="test"))


@pytest.mark.parametrize("draw", [draw_roc, draw_precision_recall])
def test_flags_that_labels_chose_are_named_an_oracle(draw):
    assert legend(draw(SCORES, FLAGS, LABELS, "title", {}))[-1] == "its flags"
    assert legend(draw(SCORES, FLAGS, LABELS, "title", {}, threshold_from="test"))[-1] == "its flags (oracle)"
    assert "flags" not in " ".join(legend(draw(SCORES, None, LABELS, "title", {})))


@pytest.mark.parametrize(("scores", "scale"), [(HEAVY, "log"), (HEAVY[:3], "linear")])
def test_only_heavy_tails_get_a_logarithmic_axis(scores, scale):
    labels = np.array([True, False, False, False])[: len(scores)]
    assert draw_scores(scores, None, None, "title").axes[0].get_yscale() == scale
    assert draw_score_distribution(scores, None, None, "title").axes[0].get_xscale() == scale
    assert draw_f1_vs_threshold(scores, labels, None, "title").axes[0].get_xscale() == scale


@pytest.mark.parametrize("scores", [SCORES, np.append(HEAVY, [-1.0]), np.ones(5)], ids=["plain", "heavy", "constant"])
def test_each_histogram_adds_up_to_one(scores):
    figure = draw_score_distribution(scores, LABELS, None, "title")
    normal = int((~LABELS & ~np.isnan(scores)).sum())
    anomalous = int((LABELS & ~np.isnan(scores)).sum())
    assert legend(figure) == [f"normal rows ({normal})", f"anomalous rows ({anomalous})"]
    for outline in figure.axes[0].patches:
        x, y = outline.get_xy().T
        tops = y[: len(x) // 2 + 1][1::2]  # an outline goes up and right along the tops, then back along the bottom
        assert tops.sum() == pytest.approx(1)


def test_thresholds_that_differ_are_a_band():
    figure = draw_score_distribution(SCORES, LABELS, np.linspace(0.2, 0.6, 5), "title")
    (band,) = (patch for patch in figure.axes[0].patches if patch.get_label() == "threshold 0.2 to 0.6")
    assert tuple(band.get_extents().transformed(figure.axes[0].transData.inverted()).intervalx) == pytest.approx(
        (0.2, 0.6)
    )


# --- curves ---


def test_the_roc_curve_by_hand():
    flags = SCORES > 0.2  # one of two normal rows and both anomalous ones
    figure = draw_roc(SCORES, flags, LABELS, "title", {})
    x, y = line(figure, "detector")
    assert list(zip(x, y, strict=True)) == [(0, 0), (0, 0.5), (0.5, 0.5), (0.5, 1), (1, 1)]
    assert legend(figure) == ["chance 0.500", "detector 0.750", "its flags"]
    assert [float(one[0]) for one in line(figure, "its flags")] == [1 / 2, 1]
    assert [one.tolist() for one in line(figure, "chance")] == [[0, 1], [0, 1]]


def test_the_precision_recall_curve_by_hand():
    flags = SCORES > 0.2  # three flags, of which two are right
    figure = draw_precision_recall(SCORES, flags, LABELS, "title", {})
    x, y = line(figure, "detector")
    assert x.tolist() == [0.5, 0.5, 1, 1]
    assert y.tolist() == pytest.approx([1, 1 / 2, 2 / 3, 1 / 2])
    assert legend(figure) == ["chance 0.500", "detector 0.833", "its flags"]
    assert [float(one[0]) for one in line(figure, "its flags")] == pytest.approx([1, 2 / 3])


def test_chance_of_precision_is_the_ratio_of_scored_rows():
    figure = draw_precision_recall(SCORES, None, np.array([True, False, False, False, True]), "title", {})
    assert legend(figure)[0] == "chance 0.250"
    assert line(figure, "chance")[1].tolist() == [0.25, 0.25]


@pytest.mark.parametrize("draw", [draw_roc, draw_precision_recall])
def test_the_best_three_others_are_thin_and_the_detector_is_thick(draw):
    grades = {"worst": (0, 0, 0), "poor": (1, 0, 0), "fair": (1, 1, 0), "good": (2, 1, 0), "best": (2, 2, 2)}
    others = {"unscored": NAN}
    for name, (first, second, third) in grades.items():
        others[name] = np.array([first, 0.5, 1.5, second, third])  # normal rows stand between the anomalous ones
    figure = draw(SCORES, None, LABELS, "title", others)
    assert [name.split()[0] for name in legend(figure)] == ["chance", "best", "good", "fair", "detector"]
    assert legend(figure)[1].endswith(" 1.000")
    widths = {one.get_label().split()[0]: one.get_linewidth() for one in figure.axes[0].lines}
    assert widths["detector"] > 2 * max(widths[name] for name in ("best", "good", "fair"))


def test_f1_over_the_threshold_marks_the_threshold_and_the_oracle():
    figure = draw_f1_vs_threshold(SCORES, LABELS, THRESHOLDS, "title")
    x, y = line(figure, "F1")
    assert x.tolist() == pytest.approx([0.1, 0.35, 0.4, 0.8])
    assert y.tolist() == pytest.approx([2 / 3, 4 / 5, 1 / 2, 2 / 3])
    assert line(figure, "precision")[1].tolist() == pytest.approx([1 / 2, 2 / 3, 1 / 2, 1])
    assert line(figure, "recall")[1].tolist() == pytest.approx([1, 1, 1 / 2, 1 / 2])
    assert [float(one[0]) for one in line(figure, "oracle: best F1 0.800 at 0.35")] == pytest.approx([0.35, 0.8])
    assert line(figure, "threshold 0.38")[0].tolist() == [0.38, 0.38]
    assert figure.axes[0].get_ylim() == (-0.02, 1.02)


def test_the_parts_of_a_loss_are_drawn_only_if_there_are_several():
    one = [{"train/loss": 2.0, "train/error": 2.0, "validation/loss": 3.0}, {"train/loss": 1.0, "train/error": 1.0}]
    figure = draw_losses(one, "title")
    assert legend(figure) == ["train loss", "validation loss"]
    np.testing.assert_array_equal(line(figure, "train loss"), [[1, 2], [2, 1]])
    np.testing.assert_array_equal(line(figure, "validation loss")[1], [3, np.nan])
    assert len(legend(draw_losses([one[0] | {"train/critic": 1.0}], "title"))) == 6


# --- series ---


def test_a_reconstruction_shows_the_features_with_the_largest_error_around_the_event_with_the_highest_score():
    rows, features = 1000, 8
    values = np.tile(np.sin(np.arange(rows))[:, None], (1, features)) * 10.0 ** np.arange(features)
    predictions = values * (1 + np.array([0.1, 0.8, 0.2, 0.7, 0.3, 0.6, 0.4, 0.5]))
    scores, labels = np.zeros(rows), np.zeros(rows, bool)
    labels[[*range(300, 450), 800]] = True
    scores[[50, 400, 800]] = 9, 5, 4  # the highest is in no event
    names = tuple("abcdefgh")
    figure = draw_reconstruction(values, predictions, scores, names, labels, "title", first_row=10)
    assert [axes.get_ylabel() for axes in figure.axes] == ["b", "d", "f", "h", "g", "e"]
    assert figure.axes[-1].get_xlim() == (10 + 150 - 0.5, 10 + 600 - 0.5)
    assert shades(figure.axes[0], "labeled anomaly") == [(309.5, 459.5)]
    original, reconstruction = figure.axes[0].lines
    np.testing.assert_array_equal(original.get_ydata(), values[150:600, 1])
    np.testing.assert_array_equal(reconstruction.get_ydata(), predictions[150:600, 1])
    assert (original.get_color(), reconstruction.get_color()) == ("#1f4e79", "#d62728")
    assert set(legend(figure)) == {"original", "reconstruction", "labeled anomaly"}
    alone = draw_reconstruction(values, predictions, scores, names, None, "title")
    assert alone.axes[-1].get_xlim() == (-0.5, 151 - 0.5)


def test_a_reconstruction_without_predictions_says_so():
    assert reason(draw_reconstruction(VALUES, VALUES * np.nan, SCORES, ("a", "b"), None, "title")).endswith(
        "no row has a prediction"
    )


def test_a_series_shows_the_most_moving_features_then_scores_and_flags():
    values = np.zeros((20, 10))
    for feature in range(10):
        values[::2, feature][: feature + 1] = 1  # the later ones change more often
    labels, flags = np.arange(20) == 4, np.arange(20) >= 18
    figure = draw_series(values, tuple("abcdefghij"), labels, flags, values[:, 9], "title", first_row=5)
    assert [axes.get_ylabel() for axes in figure.axes] == [*"cdefghij", "score", "flags"]
    assert all(shades(axes, "labeled anomaly") == [(8.5, 9.5)] for axes in figure.axes)
    assert shades(figure.axes[-1], "flagged") == [(22.5, 24.5)]
    assert not figure.axes[-1].lines
    bare = draw_series(values, tuple("abcdefghij"), None, None, None, "title")
    assert [axes.get_ylabel() for axes in bare.axes] == [*"cdefghij"]
    assert legend(bare) == []


def test_a_long_name_is_shortened_where_a_panel_is_small():
    figure = draw_series(VALUES, ("a", "a_very_long_name_of_a_sensor"), None, None, None, "title")
    assert [axes.get_ylabel() for axes in figure.axes] == ["a", "a_very_lo…f_a_sensor"]


# --- long series ---


def test_a_thinned_series_keeps_every_peak_and_every_gap():
    generator = np.random.default_rng(0)
    values = generator.random(1_000_003)
    values[777_777], values[1_000_002], values[3], values[200_000:210_000] = 50.0, 40.0, -7.0, np.nan
    rows = thinned(values)
    assert {3, 777_777, 1_000_002} <= set(rows.tolist())
    assert BUCKETS < len(rows) <= 2 * BUCKETS
    assert (np.diff(rows) > 0).all()
    assert np.isnan(values[rows]).sum() >= 8


def test_few_rows_are_all_drawn():
    np.testing.assert_array_equal(thinned(np.zeros(2 * BUCKETS)), np.arange(2 * BUCKETS))
    assert len(thinned(np.zeros(2 * BUCKETS + 1))) < 2 * BUCKETS


def test_a_single_row_peak_and_a_single_row_anomaly_of_a_long_series_are_drawn():
    scores = np.random.default_rng(0).random(300_000)
    scores[123_456] = 30.0
    figure = draw_scores(scores, np.arange(300_000) == 123_456, np.full(300_000, 5.0), "title")
    x, y = line(figure, "score")
    assert len(x) <= 2 * BUCKETS
    assert y[x == 123_456] == 30.0
    (shade,) = (one for one in figure.axes[0].collections if one.get_label() == "labeled anomaly")
    assert shade.get_linewidth() >= 1  # its edge is seen where its area is not


@pytest.mark.parametrize(("draw", "area"), [(draw_roc, roc_auc), (draw_precision_recall, pr_auc)])
def test_long_curves_are_thinned_but_their_areas_are_not(draw, area):
    generator = np.random.default_rng(0)
    scores, labels = generator.normal(size=50_000), generator.random(50_000) < 0.3
    scores[labels] += 1
    figure = draw(scores, None, labels, "title", {})
    x, y = line(figure, "detector")
    assert 2 * BUCKETS < len(x) <= 4 * BUCKETS
    assert np.trapezoid(y, x) == pytest.approx(area(scores, labels), abs=1e-3)
    assert legend(figure)[-1] == f"detector {area(scores, labels):.3f}"
