from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsad.data.synthetic import SyntheticSpec
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
def test_rows_that_are_not_labelled_are_clean(seed):
    data = load(seed=seed)
    clean, spike = without_events(seed)
    normal = ~data.test.labels
    normal[spike] = False
    np.testing.assert_array_equal(data.test.values[normal], clean[normal])


def test_the_training_rows_are_clean():
    values = load(noise=0, rows=720, seed=3).train.values  # all drivers repeat every 720 rows: 24, 60, 144
    again = load(noise=0, rows=1440, seed=3).train.values
    np.testing.assert_allclose(again[:720], again[720:], atol=1e-5)
    np.testing.assert_allclose(values, again[:720], atol=1e-5)


@pytest.mark.parametrize("seed", [0, 1, 2, 390, 720])  # the last two once drew a decoupling from the sensor's own rows
def test_every_labelled_event_differs_from_normal(seed):
    data = load(seed=seed)
    clean, spike = without_events(seed)
    for start, stop in runs(data.test.labels):
        if not start <= spike < stop:
            assert (data.test.values[start:stop] != clean[start:stop]).any(), f"rows {start}-{stop - 1}"


def test_every_event_needs_room():
    with pytest.raises(SpecError, match="every event needs 50 test rows, but got rows=500 and events=11"):
        parse(SyntheticSpec, {"kind": "synthetic", "rows": 500, "events": 11}, "data")
