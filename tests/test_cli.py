"""The command line: what it takes, what it answers, how it ends. The commands that log are run in test_end_to_end."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.examples import detector_of, from_defaults, members, sensors
from tsad.cli import cli
from tsad.detector.detector import Detector
from tsad.detector.scoring import MeanSmoothing, ScoringSpec
from tsad.models import ModelSpec

REPOSITORY = Path(__file__).parents[1]
COMMANDS = sorted(cli.commands)

pytestmark = pytest.mark.usefixtures("place")

EXPERIMENT = {
    "data": {"kind": "synthetic", "rows": 400, "features": 4, "events": 8},
    "model": {"kind": "lstm_ae", "hidden": 4},
    "training": {"epochs": 2},
}
SPACE = EXPERIMENT | {"search": {"trials": 2}, "window": {"length": {"choice": [4, 8]}}}


@pytest.fixture
def written(place):
    """Writes an experiment or a search space as YAML and returns its path."""

    def write(values, name="experiment.yaml"):
        (place / name).write_text(yaml.safe_dump(values))
        return name

    return write


# --- help ---


def test_there_are_the_commands_that_mlproject_calls():
    assert {"train", "search", "evaluate", "score"} <= set(COMMANDS)


@pytest.mark.parametrize(
    "command", [[], *([command] for command in COMMANDS)], ids=lambda words: " ".join(words) or "tsad"
)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_is_answered(tsad, command, flag):
    code, out, errors = tsad(*command, flag)
    assert (code, errors) == (0, [])
    assert out.startswith("Usage: ")
    assert f"tsad {' '.join(command)} [OPTIONS]".replace("  ", " ") in out.splitlines()[0]


def test_help_imports_nothing_heavy(place):
    code = (
        "import sys\n"
        "from tsad.cli import main\n"
        f"for command in {[[], *([command] for command in COMMANDS)]!r}:\n"
        "    sys.argv = ['tsad', *command, '--help']\n"
        "    main()\n"
        "print('heavy:', *sorted({'torch', 'mlflow', 'ray', 'pandas', 'sklearn', 'matplotlib'} & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy:"
    assert done.stdout.count("Usage:") == 1 + len(COMMANDS)


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "tsad", "train", "--help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert "EXPERIMENT" in done.stdout


# --- wrong usage: 2 ---


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Commands:"),
        (["tain"], "No such command 'tain'"),
        (["--color"], "No such option '--color'"),
        (["train"], "Missing argument 'EXPERIMENT'"),
        (["search"], "Missing argument 'SPACE'"),
        (["search", "--resume"], "give it, or --resume RUN_ID"),
        (["score"], "Missing argument 'MODEL'"),
        (["score", "model"], "Missing argument 'FILES...'"),
        (["score", "model", "file.csv", "--color", "red"], "No such option '--color'"),
        (["score", "model", "file.csv", "--threshold", "high"], "'high' is not a valid float"),
        (
            ["train", "experiment.yaml", "--color", "red"],
            "no such option: --color; a value of the file is set by its path",
        ),
        (["train", "experiment.yaml", "other.yaml"], "no such option: other.yaml"),
        (["train", "experiment.yaml", "--training.epochs"], "--training.epochs needs a value"),
        (["search", "space.yaml", "--trails", "3"], "no such option: --trails"),
        (["search", "space.yaml", "--trials", "many"], "must be whole number|auto, but got 'many'"),
        (["search", "space.yaml", "--trials", "2.5"], "must be whole number|auto, but got '2.5'"),
        (["search", "space.yaml", "--seconds", "soon"], "must be number|auto, but got 'soon'"),
        (["evaluate"], "Missing option '--output'"),
        (["evaluate", "--output", "out"], "give --data and optionally --model, or --scores and --labels"),
        (
            ["evaluate", "--model", "m", "--output", "out"],
            "give --data and optionally --model, or --scores and --labels",
        ),
        (
            ["evaluate", "--scores", "s.npy", "--output", "out"],
            "give --data and optionally --model, or --scores and --labels",
        ),
        (
            ["evaluate", "--scores", "s.npy", "--labels", "l.npy", "--model", "m", "--output", "out"],
            "give --data and optionally --model, or --scores and --labels",
        ),
        (
            ["evaluate", "--scores", "s.npy", "--labels", "l.npy", "--output", "out", "--color", "red"],
            "no such option: --color",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(tsad, written, place, words, message):
    written(EXPERIMENT)
    written(SPACE, "space.yaml")
    np.save(place / "s.npy", np.array([0.1, 0.9]))
    np.save(place / "l.npy", np.array([0, 1]))
    code, out, errors = tsad(*words)
    assert code == 2
    assert out == ""
    assert message in "\n".join(errors)


# --- something wrong with what was given: 1 ---


def assert_one_line(result, message):
    """Asserts that a command ended with 1, and that its one line of errors matches."""
    code, out, errors = result
    assert code == 1
    assert out == ""
    (line,) = errors
    assert message in line


@pytest.mark.parametrize("command", ["train", "search"])
def test_a_file_that_is_not_there_is_named(tsad, command):
    assert_one_line(tsad(command, "absent.yaml"), "SpecError: absent.yaml: cannot be read (No such file or directory)")


@pytest.mark.parametrize("command", ["train", "search"])
def test_a_file_that_is_no_yaml_is_named(tsad, place, command):
    (place / "broken.yaml").write_text("data: {kind: [synthetic\n")
    assert_one_line(tsad(command, "broken.yaml"), "SpecError: broken.yaml: not YAML (")


def test_every_wrong_value_is_named_in_one_line(tsad, written):
    path = written(EXPERIMENT | {"window": {"length": 0}, "color": "red"})
    result = tsad("train", path)
    assert_one_line(result, "SpecError: experiment.yaml: ")
    assert "window.length: input should be greater than or equal to 1, but got 0" in result[2][0]
    assert "color: extra inputs are not permitted, but got 'red'" in result[2][0]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "TSAD_DEVICE",
            "abacus",
            "settings of the environment or .env: TSAD_DEVICE: Input should be 'auto', 'cpu' or 'cuda'",
        ),
        ("TSAD_LOG_LEVEL", "LOUD", "TSAD_LOG_LEVEL: Input should be 'DEBUG'"),
    ],
)
def test_a_wrong_setting_is_named(tsad, written, monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    assert_one_line(tsad("train", written(EXPERIMENT)), message)


def test_nothing_is_left_behind_by_a_mistake_in_the_file(tsad, written, place):
    path = written(EXPERIMENT | {"color": "red"})
    assert tsad("train", path)[0] == 1
    assert [left.name for left in place.iterdir()] == [path]


def test_the_process_ends_with_1_and_without_a_traceback(place, written):
    done = subprocess.run(
        [sys.executable, "-m", "tsad", "train", written(EXPERIMENT | {"seed": -1})],
        cwd=place, env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "SpecError: experiment.yaml: seed: input should be greater than or equal to 0, but got -1\n"


# --- overrides ---


@pytest.mark.parametrize(
    "words",
    [
        ["--set", "training.batch_size=0"],
        ["--set=training.batch_size=0"],
        ["--training.batch_size", "0"],
        ["--training.batch_size=0"],
        ["--set", "training.batch_size=5", "--training.batch_size", "0"],
        ["--set", "training={batch_size: 0}"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("command", ["train", "search"])
def test_an_override_reaches_the_file_in_every_form(tsad, written, command, words):
    path = written(SPACE if command == "search" else EXPERIMENT)
    assert_one_line(
        tsad(command, path, *words), "training.batch_size: input should be greater than or equal to 1, but got 0"
    )


def test_all_overrides_are_taken_together(tsad, written):
    words = ["--set", "seed=-1", "--window.length", "-2", "--set", "model.hidden=0", "--split.gap=-3"]
    _, _, (line,) = tsad("train", written(EXPERIMENT), *words)
    for found in ("seed: ", "window.length: ", "but got -2", "model.hidden: ", "split.gap: ", "but got -3"):
        assert found in line


def test_a_section_of_the_experiment_may_be_set_without_a_dot(tsad, written):
    assert_one_line(tsad("train", written(EXPERIMENT), "--seed", "-4"), "seed: ")


def test_an_override_of_what_does_not_exist_is_refused(tsad, written):
    result = tsad("train", written(EXPERIMENT), "--set", "training.epohcs=3")
    assert_one_line(result, "training.epohcs: extra inputs are not permitted, but got 3")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trials", "0"], "trials: input should be greater than or equal to 1, but got 0"),
        (["--seconds", "-1"], "seconds: input should be greater than 0, but got -1"),
        (["--parallel", "0"], "parallel: input should be greater than or equal to 1, but got 0"),
        (["--cpus", "0"], "cpus: input should be greater than 0, but got 0"),
        (["--gpus", "-0.5"], "gpus: input should be greater than or equal to 0, but got -0.5"),
        (["--search.algorithm.kind", "oracle"], "algorithm"),
        (["--set", "search.trials=5", "--trials", "0"], "trials: "),
        (["--trials", "auto", "--seconds", "auto", "--set", "search.trials=0"], "trials: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_of_a_search_reach_the_search(tsad, written, words, message):
    assert_one_line(tsad("search", written(SPACE, "space.yaml"), *words), message)


# --- evaluate ---


@pytest.fixture
def arrays(place):
    """Writes scores and labels; returns the words that evaluate them."""

    def write(scores, labels):
        np.save(place / "scores.npy", np.asarray(scores))
        np.save(place / "labels.npy", np.asarray(labels))
        return ["evaluate", "--scores", "scores.npy", "--labels", "labels.npy", "--output", "out"]

    return write


def metrics(place):
    return json.loads((place / "out/metrics.json").read_text())


@pytest.mark.slow
def test_saved_scores_are_evaluated_without_the_rows_that_have_none(tsad, arrays, place):
    # without the NaN: the best F1 flags 0.9, 0.8 and 0.7, two of them hits: 2 * 2 / (3 + 2); AP = (1/1 + 2/3) / 2
    code, out, _ = tsad(*arrays([np.nan, 0.9, 0.8, 0.7, 0.1, np.nan], [1, 1, 0, 1, 0, 0]))
    assert code == 0
    found = metrics(place)
    assert found["oracle/best_f1"] == pytest.approx(0.8)
    assert found["ranking/pr_auc"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["ranking/roc_auc"] == pytest.approx(0.75)
    assert found["ratio/true"] == 0.5
    assert (found["rows/scored"], found["rows/unscored"]) == (4, 2)
    assert "oracle/best_f1" in out
    assert "files:  out" in out
    assert "report: out/report.html" in out


KEYS = """
    point/precision point/recall point/f1 oracle/best_f1 ranking/roc_auc ranking/pr_auc ranking/vus_roc ranking/vus_pr event/f1
    affiliation/f1 range/f1 point_adjusted/f1 pa_k/area ratio/true ratio/predicted window/f1 window/roc_auc window/pr_auc
