from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestNeighbors

from tsad.config import ExperimentConfig
from tsad.experiment import run
from tsad.models.baselines.autoregressive import AutoregressiveRidgeSpec
from tsad.models.baselines.chance import ConstantSpec, RandomSpec
from tsad.models.baselines.isolation_forest import IsolationForestSpec
from tsad.models.baselines.nearest import KMeansSpec, NearestNeighborSpec
from tsad.models.baselines.range_deviation import RangeDeviationSpec
from tsad.series import Series
from tsad.spec import parse
from tsad.windows import cut

FEATURES = 4


def windows_of(rows, length, seed=0):
    values = np.random.default_rng(seed).normal(size=(rows, FEATURES)).astype(np.float32)
    return cut(Series(values, tuple("abcd")), length)


def everything(windows):
    return windows.take(torch.arange(len(windows)))


def fitted(spec, windows):
    model = spec.build(FEATURES, windows.length)
    model.fit(windows)
    return model.eval()


def rebuilt(spec, model, length):
    """Returns the model as a saved detector would: built from the spec, filled from the tensors."""
    again = spec.build(FEATURES, length)
    again.load_state_dict(model.state_dict())
    return again


@pytest.mark.parametrize(("trained", "kept"), [(1000, 256), (100, 256), (500, 64), (300, 2), (300, 3)])
def test_an_isolation_forest_scores_as_scikit_learns(trained, kept):
    spec = IsolationForestSpec(kind="isolation_forest", trees=20, rows=kept, seed=3)
    train, test = windows_of(trained, 1), 3 * everything(windows_of(200, 1, seed=1))
    model = rebuilt(spec, fitted(spec, train), 1)
    reference = IsolationForest(n_estimators=20, max_samples=min(kept, trained), random_state=3).fit(train.rows.numpy())
    anomaly_score = model(test).anomaly_score[:, 0].numpy()
    np.testing.assert_allclose(anomaly_score, -reference.score_samples(test[:, 0].numpy()), rtol=1e-12)


def test_an_isolation_forest_meets_ties_as_scikit_learn_does():
    values = np.random.default_rng(0).integers(0, 3, size=(300, FEATURES)).astype(np.float32)
    windows = cut(Series(values, tuple("abcd")), 1)
    spec = IsolationForestSpec(kind="isolation_forest", trees=10)
    reference = IsolationForest(n_estimators=10, max_samples=256, random_state=0).fit(values)
    anomaly_score = fitted(spec, windows)(everything(windows)).anomaly_score[:, 0].numpy()
    np.testing.assert_allclose(anomaly_score, -reference.score_samples(values), rtol=1e-12)


def test_a_anomaly_score_is_the_residual_of_every_feature():
    windows = windows_of(50, 3)
    prediction = fitted(IsolationForestSpec(kind="isolation_forest", trees=5), windows)(everything(windows))
    residual = prediction.residual(everything(windows))
    assert residual.shape == (48, 1, FEATURES)
    assert torch.equal(residual, prediction.anomaly_score[:, :, None].expand(48, 1, FEATURES))


def test_the_nearest_training_row_is_scikit_learns():
    train, test = windows_of(300, 5), everything(windows_of(80, 5, seed=1))
    spec = NearestNeighborSpec(kind="nearest_neighbor")
    residual = rebuilt(spec, fitted(spec, train), 5)(test).residual(test)[:, 0]
    reference = NearestNeighbors(n_neighbors=1).fit(train.rows[train.ends].numpy())
    distance, _ = reference.kneighbors(test[:, -1].numpy())
    np.testing.assert_allclose(residual.norm(dim=1).numpy(), distance[:, 0], rtol=1e-4)


def test_rows_are_kept_evenly_when_there_are_too_many():
    model = fitted(NearestNeighborSpec(kind="nearest_neighbor", rows=3), windows_of(9, 1))
    assert torch.equal(model.points, windows_of(9, 1).rows[[0, 4, 8]])


def test_centroids_are_scikit_learns():
    train, test = windows_of(300, 4), everything(windows_of(60, 4, seed=1))
    spec = KMeansSpec(kind="k_means", clusters=5, seed=2)
    prediction = rebuilt(spec, fitted(spec, train), 4)(test).values
    reference = KMeans(5, n_init=1, random_state=2).fit(everything(train).flatten(1).numpy())
    nearest = reference.cluster_centers_[reference.predict(test.flatten(1).numpy())]
    np.testing.assert_allclose(prediction.flatten(1).numpy(), nearest, atol=1e-5)


