"""The fleet as a model of MLflow: code and safe files, nothing pickled. MLflow runs this file to load the model."""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModelContext

from tsad.fleet import Fleet, flag_rows
from tsad.registry.request_table import table_of
from tsad.registry.scoring_model import ScoringModel


class ServedFleet(ScoringModel):
    """Takes rows of any of its entities, those of an entity in time order, and returns a score and a flag for each row.

    Attributes:
        fleet: Fleet whose detectors score and flag.
    """

    fleet: Fleet

    def load_context(self, context: PythonModelContext) -> None:
        """Opens the fleet of the artifact `fleet`; its detectors are read when they are first asked for."""
        self.fleet = Fleet.load(Path(context.artifacts["fleet"]))

    def scored(self, model_input: Any, threshold: float | None, top: int) -> pd.DataFrame:
        """Returns the scores and flags of rows with the column of entities; rows of several entities may be mixed."""
        fleet = self.fleet.with_threshold(threshold, "threshold")
        rows = table_of(model_input, (fleet.manifest.column, *fleet.features))
        return flag_rows(fleet, rows, "input", top=top)


set_model(ServedFleet())
