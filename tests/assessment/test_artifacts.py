import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsad.assessment.artifacts import (
    headlines,
    metrics,
    write_assessment,
    write_results,
    write_scores,
)
from tsad.assessment.assessment import assess, assessment_from_scores
from tsad.assessment.baselines import BASELINES
from tsad.assessment.file_names import DETECTOR
from tsad.config import ExperimentConfig
from tsad.detector.detector import Detector
from tsad.evaluation.anomaly_types import AnomalyTypeScores
from tsad.evaluation.pointwise import precision_recall_f1
from tsad.evaluation.registry import HEADLINES, column_name
from tsad.evaluation.report import Report
from tsad.experiment import run
from tsad.spec import parse, read_yaml

VALUES = {
    "data": {"kind": "synthetic", "rows": 500, "features": 6, "events": 10},
    "split": {"selection": 0.4, "gap": 20},
    "window": {"length": 4},
    "model": {"kind": "window_linear", "components": 3},
}
REPORTED = slice(220, 500)


@pytest.fixture(scope="module")
def experiment():
    return parse(ExperimentConfig, VALUES, "experiment")


@pytest.fixture(scope="module")
def data(experiment):
    return experiment.data.load(Path())


@pytest.fixture(scope="module")
def outcome(experiment, data):
    return run(experiment, data)


@pytest.fixture(scope="module")
def assessment(experiment, data, outcome):
    return assess(outcome.detector, experiment, data, "a detector on rows")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, experiment, outcome, assessment):
    """A run's files as `tsad train` writes them."""
    place = tmp_path_factory.mktemp("run") / "new" / "folder"
    write_results(outcome, experiment, place, "a detector on rows")
    write_assessment(assessment, place)
    return place


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """An assessment of scores alone and its files."""
    generator = np.random.default_rng(0)
    labels = np.arange(300) % 60 < 10
    scores = np.where(np.arange(300) < 5, np.nan, generator.random(300) + 0.4 * labels)
    found, place = assessment_from_scores(scores, labels, "scores"), tmp_path_factory.mktemp("alone")
    write_scores(found, place)
    write_assessment(found, place)
    return found, place


def read(folder, name):
    return json.loads((folder / name).read_text())


# --- names ---


def test_headlines_say_whether_a_label_of_the_reported_rows_chose_the_threshold():
    assert [name for name in HEADLINES if "best" in name] == ["oracle/best_f1"]
    assert "deployable/f1" in HEADLINES
    assert not {name.partition("/")[0] for name in HEADLINES} & {"point", "point_adjusted", "window"}
    assert column_name("ranking/vus_pr") == "vus_pr"
    assert column_name("oracle/best_f1") == "oracle/best_f1"


def test_headlines_come_first_and_counts_and_thresholds_not_at_all():
    report = Report(
        {"rows/scored": 9, "oracle/best_threshold": 2, "point/f1": 0.3, "deployable/f1": 0.3, "ranking/vus_pr": 0.1}
    )
    assert list(headlines(report).items()) == [("ranking/vus_pr", 0.1), ("deployable/f1", 0.3), ("point/f1", 0.3)]


def test_a_run_shows_both_parts_of_the_rows_and_what_it_cost(outcome):
    found = metrics(outcome)
    assert found["ranking/pr_auc"] == outcome.report.metrics["ranking/pr_auc"]
    assert found["selection/ranking/pr_auc"] == outcome.selection.metrics["ranking/pr_auc"]
    assert {name for name in found if name.startswith("selection/")} == {f"selection/{name}" for name in HEADLINES}
    assert found["cost/parameters"] == 24 + 24 * 3
    assert found["cost/seconds"] == outcome.seconds
    assert found["cost/latency"] == outcome.latency > 0


# --- a run ---


