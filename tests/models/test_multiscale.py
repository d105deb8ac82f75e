import numpy as np
import pytest
import torch

from tests.examples import sensors
from tsad.config import ExperimentConfig
from tsad.detector.detector import Detector
from tsad.experiment import run
from tsad.models.baselines.multiscale import MultiscaleLinearSpec
from tsad.models.baselines.principal import PrincipalModel
from tsad.series import Series
from tsad.spec import parse
from tsad.windows import cut

FEATURES = 4


def spec(**keys):
    return MultiscaleLinearSpec(kind="multiscale_linear", **keys)


def fitted(series, length, **keys):
    model = spec(**keys).build(len(series.features), length)
    model.fit(cut(series, length))
    return model.eval()


def line(rows, noise=0.0):
    """Returns rows that lie on one line through the origin, but for some noise."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=(rows, 1)) * [1.0, 2.0, -1.0, 0.5] + noise * generator.normal(size=(rows, FEATURES))
    return Series(values.astype(np.float32), tuple("abcd"))


@pytest.mark.parametrize(
    ("length", "halvings", "lengths"),
    [
        (64, 2, [1, 16, 32, 64]),
        (64, 0, [1, 64]),
        (20, 3, [1, 2, 5, 10, 20]),
        (5, 9, [1, 2, 5]),
        (1, 2, [1]),
    ],
)
def test_the_window_is_halved_down_to_single_rows(length, halvings, lengths):
    model = spec(halvings=halvings).build(FEATURES, length)
    assert [scale.steps for scale in model.scales] == lengths
    assert model.usual.tolist() == [1.0] * len(lengths)


def test_each_scale_keeps_its_own_axes_but_never_more_than_values():
    model = spec(components=7, row_components=3, halvings=4).build(FEATURES, 16)
    assert [scale.axes.shape for scale in model.scales] == [(4, 3), (8, 7), (16, 7), (32, 7), (64, 7)]
    assert spec(components=99, row_components=99).build(FEATURES, 2).scales[1].axes.shape == (8, 8)


def test_the_anomaly_score_on_training_rows_is_one_on_average():
    series = sensors(300)
    windows = cut(series, 16)
    anomaly_score = fitted(series, 16)(windows.take(torch.arange(len(windows)))).anomaly_score
    assert anomaly_score.shape == (285, 1, 6)
    assert float(anomaly_score.mean()) == pytest.approx(1, rel=1e-4)


def test_a_row_off_the_line_is_strange_and_the_feature_that_left_it_most_of_all():
    model = fitted(line(400, noise=0.01), 8, components=1, row_components=1)
    rows = line(40, noise=0.01).values
    rows[39, 1] += 5
    windows = cut(Series(rows, tuple("abcd")), 8)
    anomaly_score = model(windows.take(torch.arange(len(windows)))).anomaly_score[:, 0]
    assert 0.5 < float(anomaly_score[:-1].mean()) < 1.5
    assert float(anomaly_score[-1].mean()) > 10
    assert int(anomaly_score[-1].argmax()) == 1


def test_the_anomaly_score_by_hand():
    # two rows a window, all training rows on the diagonal: nothing is left over, so the usual error is its least value
    series = Series(np.float32([[0, 0], [1, 1], [2, 2], [1, 1]]), ("a", "b"))
    model = fitted(series, 2, halvings=0, components=2, row_components=1)
    assert model.usual.tolist() == [1e-6, 1e-6]
    model.usual[:] = torch.tensor([0.5, 0.25])
    found = model(torch.tensor([[[1.0, 1.0], [3.0, 1.0]]])).anomaly_score
    # single rows: (1, 1) fits, (3, 1) is 1 off in either feature, mean 1/2; the window: its last row is off likewise,
    # root mean square over its two rows sqrt(1/2)
    by_hand = (0.5 / 0.5 + np.sqrt(0.5) / 0.25) / 2
    np.testing.assert_allclose(found[0, 0], [by_hand, by_hand], rtol=1e-4)


def test_single_rows_are_averaged_over_the_last_three():
    series = line(200, noise=0.1)
    model = fitted(series, 4, halvings=0, components=1, row_components=1)
    windows = cut(series, 4)
    reference = PrincipalModel(1, FEATURES, 1)
    reference.fit(windows)
    batch = windows.take(torch.arange(10))
    errors = torch.stack([(reference(row).residual(row)).abs()[:, 0] for row in batch.split(1, dim=1)])
    np.testing.assert_allclose(model._roots(batch)[0], errors[1:].mean(dim=0), rtol=1e-4, atol=1e-6)


def test_a_window_of_one_row_is_the_row_alone():
    series = line(100, noise=0.1)
    windows = cut(series, 1)
    model = fitted(series, 1, row_components=1)
    batch = windows.take(torch.arange(len(windows)))
    errors = model.scales[0](batch).residual(batch).abs()
    np.testing.assert_allclose(model(batch).anomaly_score, errors / errors.mean(), rtol=1e-4)


def test_the_score_is_the_anomaly_score_and_survives_saving(tmp_path):
    values = {
        "data": {"kind": "synthetic", "rows": 400, "features": FEATURES, "events": 8},
        "split": {"gap": 20},
        "window": {"length": 16},
        "model": {"kind": "multiscale_linear", "components": 6},
        "scoring": {"error": "absolute"},
    }
    experiment = parse(ExperimentConfig, values, "multiscale")
    data = experiment.data.load(tmp_path)
    outcome = run(experiment, data)
    outcome.detector.save(tmp_path)
    again = Detector.load(tmp_path)
    np.testing.assert_array_equal(again.score(data.test).values, outcome.test.values)
    windows = cut(again.scorer.scaler.apply(data.test), 16)
    anomaly_score = again.scorer.model(windows.take(torch.arange(len(windows)))).anomaly_score
    np.testing.assert_allclose(outcome.test.values[15:], anomaly_score.double().mean(dim=(1, 2)), rtol=1e-4)
    np.testing.assert_allclose(outcome.test.by_feature[15:], anomaly_score[:, 0], rtol=1e-4)
    assert again.scorer.predictions(data.test) is None
