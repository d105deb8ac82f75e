"""The metrics of each entity of a data set with several: those of its own rows."""

import numpy as np
import pytest

from tests.fleets import FEATURES, machine_rows
from tsad.assessment.artifacts import write_assessment
from tsad.assessment.assessment import assess
from tsad.assessment.entities import ENTITY_TABLE, entity_headlines, entity_metrics
from tsad.assessment.summary import show_comparison
from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet, Entity
from tsad.evaluation.report import evaluate
from tsad.experiment import run
from tsad.series import Series
from tsad.spec import parse

EXPERIMENT = parse(
    ExperimentConfig,
    {
        "data": {"kind": "synthetic"},
        "split": {"gap": 9},
        "window": {"length": 8},
        "model": {"kind": "window_linear", "components": 2},
    },
    "test",
)
TEST = (100, 60, 5)  # the last one is too short for a score


def panel(*, labeled=True):
    values = [machine_rows(number, 200 + rows) for number, rows in enumerate(TEST)]
    labels = [np.zeros(rows, dtype=bool) for rows in TEST]
    labels[0][80:90] = True
    values[0][280:290] += 5
    borders = {"train": (200, 400), "test": (100, 160)}
    train, test = (
        Series(np.concatenate(rows).astype(np.float32), FEATURES, truth, borders[name])
        for name, rows, truth in (
            ("train", [part[:200] for part in values], None),
            ("test", [part[200:] for part in values], np.concatenate(labels) if labeled else None),
        )
    )
    entities = (Entity("left", 0, 0), Entity("right", 200, 100), Entity("short", 400, 160))
    return DataSet("panel", "memory", train=train, test=test, entities=entities)


@pytest.fixture(scope="module")
def judged():
    data = panel()
    outcome = run(EXPERIMENT, data)
    return outcome, assess(outcome.detector, EXPERIMENT, data, "panel")


def test_each_entity_is_judged_on_its_own_rows(judged):
    outcome, assessment = judged
    flags = outcome.detector.flag(outcome.test)
    for name, rows in (("left", slice(0, 100)), ("right", slice(100, 160))):
        expected = evaluate(outcome.test.values[rows], flags[rows], outcome.parts.test.labels[rows])
        assert assessment.entities[name].metrics == expected.metrics
    assert "ranking/pr_auc" in assessment.entities["left"].metrics
    assert "ranking/pr_auc" not in assessment.entities["right"].metrics  # it has no anomaly


def test_an_entity_without_scores_has_no_metrics(judged):
    metrics = judged[1].entities["short"].metrics
    assert {name for name, value in metrics.items() if not np.isnan(value)} <= {"rows/unscored", "rows/scored"}


def test_the_table_is_written_printed_and_on_the_page(judged, tmp_path):
    assessment = judged[1]
    write_assessment(assessment, tmp_path)
    written = (tmp_path / ENTITY_TABLE).read_text().splitlines()
    assert [line.split(",")[0] for line in written] == ["entity", "left", "right", "short"]
    printed = show_comparison("detector", assessment)
    assert "entity" in printed
    assert entity_headlines(assessment.entities).index[-1] == "mean"
    assert f"{entity_metrics(assessment.entities)['ranking/pr_auc'].mean():.3f}" in printed.splitlines()[-1]
    page = (tmp_path / "report.html").read_text()
    assert "<h2>Entities</h2>" in page
    assert '<th scope="row">right</th>' in page


def test_rows_without_labels_have_their_shares(judged):
    assessment = assess(judged[0].detector, EXPERIMENT, panel(labeled=False), "panel")
    assert "predicted" in show_comparison("detector", assessment)
    assert set(assessment.entities) == {"left", "right", "short"}


def test_a_single_entity_has_no_table(small_experiment, small_data, tmp_path):
    assessment = assess(run(small_experiment, small_data).detector, small_experiment, small_data, "one")
    write_assessment(assessment, tmp_path)
    assert not (tmp_path / ENTITY_TABLE).exists()
    assert "<h2>Entities</h2>" not in (tmp_path / "report.html").read_text()
