"""`tsad train --each-entity`: a run for each entity below one run, resumed where it was, and one model that holds all."""

import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.fleets import FEATURES, panel
from tests.processes import PYTHON, environment, ran
from tests.stores import clear_environment
from tsad.errors import TrainingError, TsadError
from tsad.parallel import TaskOptions
from tsad.registry.register import register
from tsad.workflows import fleet_training as workflow
from tsad.workflows.context import load_fleet
from tsad.workflows.fleet import train_each_entity
from tsad.workflows.fleet_training import FleetOptions
from tsad.workflows.promote import promote, undo_promotion
from tsad.workflows.score import score
from tsad.workflows.train import train

pytestmark = [
    pytest.mark.usefixtures("place"),
    pytest.mark.slow,
    # of MLflow, which looks at the input example
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated:pandas.errors.Pandas4Warning"),
]

MODEL = {"window": {"length": 8}, "split": {"gap": 8}, "model": {"kind": "window_linear", "components": 2}}
DATA = {"kind": "csv", "path": "panel.csv", "entity": "machine", "time": "time"}
EXPERIMENT = MODEL | {"data": DATA}
ONE = FleetOptions(tasks=TaskOptions(1))
NAMES = ["m0", "m1", "m2"]


@pytest.fixture(autouse=True)
def own_store(place, monkeypatch):
    clear_environment(monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place / 'mlflow.db'}")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def write(names=NAMES, rows=200, **changes):
    panel(names, rows).assign(**changes).to_csv("panel.csv", index=False)


def runs():
    client = mlflow.MlflowClient(f"sqlite:///{Path.cwd() / 'mlflow.db'}")
    return client.search_runs(["1"], order_by=["attributes.start_time"])


