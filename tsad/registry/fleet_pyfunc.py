"""The fleet as a model of MLflow: code and safe files, nothing pickled. MLflow runs this file to load the model."""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from tsad.errors import DataError, TsadError
from tsad.fleet import Fleet, flag_rows
from tsad.registry.request_table import table_of

PARAMETERS = ("threshold", "explain")
"""Names of the parameters that a request may set."""


class ServedFleet(PythonModel):
    """Takes rows of any of its entities, those of an entity in time order, and returns a score and a flag for each row.

    Attributes:
        fleet: Fleet whose detectors score and flag.
    """

    fleet: Fleet

    def load_context(self, context: PythonModelContext) -> None:
        """Opens the fleet of the artifact `fleet`; its detectors are read when they are first asked for."""
        self.fleet = Fleet.load(Path(context.artifacts["fleet"]))

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Returns one row per input row, in their order: `score` (None if too few rows of its entity surround it) and `flag`.

        Args:
            context: Unused.
            model_input: Rows with the column of entities and the features; rows of several entities may be mixed.
            params: Parameters by name, `threshold` and `explain`, as those of a single detector.

        Raises:
            MlflowException: with INVALID_PARAMETER_VALUE, which MLflow answers with status 400; the message names the
                parameter, the column, the entity or the required number of rows.
        """
        values = params or {}
        try:
            if unknown := sorted(values.keys() - PARAMETERS):  # MLflow's own server drops them before
                raise DataError(
                    f"params must be among {' and '.join(PARAMETERS)}, but got {unknown}; leave the others out"
                )
            fleet = self.fleet.with_threshold(values.get("threshold"), "threshold")
            rows = table_of(model_input, (fleet.manifest.column, *fleet.features))
            return flag_rows(fleet, rows, "input", top=values.get("explain") or 0)
        except TsadError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from None


set_model(ServedFleet())
