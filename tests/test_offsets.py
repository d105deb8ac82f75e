"""Values with a large offset: the same scores as without it, from check over training and scoring to stream and service."""

import logging

import numpy as np
import pandas as pd
import pytest

from tests.examples import from_defaults, kind_of, members
from tests.serving.services import service
from tsad.config import DetectorSpec, ExperimentConfig
from tsad.data.dataset import DataSet
from tsad.data.io.read_options import ReadOptions
from tsad.data.sets.csv import CsvSpec
from tsad.detector.detector import DESCRIPTION, Detector
from tsad.drift import Profile, drift
from tsad.experiment import run
from tsad.fitting import fit_detector
from tsad.models import ModelSpec
from tsad.outlier_detector import OutlierDetector
from tsad.selection.objective import ValidationErrorSpec
from tsad.series import Series
from tsad.serving import train_predict
from tsad.serving.served_model import _synthetic
from tsad.spec import parse
from tsad.streaming import Stream, StreamPolicy
from tsad.workflows.check import check
from tsad.workflows.drift import scored_rows
from tsad.workflows.events import ignore
from tsad.workflows.score import score

ROWS = 700
SET = {"data.time": "at", "data.label": "label"}
VARIANTS = {
    "epoch-like": (1.7e9, 1.0),
    "millions": (1e6, 0.01),
    "counter": (1e12, 1000.0),
    "peta": (1e15, 1e3),
    "negative": (-1.7e9, 1.0),
    "tiny": (1.0, 1e-9),
    "small": (1000.0, 1e-4),
}


def table(offset=0.0, amplitude=1.0):
    """Returns a column that is moved and stretched, beside one that is not."""
    generator = np.random.default_rng(3)
    moving = np.sin(np.arange(ROWS) / 9) + 0.3 * np.cumsum(generator.normal(size=ROWS)) / 5
    moving[600:620] += 4
    steady = np.cos(np.arange(ROWS) / 5) + 0.1 * generator.normal(size=ROWS)
    at = pd.date_range("2024-03-01", periods=ROWS, freq="min")
    label = (np.arange(ROWS) // 20 == 30).astype(int)
    return pd.DataFrame({"at": at, "moving": offset + amplitude * moving, "steady": steady, "label": label})


def trained(frame, path):
    """Returns the data that `check` reads of a file and the outcome of the experiment that it proposes."""
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    checked = check(path, SET)
    assert checked.ready
    assert checked.card.constant == ()
    return checked.data, run(parse(ExperimentConfig, checked.experiment, "checked"), checked.data)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return trained(table(), tmp_path_factory.mktemp("plain") / "rows.csv")[1]


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_default_detector_gives_the_scores_that_it_gives_without_an_offset(name, ending, plain, tmp_path):
    data, outcome = trained(table(*VARIANTS[name]), tmp_path / f"rows.{ending}")
    assert data.train.values.dtype == np.float64
    np.testing.assert_allclose(outcome.test.values, plain.test.values, rtol=0.02, atol=0.02)
    assert (outcome.detector.flag(outcome.test) == plain.detector.flag(plain.test)).mean() > 0.99


MODELS = [from_defaults(member) for member in members(ModelSpec)]


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.kind)
def test_every_model_gives_the_scores_that_it_gives_without_an_offset(spec):
    if kind_of(type(spec)) == "random":
        pytest.skip("its scores are a hash of the bits")
    values = np.random.default_rng(0).normal(size=(300, 6)) + np.sin(np.arange(300) / 7)[:, None]
    sections = {
        "model": {"kind": spec.kind},
        "window": {"length": 16},
        "training": {"epochs": 1},
        "scoring": {
            "smooth": {"kind": "mean", "length": 5},
            "normalization": {"kind": "rolling_median", "length": 20},
        },
    }
    detector = parse(DetectorSpec, sections, "test")
    scores = []
    for offset in (0.0, 1.7e9):
        rows = Series(offset + values, tuple("abcdef"))
        scores.append(fit_detector(detector, rows.part(0, 200), rows.part(200, 300)).score(rows).values)
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-3, atol=1e-5)


