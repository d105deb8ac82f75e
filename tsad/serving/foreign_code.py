"""MLflow models and the code in them: which are tsad's own format, and which of the others may run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tsad.errors import DetectorError, shown
from tsad.registry.fleet_log import FLEET_PYFUNC
from tsad.registry.log import PYFUNC

_CODE = "mlflow.pyfunc.loaders.code_model"
"""Loader of models from code; every other one may unpickle."""


def check_code(path: Path, uri: str, *, trust: bool) -> None:
    """Raises `DetectorError` unless an MLflow model is tsad's own format, or is trusted and holds nothing pickled.

    Args:
        path: Folder of the model, with its file `MLmodel`; nothing is run.
        uri: Name of the model for errors.
        trust: Whether the operator trusts its code.
    """
    flavor = _flavor(path / "MLmodel", uri)
    loader, code = flavor.get("loader_module"), Path(str(flavor.get("model_code_path") or "")).name
    if trust and (loader != _CODE or "python_model" in flavor):
        raise DetectorError(
            f"{uri}: must be an MLflow model from code, but is loaded by {shown(loader)}, which may unpickle; log it from "
            f"code, or serve it without --trust"
        )
    if not trust and (loader != _CODE or code not in {PYFUNC.name, FLEET_PYFUNC.name}):
        raise DetectorError(
            f"{uri}: holds a detector in an MLflow model of other code ({shown(code or loader)}), which --trust runs; do that "
            f"only if you know who wrote it, or serve the folder of the detector, which runs no code"
        )


def _flavor(path: Path, uri: str) -> Mapping[str, Any]:
    try:
        flavor = yaml.safe_load(path.read_text(encoding="utf-8"))["flavors"]["python_function"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError, yaml.YAMLError):
        raise DetectorError(
            f"{uri}: MLmodel must describe a model for python_function, but does not; log it again"
        ) from None
    if not isinstance(flavor, dict):
        raise DetectorError(
            f"{uri}: MLmodel must describe a model for python_function, but is {shown(flavor)}; log it again"
        )
    return flavor
