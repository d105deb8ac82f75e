"""`tsad drift` and `tsad recalibrate`, on folders and on registered models."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.stores import clear_environment, opened
from tsad.assessment.artifacts import write_results
from tsad.assessment.file_names import DETECTOR
from tsad.config import ExperimentConfig
from tsad.data.io.read_options import READ_OPTIONS, ReadOptions
from tsad.data.sets.smd import SmdSpec
from tsad.detector.detector import DESCRIPTION, WEIGHTS, Detector
from tsad.drift import PROFILE, RECALIBRATIONS, Profile, drift
from tsad.experiment import run
from tsad.registry.log import log_detector
from tsad.registry.register import register
from tsad.spec import parse
from tsad.tracking.runs import RunWriter
from tsad.workflows.drift import compare

EXPERIMENT = {
    "data": {"kind": "synthetic", "rows": 3000, "features": 3, "events": 8},
    "split": {"gap": 20},
    "window": {"length": 4},
    "model": {"kind": "window_linear", "components": 3},
    "threshold": {"kind": "percentile", "percentile": 90},
}


@pytest.fixture(scope="module")
def experiment():
    return parse(ExperimentConfig, EXPERIMENT, "experiment")


@pytest.fixture(scope="module")
def outcome(experiment):
    return run(experiment, experiment.data.load(Path()))


@pytest.fixture(scope="module")
def saved(tmp_path_factory, experiment, outcome):
    """The detector's folder of a run on a file of somebody's own."""
    folder = tmp_path_factory.mktemp("run")
    read_options = ReadOptions(empty=("?",), missing="ffill")
    write_results(
        replace(outcome, parts=replace(outcome.parts, read_options=read_options)), experiment, folder, "a run"
    )
    return folder / DETECTOR


@pytest.fixture(autouse=True)
def place(place, monkeypatch):
    """The empty working folder, with nothing of MLflow's in the environment."""
    clear_environment(monkeypatch)
    return place


@pytest.fixture
def tsad(tsad):
    """Runs a command; returns its exit code, what it printed and the last line of its errors."""

    def command(*words):
        code, out, errors = tsad(*words)
        return code, out, (errors or [""])[-1]

    return command


@pytest.fixture
def files(place, outcome):
    """Writes the validation rows as `expected.csv`, and shifted in one feature as `drifted.csv` and `drifted.parquet`."""
    rows = outcome.parts.validation
    table = pd.DataFrame(rows.values, columns=list(rows.features))
    table.assign(comment="x").to_csv("expected.csv", index=False)
    drifted = table.assign(sensor_01=table["sensor_01"] + 3 * table["sensor_01"].std())
    drifted.to_csv("drifted.csv", index=False)
    drifted.to_parquet("drifted.parquet", index=False)
    return place


# --- the profile stands beside the detector ---


def test_a_run_writes_a_profile_of_its_fit_rows_and_validation_scores(saved, outcome):
    assert sorted(path.name for path in saved.iterdir()) == [DESCRIPTION, PROFILE, READ_OPTIONS, WEIGHTS]
    profile = Profile.load(saved)
    assert profile == Profile.of(outcome.detector, outcome.parts.fit, outcome.validation)
    assert profile.inputs.rows == len(outcome.parts.fit)
    assert profile.scores.rows == np.isfinite(outcome.validation.values).sum()
    assert profile.features == outcome.parts.fit.features
    assert profile.alert_rate == pytest.approx(0.1, abs=0.01)


# --- drift ---


def test_rows_like_those_of_the_training_are_usual(tsad, saved, files):
    code, out, _ = tsad("drift", saved, "expected.csv", "--output", "found", "--fail")
    assert code == 0
    assert "expected: no feature of 730 rows is further from the training rows" in out
    assert "10.04% of scored rows flagged, 10.04% of validation rows." in out
    assert "files: found" in out
    found = json.loads((files / "found" / "drift.json").read_text())
    assert found["state"] == found["scores"]["state"] == "expected"
    assert found["scores"]["distance"] == pytest.approx(0, abs=1e-9)
    assert (files / "found" / "drift.png").stat().st_size > 10_000


def test_cells_that_meant_nothing_in_the_training_mean_nothing_here(tsad, saved, files):
    rows = pd.read_csv("expected.csv").astype(object)
    rows.loc[7, "sensor_01"] = "?"
    rows.to_csv("expected.csv", index=False)
    assert "expected: no feature" in tsad("drift", saved, "expected.csv")[1]


