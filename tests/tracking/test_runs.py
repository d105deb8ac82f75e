import dataclasses
import json

import pytest
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from tsad.errors import TsadError
from tsad.tracking.runs import RunWriter, leading_run
from tsad.tracking.store import EXPERIMENT, open_store


@pytest.fixture
def writer(store):
    return RunWriter.create(store, store.experiment(), "a run", {"tsad.kind": "test"})


@pytest.fixture
def there(store):
    """Returns a run as the store has it."""
    return lambda run_id: store.client.get_run(run_id)


def artifacts(store, run_id, path=None):
    return sorted(found.path for found in store.client.list_artifacts(run_id, path))


# --- the store ---


def test_runs_go_to_one_experiment_with_artifacts_beside_the_database(store, tmp_path_factory):
    experiment = store.client.get_experiment(store.experiment())
    assert experiment.name == EXPERIMENT
    folder = tmp_path_factory.getbasetemp() / "store"
    assert experiment.artifact_location == (folder / "mlartifacts").as_uri()
    assert store.experiment() == experiment.experiment_id


def test_the_experiment_that_mlflow_run_chose_goes_first(store, monkeypatch):
    other = store.client.create_experiment("chosen")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", other)
    assert store.experiment() == other


def test_a_store_that_cannot_be_opened_is_named():
    with pytest.raises(TsadError, match=r"tracking store nonsense://x cannot be used \(.*\); set TSAD_TRACKING_URI"):
        open_store("nonsense://x")


# --- what is written ---


def test_a_run_has_its_name_tags_and_parent(store, writer, there):
    child = RunWriter.create(store, store.experiment(), "a child", {"tsad.trial": "3"}, writer.run_id)
    run = there(child.run_id)
    assert run.info.run_name == "a child"
    assert run.data.tags["tsad.trial"] == "3"
    assert run.data.tags[MLFLOW_PARENT_RUN_ID] == writer.run_id
    assert run.info.status == "RUNNING"
    assert MLFLOW_PARENT_RUN_ID not in there(writer.run_id).data.tags


def test_parameters_stand_under_their_paths_as_people_read_them(writer, there):
    terms = [{"kind": "squared_error", "weight": 1.0}, {"kind": "other", "weight": 0.25}]
    writer.parameters(
        {
            "seed": 7,
            "training": {"learning_rate": 0.00123456789, "epochs": 3},
            "scoring": {"smooth": {"kind": "none"}},
            "objective": {"terms": terms},
            "features": ["cpu", "disk"],
            "clip": None,
        }
    )
    assert there(writer.run_id).data.params == {
        "seed": "7",
        "training.learning_rate": "0.00123457",
        "training.epochs": "3",
        "scoring.smooth.kind": "none",
        "objective.terms.0.kind": "squared_error",
        "objective.terms.0.weight": "1",
        "objective.terms.1.kind": "other",
        "objective.terms.1.weight": "0.25",
        "features": "['cpu', 'disk']",
        "clip": "None",
    }


def test_a_parameter_that_is_there_already_stays(store, writer, there):
    store.client.log_param(writer.run_id, "training.epochs", "'3'")  # as `mlflow run -P training.epochs=3` logs it
    writer.parameters({"training": {"epochs": 3, "patience": 2}})
    assert there(writer.run_id).data.params == {"training.epochs": "'3'", "training.patience": "2"}


def test_any_number_of_parameters_can_be_written(writer, there):
    many = {f"p{place}": place for place in range(250)}
    writer.parameters(many)
    assert there(writer.run_id).data.params == {name: str(value) for name, value in many.items()}


def test_curves_stand_at_their_steps(store, writer):
    for epoch, loss in enumerate([0.5, 0.25, 0.125], start=1):
        writer.metrics({"train/loss": loss, "validation/loss": 2 * loss}, step=epoch)
    history = store.client.get_metric_history(writer.run_id, "train/loss")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.25), (3, 0.125)]
    history = store.client.get_metric_history(writer.run_id, "validation/loss")
    assert [(point.step, point.value) for point in history] == [(1, 1.0), (2, 0.5), (3, 0.25)]


def test_any_number_of_metrics_can_be_written(writer, there):
    many = {f"baseline/{place}": place / 7 for place in range(1001)}
    writer.metrics(many)
    assert there(writer.run_id).data.metrics == many


def test_tags_and_the_note_can_be_written_later(writer, there):
    writer.tags({"tsad.state": "finished"})
    writer.note("# Champion")
    tags = there(writer.run_id).data.tags
    assert tags["tsad.state"] == "finished"
    assert tags["mlflow.note.content"] == "# Champion"


def test_files_become_artifacts(store, writer, tmp_path):
    (tmp_path / "results/plots").mkdir(parents=True)
    (tmp_path / "results/metrics.json").write_text(json.dumps({"point/f1": 0.5}))
    (tmp_path / "results/plots/scores.png").write_bytes(b"png")
    writer.files(tmp_path / "results")
    writer.files(tmp_path / "results", "champion")
    writer.file(tmp_path / "results/metrics.json")
    assert artifacts(store, writer.run_id) == ["champion", "metrics.json", "plots"]
    assert artifacts(store, writer.run_id, "champion") == ["champion/metrics.json", "champion/plots"]
    fetched = store.client.download_artifacts(writer.run_id, "metrics.json", str(tmp_path))
    assert json.loads((tmp_path / fetched).read_text()) == {"point/f1": 0.5}


