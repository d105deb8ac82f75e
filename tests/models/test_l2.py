import numpy as np

from tests.examples import sensors
from tsad.models.baselines.l2 import L2Spec
from tsad.windows import cut


def test_every_row_is_predicted_by_the_mean_of_the_rows_that_end_a_training_window():
    series = sensors(90, features=4, boundaries=(3, 40))  # the first segment is too short for a window
    windows = cut(series, length=5)
    model = L2Spec(kind="l2").build(features=4, length=5)
    model.fit(windows)
    ends = np.concatenate([series.values[3 + 4 : 40], series.values[40 + 4 :]])
    prediction = model(next(windows.batches(6))).values
    np.testing.assert_allclose(prediction, np.broadcast_to(ends.mean(axis=0, dtype=np.float64), (6, 1, 4)), atol=1e-6)
