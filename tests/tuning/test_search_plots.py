from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from tests.tuning.trials import SPACE, drawn, in_niche, trial
from tsad.evaluation.intervals import Interval
from tsad.evaluation.plots.style import ALARM
from tsad.spec import parse
from tsad.tuning.plots import (
    draw_importance,
    draw_incumbent,
    draw_lineage,
    draw_niches,
    draw_parallel_coordinates,
    draw_pareto,
    search_plots,
)
from tsad.tuning.spec import SearchSpec

SPEC = parse(SearchSpec, {"algorithm": {"kind": "evolution"}}, "search")
MAP_ELITES = parse(SearchSpec, {"algorithm": {"kind": "map_elites"}}, "search")


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()] if figure.legends else []


def line(axes, label):
    """Returns the (x, y) points of the one line whose label begins so."""
    (found,) = (one for one in axes.lines if one.get_label().startswith(label))
    return [(float(x), float(y)) for x, y in zip(*found.get_data(), strict=True)]


def dots(axes, label):
    """Returns the (x, y) points of the one cloud of a label."""
    (found,) = (one for one in axes.collections if one.get_label() == label)
    return [tuple(point) for point in found.get_offsets().tolist()]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def priced(costs):
    """Returns trials of (value, parameters)."""
    return [trial(n, value, metrics={"cost/parameters": cost}) for n, (value, cost) in enumerate(costs)]


# --- all of them ---


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trials", "names"),
    [
        ([], set()),
        ([trial(0, state="failed")], set()),
        ([trial(0, 0.5)], {"incumbent"}),
        (drawn(4), {"incumbent", "parallel_coordinates", "pareto"}),
        (drawn(8, population=4), {"incumbent", "parallel_coordinates", "pareto", "lineage"}),
        (drawn(14), {"incumbent", "parallel_coordinates", "pareto", "importance"}),
        ([replace(each, elapsed=0.0, seconds=0.0, value=-1e9) for each in drawn(4)], None),
        ([trial(n, 0.5, params={"window.length": n % 3}) for n in range(3)], {"incumbent", "parallel_coordinates"}),
        (drawn(300, population=50), None),
    ],
    ids=["none", "failed", "one", "four", "children", "many", "timeless", "equal", "hundreds"],
)
def test_a_search_has_the_pictures_that_its_trials_fill(trials, names):
    found = search_plots(trials, SPEC, SPACE)
    assert names is None or set(found) == names
    for figure in found.values():
        figure.draw_without_rendering()
        assert not any(text.startswith("nothing to draw") for axes in figure.axes for text in texts(axes))


@pytest.mark.parametrize(
    ("figure", "reason"),
    [
        (draw_incumbent([], [], "title"), "no trial finished with a value"),
        (draw_niches([trial(0)], "title"), "no trial finished with a value"),
        (draw_lineage([trial(0)], "title"), "no trial finished with a value"),
        (
            draw_parallel_coordinates([trial(0, 0.5)], SPACE, "title"),
            "no hyperparameter has two values among the finished trials",
        ),
        (draw_importance({}, SPACE, "title"), "too few finished trials to tell"),
        (draw_pareto([trial(0, 0.5)], ["cost/parameters"], "title"), "no finished trial has these costs"),
    ],
)
def test_a_picture_of_nothing_says_why(figure, reason):
    assert texts(figure.axes[0]) == [f"nothing to draw: {reason}"]


# --- incumbent ---


def test_the_incumbent_rises_where_a_better_trial_ends():
    trials = [trial(0, 0.5), trial(1, 0.25), trial(2, 0.75, elapsed=30.0)]
    over_trials, over_seconds = draw_incumbent(trials, [], "title").axes
    assert line(over_trials, "best so far") == [(1, 0.5), (3, 0.75), (3, 0.75)]
    assert line(over_seconds, "best so far") == [(1, 0.5), (30, 0.75), (30, 0.75)]
    assert dots(over_trials, "finished") == [(1, 0.5), (2, 0.25), (3, 0.75)]


