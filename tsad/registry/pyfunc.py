"""The detector as a model of MLflow: code and safe files, nothing pickled. MLflow runs this file to load the model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModelContext

from tsad.data.io.read_options import ReadOptions
from tsad.detector.detector import Detector
from tsad.detector.score_table import flag_table, with_threshold
from tsad.fleet import flag_entities
from tsad.registry.request_table import table_of
from tsad.registry.scoring_model import ScoringModel


class ServedDetector(ScoringModel):
    """Takes rows in time order, and returns a score and a flag for each row.

    Attributes:
        read: Function that returns the detector that scores and flags; a service may put another one here.
        column: Name of the column that says which entity a row belongs to; None if the rows that it learned from had none.
    """

    read: Callable[[], Detector]
    column: str | None = None

    def load_context(self, context: PythonModelContext) -> None:
        """Loads the detector, and how its rows were read, from the artifact `detector`."""
        folder = Path(context.artifacts["detector"])
        detector = Detector.load(folder)
        self.read, self.column = lambda: detector, ReadOptions.load(folder).entity

    @property
    def detector(self) -> Detector:
        """Detector that scores and flags."""
        return self.read()

    def scored(self, model_input: Any, threshold: float | None, top: int) -> pd.DataFrame:
        """Returns the scores and flags of rows in time order; with the column of entities, of each entity by itself."""
        detector = with_threshold(self.detector, threshold, "threshold")
        rows = table_of(model_input, detector.scorer.features)
        if self.column in rows.columns:
            return flag_entities(lambda entity: detector, rows, str(self.column), "input", top=top)
        return flag_table(detector, rows, "input", top=top)


set_model(ServedDetector())
