import numpy as np
import pytest

from tsad.evaluation.chance import Chance, chance
from tsad.evaluation.report import evaluate

ROWS, FLAGGED, DRAWS = 600, 0.05, 100


@pytest.fixture(scope="module")
def labels():
    """Events of 12 rows at irregular distances: 14 % of the rows."""
    labels = np.zeros(ROWS, bool)
    for start in (30, 70, 200, 290, 330, 450, 560):
        labels[start : start + 12] = True
    return labels


@pytest.fixture(scope="module")
def levels(labels):
    return chance(labels, FLAGGED, np.random.default_rng(0), DRAWS)


@pytest.mark.parametrize(
    ("metric", "known"),
    [
        ("ranking/roc_auc", 0.5),
        ("ranking/pr_auc", 84 / 600),
        ("point/precision", 84 / 600),
        ("point/recall", FLAGGED),
        ("ratio/predicted", FLAGGED),
        ("ratio/true", 84 / 600),
        ("event/recall", 1 - (1 - FLAGGED) ** 12),
    ],
)
def test_chance_is_what_probability_says(levels, metric, known):
    mean, low, high = levels[metric]
    assert mean == pytest.approx(known, rel=0.1)
    assert low <= known <= high or metric == "ratio/true"


def test_chance_has_every_metric_of_a_report_of_the_rows(levels, labels):
    scores = np.random.default_rng(1).random(ROWS)
    metrics = evaluate(scores, scores > 1 - FLAGGED, labels).metrics
    assert levels.keys() == {name for name in metrics if not name.startswith("rows/")}
    assert all(low <= mean + 1e-12 and mean <= high + 1e-12 for mean, low, high in levels.values())


def test_fresh_random_scores_get_their_chance_level_in_every_metric(levels, labels):
    generator, inside = np.random.default_rng(2), {name: [] for name in levels if name != "ratio/true"}
    for _ in range(40):
        scores = generator.random(ROWS)
        metrics = evaluate(scores, scores > 1 - FLAGGED, labels).metrics
        for name in inside.keys() & metrics.keys():
            inside[name].append(levels[name].low <= metrics[name] <= levels[name].high)
    covered = {name: np.mean(hits) for name, hits in inside.items()}
    assert len(covered) > 25
    assert np.mean(list(covered.values())) == pytest.approx(0.95, abs=0.04)
    assert min(covered.values()) > 0.8, covered


def test_scores_that_know_the_labels_leave_the_interval(levels, labels):
    scores = np.random.default_rng(3).random(ROWS) + 2 * labels
    metrics = evaluate(scores, scores > 2.5, labels).metrics
    gains = [name for name in levels if name.startswith(("ranking/", "oracle/best_f1", "point/", "event/", "range/"))]
    assert len(gains) > 10
    assert all(metrics[name] > levels[name].high for name in gains)


def test_point_adjustment_flatters_chance(levels):
    assert levels["oracle/best_point_adjusted_f1"].mean > 2 * levels["oracle/best_f1"].mean


def test_a_metric_that_few_draws_define_is_kept():
    labels = np.arange(300) < 6  # one event of six rows: about half of the draws find nothing of it

    def has_delay(draws):
        return "operation/delay_rows" in chance(labels, 0.1, np.random.default_rng(2), draws)

    assert (has_delay(1), has_delay(20)) == (False, True)


def test_without_a_flag_chance_finds_nothing(labels):
    levels = chance(labels, 0.0, np.random.default_rng(0), 2)
    assert levels["point/f1"] == levels["event/f1"] == levels["affiliation/f1"] == Chance(0, 0, 0)
    assert "operation/delay_rows" not in levels
