"""Searches that are killed between their last trial and their end: real processes, a real store, each step."""

import multiprocessing
import signal

import pytest
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from tests.workflows.killed_search import search

pytestmark = pytest.mark.slow

NAME = "tsad-killed"
SPACE = {
    "data": {"kind": "synthetic", "rows": 900, "features": 4, "events": 8, "seed": 3},
    "split": {"gap": 20},
    "window": {"length": 8},
}
SEARCH = {
    "parallel": 1,
    "algorithm": {"kind": "random"},
    "asha": None,
    "ensemble": None,
    "anchors": [],
    "champion": "best",
    "register": NAME,
}
BAD = SPACE | {"model": {"kind": "random"}, "window": {"length": {"choice": [8, 9]}}, "search": SEARCH | {"trials": 1}}
GOOD = SPACE | {
    "model": {"kind": "window_linear", "components": {"choice": [3, 5]}},
    "search": SEARCH | {"trials": 2},
}


@pytest.fixture(scope="module")
def processes():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.workflows.killed_search"])
    return context


def ended(processes, folder, space, done):
    """Returns the exit code of a search in a process."""
    process = processes.Process(target=search, args=(folder, space, done))
    process.start()
    process.join(timeout=300)
    return process.exitcode


def test_a_search_that_is_killed_at_each_step_of_its_end_has_one_version_one_decision_and_one_alias(
    processes, tmp_path
):
    assert ended(processes, tmp_path, BAD, None) == 0
    killed: list[str] = []
    while (code := ended(processes, tmp_path, GOOD, tuple(killed))) == -signal.SIGKILL:
        killed.append((tmp_path / "step").read_text())
    assert code == 0
    calls = {step.split()[0] for step in killed}
    assert calls >= {"create_logged_model", "log_model_artifacts", "finalize_logged_model", "_create_model_version"}
    assert calls >= {"set_registered_model_alias", "set_registered_model_tag", "update_model_version", "set_terminated"}
    assert {"set_model_version_tag last", "log_artifact gate.txt"} < set(killed)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(uri, uri)
    experiment = client.get_experiment_by_name("tsad").experiment_id
    runs = client.search_runs([experiment], order_by=["attributes.start_time"])
    searches = [run for run in runs if run.data.tags.get("tsad.kind") == "search"]
    assert len(searches) == 2
    assert {run.info.status for run in runs} == {"FINISHED"}
    killed_search = searches[1]
    run_id = killed_search.info.run_id
    trials = [run for run in runs if run.data.tags.get(MLFLOW_PARENT_RUN_ID) == run_id]
    assert sorted(run.data.tags["tsad.trial"] for run in trials) == ["0", "1"]
    assert not [run.info.run_id for run in runs if "tsad.error" in run.data.tags]
    for name in killed_search.data.metrics:
        assert len(client.get_metric_history(run_id, name)) == 1, name
    registered = client.get_registered_model(NAME)
    assert {alias: str(version) for alias, version in registered.aliases.items()} == {"champion": "2"}
    assert registered.tags["tsad.champions"] == "1 2"
    versions = {str(version.version): version for version in client.search_model_versions(f"name = '{NAME}'")}
    assert versions.keys() == {"1", "2"}
    assert (versions["2"].tags["tsad.gate"], versions["2"].tags["tsad.run"]) == ("promoted", run_id)
    assert killed_search.data.tags["tsad.gate"] == "promoted"
    text = (tmp_path / "outputs" / "search" / run_id / "gate.txt").read_text().strip()
    assert text == versions["2"].description
    models = client.search_logged_models([experiment], filter_string=f"source_run_id = '{run_id}'")
    assert [(model.model_uri, str(model.status)) for model in models] == [(versions["2"].source, "READY")]
