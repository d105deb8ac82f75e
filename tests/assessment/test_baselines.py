import dataclasses
from pathlib import Path

import numpy as np
import pytest

import tsad.assessment.baselines as module
from tsad.assessment.baselines import BASELINES, UNTRAINED, baseline, run_baselines, too_large, untrained
from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet
from tsad.experiment import run
from tsad.series import Series
from tsad.spec import parse

VALUES = {
    "seed": 3,
    "data": {"kind": "synthetic", "rows": 400, "features": 6, "events": 8},
    "split": {"selection": 0.5, "gap": 12},
    "scaler": {"kind": "none"},
    "window": {"length": 8},
    "model": {"kind": "lstm_ae", "hidden": 8, "latent": 3},
    "objective": {"terms": [{"kind": "absolute_error"}]},
    "training": {"epochs": 2},
    "threshold": {"kind": "percentile", "percentile": 97},
}
names = pytest.mark.parametrize("name", BASELINES)


@pytest.fixture(scope="module")
def experiment() -> ExperimentConfig:
    return parse(ExperimentConfig, VALUES, "experiment")


@pytest.fixture(scope="module")
def data(experiment) -> DataSet:
    return experiment.data.load(Path())


@pytest.fixture(scope="module")
def outcomes(experiment, data):
    return run_baselines(experiment, data)


def narrow(data: DataSet, features: int) -> DataSet:
    """Returns the first features of a data set."""

    def part(series):
        return dataclasses.replace(
            series, values=series.values[:, :features].copy(), features=series.features[:features]
        )

    return dataclasses.replace(data, train=part(data.train), test=part(data.test), root_causes=())


def test_the_baselines_have_the_baseline_detectors_that_the_field_quotes():
    kinds = {sections["model"]["kind"] for sections in BASELINES.values()}
    assert kinds == {
        "random",
        "constant",
        "l2",
        "range_deviation",
        "pca_error",
        "nearest_neighbor",
        "isolation_forest",
        "autoregressive_ridge",
        "window_linear",
        "k_means",
    }
    assert len(BASELINES) == len(kinds) + 2


def test_a_network_stands_beside_all_of_it_and_its_untrained_copy(outcomes):
    assert list(outcomes) == [*BASELINES, UNTRAINED]


def test_a_closed_form_has_no_untrained_copy(experiment, data):
    closed = experiment.model_copy(update={"model": baseline(experiment, "l2").model})
    assert list(run_baselines(closed, data)) == list(BASELINES)


def test_every_member_scores_the_reported_rows(outcomes):
    for name, outcome in outcomes.items():
        assert np.isfinite(outcome.test.values[212:]).all(), name
        assert outcome.report.metrics["ranking/pr_auc"] > 0, name


def test_members_differ_from_each_other(outcomes):
    values = [round(outcome.report.metrics["ranking/pr_auc"], 6) for outcome in outcomes.values()]
    assert len(set(values)) == len(values)


def test_a_constant_score_gets_the_anomaly_ratio_and_flags_nothing(outcomes):
    metrics = outcomes["constant"].report.metrics
    assert metrics["ranking/roc_auc"] == 0.5
    assert metrics["ranking/pr_auc"] == metrics["ratio/true"]
    assert metrics["ratio/predicted"] == 0


def test_l2_is_what_numpy_makes_of_it(outcomes, data):
    squares = np.square(data.test.values - data.train.values[:300].mean(axis=0, dtype=float)).mean(axis=1)
    np.testing.assert_allclose(outcomes["l2"].test.values, squares, rtol=1e-5)
    smoothed = np.convolve(squares, np.full(10, 0.1), mode="valid")
    np.testing.assert_allclose(outcomes["l2 smoothed"].test.values[9:], smoothed, rtol=1e-5)


@names
def test_a_member_has_the_rows_scaler_threshold_and_seed_of_the_experiment(experiment, name):
    member = baseline(experiment, name)
    for part in ("seed", "data", "scaler", "threshold"):
        assert getattr(member, part) == getattr(experiment, part)
    assert member.split.model_copy(update={"gap": 12}) == experiment.split
    assert member.model.kind == BASELINES[name]["model"]["kind"]


def test_the_gap_is_widened_where_a_score_looks_at_more_rows_than_it_has_and_nowhere_else(experiment):
    gaps = {name: baseline(experiment, name).split.gap for name in BASELINES}
    assert {name: gap for name, gap in gaps.items() if gap != 12} == {
        "autoregressive ridge": 6 + 10 - 1,
        "window linear": 16,
        "k-means": 16,
    }


def test_an_untrained_copy_differs_in_nothing_but_its_training(experiment, outcomes, data):
    copy = untrained(experiment)
    assert copy.training.epochs == 0
    for part in ("seed", "data", "split", "scaler", "window", "model", "scoring", "threshold"):
        assert getattr(copy, part) == getattr(experiment, part)
    assert outcomes[UNTRAINED].history == ()
    assert not np.array_equal(outcomes[UNTRAINED].test.values, run(experiment, data).test.values, equal_nan=True)


@pytest.mark.parametrize(("features", "left_out"), [(5, {"pca error"}), (1, {"pca error"})])
def test_pca_error_is_left_out_where_nothing_would_remain_to_explain(experiment, data, features, left_out):
    closed = experiment.model_copy(update={"model": baseline(experiment, "constant").model})
    assert BASELINES.keys() - run_baselines(closed, narrow(data, features)).keys() == left_out


def empty(rows: int, features: int) -> DataSet:
    """Returns rows that take no memory, for what is decided by their number."""
    values = np.broadcast_to(np.float32(0), (rows, features))
    names = tuple(f"s{number}" for number in range(features))
    return DataSet("empty", "memory", Series(values, names), Series(values[:1], names))


@pytest.mark.parametrize(
    ("rows", "features", "left_out"),
    [
        (28_479, 38, {}),
        (1_341, 2_284, {}),
        (28_479, 500, {}),
        (28_479, 2_284, {"autoregressive ridge": 3.9, "k-means": 4.1}),
        (500, 20_000, {"autoregressive ridge": 30.4}),
    ],
)
def test_baselines_that_would_not_fit_are_left_out_by_rows_and_features(experiment, rows, features, left_out):
    sizes = too_large(experiment, empty(rows, features))
    assert {name: round(size / 2**30, 1) for name, size in sizes.items()} == left_out


def test_no_baseline_is_too_large_on_narrow_rows(experiment, monkeypatch):
    narrow_rows = empty(200_000, module._NARROW)
    monkeypatch.setattr(module, "_NARROW", 0)
    assert too_large(experiment, narrow_rows) == {}


def test_what_is_too_large_is_not_run(experiment, data, monkeypatch):
    monkeypatch.setattr(module, "_NARROW", 0)
    with monkeypatch.context() as patch:
        patch.setattr(module, "MEMORY", -1)
        sizes = too_large(experiment, data)
    assert list(sizes) == list(BASELINES)
    limit = sorted(sizes.values())[-2]
    monkeypatch.setattr(module, "MEMORY", limit)
    (largest,) = too_large(experiment, data)
    closed = experiment.model_copy(update={"model": baseline(experiment, "constant").model})
    assert BASELINES.keys() - run_baselines(closed, data).keys() == {largest}
