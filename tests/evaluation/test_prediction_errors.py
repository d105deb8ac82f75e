import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from tsad.evaluation.prediction_errors import estimate_errors


def test_errors_by_hand():
    values, estimates = np.array([[9.0], [1.0], [5.0]]), np.array([[np.nan], [2.0], [2.0]])
    assert estimate_errors(values, estimates) == {"estimate/mae": 2.0, "estimate/rmse": pytest.approx(np.sqrt(5))}


def test_one_feature_is_what_scikit_learn_says():
    values, estimates = np.random.default_rng(0).normal(size=(2, 50, 1))
    errors = estimate_errors(values, estimates)
    assert errors["estimate/mae"] == pytest.approx(mean_absolute_error(values, estimates), rel=1e-12)
    assert errors["estimate/rmse"] == pytest.approx(root_mean_squared_error(values, estimates), rel=1e-12)


def test_without_an_estimate_there_is_no_error():
    assert estimate_errors(np.ones((3, 2)), np.full((3, 2), np.nan)) == {}
