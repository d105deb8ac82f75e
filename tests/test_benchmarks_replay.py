"""The replay of searches on a tabulated space."""

import importlib.util
import sys
from itertools import combinations as draws
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsad.spec import read_yaml
from tsad.tuning.algorithms.random import RandomSpec
from tsad.tuning.space import Space

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "nas_replay.py"


@pytest.fixture(scope="module")
def replays():
    """The module benchmarks/nas_replay.py."""
    spec = importlib.util.spec_from_file_location("nas_replay", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    sys.modules["nas_replay"] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def space(replays):
    """The space of the table."""
    values = read_yaml(replays.SPACE)
    values.pop("search")
    return Space(values)


def test_what_random_search_comes_to(replays, space):
    values = np.array([3.0, 1.0, 8.0, 5.0, 5.0])
    table = replays.Table("five", space, values, values, np.ones(5), np.arange(5))
    expected = [(8 - np.mean([max(drawn) for drawn in draws(values, count)])) / (8 - 5) for count in range(1, 5)]
    assert replays.expected_random(table, 4) == pytest.approx(expected, abs=0.02)


def test_random_search_meets_a_training_of_many_configurations_sooner(replays, space):
    values, training = np.array([0.0, 0, 0, 1, 4, 4]), np.array([0, 0, 0, 1, 2, 2])
    table = replays.Table("copies", space, values, values, np.ones(6), training)
    found = []
    for order in permutations(range(6)):
        tried = dict.fromkeys(training[list(order)])  # each training once, in the order of its first configuration
        found.append(np.maximum.accumulate([values[training == each][0] for each in tried]))
    expected = (4 - np.mean(found, axis=0)) / (4 - 0.5)
    assert replays.expected_random(table, 3) == pytest.approx(expected, abs=0.02)


def test_one_layer_has_one_training_whatever_its_dropout(replays, space):
    training = replays.trainings(space)
    assert len(training) == 288
    assert sorted(np.bincount(training).tolist()) == [1] * 192 + [4] * 24


@pytest.mark.slow
def test_replayed_random_search_comes_to_what_is_expected(replays, space):
    table = next(replays.landscapes(space, 1))
    places = np.stack([replays.replay(RandomSpec(kind="random"), table, seed, 16, 1) for seed in range(60)])
    found, expected = replays.regrets(table, places, "value"), replays.expected_random(table, 16)
    assert np.abs(found.mean(axis=0) - expected).max() < 4 * found.std(axis=0).max() / np.sqrt(60)


def test_regret_is_of_the_best_so_far_and_its_test_metric(replays, space):
    value, test = np.array([0.0, 1, 2, 3, 6]), np.array([9.0, 5, 4, 7, 8])
    table = replays.Table("five", space, value, test, np.ones(5), np.arange(5))
    places = np.array([[1, 0, 3, 2, 4]])
    assert replays.regrets(table, places, "value").tolist() == [[5 / 4, 5 / 4, 3 / 4, 3 / 4, 0]]
    assert replays.regrets(table, places, "test").tolist() == [[2, 2, 1, 1, 0.5]]  # best 9, median 7


def test_two_at_a_time_end_after_their_seconds(replays, space):
    table = replays.Table("slow", space, np.arange(288.0), np.arange(288.0), np.linspace(1, 100, 288), np.arange(288))
    alone = replays.replay(RandomSpec(kind="random"), table, 0, 12, 1)
    together = replays.replay(RandomSpec(kind="random"), table, 0, 12, 2)
    assert sorted(alone) == sorted(together)
    assert together[0] == min(alone[:2])  # the quicker of the first two, since seconds ascend with the place
    assert list(alone) != list(together)


def test_a_table_is_read_by_its_params_in_any_order(replays, space, tmp_path):
    rows = []
    for place, params in enumerate(replays.combinations(space, {})):
        leaves = replays.flatten(space.resolve(params)[0])
        row = {address.split(".")[-1]: leaves[address] for address in space.params}
        rows.append(row | {"data": "a", "value": place, "ranking/vus_pr": -place, "cost/seconds": 1.0})
    rows = pd.DataFrame(rows)
    rows.sample(frac=1, random_state=0).to_parquet(tmp_path / "table.parquet")
    (table,) = replays.read_tables(tmp_path / "table.parquet", space, "value", "ranking/vus_pr")
    assert table.value.tolist() == [*range(288)]
    assert table.test.tolist() == [-place for place in range(288)]
    rows[:-3].to_parquet(tmp_path / "table.parquet")
    with pytest.raises(ValueError, match="must have all 288 configurations, but a lacks 3"):
        replays.read_tables(tmp_path / "table.parquet", space, "value", "ranking/vus_pr")


def test_landscapes_differ_and_can_be_drawn_again(replays, space):
    once, again = ([*replays.landscapes(space, 2)] for _ in range(2))
    assert len({table.name for table in once}) == len({table.value.tobytes() for table in once}) == 8
    assert all(np.array_equal(one.value, other.value) for one, other in zip(once, again, strict=True))


@pytest.mark.slow
def test_the_benchmark_prints_every_algorithm_and_draws(replays, monkeypatch, capsys, tmp_path):
    words = ["--landscapes", "1", "--repeats", "2", "--trials", "16", "--processes", "1", "--parallel", "2"]
    picture = tmp_path / "replay.png"
    monkeypatch.setattr(sys, "argv", ["nas_replay.py", *words, "--plot", str(picture)])
    replays.main()
    shown = capsys.readouterr().out
    assert shown.count("mean regret of 2 repeats") == 5
    for name in ("expected", *replays.ALGORITHMS):
        assert shown.count(f"\n{name} ") == 5
    assert "nan" not in shown
    assert picture.stat().st_size > 10_000
