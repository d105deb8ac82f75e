"""What people see of thresholds: the line in a plot, the line that `tsad score` prints."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.examples import detector_of, sensors
from tsad.detector.scoring import ScoringSpec
from tsad.errors import SpecError
from tsad.evaluation.plots import draw_scores
from tsad.models.baselines.l2 import L2Spec
from tsad.thresholds.ewma import EwmaSpec
from tsad.workflows.score import score


@pytest.mark.parametrize(
    ("thresholds", "label"), [(np.full(4, 2.5), "threshold 2.5"), (np.array([2.5, 9.0, 1.0, 2.0]), "threshold 1 to 9")]
)
def test_a_plot_draws_the_threshold_of_each_row(thresholds, label):
    (axes,) = draw_scores(np.array([1.0, np.nan, 3.0, 4.0]), None, thresholds, "title").axes
    (line,) = (line for line in axes.lines if line.get_label() == label)
    assert line.get_linestyle() == "--"
    np.testing.assert_array_equal(line.get_ydata(), thresholds)


@pytest.fixture
def detector(tmp_path, monkeypatch):
    """A detector, saved where the rows lie that it was fitted to."""
    monkeypatch.chdir(tmp_path)
    series = sensors(200)
    pd.DataFrame(series.values, columns=list(series.features)).to_csv("rows.csv", index=False)
    detector = detector_of(L2Spec(kind="l2"), series, 1, ScoringSpec())
    detector.save(tmp_path / "detector")
    return detector


@pytest.mark.parametrize("moving", [False, True])
def test_a_scored_table_is_told_with_its_thresholds(detector, moving):
    values = detector.score(sensors(200)).values
    if moving:
        detector = dataclasses.replace(detector, threshold=EwmaSpec(kind="ewma").fit(values))
        detector.save(Path("detector"))
    result = score("detector", Path("rows.csv"))
    thresholds = detector.threshold.per_row(values)
    shown = f"{thresholds.min():.6g} to {thresholds.max():.6g}" if moving else f"{thresholds[0]:.6g}"
    assert f"rows flagged (threshold {shown}, {detector.threshold.method})" in str(result)


@pytest.mark.parametrize("threshold", [np.nan, np.inf])
def test_a_given_threshold_must_be_a_number(detector, threshold):
    with pytest.raises(SpecError, match="--threshold: value: input should be a finite number, but got"):
        score("detector", Path("rows.csv"), threshold=float(threshold))
