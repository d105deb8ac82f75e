"""The logged detector as fixtures."""

from pathlib import Path

import mlflow
import pytest

from tests.registry.logged import EXPERIMENT, NAME, Logged
from tests.stores import clear_environment, opened
from tsad.assessment.file_names import DETECTOR
from tsad.config import ExperimentConfig
from tsad.experiment import run
from tsad.registry.aliases import promote
from tsad.registry.log import log_detector
from tsad.registry.register import register
from tsad.spec import parse
from tsad.tracking.runs import RunWriter


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        clear_environment(patch)
        patch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
        store = opened(tmp_path_factory.getbasetemp() / "store")
        experiment = parse(ExperimentConfig, EXPERIMENT, "experiment")
        data, folder = experiment.data.load(Path()), tmp_path_factory.mktemp("saved") / DETECTOR
        detector = run(experiment, data).detector
        detector.save(folder)
        writer = RunWriter.create(store, store.experiment(), "logs a detector", {})
        writer.files(folder, DETECTOR)
        uri = log_detector(writer.run_id, folder, data.test, {"tsad.champion_trials": "g00-lstm_ae-000"})
        writer.metrics({"ranking/pr_auc": 0.5})
        version = register(uri, NAME, {"tsad.run": writer.run_id})
        promote(NAME, version)
        writer.end()
        yield Logged(store, writer.run_id, uri, version, folder, data, detector)


@pytest.fixture(scope="module")
def fetched(logged, tmp_path_factory):
    """The registered model as a folder."""
    target = tmp_path_factory.mktemp("fetched")
    return Path(mlflow.artifacts.download_artifacts(f"models:/{NAME}@champion", dst_path=str(target)))


@pytest.fixture(scope="module")
def loaded(logged):
    return mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
