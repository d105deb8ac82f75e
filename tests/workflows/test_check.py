"""`tsad data check`: the card, the problems, the settings that mend them, an experiment that runs."""

import json
import re
import shlex
from functools import partial

import numpy as np
import pandas as pd
import pytest

from tsad.config import ExperimentConfig
from tsad.data.card import DataCard, data_card
from tsad.experiment import run
from tsad.spec import parse, read_yaml
from tsad.tuning.spec import read_search
from tsad.workflows import check as checks

ROWS = 400


@pytest.fixture
def check(place, tsad):
    """Runs `tsad data check` in an empty folder; returns its exit code, what it printed and the lines of its errors."""
    return partial(tsad, "data", "check")


@pytest.fixture
def good(tmp_path):
    """A file without a problem."""
    at = pd.date_range("2024-03-01", periods=ROWS, freq="min")
    values = np.sin(np.arange(ROWS) / 5)
    table = pd.DataFrame(
        {"at": at, "cpu": values, "disk": 2 * values, "idle": 1.0, "label": (np.arange(ROWS) > 390) + 0}
    )
    table.to_csv(tmp_path / "load.csv", index=False)
    return "load.csv"


@pytest.fixture
def bad(good, tmp_path):
    """The same with five problems, one of which shows only when others are gone."""
    lines = (tmp_path / good).read_text().splitlines()
    lines = [f"{line},{'remark' if row == 0 else f'h{row % 3}'}" for row, line in enumerate(lines)]
    cells = lines[8].split(",")
    lines[8] = ",".join([cells[0], "", *cells[2:]])
    cells = lines[11].split(",")
    lines[11] = ",".join([*cells[:2], "n/k", *cells[3:]])
    lines.append(lines[-1].rsplit(",", 2)[0])
    (tmp_path / good).write_text("\n".join(lines).replace("00:12:00", "00:11:00"))
    return good


NAMED = ("--set", "data.time=at", "--set", "data.label=label")


def test_a_good_file_exits_0_with_its_card_and_an_experiment(check, good, tmp_path):
    code, out, errors = check(good, *NAMED, "--output", "card.json")
    assert (code, errors) == (0, [])
    assert "# Data card: load" in out
    assert "Constant in train: idle" in out
    assert "1. " not in out
    commands = out.split("which these commands write and train:\n")[1].splitlines()[:2]
    assert [line.split()[:3] for line in commands] == [["tsad", "data", "check"], ["tsad", "train", "load.yaml"]]
    assert commands[0].endswith(" --experiment load.yaml")
    code, out_of_command, _ = check(*shlex.split(commands[0])[3:])
    assert (code, out_of_command.splitlines()[-1]) == (0, "experiment: load.yaml  (tsad train load.yaml)")
    written = yaml_of(out, tmp_path)
    experiment = parse(ExperimentConfig, written, "printed")
    assert written == read_yaml(tmp_path / "load.yaml")
    card = data_card(experiment.data.load(tmp_path))
    assert DataCard.model_validate(json.loads((tmp_path / "card.json").read_text()), strict=False) == card


def yaml_of(out, folder):
    (folder / "printed.yaml").write_text(out[out.index("# tsad train") :].split("\ncard: ")[0])
    return read_yaml(folder / "printed.yaml")


def test_a_bad_file_exits_1_with_every_problem_its_row_and_its_setting(check, bad):
    code, out, errors = check(bad, *NAMED)
    assert code == 1
    assert errors == ["DataError: load.csv: 5 problems stand in the way of an experiment; they are named above"]
    for message, setting in (
        ("first row 400 with 4", "--set data.bad_lines=drop"),
        (
            "'disk' must hold numbers, but has 1 other cells, first at row 10",
            "--set 'data.empty=[n/k]' --set data.missing=ffill",
        ),
        ("'remark' must hold numbers, but has 400 other cells, first at row 0", "--set 'data.ignore=[remark]'"),
        ("the time of the row above, first row 12", "--set data.duplicates=mean"),
        ("'cpu' has 1 empty cells, first at row 7", "--set data.missing=ffill"),
    ):
        assert re.search(rf"^\d\. load\.csv: .*{re.escape(message)}.*\n   {re.escape(setting)}$", out, re.MULTILINE), (
            message
        )


def test_the_settings_together_mend_the_file(check, bad):
    _, out, _ = check(bad, *NAMED)
    (line,) = [line for line in out.splitlines() if line.startswith("  tsad data check")]
    code, again, errors = check(*shlex.split(line)[3:])
    assert (code, errors) == (0, [])
    assert "1. " not in again
    assert "left out" in again


