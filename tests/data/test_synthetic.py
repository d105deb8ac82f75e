from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsad.data.five_features import FIVE, five_features
from tsad.data.injection import ANOMALY_TYPES
from tsad.data.sets.synthetic import AnomalyTypesSpec, FiveFeaturesSpec, SingleAnomalySpec, SyntheticSpec
from tsad.errors import SpecError
from tsad.series import runs
from tsad.spec import parse


def load(**keys):
    return SyntheticSpec(kind="synthetic", **({"rows": 500, "events": 10} | keys)).load(Path())


def without_events(seed, **keys):
    """Returns the same test rows undisturbed, but for one spike, and the row of that spike."""
    data = load(seed=seed, events=1, **keys)
    return data.test.values, int(np.flatnonzero(data.test.labels)[0])


def test_the_same_spec_gives_the_same_rows():
    first, second = load(seed=4), load(seed=4)
    np.testing.assert_array_equal(first.train.values, second.train.values)
    np.testing.assert_array_equal(first.test.values, second.test.values)
    np.testing.assert_array_equal(first.test.labels, second.test.labels)


def test_another_seed_gives_other_rows():
    assert not np.array_equal(load(seed=4).train.values, load(seed=5).train.values)


@settings(max_examples=15)
@given(rows=st.integers(400, 900), features=st.integers(2, 12), events=st.integers(1, 8), seed=st.integers(0, 99))
def test_there_are_as_many_rows_sensors_and_events_as_stated(rows, features, events, seed):
    data = load(rows=rows, features=features, events=events, seed=seed)
    assert data.train.values.shape == data.test.values.shape == (rows, features)
    assert len(set(data.test.features)) == features
    assert data.train.labels is None
    assert len(runs(data.test.labels)) == events


@settings(max_examples=15)
@given(seed=st.integers(0, 99))
def test_rows_that_are_not_labeled_are_clean(seed):
    data = load(seed=seed)
    clean, spike = without_events(seed)
    normal = ~data.test.labels
    normal[spike] = False
    np.testing.assert_array_equal(data.test.values[normal], clean[normal])


def test_the_training_rows_are_clean():
    few, many = load(noise=0, events=1, seed=3), load(noise=0, events=10, seed=3)
    np.testing.assert_array_equal(few.train.values, many.train.values)
    # slow waves bend by less than the sum of (2 pi / period)^2 from row to row; a spike bends by more than its height
    train_bend, test_bend = (np.abs(np.diff(part.values, n=2, axis=0)).max() for part in (many.train, many.test))
    assert train_bend < 0.1
    assert test_bend > 3


@pytest.mark.parametrize("seed", [0, 1, 2, 390, 720])  # the last two once drew a decoupling from the sensor's own rows
def test_every_labeled_event_differs_from_normal(seed):
    data = load(seed=seed)
    clean, spike = without_events(seed)
    for start, stop in runs(data.test.labels):
        if not start <= spike < stop:
            assert (data.test.values[start:stop] != clean[start:stop]).any(), f"rows {start}-{stop - 1}"


def test_every_event_needs_room():
    with pytest.raises(SpecError, match="every event needs 50 test rows, but got rows=500 and events=11"):
        parse(SyntheticSpec, {"kind": "synthetic", "rows": 500, "events": 11}, "data")


# --- the three generators ---

SPECS = [
    SingleAnomalySpec(kind="synthetic_sensors", rows=400),
    FiveFeaturesSpec(kind="synthetic_five", rows=400),
    AnomalyTypesSpec(kind="synthetic_anomaly_types", rows=800),
]
every_generator = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)


def labeled(data):
    """Returns the rows that the typed events name."""
    rows = np.zeros(len(data.test), bool)
    for start, stop, _ in data.typed_events:
        rows[start:stop] = True
    return rows


def test_the_built_in_series_is_the_one_that_it_always_was():
    assert SyntheticSpec(kind="synthetic").load(Path()).digest.startswith("d05a8148d7626715")
    assert load(seed=3, features=5).digest.startswith("e4710ef19516b82e")


def test_anomalies_of_the_built_in_series_are_of_the_kinds_in_turn():
    data = load()
    np.testing.assert_array_equal(labeled(data), data.test.labels)
    names = ["point", "level_shift", "noise_burst", "flat_line", "decoupling"]
    assert [name for *_, name in data.typed_events] == names * 2


@every_generator
def test_a_generator_gives_the_same_rows_again_and_others_for_another_seed(spec):
    data = spec.load(Path())
    assert spec.load(Path()).digest == data.digest
    assert spec.model_copy(update={"seed": 1}).load(Path()).digest != data.digest


@every_generator
def test_a_generator_makes_the_stated_rows_and_labels_each_by_its_kind(spec):
    data = spec.load(Path())
    assert len(data.train) == len(data.test) == spec.rows
    assert data.train.labels is None
    assert 0 < data.test.labels.mean() < 0.3
    np.testing.assert_array_equal(labeled(data), data.test.labels)
    assert [(cause.start, cause.stop) for cause in data.root_causes] == [
        (start, stop) for start, stop, _ in data.typed_events
    ]


@pytest.mark.parametrize("magnitude", [4.0, -2.5])
def test_the_one_anomaly_is_where_and_as_large_as_asked_for(magnitude):
    flat = {"kind": "synthetic_sensors", "rows": 200, "features": 5, "start": 60, "length": 7, "seed": 2}
    data, still = (SingleAnomalySpec(**flat, magnitude=size).load(Path()) for size in (magnitude, 0.0))
    rise = data.test.values - still.test.values
    moved = [data.test.features.index(name) for name in data.root_causes[0].features]
    assert len(moved) == 3
    assert runs((rise != 0).any(axis=1)) == [(60, 67)] == runs(data.test.labels)
    np.testing.assert_allclose(
        rise[60:67, moved], magnitude * np.tile(data.train.values[:, moved].std(axis=0), (7, 1)), rtol=1e-3
    )
    assert not np.delete(rise, moved, axis=1).any()


def test_an_anomaly_beyond_the_rows_is_refused():
    with pytest.raises(
        SpecError, match="must end within the rows, but got start=90, length=20 and rows=100; let it start"
    ):
        parse(SingleAnomalySpec, {"kind": "synthetic_sensors", "rows": 100, "start": 90, "length": 20}, "data")


@pytest.mark.parametrize("kind", ANOMALY_TYPES)
def test_one_kind_alone_can_be_asked_for(kind):
    data = AnomalyTypesSpec(kind="synthetic_anomaly_types", rows=400, anomaly_types=(kind,)).load(Path())
    assert {name for *_, name in data.typed_events} == {kind}


def test_all_kinds_come_and_their_share_is_the_stated_one():
    data = AnomalyTypesSpec(kind="synthetic_anomaly_types", rows=4000, ratio=0.12).load(Path())
    assert {name for *_, name in data.typed_events} == set(ANOMALY_TYPES)
    assert 0.12 <= data.test.labels.mean() < 0.13


@pytest.mark.parametrize("ratio", [0.02, 0.1])
def test_the_five_features_are_those_of_the_base(ratio):
    data = FiveFeaturesSpec(kind="synthetic_five", rows=600, ratio=ratio, period=12).load(Path())
    base = np.concatenate([data.train.values, data.test.values])[:, 0].astype(float)
    expected = five_features(base, 12).astype(np.float32)
    assert data.test.features == FIVE
    np.testing.assert_array_equal(data.test.values, expected[600:])
    assert ratio <= data.test.labels.mean() < ratio + 0.07