@pytest.mark.parametrize("file", ["drifted.csv", "drifted.parquet"])
def test_a_feature_that_moved_is_named_first(tsad, saved, files, file):
    code, out, _ = tsad("drift", saved, file)
    assert code == 0
    assert "drifted: 1 of 3 features drifted: sensor_01" in out
    lines = [line.split()[:2] for line in out.splitlines()]
    assert lines[2] == ["sensor_01", "drifted"]
    assert {tuple(line) for line in lines[3:5]} == {("sensor_00", "expected"), ("sensor_02", "expected")}


def test_fail_tells_a_cron_job_that_something_moved(tsad, saved, files):
    code, out, errors = tsad("drift", saved, "drifted.csv", "--fail")
    assert (code, errors) == (1, "")
    assert "sensor_01" in out


def test_a_file_in_chunks_says_what_all_its_rows_say(saved, files, outcome, monkeypatch):
    monkeypatch.setattr("tsad.workflows.drift._AT_ONCE", 50)
    found = (
        compare(outcome.detector, Profile.load(saved), Path("expected.csv"), ReadOptions())
        .drift()
        .model_dump(mode="json")
    )
    scores = outcome.validation
    flags = outcome.detector.flag(scores)
    expected = drift(Profile.load(saved), outcome.parts.validation.values, scores.values, flags).model_dump(mode="json")
    assert found["message"] == expected["message"]
    for name in ("distance", "stability_index", "mean", "stuck_ratio"):
        for one, other in zip(found["features"], expected["features"], strict=True):
            assert one[name] == pytest.approx(other[name], rel=1e-6, abs=1e-9), name
    assert found["alert_rate"] == expected["alert_rate"]


def test_a_detector_without_a_profile_says_how_to_get_one(tsad, saved, files):
    Detector.load(saved).save(files / "old")
    code, _, error = tsad("drift", "old", "expected.csv")
    assert code == 1
    assert "drift needs profile.json beside the detector" in error
    assert "train it again, or give --reference FILE of normal rows" in error


def test_rows_can_be_compared_with_those_of_another_file(tsad, saved, files):
    assert "expected: no feature" in tsad("drift", saved, "drifted.csv", "--reference", "drifted.csv")[1]
    assert (
        "drifted: 1 of 3 features drifted: sensor_01"
        in tsad("drift", saved, "expected.csv", "--reference", "drifted.csv")[1]
    )


@pytest.mark.parametrize("verb", [("drift",), ("recalibrate", "--output", "new")])
def test_a_file_without_a_feature_is_refused(tsad, saved, files, verb):
    pd.read_csv("expected.csv").drop(columns="sensor_02").to_csv("less.csv", index=False)
    code, _, error = tsad(*verb, saved, "less.csv")
    assert code == 1
    assert "less.csv: column 'sensor_02' is missing" in error


# --- recalibrate ---


def test_a_recalibrated_detector_flags_as_many_of_the_new_rows_as_of_the_old(tsad, saved, files):
    code, out, _ = tsad("recalibrate", saved, "drifted.csv", "--output", "new")
    assert code == 0
    assert "folder: new  (tsad score new FILE)" in out
    (line,) = (json.loads(text) for text in (files / "new" / RECALIBRATIONS).read_text().splitlines())
    assert line["before"]["alert_rate"] > 0.2
    assert line["after"]["alert_rate"] == pytest.approx(0.1, abs=0.01)
    assert line["rows"] == 727
    assert line["digest"] == hashlib.sha256((files / "drifted.csv").read_bytes()).hexdigest()
    assert line["labels_used"] == "nothing"
    old, new = Detector.load(saved), Detector.load(files / "new")
    assert (line["before"]["value"], line["after"]["value"]) == (old.threshold.value, new.threshold.value)
    assert line["before"]["method"] == line["after"]["method"] == "percentile 90"
    assert new.threshold.value > old.threshold.value
    assert new.scorer.describe() == old.scorer.describe()
    assert tsad("score", "new", "drifted.csv")[0] == 0


def test_drift_then_expects_the_alarms_of_the_new_threshold_and_still_sees_the_inputs(tsad, saved, files):
    tsad(
        "recalibrate",
        saved,
        "drifted.csv",
        "--output",
        "new",
        "--method",
        "percentile",
        "--set",
        "threshold.percentile=75",
    )
    found = tsad("drift", "new", "drifted.csv")[1]
    assert "25.03% of scored rows flagged, 25.03% of validation rows." in found
    assert "1 of 3 features drifted" in found