def test_a_run_leaves_every_file_that_is_promised(folder):
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")}
    plots = {"scores", "score_distribution", "roc", "precision_recall", "f1_vs_threshold", "series", "reconstruction"}
    assert files == {
        "experiment.yaml",
        "detector/detector.json",
        "detector/profile.json",
        "detector/weights.safetensors",
        "history.json",
        "rows.json",
        "scores.npy",
        "labels.npy",
        "metrics.json",
        "metrics_best.json",
        "threshold_sweep.csv",
        "predictions.csv",
        "assessment.json",
        "anomaly_types.csv",
        "data_card.json",
        "data_card.md",
        "report.html",
        *(f"plots/{name}.png" for name in plots),
    }
    assert all(path.stat().st_size > 1000 for path in (folder / "plots").iterdir())


def test_what_was_run_can_be_read_back(folder, experiment, outcome, data):
    assert parse(ExperimentConfig, read_yaml(folder / "experiment.yaml"), "again") == experiment
    again = Detector.load(folder / DETECTOR).score(data.test)
    np.testing.assert_array_equal(again.values, np.load(folder / "scores.npy"))
    np.testing.assert_array_equal(np.load(folder / "labels.npy"), data.test.labels)
    assert read(folder, "rows.json") == {"reported": [220, 500], "selection": [0, 200]}
    assert read(folder, "history.json") == []


def test_metrics_stand_beside_whose_labels_made_them(folder, assessment):
    found = read(folder, "metrics.json")
    assert found.pop("labels_used") == {"training": "nothing", "threshold": "nothing", "selection": "nothing"}
    assert found.pop("undefined") == dict(assessment.report.undefined)
    assert found == pytest.approx(assessment.report.metrics)
    assert found["deployable/f1"] == found["point/f1"]


def test_the_best_metrics_are_marked_as_an_oracle(folder, assessment):
    found = read(folder, "metrics_best.json")
    assert found.pop("labels_used") == {"threshold": "test"}
    flags = assessment.scores > found.pop("threshold")
    assert all(name.startswith("oracle/") for name in found)
    expected = precision_recall_f1(flags, assessment.labels)
    assert [found[f"oracle/point/{name}"] for name in ("precision", "recall", "f1")] == pytest.approx(expected)
    assert found["oracle/point/f1"] == pytest.approx(assessment.report.metrics["oracle/best_f1"])


def test_predictions_have_a_line_for_each_reported_row(folder, assessment, outcome, data):
    table = pd.read_csv(folder / "predictions.csv")
    assert list(table) == ["row", "score", "threshold", "flag", "label"]
    assert table["row"].tolist() == list(range(220, 500))
    np.testing.assert_allclose(table["score"], outcome.test.values[REPORTED])
    np.testing.assert_array_equal(table["flag"], table["score"] > table["threshold"])
    np.testing.assert_array_equal(table["label"], data.test.labels[REPORTED])


