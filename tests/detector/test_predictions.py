import numpy as np
import pytest

from tests.examples import FirstRow, detector_of, from_defaults, members, sensors
from tsad.data.scale import Scaler
from tsad.detector.detector import Scorer
from tsad.detector.scoring import BATCH, ScoringSpec
from tsad.models import ModelSpec
from tsad.models.baselines.l2 import L2Spec
from tsad.series import Series
from tsad.windows import cut

LENGTH = 8
every_model = pytest.mark.parametrize(
    "spec", [from_defaults(member) for member in members(ModelSpec)], ids=lambda spec: spec.kind
)


def test_a_prediction_is_that_of_the_last_step_in_the_units_of_the_data():
    # the last step of a window is predicted by its first row; a window of 3 ends in rows 2, 3 and, after the break, 6
    values = np.arange(14, dtype=np.float32).reshape(7, 2)
    scaler = Scaler(np.array([5.0, -2.0]), np.array([4.0, 0.5]), clip=None)
    scorer = Scorer(("a", "b"), scaler, 3, L2Spec(kind="l2"), FirstRow(2).eval(), ScoringSpec(), np.ones(2))
    expected = np.full((7, 2), np.nan)
    expected[[2, 3, 6]] = values[[0, 1, 4]]
    np.testing.assert_allclose(scorer.predictions(Series(values, ("a", "b"), boundaries=(4,))), expected)


@every_model
def test_a_model_has_predictions_or_anomaly_scores(spec):
    series = sensors(2 * BATCH + 10)
    detector = detector_of(spec, series, LENGTH, ScoringSpec(error="absolute", over="last"))
    found = detector.scorer.predictions(series)
    scaled = detector.scorer.scaler.apply(series)
    prediction = detector.scorer.model(cut(scaled, LENGTH).take(cut(scaled, LENGTH).starts[:1]))
    assert (found is None) == (prediction.anomaly_score is not None)
    if found is not None:
        error = np.abs(series.values - found) / detector.scorer.scaler.scale
        np.testing.assert_allclose(error, detector.score(series).by_feature, atol=1e-5)
        assert np.isnan(found[: LENGTH - 1]).all()
        assert np.isfinite(found[LENGTH - 1 :]).all()
