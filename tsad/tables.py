"""Tables with scores: what files and requests get back."""

import numpy as np
import pandas as pd

from tsad.data.csv import to_values
from tsad.detector import Detector
from tsad.series import Series


def flag_table(detector: Detector, table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Returns `score` (float or None) and `flag` (bool) for each row of a table that has the detector's features."""
    features = detector.scorer.features
    scores = detector.score(Series(to_values(table, features, source), features))
    known = ~np.isnan(scores.values)
    values = pd.Series(scores.values, dtype=object).where(known, None)
    return pd.DataFrame({"score": values, "flag": detector.flag(scores)}).set_axis(table.index)