def test_fewer_windows_than_clusters_are_their_own_centroids():
    train = windows_of(6, 4)
    model = fitted(KMeansSpec(kind="k_means", clusters=50), train)
    np.testing.assert_allclose(model(everything(train)).values, everything(train), atol=1e-6)


def test_autoregressive_coefficients_are_scikit_learns():
    train, test = windows_of(400, 8), everything(windows_of(60, 8, seed=1))
    spec = AutoregressiveRidgeSpec(kind="autoregressive_ridge", order=3, penalty=2.5)
    prediction = rebuilt(spec, fitted(spec, train), 8)(test).values[:, 0]
    past, target = everything(train)[:, 4:7].flatten(1).numpy(), everything(train)[:, 7].numpy()
    reference = Ridge(alpha=2.5).fit(past.astype(np.float64), target)
    np.testing.assert_allclose(prediction.numpy(), reference.predict(test[:, 4:7].flatten(1).numpy()), atol=1e-5)


def test_an_autoregression_does_not_see_its_target():
    train, test = windows_of(100, 6), everything(windows_of(20, 6, seed=1))
    model = fitted(AutoregressiveRidgeSpec(kind="autoregressive_ridge"), train)
    changed = test.clone()
    changed[:, -1] = 99
    assert torch.equal(model(changed).values, model(test).values)


def test_a_window_too_short_to_look_back_is_refused():
    with pytest.raises(ValueError, match="order=5 and length=5; take length=6 or more, or a lower order"):
        AutoregressiveRidgeSpec(kind="autoregressive_ridge").build(FEATURES, 5)


def test_within_the_training_range_nothing_is_strange():
    train = cut(Series(np.float32([[0, 5], [2, 7]]), ("a", "b")), 1)
    model = RangeDeviationSpec(kind="range_deviation").build(2, 1)
    model.fit(train)
    rows = torch.tensor([[[1.0, 6.0]], [[-1.0, 7.0]], [[2.5, 1.0]]])
    assert model(rows).residual(rows).squeeze(1).tolist() == [[0, 0], [-1, 0], [0.5, -4]]


def test_constant_scores_are_all_zero():
    windows = windows_of(20, 3)
    prediction = fitted(ConstantSpec(kind="constant"), windows)(everything(windows))
    assert not prediction.residual(everything(windows)).any()


@pytest.mark.parametrize("length", [1, 7])
def test_random_anomaly_scores_are_even_and_follow_from_window_and_seed(length):
    windows = everything(windows_of(20_000, length))
    anomaly_score, same, other = (
        RandomSpec(kind="random", seed=seed).build(FEATURES, length)(windows).anomaly_score[:, 0] for seed in (0, 0, 1)
    )
    assert torch.equal(anomaly_score, same)
    assert np.histogram(anomaly_score, bins=10, range=(0, 1))[0] == pytest.approx([len(windows) / 10] * 10, rel=0.1)
    assert abs(float(torch.corrcoef(torch.stack([anomaly_score, other]))[0, 1])) < 0.03
    assert abs(float(torch.corrcoef(torch.stack([anomaly_score[1:], anomaly_score[:-1]]))[0, 1])) < 0.03
    assert abs(float(torch.corrcoef(torch.stack([anomaly_score, windows[:, -1, 0].double()]))[0, 1])) < 0.03


def test_the_largest_z_score_is_l2_scored_by_its_largest_feature():
    values = {
        "data": {"kind": "synthetic", "rows": 800, "features": 4, "events": 4},
        "window": {"length": 1},
        "model": {"kind": "l2"},
        "scoring": {"error": "absolute", "features": "max"},
    }
    experiment = parse(ExperimentConfig, values, "largest z-score")
    data = experiment.data.load(Path())
    outcome = run(experiment, data)
    scaled = outcome.detector.scorer.scaler.apply(data.test).values
    np.testing.assert_allclose(outcome.test.values, np.abs(scaled).max(axis=1), rtol=1e-4, atol=1e-5)


def test_no_epochs_leave_an_untrained_copy():
    values = {
        "seed": 3,
        "data": {"kind": "synthetic", "rows": 800, "features": 4, "events": 4},
        "model": {"kind": "tcn_ae"},
        "training": {"epochs": 0},
    }
    experiment = parse(ExperimentConfig, values, "untrained copy")
    outcome = run(experiment, experiment.data.load(Path()))
    torch.manual_seed(3)
    fresh = experiment.model.build(4, 32).state_dict()
    assert outcome.history == ()
    assert all(torch.equal(tensor, fresh[name]) for name, tensor in outcome.detector.scorer.model.state_dict().items())