def test_trials_without_a_value_and_diverged_ones_stand_on_the_lowest_line():
    trials = [trial(0, 0.5), trial(1, 0.75), trial(2, 0.6), trial(3, -1e6), trial(4, state="failed")]
    trials += [trial(5, 0.55, state="stopped")]
    axes = draw_incumbent(trials, [], "title").axes[0]
    (_, diverged), (_, failed) = dots(axes, "finished")[3], dots(axes, "failed")[0]
    assert 0.4 < diverged == failed < 0.5
    assert dots(axes, "stopped") == [(6, 0.55)]
    assert "lower, or no value" in texts(axes)
    ordinary = [trial(n, value) for n, value in enumerate((0.9, 0.9, 0.8, 0.7, 0.4))]
    assert texts(draw_incumbent(ordinary, [trial(9, -1e6)], "title").axes[0]) == []


def test_what_random_has_below_all_trials_is_cut_off():
    axes = draw_incumbent([trial(0, 0.25), trial(1, 0.75)], [trial(9, -1e6), trial(10, 0.9)], "title").axes[0]
    assert 0 < axes.get_ylim()[0] < 0.25
    assert axes.get_ylim()[1] > 0.9


def test_random_stands_beside_at_equal_cost():
    random = [trial(0, 0.25), trial(1, 0.5, seconds=3.0)]  # 2 seconds on average
    trials = [*random, trial(2, 0.75, parents=(0, 1), seconds=8.0, elapsed=6.0)]  # 12 seconds of work in 6: two by two
    figure = draw_incumbent(trials, random, "title")
    assert line(figure.axes[0], "expected best") == [(1, 0.375), (2, 0.5)]
    assert line(figure.axes[1], "expected best") == [(1, 0.375), (2, 0.5)]
    slower = draw_incumbent(trials, [replace(each, seconds=5.0) for each in random], "title")
    assert line(slower.axes[1], "expected best") == [(2.5, 0.375), (5, 0.5)]
    assert "expected best of random (2 drawn), 95 %" in legend(figure)


def test_a_long_search_is_drawn_in_hours():
    figure = draw_incumbent([trial(0, 0.5, elapsed=36_000.0)], [], "title")
    assert figure.axes[1].get_xlabel() == "hours"
    assert line(figure.axes[1], "best so far")[0] == (10, 0.5)


# --- hyperparameters ---


def test_lines_pass_the_options_that_a_trial_has():
    trials = [
        trial(0, 0.25, params={"window.length": 0, "model": 2}),
        trial(1, 0.75, params={"window.length": 2, "model": 0, "training.learning_rate": 1e-2}),
        trial(2, 0.5, params={"window.length": 1, "model": 2, "training.learning_rate": 1e-1}),
    ]
    axes = draw_parallel_coordinates(trials, SPACE, "title").axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["length", "model", "learning_rate", "value"]
    lines = {round(one.get_xdata()[-1], 3): one.get_xdata() for one in axes.lines if len(one.get_xdata()) == 4}
    middle = (0.13 + 1) / 2
    expected = {0.13: [0.13, 1, 0, 0.13], 1.0: [1, 0.13, middle, 1], round(middle, 3): [middle, 1, 1, middle]}
    assert lines.keys() == expected.keys()
    for place, crossed in expected.items():
        np.testing.assert_allclose(lines[place], crossed, atol=0.0121)
    assert {"8", "16", "32", "lstm_ae", "tcn_ae", "l2", "0.001", "0.01", "0.1", "not used"} <= set(texts(axes))


def test_the_best_three_are_named_in_their_colors():
    figure = draw_parallel_coordinates(drawn(20), SPACE, "title")
    best = sorted(drawn(20), key=lambda each: each.rank)[:3]
    assert legend(figure) == [f"{each.value:.3f}  {each.candidate.name}" for each in best]
    thick = [one for one in figure.axes[0].lines if one.get_linewidth() == 2.6 and len(one.get_xdata())]
    assert [to_hex(one.get_color()) for one in thick] == [ALARM]
    assert thick[0].get_xdata()[-1] == pytest.approx(1)


def test_without_conditional_params_there_is_no_lane():
    trials = [trial(n, n / 10, params={"window.length": n}) for n in range(3)]
    assert "not used" not in texts(draw_parallel_coordinates(trials, SPACE, "title").axes[0])


