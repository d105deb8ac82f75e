"""Closed forms on wide rows: the same fit from the products of windows, in groups of features and of windows."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

import tsad.models.baselines.autoregressive as ridges
import tsad.models.baselines.principal as axes
import tsad.windows
from tests.examples import sensors
from tsad.models.baselines.autoregressive import AutoregressiveRidgeSpec
from tsad.models.baselines.multiscale import MultiscaleLinearSpec
from tsad.models.baselines.principal import PcaErrorSpec, WindowLinearSpec
from tsad.windows import cut


def noisy(rows, features, seed=0):
    """Returns rows of sensors, a segment of them beside another, in which no two directions vary alike."""
    series = sensors(rows, features, seed, boundaries=(rows // 3,))
    series.values[:] *= np.linspace(1, 3, features, dtype=np.float32)
    return series


@pytest.mark.parametrize("cells", [2**25, 5000])
@pytest.mark.parametrize("length", [1, 8])
def test_axes_of_wide_windows_are_scikit_learns(length, cells, monkeypatch):
    monkeypatch.setattr(axes, "CELLS", cells)
    features = 2200 if length == 1 else 300
    windows = cut(noisy(120, features), 8)
    model = WindowLinearSpec(kind="window_linear", components=5).build(features, length)
    model.fit(windows)
    batch = next(windows.batches(len(windows)))
    flat = batch[:, -length:].flatten(start_dim=1).double().numpy()
    reference = PCA(5, svd_solver="full").fit(flat)
    expected = reference.inverse_transform(reference.transform(flat)).reshape(len(batch), length, features)
    np.testing.assert_allclose(model(batch).values, expected, atol=2e-5)
    gram = (model.axes.T @ model.axes).double()
    np.testing.assert_allclose(gram, np.eye(5), atol=1e-5)


def test_the_covariance_and_the_products_of_windows_have_the_same_axes(monkeypatch):
    windows = cut(noisy(300, 20), 16)
    fitted = []
    for limit in (4096, 10):
        monkeypatch.setattr(axes, "_WIDE", limit)
        model = WindowLinearSpec(kind="window_linear", components=6).build(20, 16)
        model.fit(windows)
        fitted.append(model)
    projections = [model.axes @ model.axes.T for model in fitted]
    np.testing.assert_allclose(projections[1], projections[0], atol=1e-5)
    np.testing.assert_allclose(fitted[1].mean, fitted[0].mean, atol=1e-6)


def test_many_wide_windows_are_thinned_out_evenly(monkeypatch):
    monkeypatch.setattr(axes, "_WIDE", 10)
    monkeypatch.setattr(axes, "_WINDOWS", 50)
    windows = cut(noisy(2000, 12), 4)
    model = PcaErrorSpec(kind="pca_error", components=3).build(12, 4)
    model.fit(windows)
    few = PcaErrorSpec(kind="pca_error", components=3).build(12, 4)
    few.fit(windows.spread(50))
    assert torch.equal(model.axes, few.axes)
    assert windows.spread(50).starts[[0, -1]].tolist() == windows.starts[[0, -1]].tolist()
    assert len(windows.spread(50)) == 50
    assert len(windows.spread(10**6)) == len(windows)


def test_fewer_wide_windows_than_axes_explain_themselves():
    windows = cut(noisy(20, 3000).part(8, 20), 8)
    assert len(windows) == 5
    model = WindowLinearSpec(kind="window_linear", components=16).build(3000, 8)
    model.fit(windows)
    batch = next(windows.batches(5))
    np.testing.assert_allclose(model(batch).values, batch, atol=1e-4)
    assert torch.isfinite(model.axes).all()
    assert int((model.axes.norm(dim=0) > 0).sum()) == 4


def test_equal_wide_windows_have_no_axes():
    series = noisy(40, 3000)
    series.values[:] = 1.5
    model = WindowLinearSpec(kind="window_linear", components=4).build(3000, 8)
    windows = cut(series, 8)
    model.fit(windows)
    batch = next(windows.batches(9))
    np.testing.assert_allclose(model(batch).values, batch, atol=1e-6)
    assert not model.axes.any()


@pytest.mark.parametrize("cells", [2**25, 5000])
def test_wide_autoregressive_coefficients_are_scikit_learns(cells, monkeypatch):
    monkeypatch.setattr(tsad.windows, "CELLS", cells)
    windows = cut(noisy(200, 800), 6)
    spec = AutoregressiveRidgeSpec(kind="autoregressive_ridge", order=4, penalty=70.0)
    model = spec.build(800, 6)
    assert model.inputs == 3200
    model.fit(windows)
    batch = next(windows.batches(len(windows)))
    past = batch[:, 1:5].flatten(1).double().numpy()
    reference = Ridge(alpha=70.0).fit(past, batch[:, 5].double().numpy())
    np.testing.assert_allclose(model(batch).values[:, 0], reference.predict(past), atol=2e-5)


def test_both_ways_to_the_coefficients_agree(monkeypatch):
    windows = cut(noisy(150, 40), 6)
    fitted = []
    for limit in (2048, 10):
        monkeypatch.setattr(ridges, "_WIDE", limit)
        model = AutoregressiveRidgeSpec(kind="autoregressive_ridge").build(40, 6)
        model.fit(windows)
        fitted.append(model)
    np.testing.assert_allclose(fitted[1].coefficients, fitted[0].coefficients, atol=1e-5)
    np.testing.assert_allclose(fitted[1].intercept, fitted[0].intercept, atol=1e-5)


def test_a_sum_over_windows_does_not_depend_on_the_cells_at_once(monkeypatch):
    windows = cut(noisy(300, 10), 8)
    usual = []
    for cells in (2**25, 1000):
        monkeypatch.setattr(tsad.windows, "CELLS", cells)
        assert max(len(batch) for batch in windows.chunks(10**6)) == min(len(windows), cells // 80)
        model = MultiscaleLinearSpec(kind="multiscale_linear", halvings=1).build(10, 8)
        model.fit(windows)
        usual.append(model.usual)
    np.testing.assert_allclose(usual[1], usual[0], rtol=1e-6)
    assert [len(batch) for batch in windows.chunks(5)][:2] == [5, 5]
