"""Code in a model: none of it runs unless it is trusted, and nothing that is pickled runs at all."""

import pickle
from pathlib import Path

import mlflow
import pytest
import yaml
from mlflow.pyfunc.model import PythonModel

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.serving.services import saved_detector
from tsad.detector.detector import Detector
from tsad.errors import DetectorError
from tsad.registry.log import PYFUNC, signature
from tsad.serving.served_model import open_model

pytestmark = pytest.mark.filterwarnings("ignore:.*(An input example was not provided|Add type hints):UserWarning")

EVIL = "\nfrom pathlib import Path as _Path\n_Path({mark!r}).write_text('ran')\n"


def packed(folder, code, name="pyfunc.py"):
    """Returns the folder of an MLflow model of a detector with some code, which saving runs once."""
    _, _ = saved_detector(folder / "detector")
    (folder / "code").mkdir()
    path = folder / "code" / name
    path.write_text(code, encoding="utf-8")
    mlflow.pyfunc.save_model(
        path=folder / "model",
        python_model=str(path),
        artifacts={"detector": str(folder / "detector")},
        signature=signature(),
        pip_requirements=[],
    )
    return folder / "model"


@pytest.fixture
def mark(tmp_path):
    """The file that evil code writes."""
    return tmp_path / "mark"


def test_our_own_format_is_read_without_running_the_code_beside_it(tmp_path, mark):
    model = packed(tmp_path, PYFUNC.read_text() + EVIL.format(mark=str(mark)))
    mark.unlink()
    served = open_model(str(model), tmp_path / "beside")
    assert not mark.exists()
    assert served.detector.digest == Detector.load(tmp_path / "detector").digest
    open_model(str(model), tmp_path / "beside", trust=True)
    assert mark.read_text() == "ran"


def test_code_beside_it_on_the_path_of_python_does_not_run(tmp_path, mark):
    model = packed(tmp_path, PYFUNC.read_text())
    values = yaml.safe_load((model / "MLmodel").read_text())
    values["flavors"]["python_function"]["code"] = "code"
    (model / "code/tsad").mkdir(parents=True)
    for name in ("tsad/__init__.py", "sitecustomize.py", "yaml.py"):
        (model / "code" / name).write_text(EVIL.format(mark=str(mark)))
    (model / "MLmodel").write_text(yaml.safe_dump(values))
    open_model(str(model), tmp_path / "beside")
    assert not mark.exists()


def test_a_model_of_other_code_needs_trust(tmp_path, mark):
    model = packed(tmp_path, PYFUNC.read_text() + EVIL.format(mark=str(mark)), "mine.py")
    mark.unlink()
    with pytest.raises(
        DetectorError, match=r"holds a detector in an MLflow model of other code .'mine.py'., which --trust runs"
    ):
        open_model(str(model), tmp_path / "beside")
    assert not mark.exists()
    assert open_model(str(model), tmp_path / "beside", trust=True).detector.scorer.features[0] == "s0"
    assert mark.exists()


@pytest.mark.parametrize("trust", [False, True])
def test_what_is_pickled_is_never_loaded(tmp_path, trust, monkeypatch):
    class Pickled(PythonModel):
        def predict(self, context, model_input: list[str], params=None) -> list[str]:
            return model_input

    saved_detector(tmp_path / "detector")
    mlflow.pyfunc.save_model(
        path=tmp_path / "model",
        python_model=Pickled(),
        artifacts={"detector": str(tmp_path / "detector")},
        pip_requirements=[],
    )

    def unpickled(*arguments, **options):
        raise AssertionError("something was unpickled")

    for loads in ("load", "loads"):
        monkeypatch.setattr(pickle, loads, unpickled)
        monkeypatch.setattr(f"cloudpickle.{loads}", unpickled)
    with pytest.raises(DetectorError, match="which may unpickle" if trust else "of other code"):
        open_model(str(tmp_path / "model"), tmp_path / "beside", trust=trust)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise KeyError('no')", "its code must load a detector, but failed with"),
        ("import sys; sys.modules['nothing']", "its code must load a detector, but failed with"),
        (
            PYFUNC.read_text().replace("lambda: detector,", "lambda: None,"),
            "its code must have a tsad",
        ),
    ],
)
def test_trusted_code_that_fails_is_one_line(tmp_path, code, says):
    model = packed(tmp_path, PYFUNC.read_text())
    (model / "pyfunc.py").write_text(code)
    with pytest.raises(DetectorError, match=says) as caught:
        open_model(str(model), tmp_path / "beside", trust=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"flavors: 1",
        b"flavors: {python_function: 1}",
        b"\xff",
        b"a: &a [*a]",
        b"!!python/object/apply:os.system [id]",
    ],
)
def test_a_damaged_mlmodel_is_refused_by_name(tmp_path, content):
    saved_detector(tmp_path / "model/artifacts/detector")
    Path(tmp_path / "model/MLmodel").write_bytes(content)
    with pytest.raises(DetectorError, match="MLmodel must describe a model for python_function"):
        open_model(str(tmp_path / "model"), tmp_path / "beside")
