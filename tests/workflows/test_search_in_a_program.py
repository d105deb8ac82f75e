"""Searches inside a program that has Ray and an MLflow run of its own."""

import json

import pytest
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from tests.processes import PYTHON, ran
from tests.stores import clear_environment, opened
from tsad.tracking.runs import leading_run
from tsad.workflows.printing import tracking_ui


@pytest.mark.slow
@pytest.mark.parametrize("with_ray", [True, False])
def test_two_searches_run_one_after_the_other_and_leave_ray_and_the_active_run_as_they_were(tmp_path, with_ray):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    words = [PYTHON, "-m", "tests.workflows.search_in_a_program", *(["ray"] if with_ray else [])]
    out = ran(words, tmp_path, TSAD_TRACKING_URI=uri)
    result = json.loads(out.strip().splitlines()[-1])
    assert result["active"] == result["outer"]
    assert result["ray"] == with_ray
    client = MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    parents = {run.info.run_id: run.data.tags.get(MLFLOW_PARENT_RUN_ID) for run in runs}
    assert [parents[search] for search in result["searches"]] == [result["outer"]] * 2
    for search in result["searches"]:
        assert list(parents.values()).count(search) == 2
    assert parents[result["outer"]] is None


def test_a_run_inside_an_active_run_is_its_child_and_leaves_it_active(tmp_path_factory, monkeypatch):
    import mlflow

    clear_environment(monkeypatch)
    store = opened(tmp_path_factory.getbasetemp() / "program")
    mlflow.set_experiment("mine")
    with mlflow.start_run() as outer:
        with leading_run(store, "inner", {"tsad.kind": "train"}) as writer:
            pass
        assert mlflow.active_run().info.run_id == outer.info.run_id
    inner = store.client.get_run(writer.run_id)
    assert (inner.data.tags[MLFLOW_PARENT_RUN_ID], inner.info.status) == (outer.info.run_id, "FINISHED")
    with leading_run(store, "later", {"tsad.kind": "train"}) as writer:
        pass
    assert MLFLOW_PARENT_RUN_ID not in store.client.get_run(writer.run_id).data.tags


def test_the_link_shows_the_runs_of_the_experiment_and_no_password():
    page = "https://host:5000/#/experiments/7/runs?workflowType=machine_learning"
    assert tracking_ui("https://ada:secret@host:5000/", "7") == page
    assert tracking_ui("http://host:5000") == "http://host:5000"
    assert tracking_ui("sqlite:///a.db", "7").endswith("mlflow ui --backend-store-uri sqlite:///a.db")