@pytest.mark.usefixtures("place")
def test_a_saved_detector_gives_the_same_scores_to_file_frame_stream_and_service(tmp_path):
    frame = table(*VARIANTS["epoch-like"])
    data, outcome = trained(frame, tmp_path / "rows.csv")
    outcome.detector.save(tmp_path / "detector")
    data.read_options.save(tmp_path / "detector")
    Profile.of(outcome.detector, outcome.parts.fit, outcome.validation).save(tmp_path / "detector")
    assert '"precision": "float64"' in (tmp_path / "detector" / DESCRIPTION).read_text()
    detector = Detector.load(tmp_path / "detector")
    assert detector.digest == outcome.detector.digest

    features = frame[["moving", "steady"]]
    expected = detector.score(Series(features.to_numpy(), ("moving", "steady"))).values
    np.testing.assert_allclose(expected[-300:], outcome.test.values[-300:], rtol=1e-6)
    in_frame = detector.score(features)["score"]
    np.testing.assert_array_equal(in_frame, expected)
    result = score(tmp_path / "detector", tmp_path / "rows.csv", rows_at_once=37)
    np.testing.assert_allclose(pd.read_csv(result.output)["score"], expected, rtol=1e-12)
    stream = Stream(detector)
    pushed = [stream.push(features.iloc[first : first + 50]) for first in range(0, ROWS, 50)]
    np.testing.assert_allclose(np.concatenate([part.scores for part in pushed]), expected, rtol=1e-6)

    known = ~np.isnan(expected)
    rows = {"columns": ["moving", "steady"], "rows": features.to_numpy().tolist()}
    with service(tmp_path / "detector", tmp_path / "state") as client:
        answers = [
            client.post("/api/score", rows).json["score"],
            client.post("/api/score", features.to_csv(index=False), Content_Type="text/csv").json["score"],
            [
                row["score"]
                for row in client.post(
                    "/invocations", {"dataframe_split": {"columns": rows["columns"], "data": rows["rows"]}}
                ).json["predictions"]
            ],
        ]
        number = client.post("/api/streams", {}).json["id"]
        answers.append(client.post(f"/api/streams/{number}/rows", {"rows": rows["rows"]}).json["score"])
        drifted = client.get("/api/drift").json
    for answer in answers:
        np.testing.assert_allclose(np.array(answer, float)[known], expected[known], rtol=1e-6)
    assert {column["reference_stuck_ratio"] for column in drifted["features"]} == {0.0}
    assert next(c for c in drifted["features"] if c["name"] == "moving")["stuck_ratio"] == pytest.approx(0, abs=0.01)


def test_a_stream_goes_on_from_its_saved_state_and_repeats_rows_in_float64(tmp_path):
    values = 1.7e9 + np.random.default_rng(0).normal(size=(400, 2))
    sections = {"model": {"kind": "pca_error", "components": 1}, "window": {"length": 4}}
    rows = Series(values, ("a", "b"))
    detector = fit_detector(parse(DetectorSpec, sections, "test"), rows.part(0, 300), rows.part(300, 400))
    times = np.datetime64("2024-03-01", "s") + np.arange(400) * np.timedelta64(1, "s")
    present = np.arange(400) % 50 != 49
    first, second = present & (np.arange(400) < 250), present & (np.arange(400) >= 250)
    stream = Stream(detector, StreamPolicy(step_seconds=1.0, gap="ffill"))
    scores = [stream.push(values[first], times[first]).scores]
    stream.save(tmp_path)
    scores.append(Stream.load(tmp_path, detector).push(values[second], times[second]).scores)
    held = values.copy()
    held[~present] = values[np.flatnonzero(~present) - 1]
    expected = detector.score(Series(held, ("a", "b"))).values[present]
    np.testing.assert_allclose(np.concatenate(scores), expected, rtol=1e-6, atol=1e-9)


def float32_detector(offset):
    rows = Series((offset + np.random.default_rng(0).normal(size=(400, 1))).astype(np.float32), ("energy",))
    spec = parse(DetectorSpec, {"model": {"kind": "l2"}, "window": {"length": 1}}, "test")
    return fit_detector(spec, rows.part(0, 300), rows.part(300, 400)), rows


def test_a_float32_detector_that_cannot_see_the_variation_is_warned_of(tmp_path, caplog):
    for offset in (0.0, 1e4, 1.7e9):
        float32_detector(offset)[0].save(tmp_path / f"{offset:g}")
        with caplog.at_level(logging.WARNING):
            Detector.load(tmp_path / f"{offset:g}")
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{tmp_path / '1.7e+09' / DESCRIPTION}: the detector was trained on float32 values, in which 'energy' hardly vary, so "
        f"that it sees large changes of them only; train it again"
    )


