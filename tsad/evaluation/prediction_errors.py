"""Errors of predictions against the rows: for a forecaster, its forecast error."""

import numpy as np

from tsad.arrays import Floats


def prediction_errors(values: Floats, predictions: Floats) -> dict[str, float]:
    """Returns `prediction/mae` and `prediction/rmse` over all values of the rows; nothing if no row has a prediction.

    Args:
        values: (T, F) rows, all features in comparable units, such as training deviations.
        predictions: (T, F) what a model took them for, NaN in rows without a prediction.
    """
    differences = (values - predictions)[~np.isnan(predictions).any(axis=1)]
    if not len(differences):
        return {}
    return {
        "prediction/mae": float(np.abs(differences).mean()),
        "prediction/rmse": float(np.sqrt(np.square(differences).mean())),
    }
