"""Detectors are logged, registered and loaded again."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient

from tests.examples import sensors
from tests.registry.logged import BEFORE, NAME, table
from tsad.assessment.file_names import DETECTOR
from tsad.detector.detector import DESCRIPTION, WEIGHTS
from tsad.errors import DetectorError
from tsad.registry.aliases import champion, promote
from tsad.registry.load import load_detector, model_folder
from tsad.registry.log import log_detector, requirements, sample_of
from tsad.registry.register import list_versions, register, resolve
from tsad.tracking.runs import RunWriter

# MLflow's look at the input example, under pandas 3.1
pytestmark = pytest.mark.filterwarnings("ignore:Operation with range is deprecated:pandas.errors.Pandas4Warning")


# --- what lies in the registry ---


def test_nothing_in_the_model_is_pickled(fetched):
    files = [path for path in fetched.rglob("*") if path.is_file()]
    assert {WEIGHTS, DESCRIPTION, "MLmodel", "pyfunc.py"} <= {path.name for path in files}
    assert not [path for path in files if path.suffix in {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".bin"}]
    beginnings = {path.name: path.read_bytes()[:2] for path in files}
    assert not [name for name, start in beginnings.items() if start[:1] == b"\x80" and start[1:] <= b"\x05"]


def test_the_model_carries_its_code_and_no_bytecode(fetched):
    package = Path(__file__).parents[2] / "tsad"
    carried = {path.relative_to(fetched / "code/tsad") for path in (fetched / "code/tsad").rglob("*") if path.is_file()}
    here = {path.relative_to(package) for path in package.rglob("*.py")}
    assert here <= carried
    assert not [path for path in carried if path.suffix == ".pyc"]


def test_the_model_carries_rows_to_show(logged):
    found = model_folder(f"models:/{NAME}@champion")
    assert found.served
    assert found.detector == found.path / "artifacts" / DETECTOR
    pd.testing.assert_frame_equal(
        pd.read_csv(found.sample).astype(np.float32), table(logged.data.test).astype(np.float32)
    )


def test_a_detector_that_is_no_model_has_no_rows_to_show(logged):
    found = model_folder(str(logged.folder))
    assert (found.path, found.detector, found.sample, found.served) == (logged.folder, logged.folder, None, False)


def test_rows_to_show_are_those_around_the_first_anomaly_with_their_times():
    series = sensors(3000)
    assert sample_of(series).to_numpy().tolist() == series.values[:1000].tolist()
    labels, times = np.zeros(3000, bool), np.datetime64("2026-01-01", "s") + np.arange(3000)
    for anomaly, first in ((1700, 1200), (100, 0), (2990, 2000)):
        labels[:] = False
        labels[anomaly:] = True
        shown = sample_of(replace(series, labels=labels, times=times))
        assert list(shown.columns) == ["time", *series.features]
        assert shown["time"].tolist() == times[first : first + 1000].tolist()
        assert shown["s0"].tolist() == series.values[first : first + 1000, 0].tolist()


def test_the_model_names_its_features_and_what_comes_out_and_declares_no_types_of_inputs(logged, loaded):
    signature = loaded.metadata.signature
    assert signature.inputs is None  # MLflow would refuse whole numbers where it says double
    assert tuple(loaded.metadata.metadata["features"]) == logged.data.test.features
    assert tuple(loaded.input_example.columns) == logged.data.test.features
    assert signature.outputs.input_names() == ["score", "flag"]
    assert {param.name: (param.dtype.name, param.default) for param in signature.params} == {
        "threshold": ("double", None),
        "explain": ("long", 0),
    }


def test_the_input_example_is_long_enough_for_scores(logged, loaded, fetched):
    example = loaded.metadata.load_input_example(str(fetched))
    assert len(example) == BEFORE + 5
    assert loaded.predict(example)["score"].notna().sum() == 5


def test_requirements_are_pinned_to_versions_that_an_index_has(fetched):
    lines = (fetched / "requirements.txt").read_text().split()
    assert lines == requirements()
    assert all("==" in line and "+" not in line for line in lines)


@pytest.mark.slow
def test_requirements_are_what_loading_and_scoring_import(fetched):
    code = """
import ast, sys
from importlib.metadata import packages_distributions
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import tsad.registry.pyfunc
files = [Path(module.__file__) for name, module in sys.modules.items() if name.split(".")[0] == "tsad"]
found = set()
for node in (node for path in files for node in ast.walk(ast.parse(path.read_text()))):
    names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
    names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
    found |= {name.split(".")[0] for name in names}
distributions = packages_distributions()
extras = {"aiohttp", "fsspec", "python_calamine"}  # of files that a model never reads
names = {tuple(distributions[name]) for name in found - sys.stdlib_module_names - {"tsad", *extras}}
print(*sorted("mlflow" if "mlflow" in each else each[0].lower() for each in names))
print(len(files), all(path.is_relative_to(sys.argv[1]) for path in files))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(fetched / "code")], capture_output=True, text=True, check=True
    )
    imported, files = done.stdout.splitlines()
    assert int(files.split()[0]) > 40
    assert files.split()[1] == "True"
    assert imported.split() == sorted(line.partition("==")[0] for line in requirements())


def test_a_registered_version_has_its_alias_run_and_tags(logged):
    version = logged.store.client.get_model_version_by_alias(NAME, "champion")
    assert str(version.version) == logged.version
    assert version.tags["tsad.run"] == logged.run_id
    model = logged.store.client.get_logged_model(logged.uri.removeprefix("models:/"))
    assert model.source_run_id == logged.run_id
    assert model.tags["tsad.champion_trials"] == "g00-lstm_ae-000"