@pytest.mark.parametrize("labeled", [True, False])
def test_a_run_is_linked_to_its_training_and_test_rows(store, writer, small_data, labeled):
    test = small_data.test if labeled else dataclasses.replace(small_data.test, labels=None)
    writer.inputs(dataclasses.replace(small_data, test=test))
    inputs = store.client.get_run(writer.run_id).inputs.dataset_inputs
    found = {given.tags[0].value: given.dataset for given in inputs}
    assert found["train"].name == "synthetic-0-train"
    assert found["test"].name == "synthetic-0-test"
    assert "synthetic generator, seed 0" in found["test"].source
    assert json.loads(found["test"].profile)["features_shape"] == [400, 6]
    assert ("targets_shape" in json.loads(found["test"].profile)) == labeled


def test_other_rows_have_another_digest(store, small_data):
    def digests(data):
        writer = RunWriter.create(store, store.experiment(), "digests", {})
        writer.inputs(data)
        return {
            given.dataset.name: given.dataset.digest
            for given in store.client.get_run(writer.run_id).inputs.dataset_inputs
        }

    moved = dataclasses.replace(small_data.test, values=small_data.test.values + 1)
    first, other = digests(small_data), digests(dataclasses.replace(small_data, test=moved))
    assert first == digests(small_data)
    assert first["synthetic-0-train"] == other["synthetic-0-train"]
    assert first["synthetic-0-test"] != other["synthetic-0-test"]


# --- how a leading run ends ---


def test_a_leading_run_is_running_while_it_leads_and_finished_after_it(store, there):
    with leading_run(store, "leads", {"tsad.kind": "train"}) as writer:
        run = there(writer.run_id)
        assert run.info.status == "RUNNING"
        assert run.info.run_name == "leads"
        assert run.info.experiment_id == store.experiment()
    run = there(writer.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.end_time is not None
    assert run.data.tags["tsad.kind"] == "train"
    assert "tsad.error" not in run.data.tags


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (TsadError("rows are missing"), "FAILED", "TsadError: rows are missing"),
        (ValueError("x" * 9000), "FAILED", "ValueError: " + "x" * 4988),
        (SystemExit(3), "FAILED", "SystemExit: 3"),
        (KeyboardInterrupt(), "KILLED", None),
    ],
    ids=["error", "long error", "exit", "ctrl-c"],
)
def test_a_leading_run_that_is_cut_off_says_so_and_lets_the_error_through(store, there, error, status, reason):
    seen = []

    def cut_off():
        with leading_run(store, "cut off", {}) as writer:
            seen.append(writer.run_id)
            raise error

    with pytest.raises(type(error)):
        cut_off()
    run = there(seen[0])
    assert run.info.status == status
    assert run.data.tags.get("tsad.error") == reason


@pytest.mark.parametrize(
    ("name", "shown"), [(None, "synthetic_quick-synthetic-0"), ("nightly", "nightly"), ("load-finch-1", "load-finch-1")]
)
def test_the_run_that_mlflow_run_made_is_the_leading_one_under_the_name_that_was_given(
    store, there, monkeypatch, name, shown
):
    given = store.client.create_run(store.experiment(), run_name=name).info.run_id
    store.client.log_param(given, "trials", "6")
    monkeypatch.setenv("MLFLOW_RUN_ID", given)
    with leading_run(store, "synthetic_quick-synthetic-0", {"tsad.kind": "search"}) as writer:
        assert writer.run_id == given
    run = there(given)
    assert run.info.run_name == shown
    assert run.info.status == "FINISHED"
    assert run.data.params == {"trials": "6"}
    assert run.data.tags["tsad.kind"] == "search"
    with leading_run(store, "second", {}) as second:
        assert second.run_id != given
    assert there(second.run_id).data.tags[MLFLOW_PARENT_RUN_ID] == given
    assert there(given).info.run_name == shown


def test_without_mlflow_run_every_leading_run_is_a_new_one(store):
    ids = set()
    for _ in range(2):
        with leading_run(store, "new", {}) as writer:
            ids.add(writer.run_id)
    assert len(ids) == 2


def test_a_run_that_is_resumed_has_no_error_any_more(store, there):
    with pytest.raises(ValueError, match="broken"), leading_run(store, "breaks", {}) as writer:
        raise ValueError("broken")
    assert there(writer.run_id).data.tags["tsad.error"] == "ValueError: broken"
    with leading_run(store, "breaks", {}, resumed=writer.run_id):
        assert there(writer.run_id).info.status == "RUNNING"
    run = there(writer.run_id)
    assert (run.info.status, "tsad.error" in run.data.tags) == ("FINISHED", False)


def test_final_metrics_have_one_point_although_they_are_logged_again(store, writer, there):
    writer.final_metrics({"a": 0.1, "b": 2})
    writer.final_metrics({"a": 0.1, "b": 3, "c": 1})
    points = {name: len(store.client.get_metric_history(writer.run_id, name)) for name in "abc"}
    assert points == {"a": 1, "b": 2, "c": 1}
    assert there(writer.run_id).data.metrics == {"a": 0.1, "b": 3.0, "c": 1.0}