def test_the_most_important_param_is_on_top():
    shares = {"model": Interval(0.25, 0.125, 0.5), "window.length": Interval(0.75, 0.5, 0.875)}
    axes = draw_importance(shares, SPACE, "title").axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["model", "length"]
    assert [bar.get_width() for bar in axes.patches] == [0.25, 0.75]
    (spans,) = axes.collections
    assert [segment[:, 0].tolist() for segment in spans.get_segments()] == [[0.125, 0.5], [0.5, 0.875]]


# --- costs ---


def test_the_front_is_a_stair_of_what_no_other_beats():
    figure = draw_pareto(priced([(0.5, 2.0), (0.75, 4.0), (0.6, 5.0), (0.25, 1.0)]), ["cost/parameters"], "title")
    axes = figure.axes[0]
    assert line(axes, "front") == [(5, 0.75), (4, 0.75), (2, 0.5), (1, 0.25)]
    assert [one.get_drawstyle() for one in axes.lines if one.get_label() == "front"] == ["steps-pre"]
    assert texts(axes) == ["g00-lstm_ae-001", "g00-lstm_ae-000", "g00-lstm_ae-003"]
    assert (axes.get_xscale(), axes.get_xlabel(), axes.get_ylabel()) == ("linear", "parameters", "value")


@pytest.mark.parametrize(("costs", "scale"), [((1, 100), "log"), ((0, 1, 100), "symlog"), ((1, 20), "linear")])
def test_costs_over_decades_are_logarithmic(costs, scale):
    figure = draw_pareto(priced([(0.5, float(cost)) for cost in costs]), ["cost/parameters"], "title")
    assert figure.axes[0].get_xscale() == scale
    low, high = figure.axes[0].get_xlim()
    assert low < min(costs) < max(costs) <= high


@pytest.mark.parametrize("values", [np.linspace(0.5, 0.51, 40), np.geomspace(0.001, 1, 40), np.linspace(-9, 0.5, 5)])
def test_names_of_a_front_do_not_overlap(values):
    figure = draw_pareto(priced([(value, n + 1.0) for n, value in enumerate(values)]), ["cost/parameters"], "title")
    figure.draw_without_rendering()
    names = [text for text in figure.axes[0].texts if text.get_text().startswith("g0")]
    assert len(names) == min(12, len(values))
    boxes = sorted((super(type(text), text).get_window_extent() for text in names), key=lambda box: box.y0)
    assert all(above.y0 >= below.y1 for below, above in pairwise(boxes))
    assert boxes[0].y0 >= 0
    assert max(box.x1 for box in boxes) <= 1080


# --- lineage ---


def test_the_ancestors_of_the_best_are_red():
    trials = [
        trial(0, 0.5),
        trial(1, 0.25),
        trial(2, 0.6, generation=1, parents=(0,)),
        trial(3, 0.4, generation=1, parents=(0, 1)),
        trial(4, 0.75, generation=2, parents=(2, 9)),
    ]
    figure = draw_lineage(trials, "title")
    ends = {
        tuple(float(value) for value in one.get_ydata()): to_hex(one.get_color()) == ALARM
        for one in figure.axes[0].lines
    }
    assert ends == {(0.5, 0.6): True, (0.6, 0.75): True, (0.5, 0.4): False, (0.25, 0.4): False}
    assert legend(figure) == ["lstm_ae", "g02-lstm_ae-004"]
    assert dots(figure.axes[0], "lstm_ae") == [(-0.125, 0.5), (0.125, 0.25), (0.875, 0.6), (1.125, 0.4), (2, 0.75)]


def test_families_beyond_the_markers_share_one():
    trials = [trial(n, n / 10, family=f"family{n}", parents=(0,)) for n in range(9)]
    figure = draw_lineage(trials, "title")
    assert legend(figure)[:-1] == [*(f"family{n}" for n in range(5)), "other families"]
    assert len(dots(figure.axes[0], "other families")) == 4


# --- niches ---

NICHES = [
    in_niche(0, 0.5, "lstm_ae", 8),
    in_niche(1, 0.25, "lstm_ae", 8),
    in_niche(2, 0.7, "lstm_ae", 65),
    in_niche(3, 0.8, "tcn_ae", 32),
    in_niche(4, None, "l2", 8, state="failed"),
]


