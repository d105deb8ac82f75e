"""The files of a run: written once by whoever ran it, logged as they are by whoever tracks it."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tsad.arrays import Flags, Floats
from tsad.assessment.assessment import Assessment, Certainty
from tsad.assessment.entities import ENTITY_TABLE, entity_metrics
from tsad.assessment.file_names import DETECTOR, HISTORY, SCHEDULE
from tsad.assessment.html_report import page
from tsad.config import ExperimentConfig
from tsad.drift import Profile
from tsad.evaluation.anomaly_types import AnomalyTypeScores
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
from tsad.evaluation.pointwise import precision_recall_f1
from tsad.evaluation.registry import HEADLINES
from tsad.evaluation.report import Report, of_flags
from tsad.experiment import Outcome
from tsad.provenance import LabelsUsed
from tsad.spec import write_yaml
from tsad.sweep import sweep
from tsad.thresholds.percentile import sweep_percentiles

SWEPT = 400
"""Number of thresholds of the oracle sweep in `threshold_sweep.csv`, evenly spaced by rank."""


def headlines(report: Report) -> dict[str, float]:
    """Returns what a run's page shows of a report, headlines first: all metrics but counts and thresholds."""
    first = {name: report.metrics[name] for name in HEADLINES if name in report.metrics}
    rest = {name: value for name, value in report.metrics.items() if not name.startswith("rows/")}
    rest.pop("oracle/best_threshold", None)
    return first | rest


def metrics(outcome: Outcome) -> dict[str, float]:
    """Returns the headlines of the reported rows; under `selection/` those of the rows that may choose; the cost.

    `cost/seconds` is the wall time of the fit, `cost/latency` that of scoring, in milliseconds for 1,000 rows,
    `cost/parameters` the numbers in the model's weights.
    """
    chosen = {} if outcome.selection is None else outcome.selection.metrics
    cost = {
        "cost/seconds": outcome.seconds,
        "cost/latency": outcome.latency,
        "cost/parameters": float(outcome.detector.scorer.parameters),
    }
    return (
        headlines(outcome.report) | {f"selection/{name}": chosen[name] for name in HEADLINES if name in chosen} | cost
    )


def headline_metrics(assessment: Assessment) -> dict[str, float]:
    """Returns the headlines of an assessment, and those of the baselines under `baseline/NAME/`."""
    baseline = {
        f"baseline/{name}/{metric}": report.metrics[metric]
        for name, report in assessment.baselines.items()
        for metric in HEADLINES
        if metric in report.metrics
    }
    return headlines(assessment.report) | baseline