@pytest.mark.parametrize("state", ["good", "bad"])
def test_the_written_experiment_runs(check, state, request, tmp_path):
    check(request.getfixturevalue(state), *NAMED, "--experiment", "load.yaml")
    experiment = parse(ExperimentConfig, read_yaml(tmp_path / "load.yaml"), "load.yaml")
    assert experiment.family == "average"
    outcome = run(experiment, experiment.data.load(tmp_path))
    assert np.isfinite(outcome.test.values).any()
    assert (tmp_path / "load.yaml").read_text().startswith("# tsad train load.yaml\n")


def test_the_written_space_searches_the_file(check, place):
    values = np.sin(np.arange(1100) / 5)
    pd.DataFrame({"cpu": values, "disk": 2 * values, "host": "h1"}).to_csv("load.csv", index=False)
    code, out, _ = check("load.csv", "--space", "space.yaml")
    assert code == 1
    assert out.splitlines()[-1] == "space: space.yaml  (tsad search space.yaml)"
    wanted = read_search(place / "space.yaml", {})  # which draws candidates, too
    assert (wanted.trials, wanted.data.load(place).train.features) == (12, ("cpu", "disk"))


def test_a_file_too_short_for_a_search_is_refused_one(check, good, place):
    left, _, errors = check(good, *NAMED, "--space", "space.yaml")
    assert left == 1
    assert "a search needs at least 500 rows to learn from, but there are 200" in errors[-1]
    assert not (place / "space.yaml").exists()


def test_a_file_with_problems_has_no_card_file(check, bad, tmp_path):
    check(bad, *NAMED, "--output", "card.json")
    assert not (tmp_path / "card.json").exists()


@pytest.mark.parametrize(("rows", "code"), [(400, 0), (200, 0), (60, 0), (40, 1), (2, 1), (1, 1)])
def test_a_short_file_gets_a_short_window_or_is_refused(check, rows, code, tmp_path):
    pd.DataFrame({"cpu": np.arange(rows) % 7}).to_csv(tmp_path / "short.csv", index=False)
    left, out, errors = check("short.csv")
    assert left == code
    assert ("# tsad train" in out) == (code == 0)
    assert code == 0 or "give more rows" in "\n".join([out, *errors])


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["absent.csv"], 1, "absent.csv: cannot be read (No such file); give the path of a .csv or .parquet file"),
        (["load.csv", "--set", "data.color=red"], 1, "data.color: extra inputs are not permitted"),
        (["load.csv", "--set", "model.kind=random"], 1, "model: extra inputs are not permitted"),
        ([], 2, "Missing argument 'FILE'"),
        (["load.csv", "--color", "red"], 2, "no such option: --color"),
    ],
    ids=str,
)
def test_what_cannot_be_checked_is_said(check, good, words, code, message):
    left, out, errors = check(*words)
    assert left == code
    assert message in "\n".join([out, *errors])


def test_the_rows_that_get_no_score_are_counted(tmp_path):
    steps = np.where(np.arange(600) % 40 == 39, 5000, 60)
    times = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.cumsum(steps), unit="s")
    noise = np.random.default_rng(0).normal(size=(600, 2))
    pd.DataFrame({"at": times, "a": noise[:, 0], "b": noise[:, 1]}).to_csv(tmp_path / "load.csv", index=False)
    result = checks.check(tmp_path / "load.csv", {"data.time": "at"})
    lookback = int(re.search(r"each needs (\d+) rows", result.unscored)[1])
    rows = [stop - start for part in (result.data.train, result.data.test) for start, stop in part.segments()]
    assert len(rows) == 17
    assert result.unscored.startswith(f"{sum(min(lookback, count) for count in rows)} of 600 rows get no score")
    assert "17 segments begin" in result.unscored
    assert result.unscored in str(result)


def test_the_experiment_of_a_short_file_has_a_threshold(tmp_path):
    months = pd.date_range("1995-01-01", periods=257, freq="MS")
    table = pd.DataFrame({"DATE": months.strftime("%b-%d-%Y"), "load": 80 + np.sin(np.arange(257) / 2) * 9})
    table.to_csv(tmp_path / "load.csv", index=False)
    result = checks.check(tmp_path / "load.csv")
    assert result.fixes == {"time": "DATE", "time_format": "%b-%d-%Y"}
    outcome = run(parse(ExperimentConfig, result.experiment, "test"), result.data)
    assert np.isfinite(outcome.test.values).any()
