"""The detector as MLflow serves it: code and safe files, nothing pickled. MLflow runs this file to load the model."""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from tsad.detector.detector import Detector
from tsad.detector.score_table import flag_table, with_threshold
from tsad.errors import DataError, TsadError

PARAMETERS = ("threshold", "explain")
"""What a request may set, beside its rows."""


class ServedDetector(PythonModel):
    """Rows in time order in, `score` and `flag` per row out.

    Attributes:
        detector: What scores and flags.
    """

    detector: Detector

    def load_context(self, context: PythonModelContext) -> None:
        """Loads the detector that the artifact `detector` holds."""
        self.detector = Detector.load(Path(context.artifacts["detector"]))

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Returns one row per row: `score` (None where the rows around it are too few) and `flag`.

        Args:
            context: Not needed.
            model_input: Rows that have the detector's features as columns.
            params: `threshold`, a threshold that flags instead of the detector's own; `explain`, how many features are named
                that had most to do with each score, in columns `feature_1`, `share_1`, and so on.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE, answered as status 400, naming the parameter, the column and row at
                fault, or how many rows are needed.
        """
        given = params or {}
        try:
            if unknown := sorted(given.keys() - PARAMETERS):  # MLflow drops them before they come here; others do not
                raise DataError(f"params are {' and '.join(PARAMETERS)}, but got {unknown}")
            detector = with_threshold(self.detector, given.get("threshold"), "threshold")
            return flag_table(detector, model_input, "input", top=given.get("explain") or 0)
        except TsadError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from None


set_model(ServedDetector())
