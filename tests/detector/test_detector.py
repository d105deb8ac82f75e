import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.examples import detector_of, from_defaults, members, sensors
from tests.thresholds.examples import FITTED
from tsad.detector.detector import DESCRIPTION, WEIGHTS, Detector
from tsad.detector.scoring import BATCH, MeanSmoothing, ScoringSpec
from tsad.errors import DataError, DetectorError
from tsad.models import ModelSpec
from tsad.models.baselines.principal import PcaErrorSpec
from tsad.provenance import Provenance
from tsad.series import Series

FEATURES, LENGTH = 6, 8
SCORING = ScoringSpec(over="window", scale="validation", compress="log1p", smooth=MeanSmoothing(kind="mean", length=4))
SPECS = [from_defaults(member) for member in members(ModelSpec)]

every_model = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)


@pytest.fixture
def series():
    return sensors(300, FEATURES, seed=3)


@pytest.fixture
def saved(series, tmp_path):
    """A folder that holds a saved detector."""
    detector_of(SPECS[0], series, LENGTH, SCORING).save(tmp_path / "detector")
    return tmp_path / "detector"


def edit(folder, **changes):
    """Puts values into the description of a saved detector."""
    path = folder / DESCRIPTION
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@every_model
def test_a_saved_detector_gives_equal_scores_and_flags(spec, series, tmp_path):
    detector = detector_of(spec, series, LENGTH, SCORING)
    detector.save(tmp_path / "deep" / "detector")
    loaded = Detector.load(tmp_path / "deep" / "detector")
    expected, found = detector.score(series), loaded.score(series)
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.by_feature, expected.by_feature)
    np.testing.assert_array_equal(loaded.flag(found), detector.flag(expected))
    assert detector.flag(expected).any() == (np.nanmax(expected.values) > 0)  # some never find their own rows strange
    assert loaded.threshold == detector.threshold
    assert not loaded.scorer.model.training


@pytest.mark.parametrize("threshold", FITTED, ids=lambda threshold: threshold.kind)
def test_a_saved_threshold_flags_as_it_did(series, tmp_path, threshold):
    detector = dataclasses.replace(detector_of(SPECS[0], series, LENGTH, SCORING), threshold=threshold)
    scores = detector.score(series)
    scores = dataclasses.replace(scores, values=50 * scores.values / np.nanmax(scores.values))
    detector.save(tmp_path)
    loaded = Detector.load(tmp_path)
    assert loaded.threshold == threshold
    assert loaded.provenance.threshold == threshold.labels_used
    np.testing.assert_array_equal(loaded.flag(scores), threshold.flags(scores.values))
    assert loaded.flag(scores).any()


@every_model
def test_saving_what_was_loaded_writes_the_same_files(spec, series, tmp_path):
    detector_of(spec, series, LENGTH, SCORING).save(tmp_path / "first")
    Detector.load(tmp_path / "first").save(tmp_path / "second")
    for name in (DESCRIPTION, WEIGHTS):
        assert (tmp_path / "second" / name).read_bytes() == (tmp_path / "first" / name).read_bytes()


@every_model
@pytest.mark.parametrize("over", ["last", "window", "mean"])
def test_chunks_get_exactly_the_scores_of_the_whole(spec, series, over):
    detector = detector_of(spec, series, LENGTH, ScoringSpec(over=over))
    before, after = detector.scorer.lookback, detector.scorer.lookahead
    whole = detector.score(series).values
    for start, stop in ((0, 100), (1, 250), (33, 33 + before + 1 + after), (BATCH - 2, 300), (61, 190)):
        chunk = detector.score(series.part(start, stop)).values
        known = slice(before, stop - start - after)
        np.testing.assert_array_equal(chunk[known], whole[start:stop][known])


