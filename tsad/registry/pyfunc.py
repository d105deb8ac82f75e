"""The detector as a model of MLflow: code and safe files, nothing pickled. MLflow runs this file to load the model."""

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
from tsad.registry.request_table import table_of

PARAMETERS = ("threshold", "explain")
"""Names of the parameters that a request may set."""


class ServedDetector(PythonModel):
    """Takes rows in time order, and returns a score and a flag for each row.

    Attributes:
        detector: Detector that scores and flags.
    """

    detector: Detector

    def load_context(self, context: PythonModelContext) -> None:
        """Loads the detector from the artifact `detector`."""
        self.detector = Detector.load(Path(context.artifacts["detector"]))

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Returns one row per input row: `score` (None if too few rows surround it) and `flag`.

        Args:
            context: Unused.
            model_input: Rows in time order: a DataFrame with the features of the detector as columns of numbers of any type,
                a mapping of column names to columns, a list of mappings, or an (n, F) array in the order of the features.
            params: Parameters by name. `threshold` replaces the threshold value of the detector. `explain` is the number of
                features that contributed most to each score; they are added in columns `feature_1`, `share_1`, and so on.

        Raises:
            MlflowException: with INVALID_PARAMETER_VALUE, which MLflow answers with status 400; the message names the
                parameter, the column and row, or the required number of rows.
        """
        values = params or {}
        try:
            if unknown := sorted(values.keys() - PARAMETERS):  # MLflow's own server drops them before
                raise DataError(
                    f"params must be among {' and '.join(PARAMETERS)}, but got {unknown}; leave the others out"
                )
            detector = with_threshold(self.detector, values.get("threshold"), "threshold")
            rows = table_of(model_input, detector.scorer.features)
            return flag_table(detector, rows, "input", top=values.get("explain") or 0)
        except TsadError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from None


set_model(ServedDetector())
