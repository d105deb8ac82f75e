from dataclasses import replace

import numpy as np
import pytest

from tsad.assessment.assessment import Gain, assessment_from_scores
from tsad.assessment.summary import conclusion, show_comparison
from tsad.config import ExperimentConfig
from tsad.evaluation.intervals import Interval
from tsad.evaluation.report import Report
from tsad.provenance import Provenance
from tsad.selection.trial import Candidate, Trial
from tsad.spec import parse
from tsad.tuning.trial_table import show_trials, trial_table


@pytest.fixture(scope="module")
def assessment():
    """Scores of 200 rows beside baselines of one, as of a detector that labels chose."""
    labels = np.arange(200) % 40 < 6
    found = assessment_from_scores(np.random.default_rng(0).random(200) + 0.5 * labels, labels, "scores")
    gain = Gain("l2", 0.5, 0.25, Interval(0.25, 0.125, 0.375))
    return replace(
        found,
        baselines={"l2": Report({"ranking/pr_auc": 0.25, "deployable/f1": 0.125, "point/f1": 0.125})},
        provenance=Provenance(selection="selection"),
        certainty=replace(found.certainty, gain=gain),
    )


def rows_of(text):
    """Returns the cells of a table that people read, by heading, by the first word of its rows."""
    head, *lines = (line.split() for line in text.splitlines())
    return {cells[0]: dict(zip(head, cells, strict=True)) for cells in lines}


def test_the_baselines_and_chance_stand_below_the_detector(assessment):
    rows = rows_of(show_comparison("mine", assessment))
    assert list(rows) == ["mine", "l2", "chance"]
    assert rows["mine"]["pr_auc"] == f"{assessment.report.metrics['ranking/pr_auc']:.3f}"
    assert rows["l2"]["pr_auc"] == "0.250"
    assert rows["chance"]["pr_auc"] == f"{assessment.certainty.chance['ranking/pr_auc'].mean:.3f}"


def test_columns_say_which_metrics_are_oracles(assessment):
    rows = rows_of(show_comparison("mine", assessment))
    columns = [
        "detector",
        "vus_pr",
        "pr_auc",
        "roc_auc",
        "oracle/best_f1",
        "deployable/f1",
        "event/f1",
        "affiliation/f1",
    ]
    assert list(rows["mine"]) == columns
    assert rows["mine"]["deployable/f1"] == rows["l2"]["oracle/best_f1"] == "-"
    assert rows["l2"]["deployable/f1"] == "0.125"


def test_without_labels_there_is_no_chance(assessment):
    assert list(rows_of(show_comparison("mine", replace(assessment, certainty=None)))) == ["mine", "l2"]


def test_of_rows_without_labels_the_flagged_ones_are_counted(assessment):
    flags = np.arange(200) % 100 < 3
    unlabeled = replace(assessment, report=Report({}), flags=flags, certainty=None)
    assert show_comparison("mine", unlabeled) == "mine flags 6 of 200 rows, in 2 segments."
    assert show_comparison("mine", replace(unlabeled, flags=None)) == "mine scores 200 rows."


def test_the_scores_is_the_gain_and_whose_labels_chose(assessment):
    gain, labels = conclusion(assessment).splitlines()
    assert gain == assessment.certainty.gain.sentence
    assert "beats the best baseline (l2, 0.250)" in gain
    assert labels == assessment.provenance.sentence
    assert "those of the selection rows to select the detector" in labels


def test_without_anomalies_it_is_unknown_and_the_labels_used_are_named(assessment):
    for certainty in (None, replace(assessment.certainty, gain=None)):
        gain, labels = conclusion(replace(assessment, certainty=certainty)).splitlines()
        assert gain.startswith("It is unknown whether the detector beats the best baseline: ")
        assert labels == assessment.provenance.sentence


def test_trials_are_shown_best_first_with_what_differs():
    def trial(number, hidden, state="finished", value=None, **metrics):
        values = {"data": {"kind": "synthetic"}, "model": {"kind": "lstm_ae", "hidden": hidden}}
        experiment = parse(ExperimentConfig, values, "a test")
        found = {name.replace("__", "/"): each for name, each in metrics.items()}
        return Trial(
            Candidate(number, 0, {}, experiment), state, value, 1.26, metrics=found, reason="" if value else "broke"
        )

    table = trial_table(
        [
            trial(0, 8, value=0.25, ranking__pr_auc=0.5),
            trial(1, 16, "failed"),
            trial(2, 32, value=0.75, oracle__best_f1=0.5, deployable__f1=0.375),
        ]
    )
    assert table["trial"].tolist() == ["g00-lstm_ae-002", "g00-lstm_ae-000", "g00-lstm_ae-001"]
    assert table["model.hidden"].tolist() == [32, 8, 16]
    assert "seed" not in table
    assert table["reason"].tolist() == ["", "", "broke"]
    shown = rows_of(show_trials(table))
    assert shown["g00-lstm_ae-002"]["oracle/best_f1"] == "0.500"
    assert shown["g00-lstm_ae-002"]["deployable/f1"] == "0.375"
    assert shown["g00-lstm_ae-000"]["pr_auc"] == "0.500"
    assert shown["g00-lstm_ae-001"]["value"] == "-"
    assert list(shown["g00-lstm_ae-001"]) == [
        *("trial", "state", "value", "pr_auc", "oracle/best_f1", "deployable/f1"),
        *("epochs", "seconds"),
    ]