"""


def test_saved_scores_get_every_metric_and_an_oracle_for_a_threshold(tsad, arrays, place):
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(40) % 17 == 5, 20)
    code, out, errors = tsad(*arrays(generator.random(800) + 0.4 * labels, labels.astype(int)))
    assert code == 0
    found = metrics(place)
    assert {name for name in KEYS.split() if not 0 <= found[name] <= 1} == set()
    assert found["point/f1"] == pytest.approx(found["oracle/best_f1"])
    assert found["labels_used"] == {"training": "nothing", "threshold": "test", "selection": "nothing"}
    assert found["undefined"] == {"deployable/f1": "labels of these rows chose the flags"}
    assert errors == ["deployable/f1 is undefined: labels of these rows chose the flags"]
    assert "deployable/f1" not in found
    assert "which labels of these rows chose (oracle)" in out
    for name in ("metrics_best.json", "threshold_sweep.csv", "predictions.csv", "assessment.json", "report.html"):
        assert (place / "out" / name).stat().st_size > 0


@pytest.mark.slow
def test_metrics_of_windows_are_undefined_where_rows_are_too_few(tsad, arrays, place):
    _, _, errors = tsad(*arrays([0.1, 0.9], [0, 1]))
    reason = "2 scored rows do not hold windows of 128 rows of both kinds"
    assert metrics(place)["undefined"]["window/pr_auc"] == reason
    assert f"window/pr_auc is undefined: {reason}" in errors
    assert not [name for name in metrics(place) if name.startswith("window/")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scores", "labels", "reason"),
    [
        ([0.1, 0.9], [0, 0], "all 2 rows are normal"),
        ([0.1, 0.9], [True, True], "all 2 rows are anomalous"),
        ([np.nan, np.nan], [0, 1], "no row has a score"),
        ([np.nan, 0.5], [0, 1], "all 1 rows are anomalous"),
    ],
)
def test_a_metric_that_the_rows_do_not_define_is_absent_with_its_reason(tsad, arrays, place, scores, labels, reason):
    assert tsad(*arrays(scores, labels))[0] == 0
    for name in ("oracle/best_f1", "ranking/roc_auc", "ranking/pr_auc"):
        assert name not in metrics(place)
        assert metrics(place)["undefined"][name] == reason


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (
            [0.1, 0.9],
            [0, 1, 1],
            "scores and labels must be (T,) of one length, but scores.npy is (2,), labels.npy (3,)",
        ),
        ([[0.1], [0.9]], [[0], [1]], "must be (T,) of one length"),
        ([0.1, 0.9], [0, 2], "labels.npy: labels must be 0 or 1, but hold [0, 2]"),
        ([0.1, 0.9], [0, np.nan], "labels.npy: labels must be 0 or 1"),
        ([0.1, np.inf], [0, 1], "scores.npy: scores must be finite or NaN, but row 1 is infinite"),
        (["a", "b"], [0, 1], "scores.npy: must be a .npy array of numbers, but holds <U1"),
        ([0.1, 0.9], [None, 1], "labels.npy: must be a .npy array of numbers, but Object arrays cannot be loaded"),
    ],
)
def test_arrays_that_cannot_be_evaluated_are_named(tsad, arrays, scores, labels, message):
    assert_one_line(tsad(*arrays(scores, labels)), message)


def test_a_file_that_is_no_array_is_named(tsad, arrays, place):
    words = arrays([0.1, 0.9], [0, 1])
    (place / "labels.npy").write_text("0\n1\n")
    assert_one_line(tsad(*words), "DataError: labels.npy: must be a .npy array of numbers, but ")


def test_an_array_that_is_not_there_is_named(tsad, arrays, place):
    words = arrays([0.1, 0.9], [0, 1])
    (place / "scores.npy").unlink()
    assert_one_line(tsad(*words), "DataError: scores.npy: must be a .npy array of numbers, but [Errno 2] No such file")


# --- score ---

ROWS, BEFORE = 60, 7 + 2


@pytest.fixture(scope="module")
def series():
    return sensors(ROWS)


@pytest.fixture(scope="module")
def detector(series):
    """A window of 8 rows, then the mean of 3 scores."""
    scoring = ScoringSpec(smooth=MeanSmoothing(kind="mean", length=3))
    return detector_of(from_defaults(members(ModelSpec)[0]), series, 8, scoring)


@pytest.fixture
def model(detector, place):
    detector.save(place / "detector")
    return "detector"


@pytest.fixture
def rows(series, place):
    """Writes the rows, a column of text beside them, as CSV and as Parquet; returns them."""
    table = pd.DataFrame(series.values, columns=list(series.features)).assign(comment="fine")
    table.to_csv(place / "rows.csv", index=False)
    table.to_parquet(place / "rows.parquet", index=False)
    return table


def read(path):
    return pd.read_csv(path) if path.endswith(".csv") else pd.read_parquet(path)


@pytest.mark.parametrize("file", ["rows.csv", "rows.parquet"])
@pytest.mark.parametrize("output", ["scored.csv", "scored.parquet"])
def test_a_table_comes_back_with_scores_and_flags(tsad, model, rows, series, detector, file, output):
    code, out, errors = tsad("score", model, file, "--output", output)
    assert (code, errors) == (0, [])
    scored, scores = read(output), detector.score(series)
    assert list(scored.columns)[: len(rows.columns) + 2] == [*rows.columns, "score", "flag"]
    np.testing.assert_allclose(scored["score"], scores.values, rtol=1e-12)
    np.testing.assert_array_equal(scored["flag"], detector.flag(scores))
    assert scored["score"].isna().sum() == BEFORE
    pd.testing.assert_frame_equal(scored[rows.columns], read(file), check_dtype=False)
    assert f"{detector.flag(scores).sum()} of {ROWS} rows flagged" in out
    assert f"{BEFORE} rows have no score" in out
    assert f"file: {output}" in out


@pytest.mark.parametrize("file", ["rows.csv", "rows.parquet"])
def test_without_an_output_the_scored_table_lies_beside_the_rows(tsad, model, rows, place, file):
    assert tsad("score", model, file)[0] == 0
    assert (place / file.replace("rows.", "rows.scored.")).is_file()
    assert read(file).equals(read(file)[list(rows.columns)])


def test_a_given_threshold_replaces_the_detectors_own(tsad, model, rows, series, detector):
    threshold = float(np.nanmedian(detector.score(series).values))
    code, out, _ = tsad("score", model, "rows.csv", "--output", "scored.csv", "--threshold", threshold)
    scored = read("scored.csv")
    assert code == 0
    np.testing.assert_array_equal(scored["flag"], scored["score"] > threshold)
    assert scored["flag"].sum() > detector.flag(detector.score(series)).sum()
    assert "given" in out
    assert Detector.load(Path(model)).threshold == detector.threshold


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop(columns="s3"), "DataError: rows.csv: column 's3' is missing; it has ['s0', 's1'"),
        (
            lambda rows: rows.assign(s3=rows["s3"].where(rows.index != 17)),
            "column 's3' has 1 empty cells, first at row 17",
        ),
        (
            lambda rows: rows.assign(s3="high"),
            "column 's3' must hold numbers, but has 60 other cells, first at row 0 ('high')",
        ),
        (lambda rows: rows.head(BEFORE), f"a score needs at least {BEFORE + 1} consecutive rows"),
    ],
    ids=["missing column", "empty cell", "text", "too few rows"],
)
def test_rows_that_cannot_be_scored_are_named(tsad, model, rows, place, change, message):
    change(rows).to_csv(place / "rows.csv", index=False)
    assert_one_line(tsad("score", model, "rows.csv"), message)
    assert not (place / "rows.scored.csv").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["detector", "absent.csv"], "DataError: absent.csv: cannot be read (No such file)"),
        (["detector", "rows.mat"], "DataError: rows.mat: a table must be a .csv or .parquet file"),
        (
            ["detector", "rows.csv", "--output", "scored.json"],
            "DataError: scored.json: a table must be a .csv or .parquet",
        ),
        (["place", "rows.csv"], "DetectorError: place: must hold detector.json, but does not"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_files_that_cannot_be_used_are_named(tsad, model, rows, place, words, message):
    (place / "rows.mat").write_text("s0,s1\n1,2\n")
    (place / "place").mkdir()
    assert_one_line(tsad("score", *words), message)