def test_a_float32_detector_keeps_its_form_and_its_scores(tmp_path):
    detector, rows = float32_detector(0.0)
    detector.save(tmp_path)
    assert "precision" not in (tmp_path / DESCRIPTION).read_text()
    wide = Series(rows.values.astype(np.float64) * (1 + 1e-9), rows.features)
    np.testing.assert_array_equal(detector.score(wide).values, detector.score(rows).values)
    stream = Stream(detector)
    np.testing.assert_array_equal(stream.push(wide.values).scores, Stream(detector).push(rows.values).scores)


def test_drift_compares_rows_as_the_detector_sees_them():
    values = np.full((400, 1), 0.1)
    rows = Series(np.round(np.random.default_rng(0).normal(size=(400, 1)), 1).astype(np.float32), ("a",))
    spec = parse(DetectorSpec, {"model": {"kind": "l2"}, "window": {"length": 1}}, "test")
    detector = fit_detector(spec, rows.part(0, 300), rows.part(300, 400))
    constant = Series(values.astype(np.float32), ("a",))
    profile = Profile.of(detector, constant, detector.score(rows))
    assert drift(profile, detector.scorer.scaler.rounded(values)).state == "expected"
    assert drift(profile, values).state == "drifted"


def test_the_scikit_learn_interface_keeps_the_variation_beside_an_offset():
    values = np.random.default_rng(0).normal(size=(400, 2))
    scores = [OutlierDetector().fit(offset + values).score_samples(offset + values) for offset in (0.0, 1e12)]
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-2)
    precisions = [OutlierDetector().fit(offset + values).detector_.scorer.scaler.precision for offset in (0.0, 1e12)]
    assert precisions == ["float32", "float64"]


@pytest.mark.parametrize(("offset", "dtype"), [(0.0, np.float32), (1.7e9, np.float64)])
def test_train_predict_searches_on_the_values_that_came(offset, dtype, tmp_path):
    values = (offset + np.random.default_rng(0).normal(size=200)).tolist()
    case = train_predict._case(train_predict.TrainPredictRequest(y_true=values))
    assert case.values.dtype == dtype
    np.testing.assert_array_equal(case.values, np.array(values).astype(dtype))
    train_predict._write(case, tmp_path)
    read = CsvSpec(kind="csv", path=tmp_path / train_predict.ROWS, test_ratio=case.test_ratio).load(tmp_path)
    np.testing.assert_array_equal(np.concatenate([read.train.values, read.test.values])[:, 0], case.values)
    assert read.train.values.dtype == dtype


def test_generated_rows_to_try_a_model_on_vary_in_its_units():
    values = np.array([5.0, 1.0]) + np.array([1.0, 1e-9]) * np.random.default_rng(0).normal(size=(400, 2))
    spec = parse(DetectorSpec, {"model": {"kind": "l2"}, "window": {"length": 1}}, "test")
    rows = Series(values, ("a", "b"))
    table = _synthetic(fit_detector(spec, rows.part(0, 300), rows.part(300, 400)).scorer)
    assert table.nunique().min() > 900
    assert table["a"].round(6).equals(table["a"])


def test_files_are_compared_for_drift_as_the_detector_sees_them(tmp_path):
    detector, rows = float32_detector(0.0)
    pd.DataFrame(rows.values.astype(float) * (1 + 1e-9), columns=["energy"]).to_csv(tmp_path / "rows.csv", index=False)
    (chunk,) = scored_rows(detector, tmp_path / "rows.csv", ReadOptions(), ignore)
    assert chunk[0].dtype == np.float32
    np.testing.assert_array_equal(chunk[0], rows.values)


def test_the_validation_error_leaves_out_features_that_vary_by_rounding_only():
    values = 1e9 + np.random.default_rng(0).normal(size=(400, 2))
    values[:, 1] = 0.3
    values[7, 1] = np.nextafter(0.3, 1)
    errors = []
    for count in (1, 2):
        rows = Series(values[:, :count].copy(), ("a", "b")[:count])
        sections = {
            "data": {"kind": "synthetic"},
            "model": {"kind": "l2"},
            "window": {"length": 1},
            "split": {"gap": 1},
        }
        outcome = run(parse(ExperimentConfig, sections, "test"), DataSet("rows", "memory", rows, rows))
        errors.append(ValidationErrorSpec(kind="validation_error").value(outcome))
    assert errors[1] == pytest.approx(errors[0], rel=1e-6)


def test_the_read_options_name_no_precision():
    assert "precision" not in ReadOptions.model_fields