def test_the_registry_lists_its_versions_the_newest_first(logged):
    name = "tsad-registered-twice"
    assert list_versions(name) == []
    assert [register(logged.uri, name, {"which": which}) for which in ("first", "second")] == ["1", "2"]
    assert champion(name) is None
    promote(name, "1")
    second, first = list_versions(name)
    assert (second.version, second.aliases, second.tags) == ("2", (), {"which": "second"})
    assert (first.version, first.aliases, first.tags) == ("1", ("champion",), {"which": "first"})
    assert first.run_id == logged.run_id
    assert first.metrics == {"ranking/pr_auc": 0.5}
    assert first.created.startswith("20")
    assert first.created.endswith("+00:00")
    assert [each.version for each in list_versions(name, newest=1)] == ["2"]


def test_a_version_is_found_by_number_and_by_alias(logged):
    assert resolve(f"models:/{NAME}/{logged.version}") == resolve(f"models:/{NAME}@champion") == (NAME, logged.version)


def test_an_upload_that_was_killed_goes_on_under_the_same_id_and_no_run_is_ended(logged, tmp_path, monkeypatch):
    store = logged.store
    writer = RunWriter.create(store, store.experiment(), "is killed", {})
    writer.metrics({"ranking/pr_auc": 0.5})

    def log():
        return log_detector(writer.run_id, logged.folder, logged.data.test, {})

    for call in ("create_logged_model", "log_model_artifacts", "log_outputs", "log_batch", "finalize_logged_model"):
        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, call, Mock(side_effect=KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                log()
    uri = log()
    assert log() == uri
    (model,) = store.client.search_logged_models([store.experiment()], f"source_run_id = '{writer.run_id}'")
    run = store.client.get_run(writer.run_id)
    assert run.info.status == "RUNNING"
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]
    assert [(metric.key, metric.value) for metric in model.metrics] == [("ranking/pr_auc", 0.5)]
    assert len(store.client.get_metric_history(writer.run_id, "ranking/pr_auc")) == 1
    assert mlflow.pyfunc.load_model(uri).metadata.model_id == model.model_id


def test_a_model_is_logged_to_its_run_although_another_run_is_active(logged):
    store = logged.store
    writer = RunWriter.create(store, store.experiment(), "its run", {})
    with mlflow.start_run() as other:
        uri = log_detector(writer.run_id, logged.folder, logged.data.test, {})
    model = store.client.get_logged_model(uri.removeprefix("models:/"))
    assert (model.source_run_id, model.experiment_id) == (writer.run_id, store.experiment())
    assert not store.client.get_run(other.info.run_id).outputs.model_outputs


@pytest.mark.parametrize(
    "model", ["models:/tsad", "runs:/abc/detector", "outputs/champion", "models:/a/b/1", "models:/a@"]
)
def test_what_is_no_version_of_the_registry_is_not_looked_for(model):
    with pytest.raises(DetectorError, match=r"is models:/NAME/VERSION or models:/NAME@ALIAS, but got "):
        resolve(model)


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
        (f"models:/{NAME}@nobody", r"models:/tsad-under-test@nobody: cannot be found \(.*nobody"),
        (f"models:/{NAME}/99", r"models:/tsad-under-test/99: cannot be found \(.*99"),
        ("models:/absent@champion", r"models:/absent@champion: cannot be found \("),
        ("models:/malformed", r"models:/malformed: cannot be found \("),
        ("runs:/0123456789abcdef/detector", r"runs:/0123456789abcdef/detector: cannot be found \("),
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


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / WEIGHTS).unlink(), r"weights\.safetensors: must be a safetensors file"),
        (lambda folder: cut(folder / WEIGHTS, 0.5), r"weights\.safetensors: must be a safetensors file"),
        (lambda folder: cut(folder / WEIGHTS, 0.99), r"weights\.safetensors: must be a safetensors file"),
        (
            lambda folder: cut(folder / DESCRIPTION, 0.5),
            r"detector\.json: must be JSON, but .*; save the detector again",
        ),
        (lambda folder: (folder / DESCRIPTION).write_bytes(b"\xff\xfe"), r"detector\.json: must be JSON, but"),
        (
            lambda folder: (folder / DESCRIPTION).write_text("[]"),
            r"detector\.json: must hold a mapping, but holds list",
        ),
        (lambda folder: (folder / DESCRIPTION).write_text("{}"), r"detector\.json: .*format: field required"),
    ],
    ids=["no weights", "half the weights", "last weights cut", "half a JSON", "no text", "a list", "an empty mapping"],
)
def test_a_damaged_detector_is_refused_and_the_file_named(logged, tmp_path, damage, message):
    shutil.copytree(logged.folder, tmp_path / DETECTOR)
    damage(tmp_path / DETECTOR)
    with pytest.raises(DetectorError, match=message):
        load_detector(str(tmp_path))


def cut(path, share):
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def test_a_detector_in_a_folder_is_loaded_without_mlflow(fetched):
    detector = next(path.parent for path in fetched.rglob(DESCRIPTION))
    code = (
        "import sys; from tsad.registry.load import load_detector; "
        "load_detector(sys.argv[1]); print('mlflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(detector)], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert done.stdout == "False\n"
