"""The files of a run: written once by whoever ran it, logged as they are by whoever tracks it."""

import json
from pathlib import Path

import numpy as np

from tsad.evaluation.plots import draw_losses, draw_scores
from tsad.evaluation.report import Report
from tsad.experiment import Experiment, Outcome
from tsad.spec import write_yaml

DETECTOR = "detector"


HEADLINES = ("ranking/pr_auc", "ranking/roc_auc", "oracle/best_f1", "point/f1")
"""The metrics that every comparison shows, in this order. `oracle/` read test labels; `point/` is deployable."""


def headlines(report: Report) -> dict[str, float]:
    """Returns what a run's page shows of a report, headlines first: all metrics but counts and levels."""
    first = {name: report.metrics[name] for name in HEADLINES if name in report.metrics}
    rest = {name: value for name, value in report.metrics.items() if not name.startswith("rows/")}
    rest.pop("oracle/best_level", None)
    return first | rest


def metrics(outcome: Outcome) -> dict[str, float]:
    """Returns the headlines of the reported rows; under `selection/` those of the rows that may choose; the cost.

    `cost/seconds` is the wall time of the fit, `cost/parameters` the numbers in the model's weights.
    """
    chosen = {} if outcome.selection is None else outcome.selection.metrics
    weights = outcome.detector.scorer.model.state_dict().values()
    return (
        headlines(outcome.report)
        | {f"selection/{name}": chosen[name] for name in HEADLINES if name in chosen}
        | {"cost/seconds": outcome.seconds, "cost/parameters": float(sum(tensor.numel() for tensor in weights))}
    )


def write_results(outcome: Outcome, experiment: Experiment, folder: Path, title: str) -> None:
    """Writes what a run came to.

    `experiment.yaml`, `detector/`, `history.json` (losses per epoch), `metrics.json`, `scores.npy` and `labels.npy` (all
    test rows, NaN = no score), `rows.json` (which of them chose and which are reported), `plots/`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_yaml(folder / "experiment.yaml", experiment, "tsad train experiment.yaml")
    outcome.detector.save(folder / DETECTOR)
    history = [losses.curves() | {"epoch": losses.epoch} for losses in outcome.history]
    _write_json(folder / "history.json", history)
    write_report(outcome.report, folder)
    parts = outcome.parts
    rows = {"reported": [parts.reported.start, parts.reported.stop]}
    if parts.selection is not None:
        rows["selection"] = [parts.selection.start, parts.selection.stop]
    _write_json(folder / "rows.json", rows)
    np.save(folder / "scores.npy", outcome.test.values, allow_pickle=False)
    if parts.test.labels is not None:
        np.save(folder / "labels.npy", parts.test.labels, allow_pickle=False)
    plots = folder / "plots"
    plots.mkdir(exist_ok=True)
    level = outcome.detector.threshold.level
    draw_scores(outcome.test.values, parts.test.labels, level, title, parts.reported.start).savefig(
        plots / "scores.png"
    )
    if outcome.history:
        draw_losses([losses.curves() for losses in outcome.history], title).savefig(plots / "losses.png")


def write_report(report: Report, folder: Path) -> None:
    """Writes `metrics.json`: the metrics by name, and under `undefined` the reason of each that is missing."""
    _write_json(folder / "metrics.json", dict(report.metrics) | {"undefined": dict(report.undefined)})


def _write_json(path: Path, values: object) -> None:
    path.write_text(json.dumps(values, indent=1, allow_nan=False), encoding="utf-8")