def test_a_fleet_of_38_machines_from_check_to_predict(place):
    names = [f"pump {number}" for number in range(38)]
    panel(names, 400, mixed=True).to_csv("panel.csv", index=False)
    checked = subprocess.run(
        [PYTHON, "-m", "tsad", "data", "check", "panel.csv", "--set", "data.entity=machine", "--set", "data.time=time"],
        cwd=place,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    settings = ["--set", "data.entity=machine", "--set", "data.time=time"]
    words = ["train", "panel.csv", *settings, "--each-entity", "--shared", "--parallel", "2"]
    out = ran([PYTHON, "-m", "tsad", *words], place)
    assert "38 of 38 trained" in out
    uri = next(word for word in out.split() if word.endswith("/fleet"))
    parent, *children = runs()
    assert {run.data.tags["tsad.entity"] for run in children} == {*names, ""}
    assert {run.info.status for run in (parent, *children)} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    tomorrow = panel([*names, "new"], 100)
    tomorrow.to_csv("tomorrow.csv", index=False)
    ran([PYTHON, "-m", "tsad", "score", uri, "tomorrow.csv"], place)
    scored = pd.read_csv("tomorrow.scored.csv")
    fleet = load_fleet(uri)
    for name in [*names[::9], "new"]:
        own = tomorrow["machine"] == name
        expected = fleet.detector(name).score(tomorrow.loc[own, list(FEATURES)])["score"]
        assert np.allclose(scored.loc[own, "score"], expected, equal_nan=True, rtol=1e-5)
    version = register(f"runs:/{parent.info.run_id}/fleet", "pumps", {})
    predicted = mlflow.pyfunc.load_model(f"models:/pumps/{version}").predict(tomorrow)
    assert np.allclose(predicted["score"].astype(float), scored["score"], equal_nan=True, rtol=1e-5)
    assert (predicted["flag"].to_numpy() == scored["flag"].to_numpy()).all()
    code = [path for path in (place / "mlartifacts").rglob("*.py") if path.name == "pyfunc.py"]
    assert len(code) == 1  # one copy of the code for all entities


def test_each_child_has_few_parameters_metrics_and_its_detector():
    write()
    result = train_each_entity(EXPERIMENT, options=ONE)
    parent, *children = runs()
    assert parent.data.params["window.length"] == "8"
    assert all(run.data.params == {} for run in children)
    assert result.table.index.tolist() == NAMES
    by_name = {run.data.tags["tsad.entity"]: run for run in children}
    for name, run in by_name.items():
        assert run.info.run_id == result.table.loc[name, "run_id"]
        assert run.data.metrics["ratio/predicted"] == result.table.loc[name, "ratio/predicted"]
        assert score(f"runs:/{run.info.run_id}/detector", panel(["x"], 30)[list(FEATURES)]).rows == 30
    assert parent.data.metrics["ratio/predicted"] == pytest.approx(result.table["ratio/predicted"].mean())
    table = pd.read_csv(
        mlflow.artifacts.download_artifacts(f"runs:/{parent.info.run_id}/entities.csv"), index_col="entity"
    )
    assert table.index.tolist() == NAMES
    assert "mean" in str(result)


def test_side_by_side_gives_what_one_after_the_other_gives():
    write()
    one = train_each_entity(EXPERIMENT, options=ONE)
    two = train_each_entity(EXPERIMENT, options=FleetOptions(tasks=TaskOptions(2), resume="none"))
    rows = panel(NAMES, 40)
    pd.testing.assert_frame_equal(one.fleet.score(rows), two.fleet.score(rows))


def test_labeled_entities_have_metrics_and_reports_on_request():
    rows = panel(NAMES, 200)
    hit = np.arange(len(rows)) % 200 >= 180
    rows.loc[hit, "cpu"] += 5
    rows.assign(label=hit.astype(int)).to_csv("panel.csv", index=False)
    experiment = MODEL | {"data": DATA | {"label": "label"}}
    result = train_each_entity(experiment, options=FleetOptions(tasks=TaskOptions(1), reports=True))
    assert (result.table["ranking/pr_auc"] > 0.5).all()
    assert any(name.startswith("baseline/") for name in result.table)
    report = mlflow.artifacts.download_artifacts(f"runs:/{result.table['run_id']['m1']}/report.html")
    assert "panel-m1" in Path(report).read_text()


def test_an_entity_that_fails_is_named_and_tried_again_by_the_same_command(tsad):
    rows = panel(NAMES, 200)
    pd.concat([rows, panel(["short"], 12)]).to_csv("panel.csv", index=False)
    words = ["panel.csv", "--set", "data.entity=machine", "--set", "data.time=time", "--each-entity", "--parallel", "1"]
    code, out, errors = tsad("train", *words)
    assert code == 1
    assert errors[-1].startswith("TrainingError: 1 entities failed, first short: ")
    assert "3 of 4 trained" in out
    parent, *children = runs()
    assert parent.info.status == "FAILED"
    assert sorted((run.data.tags["tsad.entity"], run.info.status) for run in children) == [
        *((name, "FINISHED") for name in NAMES),
        ("short", "FAILED"),
    ]
    code, out, _ = tsad("train", *words)
    assert code == 1
    assert f"resuming the fleet of run {parent.info.run_id}" in out
    assert "1 of 4 to do" in out
    assert len(runs()) == 1 + 4 + 1
    assert len(load_fleet(f"runs:/{parent.info.run_id}/fleet")) == 3


def train_two(options, monkeypatch):
    """Trains until it is interrupted after two tasks; returns the names of their rows, and later of all rows trained after."""
    trained, train = [], workflow.train_entity

    def interrupted(task):
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(task.rows.data.name)
        return train(task)

    monkeypatch.setattr(workflow, "train_entity", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_each_entity(EXPERIMENT, options=options)
    monkeypatch.setattr(workflow, "train_entity", lambda task: trained.append(task.rows.data.name) or train(task))
    return trained


def test_a_fleet_that_was_killed_is_resumed_also_without_its_folder(monkeypatch):
    write()
    trained = train_two(ONE, monkeypatch)
    parent = runs()[0]
    assert parent.info.status == "KILLED"
    Path("outputs").rename("elsewhere")
    result = train_each_entity(EXPERIMENT, options=FleetOptions(tasks=TaskOptions(1), resume=parent.info.run_id))
    assert trained == ["panel-m0", "panel-m1", "panel-m2"]
    assert (result.run_id, result.fleet.names) == (parent.info.run_id, ("m0", "m1", "m2"))
    assert runs()[0].info.status == "FINISHED"
    assert train_each_entity(EXPERIMENT, options=ONE).run_id != result.run_id  # a finished one is not resumed


def test_another_fleet_is_not_resumed():
    write()
    first = train_each_entity(EXPERIMENT, options=ONE)
    with pytest.raises(TsadError, match="needs a run of tsad train --each-entity"):
        train_each_entity(EXPERIMENT, options=FleetOptions(resume=first.table["run_id"]["m0"]))
    with pytest.raises(TsadError, match="cannot be found"):
        train_each_entity(EXPERIMENT, options=FleetOptions(resume="nothing"))
    with pytest.raises(TsadError, match="they have changed"):
        train_each_entity(EXPERIMENT, {"window.length": 6}, options=FleetOptions(resume=first.run_id))
    write(rows=210)
    with pytest.raises(TsadError, match="they have changed"):
        train_each_entity(EXPERIMENT, options=FleetOptions(resume=first.run_id))


def test_one_model_has_a_scaler_and_threshold_of_each_machine_also_when_resumed_elsewhere(tsad, monkeypatch):
    write()
    one_model = FleetOptions(tasks=TaskOptions(1), one_model=True)
    trained = train_two(one_model, monkeypatch)
    assert trained == ["panel-m0+m1+m2", "panel-m0"]
    Path("outputs").rename("elsewhere")
    parent = runs()[0].info.run_id
    result = train_each_entity(EXPERIMENT, options=replace(one_model, resume=parent))
    assert (result.run_id, result.fleet.names) == (parent, ("m0", "m1", "m2"))
    scorers = [result.fleet.detector(name).scorer for name in NAMES]
    weights = [next(iter(scorer.tensors.values())) for scorer in scorers]
    assert all(torch.equal(weights[0], others) for others in weights)
    assert [round(float(scorer.scaler.center[0]), -1) for scorer in scorers] == [0, 10, 20]
    assert result.fleet.score(panel(NAMES, 40))["flag"].mean() < 0.2
    with pytest.raises(TsadError, match=r"\['new'\] have none"):
        result.fleet.score(panel(["new"], 40))
    code, _, errors = tsad("train", "panel.csv", "--each-entity", "--one-model", "--shared")
    assert (code, "leave out --shared or --one-model" in errors[-1]) == (1, True)


def test_no_entity_at_all_is_an_error():
    write(rows=20)
    with pytest.raises(TrainingError, match="none of 3 entities could be trained; m0: "):
        train_each_entity(EXPERIMENT, options=ONE)


def test_files_of_one_machine_each_become_a_fleet_by_their_names(tsad):
    Path("machines").mkdir()
    for name, table in panel(NAMES, 200).groupby("machine"):
        table.drop(columns="machine").to_csv(f"machines/{name}.csv", index=False)
    code, out, _ = tsad("train", "machines/*.csv", "--set", "data.time=time", "--each-entity", "--parallel", "1")
    assert code == 0
    uri = next(word for word in out.split() if word.endswith("/fleet"))
    code, out, _ = tsad("score", uri, "machines/*.csv", "--parallel", "1")
    assert code == 0
    assert "3 of 3 files scored" in out
    request = panel(NAMES, 30).rename(columns={"machine": "entity"})
    assert len(mlflow.pyfunc.load_model(uri).predict(request)) == 90
    with pytest.raises(mlflow.exceptions.MlflowException, match="needs the column 'entity'"):
        mlflow.pyfunc.load_model(uri).predict(request.drop(columns="entity"))


def test_interrupting_the_command_names_the_way_back_and_the_same_command_goes_on(place):
    names = [f"m{number}" for number in range(30)]
    panel(names, 2000).to_csv("panel.csv", index=False)
    settings = ["--set", "data.entity=machine", "--set", "data.time=time", "--each-entity", "--parallel", "2"]
    words = [str(PYTHON), "-m", "tsad", "train", "panel.csv", *settings]
    process = subprocess.Popen(
        words, cwd=place, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 120
    while not list(place.glob("outputs/train/*/results/entities/0000[0-9]")) and time.monotonic() < end:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "interrupted; resume with: " in errors
    parent, *children = runs()
    assert parent.info.status == "KILLED"
    done = sum(run.info.status == "FINISHED" for run in children)
    assert 0 < done < 30
    out = ran(words, place)
    assert f"{30 - done} of 30 to do" in out
    assert "30 of 30 trained" in out
    assert [run.info.status for run in runs()].count("FINISHED") == 31


# --- promotion ---


def trained(**changes):
    """Returns the URI of a fleet of the panel that was trained with some changes of its experiment."""
    return train_each_entity(EXPERIMENT, changes, options=FleetOptions(tasks=TaskOptions(1), resume="none")).uri


def champion_of(name):
    return str(mlflow.MlflowClient().get_registered_model(name).aliases["champion"])


@pytest.mark.parametrize("labeled", [False, True])
def test_a_fleet_becomes_champion_if_it_beats_the_present_one_over_all_entities(labeled):
    rows = panel(NAMES, 1500)
    if labeled:
        hit = np.arange(len(rows)) % 1500 >= 1480
        rows.loc[hit, "cpu"] += 2
        rows["label"] = hit.astype(int)
    rows.to_csv("panel.csv", index=False)
    data = {"data": DATA | ({"label": "label"} if labeled else {})}
    read = {"data.label": "label"} if labeled else {}
    bad, good = trained(model={"kind": "random"}, **read), trained(**read)
    first = promote(bad, EXPERIMENT | data, name="pumps")
    assert (first.champion, first.decision.outcome) == ("1", "first")
    better = promote(good, EXPERIMENT | data, name="pumps")
    assert (better.champion, better.decision.outcome) == ("2", "promoted")
    assert "the rows of 3 entities (mean; the challenger is better for 3)" in better.text
    metric = "ranking/pr_auc" if labeled else "average precision"
    assert f"In {metric} on" in better.text
    assert better.decision.metrics["gate/challenger"] > better.decision.metrics["gate/champion"] + 0.02
    again = promote("models:/pumps/1", EXPERIMENT | data)
    assert (again.champion, again.decision.outcome) == ("2", "rejected")
    assert promote(good, EXPERIMENT | data, name="pumps").text == "version 2 is champion already"
    assert len(mlflow.MlflowClient().search_model_versions("name = 'pumps'")) == 2
    assert undo_promotion("pumps").champion == champion_of("pumps") == "1"
    assert load_fleet("models:/pumps@champion").names == tuple(NAMES)


def test_entities_without_labeled_anomalies_make_the_gate_of_a_fleet_label_free():
    rows = panel(NAMES, 1500)
    hit = (np.arange(len(rows)) % 1500 >= 1480) & (rows["machine"] != "m2")
    rows.assign(label=hit.astype(int)).to_csv("panel.csv", index=False)
    data = {"data": DATA | {"label": "label"}}
    read = {"data.label": "label"}
    promote(trained(model={"kind": "random"}, **read), EXPERIMENT | data, name="pumps")
    better = promote(trained(**read), EXPERIMENT | data, name="pumps")
    assert "In average precision on the rows of 3 entities" in better.text


def test_a_fleet_that_lacks_an_entity_of_the_champion_is_refused_with_the_way_out():
    write(rows=1500)
    promote(trained(), EXPERIMENT, name="pumps")
    write(NAMES[:2], 1500)
    fewer = trained()
    with pytest.raises(TsadError, match=r"the champion: .*'m2'.*tsad promote models:/pumps/2 --force"):
        promote(fewer, EXPERIMENT, name="pumps")
    assert champion_of("pumps") == "1"
    assert promote("models:/pumps/2", force=True).champion == "2"
    write([*NAMES, "m3"], 1500)
    more = promote(trained(), EXPERIMENT, margin=0.9, name="pumps")
    assert "the rows of 2 entities of 4, the others having no detector in both" in more.text


def test_a_fleet_is_compared_with_a_champion_that_is_one_detector_and_not_the_other_way_round(tsad):
    write(rows=1500)
    one = train(EXPERIMENT | {"model": {"kind": "random"}})
    promote(f"runs:/{one.run_id}/detector", EXPERIMENT, name="pumps")
    promoted = promote(trained(), EXPERIMENT, name="pumps")
    assert (promoted.champion, promoted.decision.outcome) == ("2", "promoted")
    Path("experiment.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    code, _, errors = tsad("promote", "models:/pumps/1", "--data", "experiment.yaml")
    assert code == 1
    assert "this is a fleet of 3" in errors[-1]
    assert "--force" in errors[-1]


def test_a_fleet_of_files_is_promoted_on_their_rows():
    Path("machines").mkdir()
    for name, table in panel(NAMES, 1500).groupby("machine"):
        table.drop(columns="machine").to_csv(f"machines/{name}.csv", index=False)
    experiment = MODEL | {"data": {"kind": "csv", "path": "machines/*.csv", "time": "time"}}
    options = FleetOptions(tasks=TaskOptions(1), resume="none")
    bad = train_each_entity(experiment | {"model": {"kind": "random"}}, options=options)
    promote(bad.uri, experiment, name="pumps")
    good = train_each_entity(experiment, options=options)
    assert promote(good.uri, experiment, name="pumps").decision.outcome == "promoted"