def write_results(outcome: Outcome, experiment: ExperimentConfig, folder: Path, title: str) -> None:
    """Writes the results of a run.

    `experiment.yaml`, `detector/` (with `profile.json`, what drift is measured by, and `read_options.json`, how rows of
    more files are read, if the data are a file of the user), `history.json` (losses per epoch),
    `metrics.json`, `scores.npy` and `labels.npy` (all test rows, NaN = no score), `rows.json` (which of them chose and which
    are reported), `plots/`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_yaml(folder / "experiment.yaml", experiment, "tsad train experiment.yaml")
    write_detector(outcome, folder / DETECTOR)
    history = [losses.curves() | {"epoch": losses.epoch} for losses in outcome.history]
    _write_json(folder / HISTORY, history)
    _write_report(outcome.report, outcome.detector.provenance.parts(), folder)
    parts = outcome.parts
    rows = {"reported": [parts.reported.start, parts.reported.stop]}
    if parts.selection is not None:
        rows["selection"] = [parts.selection.start, parts.selection.stop]
    _write_json(folder / "rows.json", rows)
    _write_arrays(outcome.test.values, parts.test.labels, folder)
    thresholds = outcome.detector.threshold.per_row(outcome.test.values)
    plots = {"scores": draw_scores(outcome.test.values, parts.test.labels, thresholds, title, parts.reported.start)}
    if outcome.history:
        plots["losses"] = draw_losses([losses.curves() for losses in outcome.history], title)
    _write_plots(plots, folder)


def write_detector(outcome: Outcome, folder: Path) -> None:
    """Writes the detector of a run, `profile.json` and, if the data are a file of the user, `read_options.json`."""
    outcome.detector.save(folder)
    Profile.of(outcome.detector, outcome.parts.fit, outcome.validation).save(folder)
    if outcome.parts.read_options is not None:
        outcome.parts.read_options.save(folder)


def write_assessment(assessment: Assessment, folder: Path) -> None:
    """Writes how far a detector can be trusted, below `folder`.

    `report.html` (all of it, to be read from top to bottom), `metrics.json`, `metrics_best.json` (an oracle: the threshold of
    the best F1), `threshold_sweep.csv`, `predictions.csv` (a line per reported row), `assessment.json` (baselines, chance,
    intervals, gain, permutation test, root cause), `anomaly_types.csv` (a line for each type and detector, where types are
    known), `entities.csv` (a line for each of several entities), `data_card.json`, `data_card.md`, `plots/`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_report(assessment.report, assessment.provenance.parts(), folder)
    _write_json(folder / "metrics_best.json", _best(assessment))
    _sweep_table(assessment).to_csv(folder / "threshold_sweep.csv", index=False)
    _predictions(assessment).to_csv(folder / "predictions.csv", index=False)
    _write_json(folder / "assessment.json", _described(assessment))
    if assessment.anomaly_types:
        _anomaly_types(assessment).to_csv(folder / "anomaly_types.csv", index=False)
    if assessment.entities:
        entity_metrics(assessment.entities).to_csv(folder / ENTITY_TABLE)
    if assessment.card is not None:
        (folder / "data_card.json").write_text(assessment.card.model_dump_json(indent=1), encoding="utf-8")
        (folder / "data_card.md").write_text(assessment.card.to_markdown(), encoding="utf-8")
    pictures = _write_plots(_draw(assessment), folder)
    (folder / "report.html").write_text(
        page(assessment, pictures, scheduled=(folder / SCHEDULE).is_file()), encoding="utf-8"
    )