@every_model
def test_later_rows_do_not_change_a_causal_score(spec, series):
    detector = detector_of(spec, series, LENGTH, SCORING)
    changed = series.values.copy()
    changed[200:] = -9
    found = detector.score(Series(changed, series.features)).values
    np.testing.assert_array_equal(found[:200], detector.score(series).values[:200])


@every_model
def test_a_saved_detector_is_json_and_weights_and_nothing_else(spec, series, tmp_path):
    detector_of(spec, series, LENGTH, SCORING).save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["detector.json", "weights.safetensors"]
    described = json.loads((tmp_path / DESCRIPTION).read_text())
    assert described["format"] == "tsad-detector-1"
    assert described["features"] == list(series.features)
    assert described["model"] == spec.model_dump(mode="json")
    assert described["scoring"] == SCORING.model_dump(mode="json")


@every_model
def test_the_weights_of_another_model_are_refused(spec, series, tmp_path):
    other = SPECS[(SPECS.index(spec) + 1) % len(SPECS)]
    detector_of(spec, series, LENGTH, SCORING).save(tmp_path / "one")
    detector_of(other, series, LENGTH, SCORING).save(tmp_path / "other")
    (tmp_path / "other" / WEIGHTS).replace(tmp_path / "one" / WEIGHTS)
    with pytest.raises(DetectorError, match=r"weights must fit .*; description and weights are of different detectors"):
        Detector.load(tmp_path / "one")


def test_a_detector_of_the_first_format_is_read_as_it_was_written(tmp_path):
    description = {
        "format": "tsad-detector-1",
        "features": ["a", "b"],
        "center": [1.0, 2.0],
        "scale": [2.0, 4.0],
        "clip": None,
        "window_length": 1,
        "model": {"kind": "l2"},
        "scoring": {"error": "squared"},
        "error_scale": [1.0, 0.5],
        "threshold": {"value": 4.0, "kind": "given"},
        "training_labels": "nothing",
        "selection_labels": "selection",
    }
    (tmp_path / DESCRIPTION).write_text(json.dumps(description))
    save_file({"mean": torch.tensor([0.5, 0.0])}, tmp_path / WEIGHTS)
    detector = Detector.load(tmp_path)
    found = detector.score(Series(np.array([[2, 2], [4, 10]], dtype=np.float32), ("a", "b")))
    np.testing.assert_array_equal(
        found.by_feature, [[0, 0], [1, 8]]
    )  # ((4 - 1) / 2 - 0.5)^2 and ((10 - 2) / 4)^2 / 0.5
    assert found.values.tolist() == [0, 4.5]
    assert detector.flag(found).tolist() == [False, True]
    assert detector.provenance == Provenance(selection="selection")


def test_a_row_without_a_score_is_not_flagged(series):
    detector = detector_of(SPECS[0], series, LENGTH, SCORING)
    scores = detector.score(series)
    assert np.isnan(scores.values[: detector.scorer.lookback]).all()
    assert not detector.flag(scores)[: detector.scorer.lookback].any()


def test_scores_leave_gradients_and_rows_alone(series):
    detector = detector_of(SPECS[0], series, LENGTH, SCORING)
    before = series.values.copy()
    detector.score(series)
    assert torch.is_grad_enabled()
    np.testing.assert_array_equal(series.values, before)


def test_features_in_another_order_are_refused(series):
    detector = detector_of(SPECS[0], series, LENGTH, SCORING)
    turned = dataclasses.replace(series, features=series.features[::-1])
    with pytest.raises(DataError, match=r"features must be \['s0', .*'s5'\], in this order, but got \['s5', .*'s0'\]"):
        detector.score(turned)


@pytest.mark.parametrize("over", ["last", "mean"])
def test_too_few_rows_are_answered_with_the_number_needed(series, over):
    detector = detector_of(SPECS[0], series, LENGTH, SCORING.model_copy(update={"over": over}))
    needed = LENGTH + 4 - 1 + (detector.scorer.model.steps - 1 if over == "mean" else 0)
    with pytest.raises(DataError, match=rf"at least {needed} consecutive rows .* but got {needed - 1}; send more rows"):
        detector.score(series.part(0, needed - 1))
    assert np.isfinite(detector.score(series.part(0, needed)).values).sum() == 1


