"""Base of the models of MLflow that score rows: parameters of a request, and errors that MLflow answers with status 400."""

from abc import abstractmethod
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from tsad.errors import DataError, TsadError

PARAMETERS = ("threshold", "explain")
"""Names of the parameters that a request may set."""


class ScoringModel(PythonModel):
    """Takes rows, and returns a score and a flag for each row; `scored` says how."""

    @abstractmethod
    def scored(self, model_input: Any, threshold: float | None, top: int) -> pd.DataFrame:
        """Returns one row per input row; raises `TsadError` if the rows or the threshold are not valid.

        Args:
            model_input: Rows as they came.
            threshold: Threshold value in place of that of the model; None keeps it.
            top: Number of features that are named with each score.
        """

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Returns one row per input row: `score` (None if too few rows surround it) and `flag`.

        Args:
            context: Unused.
            model_input: Rows in time order: a DataFrame with the features as columns of numbers of any type, a mapping of column
                names to columns, a list of mappings, or an array in the order of the columns.
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
            return self.scored(model_input, values.get("threshold"), values.get("explain") or 0)
        except TsadError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from None