def test_the_sweep_has_deployable_thresholds_and_the_oracles(folder, assessment):
    table = pd.read_csv(folder / "threshold_sweep.csv")
    rules = dict(list(table.groupby("rule")))
    assert rules.keys() == {"validation percentile", "oracle"}
    np.testing.assert_allclose(
        rules["validation percentile"]["threshold"],
        np.nanpercentile(assessment.validation, rules["validation percentile"]["percentile"]),
    )
    assert rules["oracle"]["f1"].max() == pytest.approx(assessment.report.metrics["oracle/best_f1"])
    for line in table.iloc[:: len(table) // 7].itertuples():
        flags = assessment.scores > line.threshold
        assert (line.precision, line.recall, line.f1) == pytest.approx(precision_recall_f1(flags, assessment.labels))
        assert line.predicted == pytest.approx(flags.mean())


def test_the_assessment_has_baselines_chance_gain_and_causes(folder, assessment):
    found = read(folder, "assessment.json")
    assert found["title"] == "a detector on rows"
    assert found["labels_used"] == assessment.provenance.parts()
    assert list(found["baselines"]) == list(BASELINES)
    assert found["baselines_left_out"] == {}
    certainty = found["certainty"]
    assert certainty["chance"]["ranking/roc_auc"].keys() == {"mean", "low", "high"}
    assert certainty["intervals"]["detector"] == pytest.approx(assessment.certainty.intervals["detector"]._asdict())
    assert certainty["gain"]["baseline"] in BASELINES
    assert certainty["gain"]["difference"] == pytest.approx(list(assessment.certainty.gain.difference))
    assert certainty["permuted"]["value"] == assessment.report.metrics["ranking/pr_auc"]
    assert {"root_cause/ndcg", "root_cause/chance/ndcg"} <= found["root_cause"].keys()


def test_anomaly_types_are_a_table_with_a_line_for_each_type_and_detector(folder, assessment):
    table = pd.read_csv(folder / "anomaly_types.csv")
    assert list(table) == ["detector", *AnomalyTypeScores._fields]
    assert table["detector"].unique().tolist() == ["detector", *BASELINES]
    assert list(table.iloc[0][["anomaly_type", "recall", "pr_auc"]]) == [
        (first := assessment.anomaly_types["detector"][0]).anomaly_type,
        first.recall,
        pytest.approx(first.pr_auc),
    ]


def test_the_page_has_the_scores_whose_labels_and_the_pictures(folder, assessment):
    text = (folder / "report.html").read_text()
    assert "a detector on rows" in text
    assert assessment.certainty.gain.sentence in text
    assert assessment.provenance.sentence in text
    assert text.count("data:image/png;base64,") == 7


def test_a_trained_run_keeps_its_losses_in_a_file_and_a_picture(tmp_path):
    changes = {"model": {"kind": "lstm_ae", "hidden": 4, "latent": 2}, "training": {"epochs": 2}}
    experiment = parse(ExperimentConfig, VALUES | changes, "network")
    outcome = run(experiment, experiment.data.load(tmp_path))
    write_results(outcome, experiment, tmp_path, "network")
    history = read(tmp_path, "history.json")
    assert [losses["epoch"] for losses in history] == [1, 2]
    assert all({"train/loss", "validation/loss"} <= losses.keys() for losses in history)
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"scores.png", "losses.png"}


# --- less is known ---


@pytest.mark.slow
def test_scores_alone_leave_what_can_be_said_of_them(alone):
    found, folder = alone
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")}
    assert "data_card.json" not in files
    assert {"scores.npy", "labels.npy", "metrics.json", "predictions.csv", "report.html"} <= files
    assert {"plots/roc.png", "plots/scores.png"} <= files
    assert not {"plots/series.png", "plots/reconstruction.png", "plots/losses.png"} & files
    np.testing.assert_array_equal(np.load(folder / "scores.npy"), found.scores)
    assert read(folder, "metrics.json")["labels_used"]["threshold"] == "test"
    assert "deployable/f1" not in read(folder, "metrics.json")
    table = pd.read_csv(folder / "predictions.csv")
    assert table["score"].isna().sum() == 5
    assert not table["flag"][:5].any()
    assert read(folder, "assessment.json")["certainty"]["gain"] is None
    assert set(pd.read_csv(folder / "threshold_sweep.csv")["rule"]) == {"oracle"}


@pytest.mark.slow
def test_without_labels_there_are_scores_thresholds_and_flags(tmp_path, assessment):
    bare = replace(assessment, labels=None, certainty=None, causes=None, report=Report({"rows/scored": 280.0}))
    write_scores(bare, tmp_path)
    write_assessment(bare, tmp_path)
    assert not (tmp_path / "labels.npy").exists()
    assert read(tmp_path, "metrics_best.json").keys() == {"undefined"}
    assert list(pd.read_csv(tmp_path / "predictions.csv")) == ["row", "score", "threshold", "flag"]
    assert list(pd.read_csv(tmp_path / "threshold_sweep.csv")) == ["rule", "percentile", "threshold", "predicted"]
    assert read(tmp_path, "assessment.json")["certainty"] is None
    assert not (tmp_path / "plots/roc.png").exists()


def test_what_cannot_be_json_is_never_written_as_if_it_could(tmp_path, assessment):
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        write_assessment(replace(assessment, report=Report({"ranking/pr_auc": float("nan")})), tmp_path)
