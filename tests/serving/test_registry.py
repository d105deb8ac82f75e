import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.exceptions import MlflowException

from tests.stores import clear_environment, opened
from tsad.data.dataset import DataSet
from tsad.detector import DESCRIPTION, WEIGHTS, Detector
from tsad.errors import DetectorError
from tsad.experiment import Experiment, run
from tsad.results import DETECTOR
from tsad.serving.registry import load_detector, log_detector, register
from tsad.spec import parse
from tsad.tables import flag_table
from tsad.tracking.runs import RunWriter
from tsad.tracking.store import Store

# MLflow's look at the input example, under pandas 3.1
pytestmark = pytest.mark.filterwarnings("ignore:Operation with range is deprecated:pandas.errors.Pandas4Warning")

NAME = "tsad-under-test"
EXPERIMENT = {
    "data": {"kind": "synthetic", "rows": 400, "features": 4, "events": 8},
    "split": {"gap": 12},
    "window": {"length": 8},
    "model": {"kind": "lstm_ae", "hidden": 4, "latent": 2},
    "training": {"epochs": 1},
    "scoring": {"over": "window", "smooth": {"kind": "mean", "length": 3}},
    "threshold": {"kind": "percentile", "percentile": 80},
}
BEFORE = 7 + 2
"""Rows before the first score: a window of 8, then the mean of 3."""


@dataclass(frozen=True)
class Logged:
    """A detector that was logged and registered once."""

    store: Store
    run_id: str
    uri: str
    version: str
    folder: Path
    data: DataSet
    detector: Detector

    @property
    def rows(self):
        return table(self.data.test)


def table(series):
    return pd.DataFrame(series.values.astype(np.float64), columns=list(series.features))


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        clear_environment(patch)
        patch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
        store = opened(tmp_path_factory.getbasetemp() / "store")
        experiment = parse(Experiment, EXPERIMENT, "experiment")
        data, folder = experiment.data.load(Path()), tmp_path_factory.mktemp("saved") / DETECTOR
        detector = run(experiment, data).detector
        detector.save(folder)
        writer = RunWriter.create(store, store.experiment(), "logs a detector", {})
        writer.files(folder, DETECTOR)
        uri = log_detector(writer.run_id, folder, data.test, {"tsad.trial": "g00-lstm_ae-000"})
        version = register(uri, NAME, "champion", {"run": writer.run_id})
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


# --- what lies in the registry ---


def test_nothing_in_the_model_is_pickled(fetched):
    files = [path for path in fetched.rglob("*") if path.is_file()]
    assert {WEIGHTS, DESCRIPTION, "MLmodel", "served_detector.py"} <= {path.name for path in files}
    assert not [path for path in files if path.suffix in {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".bin"}]
    beginnings = {path.name: path.read_bytes()[:2] for path in files}
    assert not [name for name, start in beginnings.items() if start[:1] == b"\x80" and start[1:] <= b"\x05"]


def test_the_model_carries_its_code_and_no_bytecode(fetched):
    package = Path(__file__).parents[2] / "tsad"
    carried = {path.relative_to(fetched / "code/tsad") for path in (fetched / "code/tsad").rglob("*") if path.is_file()}
    here = {path.relative_to(package) for path in package.rglob("*.py")}
    assert here <= carried
    assert not [path for path in carried if path.suffix == ".pyc"]


def test_the_signature_names_the_features_in_their_order_and_what_comes_out(logged, loaded):
    signature = loaded.metadata.signature
    assert tuple(signature.inputs.input_names()) == logged.data.test.features
    assert {kind.name for kind in signature.inputs.input_types()} == {"double"}
    assert signature.outputs.input_names() == ["score", "flag"]


def test_the_input_example_is_long_enough_for_scores(logged, loaded, fetched):
    example = loaded.metadata.load_input_example(str(fetched))
    assert len(example) == BEFORE + 5
    assert loaded.predict(example)["score"].notna().sum() == 5


def test_requirements_are_pinned_to_versions_that_an_index_has(fetched):
    lines = (fetched / "requirements.txt").read_text().split()
    assert {"torch", "mlflow", "safetensors"} <= {line.partition("==")[0] for line in lines}
    assert all("==" in line and "+" not in line for line in lines)


def test_a_registered_version_has_its_alias_run_and_tags(logged):
    version = logged.store.client.get_model_version_by_alias(NAME, "champion")
    assert str(version.version) == logged.version
    assert version.tags["run"] == logged.run_id
    model = logged.store.client.get_logged_model(logged.uri.removeprefix("models:/"))
    assert model.source_run_id == logged.run_id
    assert model.tags["tsad.trial"] == "g00-lstm_ae-000"


def test_the_alias_moves_to_the_version_registered_last(logged):
    name = "tsad-registered-twice"
    versions = [register(logged.uri, name, "champion", {}) for _ in range(2)]
    assert versions == ["1", "2"]
    assert int(logged.store.client.get_model_version_by_alias(name, "champion").version) == 2


# --- what it says ---


