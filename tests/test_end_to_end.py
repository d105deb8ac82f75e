"""The whole way, as a user goes it: processes, a real search, real servers, real data. Nothing here is quick."""

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.processes import REPOSITORY, answers, environment, free_port, ran, running
from tsad.config import ExperimentConfig
from tsad.data.sets.smd import SmdSpec
from tsad.data.sets.synthetic import SyntheticSpec
from tsad.detector.detector import Detector
from tsad.models.contract import ClosedFormModel
from tsad.provenance import Provenance
from tsad.spec import flatten, parse, read_yaml
from tsad.tracking.tags import provenance_tags

pytestmark = pytest.mark.slow

TRIALS, EPOCHS, SEED = 6, 3, 1
ROWS = 2000


def post(url, body):
    """Returns status and text of the answer to a JSON body."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def artifacts(client, run_id, path=None):
    return {Path(found.path).name for found in client.list_artifacts(run_id, path)}


# --- the search, as the README runs it ---


@dataclass(frozen=True)
class Searched:
    """A search that `mlflow run` ran in a copy of the project, with MLflow's defaults."""

    folder: Path
    out: str
    client: MlflowClient

    @property
    def uri(self):
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def parent(self):
        (parent,) = self.runs("tags.`tsad.kind` = 'search'")
        return parent

    @property
    def children(self):
        return self.runs(f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{self.parent.info.run_id}'")

    @property
    def champion(self):
        """Where the winner's files lie."""
        return self.folder / "outputs/search" / self.parent.info.run_id / "champion"

    def runs(self, condition=""):
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        return self.client.search_runs(experiments, condition)

    def experiment(self, run, folder):
        """Returns the experiment that a run logged as an artifact."""
        path = self.client.download_artifacts(run.info.run_id, "experiment.yaml", str(folder))
        return parse(ExperimentConfig, read_yaml(Path(path)), run.info.run_name)


@pytest.fixture(scope="session")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    for name in ("MLproject", "conda.yaml"):
        shutil.copy(REPOSITORY / name, folder)
    for name in ("experiments", "search_spaces"):
        shutil.copytree(REPOSITORY / name, folder / name)
    chosen_by_labels = {"search.maximize.kind": "labeled", "split.selection": 0.4}
    values = {"trials": TRIALS, "training.epochs": EPOCHS, "seed": SEED} | chosen_by_labels
    given = [word for name, value in values.items() for word in ("-P", f"{name}={value}")]
    out = ran(["mlflow", "run", ".", "-e", "search", "--env-manager", "local", *given], folder)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    return Searched(folder, out, MlflowClient(uri, uri))


def test_the_search_prints_a_line_for_each_trial_then_the_table_the_baselines_and_the_way_on(searched):
    for child in searched.children:
        assert searched.out.count(child.info.run_name) >= 2
    for words in (
        "vus_pr",
        "window linear",
        "chance",
        "oracle/best_f1",
        "deployable/f1",
        "the best baseline",
        "those of the selection rows",
    ):
        assert words in searched.out
    assert re.search(r"champion: +models:/tsad@champion +\(version 1\)", searched.out)
    assert "mlflow ui --backend-store-uri" in searched.out
    assert "models serve -m models:/tsad@champion --env-manager local" in searched.out


def test_the_parent_is_finished_and_every_trial_is_its_child(searched):
    assert searched.parent.info.status == "FINISHED"
    assert len(searched.children) == TRIALS
    assert len(searched.runs()) == 1 + TRIALS
    assert Counter(child.data.tags["tsad.trial"] for child in searched.children) == Counter(map(str, range(TRIALS)))


def test_no_run_is_left_running(searched):
    assert {run.info.status for run in searched.runs()} <= {"FINISHED", "FAILED"}
    assert sum(child.data.tags["tsad.state"] == "finished" for child in searched.children) >= TRIALS / 2


def test_the_parent_shows_what_was_typed_and_what_it_meant(searched):
    params = searched.parent.data.params
    assert params["trials"].strip("'") == str(TRIALS)
    assert params["search.trials"] == str(TRIALS)
    assert params["search.algorithm.kind"] == "evolution"
    assert params["data.kind"] == "synthetic"


def test_every_trial_shows_its_whole_experiment(searched, tmp_path):
    for child in searched.children:
        experiment = searched.experiment(child, tmp_path)
        assert child.data.params.keys() == flatten(experiment.model_dump(mode="json")).keys()
        assert experiment.seed == SEED
        tags = child.data.tags
        assert tags.get("tsad.anchor", tags["tsad.family"]).replace(" ", "_") in child.info.run_name
        assert {given.tags[0].value for given in child.inputs.dataset_inputs} == {"train", "test"}


def test_every_finished_trial_has_metrics_plots_and_its_detector(searched):
    finished = [child for child in searched.children if child.data.tags["tsad.state"] == "finished"]
    assert finished
    for child in finished:
        wanted = {
            "oracle/best_f1",
            "ranking/pr_auc",
            "ranking/roc_auc",
            "point/f1",
            "value",
        }
        assert wanted <= child.data.metrics.keys()
        assert 0 < child.data.metrics["value"] <= 1  # an average precision of the selection rows
        assert child.data.tags["tsad.labels_used.selection"] == "selection"
        files = artifacts(searched.client, child.info.run_id)
        assert {
            "detector",
            "plots",
            "experiment.yaml",
            "metrics.json",
            "history.json",
            "scores.npy",
            "labels.npy",
        } <= files
        average = child.data.tags["tsad.family"] == "average"
        weights = {f"member-{index}" for index in range(5)} if average else {"weights.safetensors"}
        files = artifacts(searched.client, child.info.run_id, "detector")
        assert files == {"detector.json", "profile.json", *weights}


def test_trained_trials_have_loss_curves_and_checkpoints(searched, tmp_path):
    trained = 0
    for child in searched.children:
        experiment = searched.experiment(child, tmp_path)
        models = [scorer.model.build(8, scorer.window.length) for scorer in experiment.scorers]
        curve = [point.step for point in searched.client.get_metric_history(child.info.run_id, "train/loss")]
        if all(isinstance(model, ClosedFormModel) for model in models):
            assert curve == []
        else:
            trained += 1
            assert curve == list(range(1, len(curve) + 1))
            assert 1 <= len(curve) <= EPOCHS
            assert len(curve) == EPOCHS or child.data.tags["tsad.state"] == "stopped"
            assert artifacts(searched.client, child.info.run_id, "checkpoints") >= {
                "best.safetensors",
                "last.safetensors",
            }
            assert "losses.png" in artifacts(searched.client, child.info.run_id, "plots")
    assert 1 <= trained < TRIALS


def test_the_champion_is_the_best_finished_trial(searched):
    version = searched.client.get_model_version_by_alias("tsad", "champion")
    finished = [child for child in searched.children if child.data.tags["tsad.state"] == "finished"]
    best = max(finished, key=lambda child: child.data.metrics["value"])
    assert version.tags["tsad.champion_trials"] == best.info.run_name
    assert version.tags["tsad.run"] == searched.parent.info.run_id
    for metric in ("ranking/pr_auc", "oracle/best_f1", "point/f1"):
        assert searched.parent.data.metrics[metric] == best.data.metrics[metric]


def test_the_champion_carries_whose_labels_chose_it(searched):
    version = searched.client.get_model_version_by_alias("tsad", "champion")
    provenance = Detector.load(searched.champion / "detector").provenance
    assert provenance == Provenance(selection="selection")
    for tags in (version.tags, searched.parent.data.tags):
        assert provenance_tags(provenance).items() <= tags.items()
        assert not {"tsad.oracle", "tsad.supervised"} & tags.keys()
    found = json.loads((searched.champion / "metrics.json").read_text())
    assert found["labels_used"] == provenance.parts()
    assert found["deployable/f1"] == found["point/f1"]


def test_the_parent_has_the_baseline_baselines_the_table_and_the_winner_as_an_experiment(searched, tmp_path):
    metrics = searched.parent.data.metrics
    assert {"baseline/l2/ranking/pr_auc", "baseline/pca error/ranking/pr_auc"} <= metrics.keys()
    assert {"champion", "champion.yaml", "trials.csv"} <= artifacts(searched.client, searched.parent.info.run_id)
    path = searched.client.download_artifacts(searched.parent.info.run_id, "champion.yaml", str(tmp_path))
    experiment = parse(ExperimentConfig, read_yaml(Path(path)), "champion")
    assert experiment == parse(ExperimentConfig, read_yaml(searched.champion / "experiment.yaml"), "champion")
    table = pd.read_csv(searched.champion.parent / "trials.csv")
    assert list(table["trial"][:1]) == [searched.parent.data.tags["tsad.champion_trials"]]
    assert len(table) == TRIALS


def test_the_champion_evaluated_again_is_worth_the_same(searched):
    data = searched.champion / "experiment.yaml"
    out = ran(
        ["mlflow", "run", ".", "-e", "evaluate", "--env-manager", "local", "-P", f"data={data}", "-P", "output=again"],
        searched.folder,
    )
    found = json.loads((searched.folder / "again/metrics.json").read_text())
    for metric in ("ranking/pr_auc", "ranking/roc_auc", "oracle/best_f1", "point/f1"):
        assert found[metric] == pytest.approx(searched.parent.data.metrics[metric], abs=1e-9)
    assert "window linear" in out


def test_a_search_out_of_time_before_a_trial_finished_fails_with_the_reason_and_leaves_no_run_running(tmp_path):
    space = REPOSITORY / "search_spaces/synthetic_quick.yaml"
    words = ["python", "-m", "tsad", "search", space, "--seconds", "0.1", "--set", "training.epochs=100000"]
    done = subprocess.run(
        [str(word) for word in words],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 1
    assert "TsadError: a champion needs a finished trial" in done.stderr.splitlines()[-1]
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    searched = Searched(tmp_path, done.stdout, MlflowClient(uri, uri))
    assert searched.parent.info.status == "FAILED"
    assert searched.parent.data.tags["tsad.error"].startswith("TsadError: a champion needs a finished trial")
    assert not {run.info.status for run in searched.runs()} & {"RUNNING", "SCHEDULED"}


# --- the champion, served from another folder ---


@dataclass(frozen=True)
class Served:
    """The champion behind HTTP, rows, and what the file scorer says of them."""

    url: str
    rows: pd.DataFrame
    scored: pd.DataFrame
    before: int
    after: int

    def post(self, rows):
        values = rows.astype(object).where(rows.notna(), None).to_numpy().tolist()
        return post(f"{self.url}/invocations", {"dataframe_split": {"columns": list(rows.columns), "data": values}})

    def scores(self, rows):
        status, text = self.post(rows)
        assert status == 200, text
        return pd.DataFrame(json.loads(text)["predictions"]).astype({"score": float})


@pytest.fixture(scope="session")
def served(searched, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    series = SyntheticSpec(kind="synthetic").load(Path()).test.part(0, ROWS)
    rows = pd.DataFrame(series.values.astype(np.float64), columns=list(series.features))
    rows.to_csv(elsewhere / "rows.csv", index=False)
    words = ["tsad", "score", "models:/tsad@champion", "rows.csv", "--output", "scored.csv"]
    ran(["python", "-m", *words], elsewhere, MLFLOW_TRACKING_URI=searched.uri)
    scorer = Detector.load(searched.champion / "detector").scorer
    port = free_port()
    serve = ["mlflow", "models", "serve", "-m", "models:/tsad@champion", "--env-manager", "local", "--port", port]
    # without PYTHONPATH: the model has to bring its own code
    with running(
        serve,
        elsewhere,
        f"http://127.0.0.1:{port}/ping",
        MLFLOW_TRACKING_URI=searched.uri,
        PYTHONPATH=None,
        MLFLOW_ALLOW_PICKLE_DESERIALIZATION="false",
    ):
        yield Served(
            f"http://127.0.0.1:{port}",
            rows,
            pd.read_csv(elsewhere / "scored.csv"),
            scorer.lookback,
            scorer.lookahead,
        )


def test_the_served_champion_says_what_the_file_scorer_says(served):
    found = served.scores(served.rows)
    np.testing.assert_allclose(found["score"], served.scored["score"], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found["flag"], served.scored["flag"])
    assert found["score"].isna().sum() == served.before + served.after
    assert 0 < found["flag"].sum() < ROWS / 2


@pytest.mark.parametrize("size", [333, 700])
def test_overlapping_chunks_get_the_scores_of_the_whole(served, size):
    scores = np.full(ROWS, np.nan)
    for start in range(served.before, ROWS - served.after, size):
        stop = min(start + size, ROWS - served.after)
        chunk = served.scores(served.rows[start - served.before : stop + served.after])
        scores[start:stop] = chunk["score"][served.before : served.before + stop - start]
    np.testing.assert_allclose(scores, served.scored["score"], rtol=0, atol=1e-6)


def test_whole_numbers_are_numbers(served):
    rows = served.rows.head(300).assign(sensor_03=1.0)
    whole = rows.astype({"sensor_03": int}).astype(object)
    pd.testing.assert_frame_equal(served.scores(whole), served.scores(rows))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows.drop(columns="sensor_03"), ["sensor_03"]),
        (lambda rows: rows.head(3), ["at least", "consecutive rows", "got 3"]),
        (lambda rows: rows.assign(sensor_03="high"), ["sensor_03"]),
        (lambda rows: rows.assign(sensor_03=rows["sensor_03"].where(rows.index != 17)), ["sensor_03", "row 17"]),
    ],
    ids=["missing column", "too few rows", "text", "empty cell"],
)
def test_rows_that_cannot_be_scored_get_a_4xx_that_names_the_fault(served, change, words):
    status, text = served.post(change(served.rows))
    assert 400 <= status < 500
    assert all(word in text for word in words), text
    assert "Traceback" not in json.loads(text).get("message", "")


