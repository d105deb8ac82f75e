"""One model of many entities: fitted on rows that each entity's own scaler scaled, then put behind that scaler."""

from dataclasses import replace

import numpy as np
import pytest

from tests.fleets import FEATURES, machine_rows
from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet, Entity
from tsad.data.entities import entity_scaler, standardized
from tsad.data.scale import StandardScalerSpec
from tsad.data.split import SplitSpec
from tsad.detector.ensemble import Ensemble
from tsad.errors import DataError
from tsad.experiment import adapt, run
from tsad.series import Series
from tsad.spec import parse

SPLIT = {"validation": 0.25, "gap": 9}
MODEL = {"window": {"length": 8}, "model": {"kind": "window_linear", "components": 2}}
NUMBERS, ROWS = (0, 3), 240


def experiment(values):
    return parse(ExperimentConfig, {"data": {"kind": "synthetic"}, "split": SPLIT, **values}, "test")


def entity_rows(number):
    """Rows of a machine whose level and spread no other machine has."""
    return Series((machine_rows(number, ROWS) * (1 + number)).astype(np.float32), FEATURES)


def of_one(number):
    series = entity_rows(number)
    return DataSet(f"m{number}", "memory", train=series.part(0, 160), test=series.part(160, ROWS))


def of_all():
    one, other = map(of_one, NUMBERS)
    join = [
        Series(np.concatenate([getattr(one, part).values, getattr(other, part).values]), FEATURES, boundaries=(rows,))
        for part, rows in (("train", 160), ("test", 80))
    ]
    entities = (Entity("m0", 0, 0), Entity("m3", 160, 80))
    return DataSet("all", "memory", *join, entities=entities)


@pytest.fixture(scope="module")
def scaled():
    return standardized(of_all(), SplitSpec(**SPLIT))


@pytest.mark.parametrize("number", NUMBERS)
def test_each_entity_is_scaled_by_its_own_fit_rows(scaled, number):
    first = 160 * NUMBERS.index(number)
    fit = scaled.train.values[first : first + 120]
    assert np.allclose(fit.mean(axis=0), 0, atol=1e-4)
    assert np.allclose(fit.std(axis=0), 1, atol=1e-4)
    own = entity_scaler(of_one(number).train.part(0, 120))
    later = own.apply(of_one(number).test).values
    assert np.array_equal(scaled.test.values[first // 2 : first // 2 + 80], later)


def test_borders_and_entities_stay(scaled):
    whole = of_all()
    assert (scaled.train.boundaries, scaled.test.boundaries) == (whole.train.boundaries, whole.test.boundaries)
    assert scaled.entities == whole.entities


def test_a_scaler_after_another_gives_what_one_after_the_other_gives():
    series = entity_rows(3)
    first = entity_scaler(series)
    second = StandardScalerSpec(clip=1.5).fit(first.apply(entity_rows(3).part(0, 50)))
    assert np.allclose(second.after(first).apply(series).values, second.apply(first.apply(series)).values, atol=1e-5)


AVERAGE = {"members": [MODEL, MODEL | {"scoring": {"over": "window"}}]}


@pytest.mark.parametrize("number", NUMBERS)
def test_an_adapted_detector_scores_rows_as_the_model_scores_scaled_ones(scaled, number):
    config = experiment(MODEL)
    shared, data = run(config, scaled).detector, of_one(number)
    outcome = adapt(shared, config, data)
    assert outcome.detector.scorer.model is shared.scorer.model
    own = entity_scaler(data.train.part(0, 120))
    expected = shared.scorer.errors(own.apply(data.test))
    assert np.allclose(outcome.detector.scorer.errors(data.test), expected, rtol=1e-3, atol=1e-5, equal_nan=True)
    assert outcome.detector.threshold == config.threshold.fit(outcome.validation.values)
    assert outcome.detector.threshold != shared.threshold


def test_members_of_an_average_share_models_and_scalers(scaled):
    config = experiment(AVERAGE)
    adapted = adapt(run(config, scaled).detector, config, of_one(3)).detector.scorer
    assert isinstance(adapted, Ensemble)
    one, other = (member.scorer for member in adapted.members)
    assert (one.model is other.model, one.scaler is other.scaler) == (True, True)


def test_an_entity_without_fit_rows_is_named():
    data = replace(of_all(), entities=(Entity("m0", 0, 0), Entity("late", 320, 80)))
    with pytest.raises(DataError, match="late has none; leave it out"):
        standardized(data, SplitSpec(**SPLIT))
