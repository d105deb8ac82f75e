import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from tsad.evaluation.prediction_errors import prediction_errors


def test_errors_by_hand():
    values, predictions = np.array([[9.0], [1.0], [5.0]]), np.array([[np.nan], [2.0], [2.0]])
    assert prediction_errors(values, predictions) == {
        "prediction/mae": 2.0,
        "prediction/rmse": pytest.approx(np.sqrt(5)),
    }


def test_one_feature_is_what_scikit_learn_says():
    values, predictions = np.random.default_rng(0).normal(size=(2, 50, 1))
    errors = prediction_errors(values, predictions)
    assert errors["prediction/mae"] == pytest.approx(mean_absolute_error(values, predictions), rel=1e-12)
    assert errors["prediction/rmse"] == pytest.approx(root_mean_squared_error(values, predictions), rel=1e-12)


def test_without_a_prediction_there_is_no_error():
    assert prediction_errors(np.ones((3, 2)), np.full((3, 2), np.nan)) == {}