def test_nan_in_the_body_gets_a_4xx_that_names_the_cell(served):
    rows = served.rows.head(200).to_numpy().tolist()
    rows[17][3] = float("nan")
    body = {"dataframe_split": {"columns": list(served.rows.columns), "data": rows}}
    status, text = post(f"{served.url}/invocations", body)
    assert 400 <= status < 500
    assert "sensor_03" in text
    assert "row 17" in text


@pytest.mark.parametrize("body", [{}, {"rows": []}, [1, 2], "text"], ids=str)
def test_a_body_that_is_no_table_gets_a_4xx(served, body):
    assert 400 <= post(f"{served.url}/invocations", body)[0] < 500


def test_the_server_is_healthy_after_wrong_requests(served):
    assert 400 <= served.post(served.rows.head(3))[0] < 500
    assert answers(f"{served.url}/ping")
    np.testing.assert_allclose(served.scores(served.rows)["score"], served.scored["score"], rtol=0, atol=1e-6)


# --- training, here and against a server ---

TRAIN = ["python", "-m", "tsad", "train", REPOSITORY / "experiments/synthetic_lstm.yaml", "--set", "training.epochs=2"]


@dataclass(frozen=True)
class Trained:
    """One `tsad train`."""

    out: str
    files: Path

    def read(self, name):
        return json.loads((self.files / name).read_text())


