"""An evaluation is an MLflow run: metrics by model and data set, files, and the model as an input."""

import numpy as np
import pandas as pd
import pytest

import tsad
from tests.stores import clear_environment, opened
from tsad.assessment import baselines
from tsad.registry.log import log_detector
from tsad.registry.register import register
from tsad.tracking.runs import RunWriter

L2 = {"model": {"kind": "l2"}, "window": {"length": 1}, "split": {"gap": 10}}


@pytest.fixture
def store(tmp_path_factory, tmp_path, monkeypatch):
    clear_environment(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(baselines, "BASELINES", {"l2": baselines.BASELINES["l2"]})  # the others take seconds
    store = opened(tmp_path_factory.getbasetemp() / "store")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    return store


@pytest.fixture
def frame():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(700, 2))
    labels = np.zeros(700, int)
    values[600:610] += 6
    labels[600:610] = 1
    return pd.DataFrame({"cpu": values[:, 0], "memory": values[:, 1], "label": labels})


@pytest.fixture
def detector(frame):
    from tests.examples import detector_of
    from tsad.detector.scoring import ScoringSpec
    from tsad.models.baselines.l2 import L2Spec

    series = tsad.Series(frame[["cpu", "memory"]].to_numpy(np.float32), ("cpu", "memory"))
    return detector_of(L2Spec(kind="l2"), series, 1, ScoringSpec())


def artifacts(store, run_id):
    return {file.path for file in store.client.list_artifacts(run_id)}


def test_the_evaluation_of_a_folder_is_a_run_with_metrics_files_and_rows(store, frame, detector, tmp_path):
    detector.save(tmp_path / "detector")
    result = tsad.evaluate(tmp_path / "detector", L2, data=frame, label="label", output="out", run_name="nightly")
    run = store.client.get_run(result.run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "nightly")
    assert (
        run.data.tags.items()
        >= {
            "tsad.kind": "evaluate",
            "tsad.model": str(tmp_path / "detector"),
            "tsad.digest": detector.digest,
        }.items()
    )
    assert run.data.metrics["ranking/pr_auc"] == pytest.approx(result.metrics["ranking/pr_auc"])
    assert "baseline/l2/ranking/pr_auc" in run.data.metrics
    assert artifacts(store, result.run_id) >= {"report.html", "metrics.json", "scores.npy"}
    assert (tmp_path / "out" / "report.html").is_file()
    (rows,) = run.inputs.dataset_inputs
    assert rows.dataset.name.endswith("-test")
    assert not run.inputs.model_inputs
    assert f"run:    runs:/{result.run_id}" in str(result)


def test_an_evaluation_without_a_run_leaves_nothing_in_the_store(store, frame, detector):
    before = len(store.search(store.experiment(), ""))
    result = tsad.evaluate(detector, L2, data=frame, label="label", log_run=False)
    assert result.run_id is None
    assert len(store.search(store.experiment(), "")) == before


# MLflow's look at the input example, under pandas 3.1
@pytest.mark.filterwarnings("ignore:Operation with range is deprecated:pandas.errors.Pandas4Warning")
def test_the_page_of_a_logged_model_gets_the_metrics_by_data_set(store, frame, detector, tmp_path):
    detector.save(tmp_path / "detector")
    writer = RunWriter.create(store, store.experiment(), "trains", {})
    rows = tsad.Series(frame[["cpu", "memory"]].to_numpy(np.float32), ("cpu", "memory"))
    uri = log_detector(writer.run_id, tmp_path / "detector", rows, {})
    register(uri, "evaluated", {})
    for model in ("models:/evaluated/1", detector, tmp_path / "detector"):
        result = tsad.evaluate(model, L2, data=frame, label="label")
        run = store.client.get_run(result.run_id)
        assert [f"models:/{model.model_id}" for model in run.inputs.model_inputs] == [uri]
        (dataset,) = [each.dataset for each in run.inputs.dataset_inputs]
        metrics = store.client.get_logged_model(uri.removeprefix("models:/")).metrics
        (point,) = [metric for metric in metrics if (metric.key, metric.run_id) == ("ranking/pr_auc", result.run_id)]
        assert (point.dataset_name, point.dataset_digest) == (dataset.name, dataset.digest)
        assert point.value == pytest.approx(result.metrics["ranking/pr_auc"])