def test_every_recalibration_is_kept_in_the_log(tsad, saved, files):
    tsad("recalibrate", saved, "drifted.csv", "--output", "one")
    tsad("recalibrate", "one", "expected.csv", "--output", "two", "--method", "mad")
    lines = [json.loads(text) for text in (files / "two" / RECALIBRATIONS).read_text().splitlines()]
    assert [line["source"] for line in lines] == ["drifted.csv", "expected.csv"]
    assert lines[0]["after"] | {"alert_rate": 0} == lines[1]["before"] | {"alert_rate": 0}
    assert Detector.load(files / "two").threshold.kind == "mad"
    assert len((files / "one" / RECALIBRATIONS).read_text().splitlines()) == 1
    assert not (saved / RECALIBRATIONS).exists()


def test_update_takes_scores_in_beside_the_old_ones(tsad, saved, files):
    assert tsad("recalibrate", saved, "drifted.csv", "--output", "new", "--update")[0] == 0
    assert Detector.load(files / "new").threshold.sample.count == 2 * 727
    code, _, error = tsad("recalibrate", saved, "drifted.csv", "--output", "newer", "--update", "--method", "mad")
    assert code == 2
    assert "--update keeps the rule of the threshold" in error


def test_a_folder_that_holds_a_detector_is_never_written_over(tsad, saved, files):
    before = (saved / DESCRIPTION).read_bytes()
    code, _, error = tsad("recalibrate", saved, "drifted.csv", "--output", saved)
    assert code == 1
    assert "holds a detector already; give a new folder" in error
    assert (saved / DESCRIPTION).read_bytes() == before


# --- a tracking store ---

MODEL = "tsad-drifting"


@pytest.fixture
def store(tmp_path_factory, monkeypatch):
    found = opened(tmp_path_factory.getbasetemp() / "store")
    monkeypatch.setenv("TSAD_TRACKING_URI", found.uri)
    return found


@pytest.fixture
def logged(store, saved):
    """The writer of a run that has the detector's folder."""
    writer = RunWriter.create(store, store.experiment(), "a run", {})
    writer.files(saved, DETECTOR)
    writer.end()
    return writer


@pytest.mark.slow
def test_what_is_done_to_a_tracked_model_is_a_run_with_the_new_detector(tsad, store, logged, files):
    uri = f"runs:/{logged.run_id}/{DETECTOR}"
    code, out, _ = tsad("recalibrate", uri, "drifted.csv", "--output", "new")
    assert code == 0
    (found,) = store.search(store.experiment(), f"tags.`tsad.model` = '{uri}'")
    assert found.info.status == "FINISHED"
    assert found.data.tags["tsad.kind"] == "recalibration"
    assert found.data.tags["tsad.labels_used.threshold"] == "nothing"
    assert found.data.params["after.method"] == "percentile 90"
    assert found.data.params["source"] == "drifted.csv"
    assert found.data.metrics["recalibration/after_threshold"] == Detector.load(files / "new").threshold.value
    assert f"run:    runs:/{found.info.run_id}/{DETECTOR}" in out
    names = {Path(each.path).name for each in store.client.list_artifacts(found.info.run_id, DETECTOR)}
    assert names == {DESCRIPTION, PROFILE, READ_OPTIONS, WEIGHTS, RECALIBRATIONS}
    assert (
        "1 of 3 features drifted: sensor_01" in tsad("drift", f"runs:/{found.info.run_id}/{DETECTOR}", "drifted.csv")[1]
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Operation with range is deprecated:pandas.errors.Pandas4Warning")
def test_a_registered_model_carries_its_profile_and_how_rows_are_read(tsad, store, logged, saved, files, outcome):
    version = register(log_detector(logged.run_id, saved, outcome.parts.test, {}), MODEL, {})
    uri = f"models:/{MODEL}/{version}"
    rows = pd.read_csv("drifted.csv").astype(object)
    rows.loc[7, "sensor_02"] = "?"
    rows.to_csv("drifted.csv", index=False)
    assert "drifted: 1 of 3 features drifted: sensor_01" in tsad("drift", uri, "drifted.csv")[1]
    assert "run:    runs:/" in tsad("recalibrate", uri, "drifted.csv", "--output", "new")[1]


# --- SMD ---


@pytest.mark.slow
def test_on_smd_later_rows_are_usual_and_those_of_another_machine_are_not(smd_folder):
    values = EXPERIMENT | {"data": {"kind": "smd", "machine": "2-1"}, "split": {"gap": 200}}
    experiment = parse(ExperimentConfig, values, "experiment")
    found = run(experiment, experiment.data.load(smd_folder))
    profile = Profile.of(found.detector, found.parts.fit, found.validation)
    assert drift(profile, found.parts.validation.values).state == "expected"
    other = SmdSpec(kind="smd", machine="1-2").load(smd_folder).train
    away = drift(profile, other.values, found.detector.score(other).values)
    assert sum(column.state == "drifted" for column in away.features) >= 10
    assert away.scores.state == "drifted"
