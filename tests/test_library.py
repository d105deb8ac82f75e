"""The Python library: what `import tsad` gives, and that its functions take and return values."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
import tsad
from tests.stores import clear_environment
from tsad.errors import DataError, SpecError
from tsad.workflows.events import EpochEnded, TrainingStarted
from tsad.workflows.inputs import Rows
from tsad.workflows.search import search

ROWS = 700
L2 = {"model": {"kind": "l2"}, "window": {"length": 1}, "split": {"gap": 10}}
HEAVY = ("mlflow", "numpy", "pandas", "ray", "sklearn", "torch")


def loaded(code, folder):
    """Returns which heavy packages a fresh process has loaded after some code."""
    show = f"import sys; print(*sorted({set(HEAVY)} & sys.modules.keys()))"
    command = [sys.executable, "-c", f"{code}\n{show}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    return done.stdout.splitlines()[-1].split()


def l2_detector(rows):
    from tests.examples import detector_of
    from tsad.detector.scoring import ScoringSpec
    from tsad.models.baselines.l2 import L2Spec

    series = tsad.Series(rows.to_numpy(np.float32), tuple(map(str, rows.columns)))
    return detector_of(L2Spec(kind="l2"), series, 1, ScoringSpec())


@pytest.fixture
def frame():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(ROWS, 2))
    labels = np.zeros(ROWS, int)
    values[600:610] += 6
    labels[600:610] = 1
    return pd.DataFrame({"cpu": values[:, 0], "memory": values[:, 1], "label": labels})


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working folder, with the default store in it."""
    clear_environment(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    return tmp_path


# --- the names ---


def test_importing_the_package_loads_nothing_heavy_and_changes_nothing(tmp_path):
    code = "import os; before = dict(os.environ); import tsad; assert os.environ == before; dir(tsad)"
    assert loaded(code, tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in tsad.__all__ if name != "__version__"])
def test_a_public_name_is_imported_and_documented(name):
    value = getattr(tsad, name)
    assert value.__doc__
    assert name in dir(tsad)


def test_the_version_is_that_of_the_distribution():
    assert tsad.__version__.count(".") == 2


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'tsad' has no attribute 'serach'"):
        tsad.serach  # noqa: B018


