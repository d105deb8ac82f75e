"""`/train_predict` and small searches, up to the search itself: what it is asked, and what is made of its files."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.serving.services import saved_detector
from tsad.config import ExperimentConfig
from tsad.data.sets.synthetic import SyntheticSpec
from tsad.data.split import SplitSpec, split
from tsad.errors import DataError, SpecError
from tsad.experiment import run
from tsad.selection.trial import Candidate, Trial
from tsad.serving.jobs import OUTPUTS, SPACE
from tsad.serving.requests import CSV, JSON, Body
from tsad.serving.search_jobs import LEAST_ROWS, ROWS, task_of_search
from tsad.serving.served_model import open_model
from tsad.serving.train_predict import LEAST_ROWS as SHORTEST
from tsad.serving.train_predict import MOST_ROWS as LONGEST
from tsad.serving.train_predict import TrainPredictRequest, task_of
from tsad.spec import parse, put, write_yaml
from tsad.tuning.algorithms.grid import combinations
from tsad.tuning.spec import read_search
from tsad.workflows.search import search
from tsad.workflows.serve import _trials

KEYS = {
    "y_pred",
    "anomalies",
    "count",
    "threshold",
    "nas_config",
    "metrics",
    "anomaly_eval",
    "report_path",
    "search_summary",
}


def wave(rows, wild=()):
    values = np.sin(np.arange(rows) / 3) + 0.05 * np.random.default_rng(0).normal(size=rows)
    values[list(wild)] += 4
    return values.tolist()


def prepared(task, folder):
    """Writes what the job would, and returns the search that it would run."""
    folder.mkdir(parents=True, exist_ok=True)
    task.prepare(folder)
    (folder / SPACE).write_text(yaml.safe_dump(json.loads(json.dumps(task.space))))
    return read_search(folder / SPACE, {})


def questioned(**values):
    return parse(TrainPredictRequest, values, "body")


@pytest.fixture(params=["shortest", "longest", "synthetic"])
def prediction_request(request):
    if request.param == "synthetic":
        return questioned(use_synthetic=True)
    return questioned(y_true=wave(SHORTEST if request.param == "shortest" else LONGEST))


def test_the_space_is_the_classic_one(prediction_request, tmp_path):
    space = prepared(task_of(prediction_request, list), tmp_path).space
    assert sum(1 for _ in combinations(space, {})) == 288
    assert set(space.params) == {
        "model.cell",
        "model.layers",
        "model.hidden",
        "model.dropout",
        "training.learning_rate",
    }


def test_the_search_registers_nothing_and_reads_no_label(prediction_request, tmp_path):
    spec = prepared(task_of(prediction_request, list), tmp_path).spec
    assert spec.registered is None
    assert spec.maximize.labels_used == "nothing"
    assert spec.parallel * spec.cpus == 2


def test_training_costs_about_the_same_however_long_the_series_is(prediction_request, tmp_path):
    search = prepared(task_of(prediction_request, list), tmp_path)
    template = search.space.template
    rows = len((tmp_path / ROWS).read_text().splitlines()) - 1
    windows = rows / template["window"]["stride"]
    assert 12 <= windows <= 2200
    assert windows * template["training"]["epochs"] < 10_000


@pytest.mark.parametrize("rows", [SHORTEST, 13, 15, 20, 39, 40, 41, 99, 100])
def test_every_part_of_a_short_series_has_room_for_windows(rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    search = prepared(task_of(questioned(y_true=wave(rows)), list), tmp_path)
    template = search.space.template
    length = template["window"]["length"]
    parts = split(search.data.load(tmp_path), parse(SplitSpec, template["split"], "split"), length)
    assert len(parts.fit) >= length
    assert len(parts.validation) > length  # two scores at least, which the threshold needs
    assert search.trials == (4 if rows < 100 else 12)


def test_fewer_rows_than_fit_into_the_parts_are_refused():
    with pytest.raises(SpecError, match=f"y_true: .*at least {SHORTEST} items"):
        questioned(y_true=wave(SHORTEST - 1))


@pytest.mark.slow
@pytest.mark.parametrize("rows", [SHORTEST, 15])
def test_a_short_series_is_searched_and_answered(rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = task_of(questioned(y_true=wave(rows)), _trials)
    task.prepare(tmp_path)
    search(json.loads(json.dumps(task.space)), {"training.epochs": 2})
    answer = task.conclude(tmp_path)
    assert answer.keys() == KEYS
    assert len(answer["y_pred"]) == rows
    assert answer["search_summary"]["configs_evaluated"] == 4


# --- what is made of a search ---


@pytest.fixture(scope="module", params=[False, True], ids=["y_true", "synthetic"])
def concluded(request, tmp_path_factory):
    """Question, answer and the champion's experiment, of a search whose only trial ran one short epoch."""
    folder = tmp_path_factory.mktemp("job")
    asked = {"use_synthetic": True} if request.param else {"y_true": wave(400, wild=[350, 360])}
    prediction_request = questioned(**asked, sigma=2.5)
    candidate = Candidate(0, 2, {}, {"model": {"kind": "recurrent_forecaster"}})
    task = task_of(
        prediction_request, lambda place: [(candidate, Trial(candidate, "finished", 0.0, 1.0)), (candidate, None)]
    )
    prepared(task, folder)
    chosen = {"cell": "gru", "layers": 2, "hidden": 32, "dropout": 0.1}
    values = put(
        {name: section for name, section in task.space.items() if name != "search"},
        {f"model.{name}": value for name, value in chosen.items()}
        | {"training.learning_rate": 0.01, "training.epochs": 1, "data.path": str(folder / ROWS)},
    )
    experiment = parse(ExperimentConfig, values, "champion")
    champion = folder / OUTPUTS / "search" / "4711" / "champion"
    run(experiment, experiment.data.load(folder)).detector.save(champion / "detector")
    write_yaml(champion / "experiment.yaml", experiment, "champion")
    series = np.genfromtxt(folder / ROWS, skip_header=1)
    return prediction_request, task.conclude(folder), experiment, series


