import numpy as np
import pytest
from sklearn.decomposition import PCA

from tests.examples import sensors
from tsad.models.baselines.principal import PcaErrorSpec, WindowLinearSpec
from tsad.windows import cut

FEATURES, LENGTH = 6, 5


def reconstruction(flat, components):
    reference = PCA(components).fit(flat.astype(np.float64))
    return reference.inverse_transform(reference.transform(flat.astype(np.float64)))


def test_rows_are_reconstructed_as_by_scikit_learn():
    series = sensors(5000, FEATURES)  # more windows than the covariance takes at once
    windows = cut(series, LENGTH)
    model = PcaErrorSpec(kind="pca_error", components=3).build(FEATURES, LENGTH)
    model.fit(windows)
    rows = series.values[LENGTH - 1 :]
    prediction = model(next(windows.batches(len(windows)))).values[:, 0]
    np.testing.assert_allclose(prediction, reconstruction(rows, 3), atol=1e-5)


def test_windows_are_reconstructed_as_by_scikit_learn():
    windows = cut(sensors(400, FEATURES), LENGTH)
    model = WindowLinearSpec(kind="window_linear", components=7).build(FEATURES, LENGTH)
    model.fit(windows)
    batch = next(windows.batches(len(windows)))
    expected = reconstruction(batch.flatten(start_dim=1).numpy(), 7).reshape(batch.shape)
    np.testing.assert_allclose(model(batch).values, expected, atol=1e-5)


def test_a_large_offset_costs_no_accuracy():
    series = sensors(400, FEATURES)
    shifted = cut(type(series)(series.values + np.float32(1000), series.features), LENGTH)
    model = PcaErrorSpec(kind="pca_error", components=FEATURES).build(FEATURES, LENGTH)
    model.fit(shifted)
    batch = next(shifted.batches(50))
    np.testing.assert_allclose(model(batch).values[:, 0], batch[:, -1], atol=1e-3)


@pytest.mark.parametrize(
    ("spec", "size"),
    [
        (PcaErrorSpec(kind="pca_error", components=40), r"6 values \(1 steps x 6 features\)"),
        (WindowLinearSpec(kind="window_linear", components=40), r"30 values \(5 steps x 6 features\)"),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_more_components_than_values_are_refused(spec, size):
    with pytest.raises(ValueError, match=f"got components=40 and {size}; take fewer components or a longer window"):
        spec.build(FEATURES, LENGTH)