def trained_in(folder, **variables):
    out = ran(TRAIN, folder, **variables)
    (files,) = (folder / "outputs/train").iterdir()
    return Trained(out, files)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A run that went to the default store."""
    return trained_in(tmp_path_factory.mktemp("here"))


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A tracking server; its URI and folder."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    words = ["mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1"]
    words += [
        "--backend-store-uri",
        f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination",
        folder / "artifacts",
    ]
    with running(words, folder, f"http://127.0.0.1:{port}/health"):
        yield f"http://127.0.0.1:{port}", folder


@pytest.fixture(scope="session")
def trained_on_server(server, tmp_path_factory):
    return trained_in(tmp_path_factory.mktemp("client"), MLFLOW_TRACKING_URI=server[0])


def test_the_same_experiment_gives_exactly_the_same_metrics_twice(trained, trained_on_server):
    for name in ("metrics.json", "history.json", "rows.json"):
        assert trained.read(name) == trained_on_server.read(name)
    first, second = (np.load(run.files / "scores.npy") for run in (trained, trained_on_server))
    np.testing.assert_array_equal(first, second)


def test_training_prints_its_metrics_and_where_everything_is(trained):
    metrics = trained.read("metrics.json")
    assert re.search(rf"ranking/pr_auc +{metrics['ranking/pr_auc']:.4f}\n", trained.out)
    for words in ("threshold: percentile 99", "files: ", f"runs:/{trained.files.name}/detector", "mlflow ui"):
        assert words in trained.out


def test_a_tracking_server_gets_the_whole_run(server, trained_on_server, tmp_path):
    client, run_id = MlflowClient(server[0], server[0]), trained_on_server.files.name
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["tsad.kind"] == "train"
    assert run.data.params["training.epochs"] == "2"
    assert run.data.params["model.kind"] == "lstm_ae"
    assert run.data.metrics["oracle/best_f1"] == trained_on_server.read("metrics.json")["oracle/best_f1"]
    assert [point.step for point in client.get_metric_history(run_id, "train/loss")] == [1, 2]
    assert {"detector", "checkpoints", "plots", "metrics.json", "scores.npy"} <= artifacts(client, run_id)
    assert len(run.inputs.dataset_inputs) == 2


def test_artifacts_go_through_the_server(server, trained_on_server, tmp_path):
    client, run_id = MlflowClient(server[0], server[0]), trained_on_server.files.name
    assert client.get_run(run_id).info.artifact_uri.startswith("mlflow-artifacts:")
    assert list((server[1] / "artifacts").rglob("detector.json"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", server[0])
        fetched = Path(client.download_artifacts(run_id, "detector", str(tmp_path)))
    assert (fetched / "weights.safetensors").read_bytes() == (
        trained_on_server.files / "detector/weights.safetensors"
    ).read_bytes()


def test_the_logged_model_is_there_too(server, trained_on_server):
    client = MlflowClient(server[0], server[0])
    run = client.get_run(trained_on_server.files.name)
    (model,) = client.search_logged_models([run.info.experiment_id])
    assert model.source_run_id == run.info.run_id
    assert str(model.status) in {"READY", "LoggedModelStatus.READY"}
    assert model.tags["tsad.family"] == "lstm_ae"


# --- real data ---


def average_precision(scores, labels):
    """Returns the mean precision over the hits, rows of one score taken together."""
    thresholds, place = np.unique(-scores, return_inverse=True)  # strangest first
    flagged = np.cumsum(np.bincount(place, minlength=len(thresholds)))
    hits = np.cumsum(np.bincount(place, weights=labels, minlength=len(thresholds)))
    return float(np.sum(np.diff(hits, prepend=0) / hits[-1] * hits / flagged))


def test_l2_on_smd_equals_what_numpy_makes_of_it(smd_folder, tmp_path):
    changes = [
        "data={kind: smd, machine: 1-2}",
        "split={validation: 0.25, selection: 0.0}",
        "window={length: 1}",
        "model={kind: l2}",
        "scoring={error: squared, smooth: {kind: mean, length: 10}, normalization: {kind: none}}",
    ]
    words = [word for change in changes for word in ("--set", change)]
    ran(
        ["python", "-m", "tsad", "train", REPOSITORY / "experiments/smd_multiscale.yaml", *words],
        tmp_path,
        TSAD_DATA_DIR=smd_folder.resolve(),
    )
    (found,) = (tmp_path / "outputs/train").glob("*/metrics.json")
    data = SmdSpec(kind="smd", machine="1-2").load(smd_folder)
    train, test = data.train.values.astype(np.float64), data.test.values.astype(np.float64)
    fit = train[: len(train) - round(0.25 * len(train))]
    deviation = fit.std(axis=0)
    rows = np.concatenate([train[-9:], test])  # the test rows come right after the training rows
    z = np.clip((rows - fit.mean(axis=0)) / np.where(deviation > 0, deviation, 1), -50, 50)
    squares = np.square(z).mean(axis=1)
    smoothed = np.convolve(squares, np.ones(10) / 10, mode="valid")
    by_hand = average_precision(smoothed, data.test.labels)
    assert json.loads(found.read_text())["ranking/pr_auc"] == pytest.approx(by_hand, abs=1e-6)
    assert 0.2 < by_hand < 1