def test_a_missing_extra_is_named(tmp_path):
    code = (
        "import sys; sys.modules['ray'] = None\nimport tsad\n"
        "try:\n    tsad.search\nexcept ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "tsad.search needs ray, which is not installed: pip install 'tsad[search]'" in done.stdout


# --- rows ---


def test_a_frame_is_written_once_and_a_datetime_index_becomes_the_column_of_times(place, frame):
    from tsad.workflows.context import open_context

    timed = frame.set_index(pd.date_range("2026-01-01", periods=ROWS, freq="min", name="at"))
    settings = open_context().settings
    first, second = (Rows(timed, label="label").section(settings) for _ in range(2))
    assert first == second
    assert (first["kind"], first["label"], first["time"]) == ("csv", "label", "at")
    assert len(list((place / "outputs" / "frames").iterdir())) == 1
    assert list(pd.read_parquet(first["path"]).columns) == ["at", "cpu", "memory", "label"]


def test_labels_without_rows_are_refused(place):
    with pytest.raises(SpecError, match="test, label and time describe the rows of data, but data is missing"):
        tsad.train(L2, label="label")


def test_the_quickstart_space_needs_rows(place):
    with pytest.raises(SpecError, match="the quickstart space needs rows, but data is missing"):
        search()


def test_a_column_of_mixed_types_is_refused(place, frame):
    frame["mixed"] = [object() for _ in range(ROWS)]
    with pytest.raises(DataError, match="a DataFrame must have columns of one type each"):
        tsad.train(L2, data=frame, label="label")


# --- training ---


@pytest.fixture
def cheap(monkeypatch):
    """Skips what takes seconds and is tested elsewhere: most baselines, and the model that MLflow serves."""
    from tsad.assessment import baselines
    from tsad.workflows import train as workflow

    monkeypatch.setattr(baselines, "BASELINES", {"l2": baselines.BASELINES["l2"]})
    monkeypatch.setattr(workflow, "log_detector", lambda *args: None)


def test_a_training_on_a_file_prints_the_command_that_scores_it(place, frame, cheap):
    frame.to_csv(place / "my rows.csv", index=False)
    result = tsad.train(L2, data="my rows.csv", label="label", time="time" if "time" in frame else None)
    assert f"tsad score {result.uri} 'my rows.csv'" in str(result)


def test_a_frame_is_trained_and_scored(place, frame, cheap):
    result = tsad.train(L2, {"threshold": {"kind": "percentile", "percentile": 99}}, data=frame, label="label")
    assert result.metrics["ranking/pr_auc"] > 0.9
    assert "ranking/pr_auc" in str(result)
    assert str(result).splitlines()[-1].startswith("look: ")
    assert "tsad score" not in str(result)  # there is no file to score
    assert result.run_id in repr(result)
    assert "<table>" in result._repr_html_()
    scores = result.detector.score(frame)
    assert list(scores.columns) == ["score", "flag"]
    assert scores["flag"][600:610].all()
    explained = tsad.score(result.detector, frame, explain=1)
    assert explained.flagged == int(scores["flag"].sum())
    assert list(explained.table.columns) == [*frame.columns, "score", "flag", "feature_1", "share_1"]


def test_integers_truth_values_and_nullable_columns_are_numbers(place, frame, cheap):
    odd = frame.assign(cpu=frame["cpu"].round().astype("Int64"), memory=frame["memory"] > 0)
    result = tsad.train(L2, data=odd, label="label")
    assert result.detector.scorer.features == ("cpu", "memory")


def test_progress_is_reported_by_events(place, frame, cheap):
    events = []
    config = {**L2, "model": {"kind": "lstm_ae", "hidden": 4, "latent": 2}, "window": {"length": 4}}
    changes = {"training.epochs": 2, "window.stride": 8}
    tsad.train(config, changes, data=frame, label="label", on_event=events.append)
    assert isinstance(events[0], TrainingStarted)
    assert [event.epoch for event in events[1:] if isinstance(event, EpochEnded)] == [1, 2]


def test_nothing_is_printed(place, frame, cheap, capfd):
    tsad.train(L2, data=frame, label="label")
    assert capfd.readouterr().out == ""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Operation with range:DeprecationWarning")  # of pandas, in MLflow
def test_five_lines_from_a_frame_to_a_champion(place, frame):
    frame = pd.concat([frame, frame], ignore_index=True)
    result = tsad.search(data=frame, label="label", trials=2, overrides={"training.epochs": 2})
    assert (result.champion.uri, result.champion.version) == ("models:/tsad@champion", "1")
    assert [trial.state for trial in result.trials] == ["finished", "finished"]
    scores = tsad.load_detector(result.champion.uri).score(frame)
    pd.testing.assert_frame_equal(scores, result.champion.load().score(frame))
    evaluation = tsad.evaluate(None, L2, {"split.gap": 40}, data=frame, label="label", output=Path("evaluation"))
    assert evaluation.name == result.champion.load().scorer.kind
    assert Path("evaluation/report.html").is_file()


@pytest.mark.slow
def test_scoring_with_a_saved_detector_loads_neither_mlflow_nor_scikit_learn(place, frame, cheap):
    tsad.train(L2, data=frame, label="label").detector.save(place / "detector")
    frame.to_csv("rows.csv", index=False)
    code = (
        "import sys; sys.argv = ['tsad', 'score', 'detector', 'rows.csv']\n"
        "from tsad.cli import main\ntry:\n    main()\nexcept SystemExit:\n    pass"
    )
    assert not {"mlflow", "ray", "sklearn"} & set(loaded(code, place))


@pytest.mark.slow
def test_a_users_script_is_typed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import pandas as pd\nimport tsad\n\nframe = pd.read_csv('load.csv')\n"
        "result = tsad.search(data=frame, label='label', trials=3)\n"
        "detector: tsad.Detector = result.champion.load()\n"
        "scores: pd.DataFrame = detector.score(frame)\n"
        "names: list[str] = [trial.candidate.name for trial in result.trials]\n"
        "wrong: int = tsad.train({'model': {'kind': 'l2'}}, data=frame)\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    assert 'script.py:9: error: Incompatible types in assignment (expression has type "TrainResult"' in done.stdout
    assert "Found 1 error" in done.stdout


def test_columns_that_are_numbers_are_named_by_their_text(frame):
    numbered = frame[["cpu", "memory"]].set_axis([0, 1], axis=1)
    scored = l2_detector(numbered).score(numbered)
    assert scored["score"].notna().all()


def test_an_index_that_repeats_keeps_its_rows(frame):
    repeated = frame.set_axis([0] * ROWS)
    table = tsad.score(l2_detector(frame[["cpu", "memory"]]), repeated).table
    assert len(table) == ROWS
    np.testing.assert_array_equal(table["cpu"], frame["cpu"])


# --- wrong input ---


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda frame: frame.assign(score=1.0),
            "DataFrame: has a column 'score' already; rename it, or use Detector.score",
        ),
        (lambda frame: frame[["cpu"]], "column 'memory' is missing"),
        (lambda frame: frame.set_axis(["cpu", "memory", "cpu"], axis=1), "column 'cpu' is there 2 times; rename one"),
        (lambda frame: frame.assign(cpu=np.nan), "column 'cpu' has 700 empty cells"),
        (lambda frame: frame.iloc[:0], "a score needs at least 1 consecutive rows"),
    ],
)
def test_a_frame_that_cannot_be_scored_is_named(frame, change, message):
    detector = l2_detector(frame[["cpu", "memory"]])
    with pytest.raises(DataError, match=message):
        tsad.score(detector, change(frame))


def test_rows_that_are_no_frame_and_no_path_are_refused(place):
    with pytest.raises(DataError, match="rows must be a DataFrame or the path of a file, but got list"):
        tsad.train(L2, data=[1.0, 2.0])


def test_an_unknown_generator_is_answered_with_the_known_ones():
    with pytest.raises(SpecError, match="a generator is one of sensors, five, anomaly_types, but got 'waves'"):
        tsad.generate_dataset("waves")


def test_a_stream_takes_frames_and_gives_the_scores_of_the_batch(frame):
    detector = l2_detector(frame[["cpu", "memory"]])
    scores = tsad.Stream(detector).push(frame).scores
    np.testing.assert_allclose(scores, detector.score(frame)["score"], atol=1e-6)