def cell_colors(axes):
    """Returns the colors of cells by (family, memory)."""
    families = [text.get_text() for text in axes.get_yticklabels()]
    memories = [text.get_text().split("\n")[0] for text in axes.get_xticklabels()]
    return {
        (families[round(cell.get_y() + 0.5)], memories[round(cell.get_x() + 0.5)]): to_hex(cell.get_facecolor())
        for cell in axes.patches
    }


def test_only_a_search_by_map_elites_has_a_picture_of_niches():
    assert "niches" in search_plots(NICHES, MAP_ELITES, SPACE)
    assert "niches" not in search_plots(
        NICHES, parse(SearchSpec, {"algorithm": {"kind": "evolution"}}, "search"), SPACE
    )
    assert "niches" not in search_plots([trial(0, state="failed")], MAP_ELITES, SPACE)


def test_a_cell_holds_the_best_value_and_the_number_of_trials_of_its_niche():
    axes = draw_niches(NICHES, "title").axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["tcn_ae", "lstm_ae", "l2"]
    assert [text.get_text().split("\n") for text in axes.get_xticklabels()] == [
        ["short", "fewer than 16 rows"],
        ["medium", "16 to 63 rows"],
        ["long", "64 rows or more"],
    ]
    assert {(text.get_position()[::-1]): text.get_text() for text in axes.texts} == {
        (0, 0): "no trial",
        (0, 1): "0.800\n1 trial",
        (0, 2): "no trial",
        (1, 0): "0.500\n2 trials",
        (1, 1): "no trial",
        (1, 2): "0.700\n1 trial",
        (2, 0): "no value\n1 trial",
        (2, 1): "no trial",
        (2, 2): "no trial",
    }
    low, high = axes.get_ylim()
    assert low > high  # the first row, the best family, is on top


def test_a_better_niche_is_darker_and_one_without_a_value_is_gray():
    colors = cell_colors(draw_niches(NICHES, "title").axes[0])
    best, middle, worst = (
        sum(bytes.fromhex(colors[niche][1:]))
        for niche in (("tcn_ae", "medium"), ("lstm_ae", "long"), ("lstm_ae", "short"))
    )
    assert best < middle < worst
    assert colors["l2", "short"] == colors["l2", "long"] == "#f4f4f4"


def test_equal_values_are_all_dark_and_need_no_scale():
    figure = draw_niches([in_niche(0, 0.5, "l2", 8), in_niche(1, 0.5, "tcn_ae", 32)], "title")
    assert len(figure.axes) == 1
    assert sorted(cell_colors(figure.axes[0]).values()) == ["#081d58"] * 2 + ["#f4f4f4"] * 4


def test_a_diverged_niche_does_not_make_all_others_equal():
    diverged = [*NICHES, in_niche(5, -1e6, "l2", 32), in_niche(6, 0.6, "tcn_ae", 8)]
    colors = cell_colors(draw_niches(diverged, "title").axes[0])
    assert len(set(colors.values())) == 5  # four values, of which the lowest two share a color, and gray
    assert colors["l2", "medium"] == colors["lstm_ae", "short"]


@pytest.mark.parametrize("families", [1, 2, 12])
def test_the_text_of_a_cell_fits_into_it_and_is_readable(families):
    trials = [
        in_niche(number, -12345.678 * (number + 1), f"a_family_of_models_{number // 3:02d}", (8, 32, 100)[number % 3])
        for number in range(3 * families - 1)
    ]
    figure = draw_niches(trials, "title")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    for text, cell in zip(axes.texts, axes.patches, strict=True):
        inner, outer = text.get_window_extent(), cell.get_window_extent()
        assert outer.x0 < inner.x0 < inner.x1 < outer.x1
        assert outer.y0 < inner.y0 < inner.y1 < outer.y1
        assert contrast(cell.get_facecolor(), text.get_color()) >= 4.5
    labels = [text.get_window_extent() for text in axes.get_yticklabels()]
    assert all(above.y0 > below.y1 for above, below in pairwise(labels))
    assert min(box.x0 for box in labels) >= 0


def contrast(first, second):
    """Returns the contrast ratio of two colors (WCAG 2.1); 4.5 is enough for small text."""
    linear = [np.array(to_rgb(color)) for color in (first, second)]
    linear = [np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) for rgb in linear]
    dark, light = sorted(float(rgb @ (0.2126, 0.7152, 0.0722)) for rgb in linear)
    return (light + 0.05) / (dark + 0.05)
