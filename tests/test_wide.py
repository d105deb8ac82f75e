"""Wide tables: check, train and score with the default detector in time and memory that grow gently."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tsad.config import ExperimentConfig
from tsad.detector.detector import Detector
from tsad.experiment import run
from tsad.spec import parse
from tsad.workflows.check import check
from tsad.workflows.score import score

SPEC = importlib.util.spec_from_file_location("wide", Path(__file__).parents[1] / "benchmarks" / "wide.py")
wide = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(wide)


@pytest.mark.usefixtures("place")
def test_a_table_with_more_columns_than_rows_is_checked_trained_and_scored(tmp_path):
    table = wide.wide_table(400, 300)
    table["s7"] += 1e12  # in float64
    table.to_csv("rows.csv", index=False)
    checked = check("rows.csv", {"data.label": "label", "data.time": "time"})
    assert checked.ready
    experiment = parse(ExperimentConfig, checked.experiment, "checked")
    (ridge,) = {member.model for member in experiment.members if member.model.kind == "autoregressive_ridge"}
    assert (ridge.order, ridge.penalty) == (1, 300.0)
    outcome = run(experiment, checked.data)
    outcome.detector.save(tmp_path / "detector")
    checked.data.read_options.save(tmp_path / "detector")
    result = score(tmp_path / "detector", "rows.csv", rows_at_once=100)
    scores = pd.read_csv(result.output)["score"].to_numpy()[200:]
    both = ~np.isnan(scores) & ~np.isnan(outcome.test.values)
    assert both.sum() > 150
    np.testing.assert_allclose(scores[both], outcome.test.values[both], rtol=1e-6)
    assert Detector.load(tmp_path / "detector").scorer.members[0].scorer.scaler.precision == "float64"


@pytest.mark.slow
def test_2284_columns_take_less_than_two_minutes_and_four_gigabytes(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    wide.wide_table(2682, 2284).to_csv(tmp_path / "rows.csv", index=False)
    costs, area = wide.measured(tmp_path)
    assert sum(seconds for seconds, _ in costs) < 120
    assert max(megabytes for _, megabytes in costs) < 4000
    assert float(area) > 0.3
