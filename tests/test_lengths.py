"""`auto` stands for numbers that follow from the rows, in experiments and in search spaces."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsad.data.dataset import DataSet, Entity
from tsad.default_detector import default_detector
from tsad.errors import SpecError
from tsad.experiment import run
from tsad.lengths import Lengths, filled, has_auto, lengths, reach
from tsad.series import Series
from tsad.spec import read_yaml
from tsad.workflows.inputs import read_values

SIZE = Lengths(window=32, smoothing=5, normalization=None, features=2, rows=4000)


def rows(count, boundaries=(), features=3):
    return Series(np.zeros((count, features), np.float32), tuple("abcdef"[:features]), boundaries=boundaries)


def data(train, test, step=None, entities=(), boundaries=()):
    return DataSet("rows", "memory", rows(train, boundaries), rows(test), step_seconds=step, entities=entities)


@pytest.mark.parametrize(
    ("train", "window", "smoothing"),
    [(100, 8, 3), (399, 8, 3), (400, 16, 5), (799, 16, 5), (800, 32, 5), (1600, 64, 10)],
)
def test_a_window_has_enough_rows_to_learn_from(train, window, smoothing):
    size = lengths(data(train, 5000))
    assert (size.window, size.smoothing) == (window, smoothing)


@pytest.mark.parametrize(
    ("train", "test", "step", "normalization"),
    [
        (28_000, 28_000, None, 1440),  # a day of minutes
        (28_000, 28_000, 300.0, 288),  # a day of five minutes
        (28_000, 28_000, 3600.0, 256),  # no less than four windows
        (6_000, 28_000, None, 352),  # no more than a seventeenth of the training rows
        (28_000, 6_000, None, 352),  # nor of the test rows
        (4_352, 28_000, None, 256),
        (4_351, 28_000, None, None),
    ],
)
def test_a_normalization_is_a_day_if_the_rows_suffice(train, test, step, normalization):
    assert lengths(data(train, test, step)).normalization == normalization


def test_short_segments_get_a_short_window():
    whole, cut = data(4000, 4000), data(4000, 4000, boundaries=tuple(range(100, 4000, 100)))
    assert (lengths(whole).window, lengths(cut).window) == (64, 16)
    assert lengths(cut).normalization is None


def test_a_few_short_segments_change_nothing():
    assert lengths(data(4000, 4000, boundaries=(10, 20, 30))).window == lengths(data(4000, 4000)).window == 64


def test_the_shortest_entity_decides():
    entities = (Entity("one", 0, 0), Entity("two", 3600, 2000))
    assert lengths(data(4000, 4000, entities=entities)).window == 16


def test_auto_becomes_a_number_wherever_it_stands():
    space = {
        "window": {"length": {"choice": [8, "auto"]}},
        "model": {"choice": [{"kind": "window_linear", "components": "auto"}, {"kind": "l2"}]},
        "scoring": {"smooth": {"choice": [{"kind": "mean", "length": "auto"}, {"kind": "none"}]}},
    }
    result = filled(space, SIZE)
    assert result["window"] == {"length": {"choice": [8, 32]}}
    assert result["model"]["choice"][0]["components"] == 16
    assert result["scoring"]["smooth"]["choice"] == [{"kind": "mean", "length": 5}, {"kind": "none"}]
    assert has_auto(space)
    assert not has_auto(result)


def test_a_model_never_explains_all_that_a_window_holds():
    one = Lengths(window=8, smoothing=3, normalization=None, features=1, rows=4000)
    model = filled({"model": {"components": "auto", "row_components": "auto", "halvings": "auto"}}, one)["model"]
    assert model == {"components": 2, "row_components": 1, "halvings": 0}


def test_a_normalization_without_rows_leaves_the_member_out():
    plain = {"window": {"length": "auto"}, "model": {"kind": "l2"}, "scoring": {}}
    rolling = {**plain, "scoring": {"normalization": {"kind": "rolling_median", "length": "auto"}}}
    assert len(filled({"members": [plain, rolling]}, SIZE)["members"]) == 1
    long = Lengths(window=32, smoothing=5, normalization=300, features=2, rows=4000)
    members = filled({"members": [plain, rolling], "split": {"gap": "auto"}}, long)
    assert [member["scoring"].get("normalization", {}).get("length") for member in members["members"]] == [None, 300]
    assert members["split"] == {"gap": 332}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, 32),
        ({"window": {"length": 10}}, 10),
        ({"window": {"length": 10}, "scoring": {"smooth": {"kind": "mean", "length": 4}}}, 13),
        ({"window": {"length": {"choice": [8, 64]}}}, 64),
        ({"window": {"length": {"range": [8, 20]}}}, 20),
        ({"window": {"length": 8}, "scoring": {"normalization": {"kind": "rolling_median"}}}, 1448),
        (
            {
                "window": {"length": 8},
                "scoring": {"choice": [{"smooth": {"length": 3}}, {"normalization": {"length": 9}}]},
            },
            19,
        ),
        ({"members": [{"window": {"length": 5}}, {"window": {"length": 7}}]}, 7),
    ],
)
def test_the_reach_is_that_of_the_longest_score(values, expected):
    assert reach(values) == expected


def test_the_default_fits_short_and_long_rows():
    values = read_values("experiments/default.yaml")
    few, many = values.on(data(400, 700)), values.on(data(28_000, 28_000))
    assert (len(few.members), len(many.members)) == (5, 9)
    assert few.split.gap == few.lookback + 1
    assert many.split.gap == many.lookback + 1 == 1440 + 64


@pytest.mark.parametrize(
    ("rows", "features", "order", "penalty"),
    [
        (28_479, 38, 5, 1.0),  # SMD
        (960, 52, 5, 1.0),
        (900, 60, 5, 1.0),
        (899, 60, 4, 240.0),
        (560, 60, 3, 180.0),
        (100, 60, 1, 60.0),
        (1341, 2284, 1, 2284.0),
        (10**6, 1000, 4, 4000.0),  # not more inputs than can be solved for
        (10**6, 10_000, 1, 10_000.0),
        (75, 5, 5, 1.0),
        (1, 1, 1, 1.0),
    ],
)
def test_the_ridge_looks_back_no_further_than_rows_suffice_for(rows, features, order, penalty):
    size = Lengths(window=8, smoothing=3, normalization=None, features=features, rows=rows)
    assert (size.order, size.penalty) == (order, penalty)
    model = {"kind": "autoregressive_ridge", "order": "auto", "penalty": "auto"}
    assert filled({"model": model}, size)["model"] == {**model, "order": order, "penalty": penalty}


def test_the_default_takes_the_number_of_training_rows_and_features():
    assert (lengths(data(560, 300)).rows, lengths(data(560, 300)).features) == (560, 3)
    members = read_values("experiments/default.yaml").on(data(28_000, 28_000)).members
    ridges = [member.model for member in members if member.model.kind == "autoregressive_ridge"]
    assert [(ridge.order, ridge.penalty) for ridge in ridges] == [(5, 1.0), (5, 1.0)]


def test_auto_where_it_means_nothing_is_an_error():
    with pytest.raises(Exception, match="stride: input should be a valid integer, but got 'auto'"):
        read_values("experiments/default.yaml", {"members.0.window.stride": "auto"})


def test_the_default_takes_a_file_of_one_column():
    generator = np.random.default_rng(0)
    train = Series(generator.normal(size=(300, 1)).astype(np.float32), ("a",))
    test = Series(generator.normal(size=(200, 1)).astype(np.float32), ("a",), labels=np.arange(200) == 150)
    one = DataSet("one", "memory", train, test)
    outcome = run(read_values("experiments/default.yaml").on(one), one)
    assert pd.Series(outcome.test.values).notna().sum() > 150


def test_the_packaged_default_is_the_one_among_the_experiments():
    experiment = read_yaml(Path("experiments/default.yaml"))
    assert {name: value for name, value in experiment.items() if name != "data"} == default_detector()


def test_a_table_stands_for_the_default_detector_on_it(tmp_path):
    path = tmp_path / "rows.csv"
    pd.DataFrame({"a": [1.0], "label": [0]}).to_csv(path)
    config = read_values(path, {"data.label": "label"}).config()
    assert (config.family, config.data.path, config.data.label) == ("average", path, "label")


def test_members_that_short_rows_do_not_suffice_for_are_left_out():
    few = read_values("experiments/default.yaml").on(data(40, 40))
    assert [scorer.model.kind for scorer in few.scorers] == ["nearest_neighbor"]
    assert few.split.gap == few.lookback + 1
    wide = read_values("experiments/default.yaml", {"split.gap": 16}).on(data(40, 40))
    assert len(wide.members) == 5  # a gap that is set stays, and too few rows are an error of the split


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"members": []}, "needs a model, or members"),
        ({"members": 3}, "members: input should be"),
        ({"members.0.window.length": "long"}, r"members\.0\.window\.length: input should be a valid integer"),
        ({"members.0.window.length": None}, r"members\.0\.window\.length: input should be a valid integer"),
    ],
)
def test_a_mistake_beside_an_auto_gap_is_named(changes, message):
    with pytest.raises(SpecError, match=message):
        read_values("experiments/default.yaml", changes)


def test_only_tables_stand_for_the_default_detector(tmp_path):
    (tmp_path / "rows.csv.yaml").write_text("{data: {kind: synthetic}, model: {kind: l2}}")
    assert read_values(tmp_path / "rows.csv.yaml").config().family == "l2"
