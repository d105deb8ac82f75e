"""The detector as MLflow serves it: code and safe files, nothing pickled. MLflow runs this file to load the model."""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from tsad.detector import Detector
from tsad.errors import TsadError
from tsad.tables import flag_table


class ServedDetector(PythonModel):
    """Rows in time order in, `score` and `flag` per row out."""

    def load_context(self, context: PythonModelContext) -> None:
        """Loads the detector that the artifact `detector` holds."""
        self.detector = Detector.load(Path(context.artifacts["detector"]))

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Returns one row per row: `score` (None where the rows before it are too few) and `flag`.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE, answered as status 400, naming the column and row at fault, or how
                many rows are needed.
        """
        try:
            return flag_table(self.detector, model_input, "input")
        except TsadError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from None


set_model(ServedDetector())