def test_the_served_model_says_what_the_detector_says(logged, loaded):
    served = loaded.predict(logged.rows)
    expected = flag_table(logged.detector, logged.rows, "input")
    pd.testing.assert_frame_equal(served, expected)
    scores = logged.detector.score(logged.data.test)
    np.testing.assert_array_equal(served["score"].astype(float), scores.values)
    np.testing.assert_array_equal(served["flag"], logged.detector.flag(scores))
    assert served["score"].isna().sum() == BEFORE
    assert 0 < served["flag"].sum() < len(served) - BEFORE


def test_overlapping_pieces_get_the_scores_of_the_whole(logged, loaded):
    whole = loaded.predict(logged.rows)
    pieces = [loaded.predict(logged.rows[max(0, start - BEFORE) : start + 90]) for start in range(0, 400, 90)]
    joined = pd.concat([pieces[0], *(piece.iloc[BEFORE:] for piece in pieces[1:])])
    pd.testing.assert_frame_equal(joined, whole)


def test_order_and_number_of_columns_do_not_matter(logged, loaded):
    first, *rest = logged.rows.columns
    turned = logged.rows[[*rest, first]].assign(comment=1.0)
    pd.testing.assert_frame_equal(loaded.predict(turned), loaded.predict(logged.rows))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop(columns="sensor_01"), "sensor_01"),
        (lambda rows: rows.head(BEFORE), r"at least 10 consecutive rows .*but got 9"),
        (
            lambda rows: rows.assign(sensor_00=rows["sensor_00"].where(rows.index != 17)),
            r"'sensor_00' has 1 empty cells, first at row 17",
        ),
        (lambda rows: rows.astype({"sensor_02": str}).assign(sensor_02="high"), "sensor_02"),
        (lambda rows: rows.assign(sensor_03=np.inf), r"'sensor_03' has 400 infinite cells, first at row 0"),
    ],
    ids=["missing column", "too few rows", "empty cell", "text", "infinite"],
)
def test_rows_that_cannot_be_scored_are_answered_with_400_and_the_fault(logged, loaded, change, message):
    with pytest.raises(MlflowException, match=message) as caught:
        loaded.predict(change(logged.rows))
    assert caught.value.get_http_status_code() == 400


@pytest.mark.slow
def test_a_model_needs_no_code_but_its_own(logged, fetched, tmp_path):
    logged.rows.to_parquet(tmp_path / "rows.parquet")
    code = (
        "import mlflow, pandas, sys\n"
        f"model = mlflow.pyfunc.load_model({str(fetched)!r})\n"
        "model.predict(pandas.read_parquet('rows.parquet')).astype({'score': float}).to_parquet('scored.parquet')\n"
        "import tsad; print(tsad.__file__)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert str(fetched / "code") in done.stdout
    scored = pd.read_parquet(tmp_path / "scored.parquet")
    np.testing.assert_array_equal(scored["score"], logged.detector.score(logged.data.test).values)


# --- out of the registry ---


def models(logged):
    return {
        "alias": f"models:/{NAME}@champion",
        "version": f"models:/{NAME}/{logged.version}",
        "logged model": logged.uri,
        "run": f"runs:/{logged.run_id}/{DETECTOR}",
        "whole run": f"runs:/{logged.run_id}/",
        "folder": str(logged.folder),
        "folder above": str(logged.folder.parent),
    }


@pytest.mark.parametrize("form", ["alias", "version", "logged model", "run", "whole run", "folder", "folder above"])
def test_a_detector_comes_out_of_the_registry_as_it_went_in(logged, form):
    detector = load_detector(models(logged)[form])
    np.testing.assert_array_equal(
        detector.score(logged.data.test).values, logged.detector.score(logged.data.test).values
    )
    assert detector.threshold == logged.detector.threshold


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (f"models:/{NAME}@nobody", r"models:/tsad-under-test@nobody: cannot be fetched \(.*nobody"),
        (f"models:/{NAME}/99", r"models:/tsad-under-test/99: cannot be fetched \(.*99"),
        ("models:/absent@champion", r"models:/absent@champion: cannot be fetched \("),
        ("models:/malformed", r"models:/malformed: cannot be fetched \("),
        ("runs:/0123456789abcdef/detector", r"runs:/0123456789abcdef/detector: cannot be fetched \("),
        ("ftp://host/detector", r"ftp://host/detector: cannot be fetched \("),
        ("no/such/folder", r"no/such/folder: must hold detector\.json, but does not; give a models:/ or runs:/ URI"),
    ],
)
def test_a_model_that_is_not_there_is_named(logged, model, message):
    with pytest.raises(DetectorError, match=message):
        load_detector(model)


def test_a_model_of_somebody_else_is_refused(logged, tmp_path):
    (tmp_path / "MLmodel").write_text(yaml.safe_dump({"flavors": {"sklearn": {}}}))
    with pytest.raises(DetectorError, match=r"must hold detector\.json, but does not"):
        load_detector(str(tmp_path))


def test_a_detector_without_its_weights_is_refused(logged, tmp_path):
    shutil.copytree(logged.folder, tmp_path / DETECTOR)
    (tmp_path / DETECTOR / WEIGHTS).unlink()
    with pytest.raises(DetectorError, match=r"weights\.safetensors: must be a safetensors file"):
        load_detector(str(tmp_path))
