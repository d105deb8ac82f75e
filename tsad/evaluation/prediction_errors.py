"""How far estimates are from the rows: for a forecaster, its forecast error."""

import numpy as np

from tsad.evaluation.pointwise import Floats


def estimate_errors(values: Floats, estimates: Floats) -> dict[str, float]:
    """Returns `estimate/mae` and `estimate/rmse` over all values of the rows; nothing if no row has an estimate.

    Args:
        values: (T, F) rows, all features in comparable units, such as training deviations.
        estimates: (T, F) what a model took them for, NaN in rows without an estimate.
    """
    differences = (values - estimates)[~np.isnan(estimates).any(axis=1)]
    if not len(differences):
        return {}
    return {
        "estimate/mae": float(np.abs(differences).mean()),
        "estimate/rmse": float(np.sqrt(np.square(differences).mean())),
    }
