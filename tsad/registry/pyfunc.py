"""The detector as a model of MLflow: code and safe files, nothing pickled. MLflow runs this file to load the model."""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModelContext

from tsad.detector.detector import Detector
from tsad.detector.score_table import flag_table, with_threshold
from tsad.registry.request_table import table_of
from tsad.registry.scoring_model import ScoringModel


class ServedDetector(ScoringModel):
    """Takes rows in time order, and returns a score and a flag for each row.

    Attributes:
        detector: Detector that scores and flags.
    """

    detector: Detector

    def load_context(self, context: PythonModelContext) -> None:
        """Loads the detector from the artifact `detector`."""
        self.detector = Detector.load(Path(context.artifacts["detector"]))

    def scored(self, model_input: Any, threshold: float | None, top: int) -> pd.DataFrame:
        """Returns the scores and flags of rows in time order."""
        detector = with_threshold(self.detector, threshold, "threshold")
        return flag_table(detector, table_of(model_input, detector.scorer.features), "input", top=top)


set_model(ServedDetector())