def test_the_answer_has_exactly_the_promised_keys_and_is_json(concluded):
    _, answer, _, _ = concluded
    assert answer.keys() == KEYS
    assert answer["nas_config"] == {
        "cell_type": "gru",
        "layers": 2,
        "hidden": 32,
        "dropout": 0.1,
        "learning_rate": 0.01,
    }
    assert answer["search_summary"] == {"generations": 3, "configs_evaluated": 1}
    assert answer["report_path"] == "runs:/4711/nas_report.txt"
    json.dumps(answer, allow_nan=False)


def test_every_row_but_the_first_ones_has_a_forecast(concluded):
    _, answer, experiment, series = concluded
    missing = [value is None for value in answer["y_pred"]]
    assert missing == [True] * (experiment.window.length - 1) + [False] * (len(series) - experiment.window.length + 1)


def test_anomalies_have_residuals_above_the_mean_and_sigma_deviations(concluded):
    prediction_request, answer, _, series = concluded
    residuals = np.abs(series - np.array(answer["y_pred"], float))
    known = residuals[~np.isnan(residuals)]
    assert answer["threshold"] == pytest.approx(known.mean() + 2.5 * known.std(), rel=1e-5)
    assert answer["anomalies"] == [row for row, value in enumerate(residuals) if value > answer["threshold"]]
    assert answer["count"] == len(answer["anomalies"]) > 0
    if prediction_request.y_true is not None:
        assert {350, 360} <= set(answer["anomalies"])


def test_errors_are_those_of_the_forecasts_in_units_of_the_series(concluded):
    _, answer, experiment, series = concluded
    residuals = np.abs(series - np.array(answer["y_pred"], float))
    train = len(series) - round(len(series) * experiment.data.test_ratio)
    first = train - round(train * experiment.split.validation) + experiment.split.gap
    assert answer["metrics"] == pytest.approx(
        {
            "mae": np.nanmean(residuals),
            "rmse": np.sqrt(np.nanmean(residuals**2)),
            "val_rmse": np.sqrt(np.mean(residuals[first:train] ** 2)),
        },
        rel=1e-5,
    )


def test_only_a_series_with_labels_says_how_right_the_anomalies_are(concluded):
    prediction_request, answer, _, _ = concluded
    assert (answer["anomaly_eval"] is not None) == prediction_request.use_synthetic
    if prediction_request.use_synthetic:
        labels = np.zeros(1000, bool)
        test = SyntheticSpec(kind="synthetic", rows=500, features=2, events=10).load(Path())
        for cause in test.root_causes:
            labels[500 + cause.start : 500 + cause.stop] = "sensor_00" in cause.features
        hits = int(labels[answer["anomalies"]].sum())
        assert hits > 0
        assert answer["anomaly_eval"] == pytest.approx(
            {
                "precision": hits / answer["count"],
                "recall": hits / labels.sum(),
                "f1_score": 2 * hits / (answer["count"] + labels.sum()),
            }
        )


# --- searches ---


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    saved_detector(folder / "detector")
    return open_model(str(folder / "detector"), folder)


def table(rows, wrong=""):
    lines = [f"{value},{wrong if row == 17 and wrong else -value}" for row, value in enumerate(wave(rows))]
    return Body("\n".join(["a,b", *lines]).encode(), CSV)


def test_a_search_on_rows_fits_them_down_to_the_fewest(served, tmp_path, monkeypatch):
    search = prepared(task_of_search(table(LEAST_ROWS), served, 3, 10_000), tmp_path)
    assert (search.trials, search.spec.registered) == (3, "tsad-candidates")
    monkeypatch.chdir(tmp_path)
    longest = {"window.length": 16, "scoring.smooth": {"kind": "mean", "length": 5}, "scoring.compress": "none"}
    linear = {"model": {"kind": "window_linear", "components": 2}, "scoring.over": "window", "training": {}}
    experiment = parse(ExperimentConfig, put(search.space.template, longest | linear), "candidate")
    assert 0 < search.spec.maximize.value(run(experiment, search.data.load(Path()))) <= 1


def test_a_search_on_generated_rows_needs_none(served, tmp_path):
    search = prepared(task_of_search(Body(b'{"trials": 2}', JSON), served, 9, 1), tmp_path)
    assert search.trials == 2
    assert search.data.kind == "synthetic"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (table(LEAST_ROWS - 1), f"a search needs at least {LEAST_ROWS} rows, but got {LEAST_ROWS - 1}; send more"),
        (table(LEAST_ROWS, wrong="x"), "body: column 'b' must hold numbers, .* first at row 17"),
    ],
)
def test_rows_that_cannot_be_searched_on_are_refused(served, body, message):
    with pytest.raises(DataError, match=message):
        task_of_search(body, served, 3, 10_000)
