"""An ensemble in the registry and out of it: served as any detector is."""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from tests.examples import detector_of, sensors
from tests.stores import clear_environment, opened
from tsad.assessment.file_names import DETECTOR
from tsad.detector.detector import Detector
from tsad.detector.ensemble import REFERENCE, Ensemble
from tsad.detector.scoring import MeanSmoothing, ScoringSpec
from tsad.models.baselines.l2 import L2Spec
from tsad.models.lstm_ae import LstmAutoencoderSpec
from tsad.registry.aliases import promote
from tsad.registry.load import load_detector
from tsad.registry.log import log_detector
from tsad.registry.register import register
from tsad.thresholds.percentile import PercentileSpec
from tsad.tracking.runs import RunWriter

# MLflow's look at the input example, under pandas 3.1
pytestmark = pytest.mark.filterwarnings("ignore:Operation with range is deprecated:pandas.errors.Pandas4Warning")


@pytest.mark.slow
def test_an_ensemble_is_logged_registered_and_served_without_pickling(tmp_path, monkeypatch):
    clear_environment(monkeypatch)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    store, series = opened(tmp_path / "store"), sensors(200)
    smoothed = ScoringSpec(smooth=MeanSmoothing(kind="mean", length=3))
    specs = (LstmAutoencoderSpec(kind="lstm_ae", hidden=4, latent=2), L2Spec(kind="l2"))
    ensemble = Ensemble.fit([detector_of(spec, series, 8, smoothed).scorer for spec in specs], series)
    detector = Detector(ensemble, PercentileSpec(percentile=80).fit(ensemble.score(series).values))
    detector.save(tmp_path / DETECTOR)
    writer = RunWriter.create(store, store.experiment(), "logs an ensemble", {})
    uri = log_detector(writer.run_id, tmp_path / DETECTOR, series, {})
    promote("tsad-ensemble", register(uri, "tsad-ensemble", {}))
    writer.end()

    rows = pd.DataFrame(series.values.astype(float), columns=list(series.features))
    served = mlflow.pyfunc.load_model("models:/tsad-ensemble@champion").predict(rows)
    scores = detector.score(series)
    np.testing.assert_array_equal(served["score"].astype(float), scores.values)
    np.testing.assert_array_equal(served["flag"], detector.flag(scores))
    assert served["flag"].sum() > 0
    loaded = load_detector("models:/tsad-ensemble@champion")
    np.testing.assert_array_equal(loaded.score(series).by_feature, scores.by_feature)
    fetched = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path / "fetched")))
    assert {path.parent.name for path in fetched.rglob(REFERENCE)} == {"member-0", "member-1"}
    assert not [path for path in fetched.rglob("*") if path.suffix in {".pkl", ".pickle", ".pt", ".bin"}]
