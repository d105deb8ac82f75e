"""The trivial panel run beside every winner: what the cheapest detectors get on the same rows."""

from collections.abc import Mapping

from tsad.data.dataset import DataSet
from tsad.evaluation.report import Report
from tsad.experiment import Experiment, run
from tsad.spec import parse, put

PANEL: Mapping[str, Mapping[str, object]] = {
    "l2": {"window.length": 1, "model": {"kind": "l2"}},
    "l2 smoothed": {
        "window.length": 1,
        "model": {"kind": "l2"},
        "scoring": {"smooth": {"kind": "mean", "length": 10}},
    },
    "pca error": {"window.length": 1, "model": {"kind": "pca_error"}},
    "window linear": {
        "window.length": 16,
        "model": {"kind": "window_linear"},
        "scoring": {"over": "window", "compress": "log1p"},
    },
}
"""Sections by name that replace those of the experiment; fixed beforehand, so no label chooses among their settings."""


def run_panel(experiment: Experiment, data: DataSet) -> dict[str, Report]:
    """Returns the report by name of each trivial detector on the rows that `experiment` reports."""
    reports = {}
    for name, changes in PANEL.items():
        values = experiment.model_dump(mode="json", include={"seed", "data", "split", "scaler", "threshold"})
        trivial = parse(Experiment, put(values, changes), f"trivial detector {name}")
        reports[name] = run(trivial, data).report
    return reports