def write_scores(assessment: Assessment, folder: Path) -> None:
    """Writes `scores.npy` and `labels.npy` of an assessment that is not the end of a run of ours."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_arrays(assessment.scores, assessment.labels, folder)


def _draw(assessment: Assessment) -> dict[str, Figure]:
    scores, flags, labels = assessment.scores, assessment.flags, assessment.labels
    thresholds, title, first = assessment.thresholds, assessment.title, assessment.first_row
    threshold_from: LabelsUsed = "test" if assessment.provenance.oracle else "nothing"
    plots = {
        "scores": draw_scores(scores, labels, thresholds, title, first_row=first, threshold_from=threshold_from),
        "score_distribution": draw_score_distribution(scores, labels, thresholds, title, threshold_from=threshold_from),
    }
    if assessment.certainty is not None:
        others = assessment.baseline_scores
        plots["roc"] = draw_roc(scores, flags, labels, title, others, threshold_from=threshold_from)
        plots["precision_recall"] = draw_precision_recall(
            scores, flags, labels, title, others, threshold_from=threshold_from
        )
        plots["f1_vs_threshold"] = draw_f1_vs_threshold(
            scores, labels, thresholds, title, threshold_from=threshold_from
        )
    if (rows := assessment.rows) is not None:
        plots["series"] = draw_series(rows.values, rows.features, labels, flags, scores, title, first_row=first)
        if (predictions := assessment.predictions) is not None:
            plots["reconstruction"] = draw_reconstruction(
                rows.values, predictions, scores, rows.features, labels, title, first_row=first
            )
    return plots


def _write_plots(plots: Mapping[str, Figure], folder: Path) -> dict[str, bytes]:
    """Writes `plots/NAME.png` and returns all pictures there by name, those of the training before included."""
    (folder / "plots").mkdir(exist_ok=True)
    for name, figure in plots.items():
        figure.savefig(folder / "plots" / f"{name}.png", dpi="figure")
    return {path.stem: path.read_bytes() for path in sorted((folder / "plots").glob("*.png"))}


def _best(assessment: Assessment) -> dict[str, object]:
    """Returns the metrics of the flags at the threshold of the best F1, marked as the oracle that they are."""
    scored = ~np.isnan(assessment.scores)
    if assessment.labels is None or "oracle/best_threshold" not in assessment.report.metrics:
        return {"undefined": "rows of both kinds, with labels and scores, are needed to choose a threshold by them"}
    threshold = assessment.report.metrics["oracle/best_threshold"]
    flags = assessment.scores[scored] > threshold
    best = of_flags(flags, assessment.labels[scored])
    return {
        "labels_used": {"threshold": "test"},
        "threshold": threshold,
        **{f"oracle/{name}": value for name, value in best.items()},
    }


def _sweep_table(assessment: Assessment) -> pd.DataFrame:
    """Returns the thresholds at percentiles of validation scores (deployable), then those at test scores (oracle)."""
    scored = ~np.isnan(assessment.scores)
    scores = assessment.scores[scored]
    labels = None if assessment.labels is None else assessment.labels[scored]
    by_rule: list[tuple[str, float, float]] = []
    if assessment.validation is not None:
        thresholds = sweep_percentiles(assessment.validation)
        by_rule += [("validation percentile", percentile, threshold) for percentile, threshold in thresholds.items()]
    if labels is not None and labels.any():
        thresholds_of_test = sweep(scores, labels).thresholds
        chosen = thresholds_of_test[np.unique(np.linspace(0, len(thresholds_of_test) - 1, SWEPT).astype(int))]
        by_rule += [("oracle", float((scores <= threshold).mean() * 100), float(threshold)) for threshold in chosen]
    table = pd.DataFrame(by_rule, columns=["rule", "percentile", "threshold"])
    table["predicted"] = [float((scores > threshold).mean()) for threshold in table["threshold"]]
    if labels is not None:
        points = [precision_recall_f1(scores > threshold, labels) for threshold in table["threshold"]]
        table[["precision", "recall", "f1"]] = np.array(points).reshape(-1, 3)
    return table


def _predictions(assessment: Assessment) -> pd.DataFrame:
    table = pd.DataFrame({"row": assessment.first_row + np.arange(len(assessment.scores)), "score": assessment.scores})
    if assessment.rows is not None and assessment.rows.times is not None:
        table.insert(1, "time", assessment.rows.times)
    for name in ("thresholds", "flags", "labels"):
        column = getattr(assessment, name)
        if column is not None:
            table[name.removesuffix("s")] = column.astype(int) if column.dtype == bool else column
    return table


def _anomaly_types(assessment: Assessment) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"detector": name, **scored._asdict()}
            for name, results in assessment.anomaly_types.items()
            for scored in results
        ],
        columns=["detector", *AnomalyTypeScores._fields],
    )


def _described(assessment: Assessment) -> dict[str, object]:
    causes = assessment.causes
    return {
        "title": assessment.title,
        "labels_used": assessment.provenance.parts(),
        "baselines": {name: dict(report.metrics) for name, report in assessment.baselines.items()},
        "baselines_left_out": dict(assessment.too_large),
        "certainty": None if assessment.certainty is None else _certainty(assessment.certainty),
        "root_cause": None if causes is None else causes[0].named() | causes[1].named("root_cause/chance"),
    }


def _certainty(certainty: Certainty) -> dict[str, object]:
    return {
        "chance": {name: threshold._asdict() for name, threshold in certainty.chance.items()},
        "intervals": {name: interval._asdict() for name, interval in certainty.intervals.items()},
        "gain": None if certainty.gain is None else asdict(certainty.gain),
        "permuted": {"value": certainty.permuted.value, "p_value": certainty.permuted.p_value},
    }


def _write_arrays(scores: Floats, labels: Flags | None, folder: Path) -> None:
    np.save(folder / "scores.npy", scores, allow_pickle=False)
    if labels is not None:
        np.save(folder / "labels.npy", labels, allow_pickle=False)


def _write_report(report: Report, labels_used: Mapping[str, str], folder: Path) -> None:
    """Writes `metrics.json`: the metrics by name, the reason of each that is undefined, and the rows whose labels were used."""
    described = dict(report.metrics) | {"undefined": dict(report.undefined), "labels_used": dict(labels_used)}
    _write_json(folder / "metrics.json", described)


def _write_json(path: Path, values: object) -> None:
    path.write_text(json.dumps(values, indent=1, allow_nan=False), encoding="utf-8")