def test_rows_that_a_break_keeps_apart_are_not_consecutive(series):
    detector = detector_of(SPECS[0], series, LENGTH, SCORING)
    with pytest.raises(DataError, match=r"at least 11 consecutive rows .* but got 10"):
        detector.score(dataclasses.replace(series, boundaries=tuple(range(10, 300, 10))))


# --- damage ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be JSON, but .*; save the detector again"),
        ('{"format": "tsad-detec', "must be JSON, but .*; save the detector again"),
        ("[1, 2]", "must hold a mapping, but holds list"),
    ],
)
def test_a_damaged_description_is_refused(saved, text, message):
    (saved / DESCRIPTION).write_text(text)
    with pytest.raises(DetectorError, match=rf"detector\.json: {message}"):
        Detector.load(saved)


def test_a_description_that_is_no_text_is_refused(saved):
    (saved / DESCRIPTION).write_bytes(b"\x80\x04\x95pickle")
    with pytest.raises(DetectorError, match=r"detector\.json: must be JSON"):
        Detector.load(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "tsad-detector-9"}, "format: input should be 'tsad-detector-1', but got 'tsad-detector-9'"),
        ({"window_length": 0}, "window_length: input should be greater than or equal to 1, but got 0"),
        ({"model": {"kind": "builtins.eval"}}, "model: .*'builtins.eval'"),
        ({"trust_me": True}, "trust_me: extra inputs are not permitted"),
    ],
)
def test_a_foreign_description_is_refused_with_every_mistake_named(saved, changes, message):
    edit(saved, **changes)
    with pytest.raises(DetectorError, match=rf"detector\.json: {message}"):
        Detector.load(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"value": "high"}, "threshold.value: input should be a valid number, but got 'high'"),
        ({"value": float("nan")}, "threshold.value: input should be a finite number"),
        ({"kind": "median"}, "threshold: .*'median'"),
        ({"kind": "sigma"}, "threshold.spec.kind: input should be 'sigma', .*threshold.count: field required"),
        ({"sample": {"count": 2, "values": [2.0, 1.0]}}, "threshold.sample: a sample must hold ascending values"),
        ({"labels_used": "nothing"}, "threshold.labels_used: extra inputs are not permitted"),
    ],
)
def test_a_damaged_threshold_is_refused(saved, changes, message):
    edit(saved, threshold=json.loads((saved / DESCRIPTION).read_text())["threshold"] | changes)
    with pytest.raises(DetectorError, match=rf"detector\.json: {message}"):
        Detector.load(saved)


@pytest.mark.parametrize("name", ["features", "center", "scale", "error_scale"])
def test_a_description_of_unequal_lengths_is_refused(saved, name):
    edit(saved, **{name: json.loads((saved / DESCRIPTION).read_text())[name][:-1]})
    with pytest.raises(DetectorError, match="features, center, scale and error_scale must be equally many"):
        Detector.load(saved)


def test_a_model_that_does_not_fit_the_description_is_refused(series, tmp_path):
    detector_of(PcaErrorSpec(kind="pca_error", components=3), series, LENGTH, SCORING).save(tmp_path)
    edit(tmp_path, model={"kind": "pca_error", "components": 7})
    with pytest.raises(DetectorError, match=r"detector\.json: .*components must not exceed"):
        Detector.load(tmp_path)


@pytest.mark.parametrize("name", [DESCRIPTION, WEIGHTS])
def test_a_missing_file_is_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(DetectorError, match=rf"{name}: .*[Nn]o such file"):
        Detector.load(saved)


def test_truncated_weights_are_refused(saved):
    path = saved / WEIGHTS
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DetectorError, match=r"weights\.safetensors: must be a safetensors file"):
        Detector.load(saved)
