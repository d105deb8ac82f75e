import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from tests.examples import detector_of, from_defaults, members, sensors, unscaled
from tsad.assessment.leakage import future_shuffle
from tsad.detector.detector import DESCRIPTION, Detector
from tsad.detector.ensemble import REFERENCE, REFERENCE_SIZE, Ensemble, Member, surprisal
from tsad.detector.scorer import WEIGHTS, Scorer
from tsad.detector.scoring import MeanSmoothing, ScoringSpec
from tsad.errors import DataError, DetectorError
from tsad.models import ModelSpec
from tsad.models.baselines.chance import ConstantSpec
from tsad.models.baselines.isolation_forest import IsolationForestSpec
from tsad.models.baselines.l2 import L2Spec
from tsad.models.baselines.principal import PcaErrorSpec
from tsad.series import Series
from tsad.thresholds.percentile import PercentileSpec

AHEAD = ScoringSpec(over="mean", compress="log1p")
SMOOTHED = ScoringSpec(over="last", smooth=MeanSmoothing(kind="mean", length=6))
L2, PCA = L2Spec(kind="l2"), PcaErrorSpec(kind="pca_error", components=2)
MODELS = [from_defaults(member) for member in members(ModelSpec) if member is not ConstantSpec]
SERIES = sensors(300, seed=3)
FIT, VALIDATION = SERIES.part(0, 150), SERIES.part(150, 300)

every_model = pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.kind)


def ensemble_detector(*specs):
    """Returns a detector of members that look ahead (the first) or far back (the others)."""
    scorings = [AHEAD] + [SMOOTHED] * (len(specs) - 1)
    scorers = [detector_of(spec, FIT, 8, scoring).scorer for spec, scoring in zip(specs, scorings, strict=True)]
    ensemble = Ensemble.fit(scorers, VALIDATION)
    return Detector(ensemble, PercentileSpec(percentile=90).fit(ensemble.score(VALIDATION).values))


def squares(features=1, length=1):
    """Returns the scorer whose score is the mean square of a row."""
    model = L2.build(features, length).eval()
    return Scorer.fit(unscaled(features), length, (L2, model), ScoringSpec(), sensors(50, features))


def column(*values):
    return Series(np.array(values, dtype=np.float32)[:, None], ("s0",))


@pytest.fixture(scope="module")
def detector():
    return ensemble_detector(MODELS[0], L2)


@pytest.fixture
def saved(detector, tmp_path):
    """A folder that holds a saved ensemble of two."""
    detector.save(tmp_path)
    return tmp_path


# --- members ---


def test_a_member_keeps_its_sorted_validation_scores():
    np.testing.assert_allclose(Member.fit(squares(), column(3, -1, 2)).reference, [1, 4, 9])


def test_a_member_keeps_quantiles_of_many_validation_scores():
    series = sensors(3 * REFERENCE_SIZE, 1)
    expected = np.square(series.values[:, 0].astype(float))
    reference = Member.fit(squares(), series).reference
    assert len(reference) == REFERENCE_SIZE
    np.testing.assert_allclose(reference[[0, -1]], [expected.min(), expected.max()], rtol=1e-6)
    np.testing.assert_allclose(reference, np.quantile(expected, np.linspace(0, 1, REFERENCE_SIZE)), rtol=1e-6)


@pytest.mark.parametrize("rows", [(2, 2, 2, 2), (2, -2)])
def test_a_scorer_that_never_differs_is_no_member(rows):
    message = (
        rf"must give validation rows different scores, but l2 gives all {len(rows)} of them the same; leave it out"
    )
    with pytest.raises(DataError, match=message):
        Member.fit(squares(), column(*rows))


def test_a_member_divides_its_surprisal_among_features_as_its_error_is_divided():
    validation = sensors(80, 2)
    member = Member.fit(squares(2), validation)
    found = member.score(Series(np.array([[1, 2], [0, 0], [0, -3]], dtype=np.float32), ("s0", "s1")))
    np.testing.assert_allclose(found.values, surprisal(np.array([2.5, 0, 4.5]), member.reference))
    np.testing.assert_allclose(found.by_feature, found.values[:, None] * [[0.2, 0.8], [0.5, 0.5], [0, 1]])


# --- the ensemble ---


def test_a_score_is_the_mean_of_the_surprisals():
    ensemble = Ensemble.fit([squares(4, 2), detector_of(PCA, sensors(60, 4), 3, ScoringSpec()).scorer], sensors(60, 4))
    rows = sensors(60, 4)  # scores of the validation rows themselves: their surprisal is that of their rank
    own = [member.scorer.score(rows).values for member in ensemble.members]
    at_least = [[(each[~np.isnan(each)] >= value).sum() for value in each[2:]] for each in own]
    expected = (-np.log10(np.array(at_least[0]) / 60) - np.log10(np.array(at_least[1]) / 59)) / 2
    np.testing.assert_allclose(ensemble.score(rows).values[2:], expected, rtol=1e-9)
    assert np.isnan(ensemble.score(rows).values[:2]).all()


def test_what_features_give_adds_up_to_the_score(detector):
    found = detector.score(SERIES)
    np.testing.assert_allclose(found.by_feature.sum(axis=1), found.values, rtol=1e-9)
    assert found.by_feature.shape == SERIES.values.shape
    assert np.nanmin(found.by_feature) >= 0


def test_strange_rows_stay_strange_beyond_all_validation_rows(detector):
    values = SERIES.values.copy()
    values[100], values[200] = 50, 500
    found = detector.score(Series(values, SERIES.features)).values
    assert 3 < found[100] < found[200]


@every_model
def test_rows_need_what_the_members_that_look_furthest_need(spec):
    detector = ensemble_detector(spec, L2)
    ahead, back = (member.scorer for member in detector.scorer.members)
    assert (
        (detector.scorer.lookback, detector.scorer.lookahead)
        == (back.lookback, ahead.lookahead)
        == (12, ahead.model.steps - 1)
    )
    needed = 13 + ahead.lookahead
    with pytest.raises(DataError, match=rf"at least {needed} consecutive rows \(2 members .*\), but got {needed - 1}"):
        detector.score(SERIES.part(0, needed - 1))
    assert np.isfinite(detector.score(SERIES.part(0, needed)).values).sum() == 1


@pytest.mark.slow
@every_model
def test_chunks_get_exactly_the_scores_of_the_whole(spec):
    detector = ensemble_detector(spec, L2, PCA)
    before, after = detector.scorer.lookback, detector.scorer.lookahead
    whole = detector.score(SERIES)
    for start, stop in ((0, 100), (1, 250), (33, 33 + before + 1 + after), (126, 300), (61, 190)):
        chunk = detector.score(SERIES.part(start, stop))
        known = slice(before, stop - start - after)
        assert np.isfinite(chunk.values[known]).all()
        np.testing.assert_array_equal(chunk.values[known], whole.values[start:stop][known])
        np.testing.assert_array_equal(chunk.by_feature[known], whole.by_feature[start:stop][known])


LONG = ensemble_detector(L2, PCA, L2)
WHOLE = LONG.score(SERIES).values


@given(first=st.integers(0, 200), rows=st.integers(LONG.scorer.lookback + LONG.scorer.lookahead + 1, 100))
def test_any_chunk_gets_the_scores_of_the_whole(first, rows):
    known = slice(LONG.scorer.lookback, rows - LONG.scorer.lookahead)
    chunk = LONG.score(SERIES.part(first, first + rows)).values
    np.testing.assert_array_equal(chunk[known], WHOLE[first : first + rows][known])


@pytest.mark.slow
def test_a_single_row_gets_its_score_of_the_whole_from_many_members():
    """NumPy adds nine numbers of one row in another order than nine of each of many rows."""
    specs = [PcaErrorSpec(kind="pca_error", components=components) for components in (1, 2, 3, 4, 5)] + [L2] * 4
    ensemble = Ensemble.fit([detector_of(spec, FIT, 1, ScoringSpec()).scorer for spec in specs], VALIDATION)
    rows = [ensemble.score(SERIES.part(row, row + 1)) for row in range(100)]
    whole = ensemble.score(SERIES)
    np.testing.assert_array_equal(np.concatenate([row.values for row in rows]), whole.values[:100])
    np.testing.assert_array_equal(np.concatenate([row.by_feature for row in rows]), whole.by_feature[:100])


@given(cut=st.integers(20, 290))
def test_rows_with_a_past_get_the_scores_of_the_whole(cut):
    later = LONG.score(SERIES.part(cut, 300), past=SERIES.part(0, cut))
    np.testing.assert_array_equal(later.values, WHOLE[cut:])


def test_no_member_sees_beyond_the_rows_that_scores_wait_for(detector):
    result = future_shuffle(detector.scorer, SERIES, 200, np.random.default_rng(0))
    assert result.clean
    assert result.compared == 201 - detector.scorer.lookback


def test_predictions_are_the_mean_of_those_members_that_have_any():
    forest = IsolationForestSpec(kind="isolation_forest", trees=5)
    detector = ensemble_detector(PCA, forest, MODELS[0])
    first, none, last = (member.scorer.predictions(SERIES) for member in detector.scorer.members)
    assert none is None
    np.testing.assert_allclose(detector.scorer.predictions(SERIES), (first + last) / 2)
    assert ensemble_detector(forest, forest).scorer.predictions(SERIES) is None


def test_it_has_the_numbers_of_the_weights_of_all_members_and_the_units_of_the_first(detector):
    scorers = [member.scorer for member in detector.scorer.members]
    assert detector.scorer.parameters == sum(scorer.parameters for scorer in scorers) > 0
    assert detector.scorer.scaler is scorers[0].scaler
    assert detector.scorer.kind == f"mean of {MODELS[0].kind}, l2"
    assert detector.scorer.features == SERIES.features


def test_features_in_another_order_are_refused(detector):
    turned = dataclasses.replace(SERIES, features=SERIES.features[::-1])
    with pytest.raises(DataError, match=r"features must be \['s0', .*'s5'\], in this order, but got \['s5', .*'s0'\]"):
        detector.score(turned)


def test_an_ensemble_of_ensembles_is_refused(detector):
    with pytest.raises(DetectorError, match="must be single scorers, but 1 of 2 are ensembles; name their members"):
        Ensemble.fit([squares(6), detector.scorer], SERIES)


def test_members_must_be_two_and_of_the_same_features():
    one, other = (Member.fit(squares(features), sensors(60, features)) for features in (1, 2))
    with pytest.raises(DetectorError, match=r"two or more members of the same features, but got 1 of \[\['s0'\]\]"):
        Ensemble((one,))
    with pytest.raises(DetectorError, match=r"but got 2 of \[\['s0'\], \['s0', 's1'\]\]; fit them on the same data"):
        Ensemble((one, other))


# --- saved ---


@every_model
def test_a_saved_ensemble_gives_equal_scores_and_flags(spec, tmp_path):
    detector = ensemble_detector(spec, L2)
    detector.save(tmp_path / "deep" / "detector")
    loaded = Detector.load(tmp_path / "deep" / "detector")
    expected, found = detector.score(SERIES), loaded.score(SERIES)
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.by_feature, expected.by_feature)
    np.testing.assert_array_equal(loaded.flag(found), detector.flag(expected))
    assert loaded.flag(found).any()
    assert loaded.provenance == detector.provenance


def test_whose_labels_chose_it_is_saved_with_it(detector, tmp_path):
    chosen = dataclasses.replace(detector, training_labels="development", selection_labels="selection")
    chosen.save(tmp_path)
    assert Detector.load(tmp_path).provenance == chosen.provenance != detector.provenance


def test_a_saved_ensemble_is_json_and_tensors_and_nothing_else(saved):
    files = {path.relative_to(saved).as_posix() for path in saved.rglob("*") if path.is_file()}
    tensors = {f"member-{place}/{name}" for place in (0, 1) for name in (WEIGHTS, REFERENCE)}
    assert files == {DESCRIPTION} | tensors
    described = json.loads((saved / DESCRIPTION).read_text())
    assert described["format"] == "tsad-ensemble-1"
    assert [member["model"]["kind"] for member in described["members"]] == [MODELS[0].kind, "l2"]


def test_saving_what_was_loaded_writes_the_same_files(saved, tmp_path_factory):
    again = tmp_path_factory.mktemp("again")
    Detector.load(saved).save(again)
    files = [path for path in saved.rglob("*") if path.is_file()]
    assert len(files) == 5
    for path in files:
        assert (again / path.relative_to(saved)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", [WEIGHTS, REFERENCE])
@pytest.mark.parametrize("place", [0, 1])
def test_a_missing_file_of_a_member_is_named(saved, place, name):
    (saved / f"member-{place}" / name).unlink()
    with pytest.raises(DetectorError, match=rf"member-{place}/{name}: must be a safetensors file, but .*No such file"):
        Detector.load(saved)


@pytest.mark.parametrize("name", [WEIGHTS, REFERENCE])
def test_a_truncated_file_of_a_member_is_named(saved, name):
    path = saved / "member-0" / name
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DetectorError, match=rf"member-0/{name}: must be a safetensors file"):
        Detector.load(saved)


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"values": [1.0, 2]},
        {"scores": [1.0, 2], "more": [0.0]},
        {"scores": [2.0, 1]},
        {"scores": [1.0, 1]},
        {"scores": [1.0]},
        {"scores": [[1.0, 2]]},
        {"scores": [1.0, np.inf]},
        {"scores": [1.0, np.nan, 2]},
    ],
    ids=str,
)
def test_foreign_reference_scores_are_refused(saved, tensors):
    save_file(
        {name: torch.tensor(values, dtype=torch.float64) for name, values in tensors.items()},
        saved / "member-1" / REFERENCE,
    )
    with pytest.raises(
        DetectorError, match=rf"member-1/{REFERENCE}: must hold finite ascending scores that are not all equal"
    ):
        Detector.load(saved)


def test_reference_scores_of_lower_precision_are_refused(saved):
    save_file({"scores": torch.tensor([1.0, 2.0])}, saved / "member-1" / REFERENCE)
    with pytest.raises(DetectorError, match=rf"member-1/{REFERENCE}: must hold finite ascending scores"):
        Detector.load(saved)


def test_the_weights_of_another_member_are_refused(saved):
    (saved / "member-0" / WEIGHTS).replace(saved / "member-1" / WEIGHTS)
    with pytest.raises(
        DetectorError, match=r"member-0/weights\.safetensors|member-1/weights\.safetensors: weights must fit"
    ):
        Detector.load(saved)


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (1, {"window_length": 0}, "members.1.window_length: input should be greater than or equal to 1, but got 0"),
        (0, {"center": [0.0]}, "members.0: features, center, scale and error_scale must be equally many"),
        (0, {"format": "tsad-ensemble-1", "members": []}, "members.0.format: extra inputs .*members.0.members: extra"),
        (1, {"model": {"kind": "pca_error", "components": 9}}, "members.1: .* fit each other, but .*components must"),
    ],
)
def test_a_foreign_description_of_a_member_is_refused(saved, place, change, message):
    described = json.loads((saved / DESCRIPTION).read_text())
    described["members"][place] |= change
    (saved / DESCRIPTION).write_text(json.dumps(described))
    with pytest.raises(DetectorError, match=rf"detector\.json: {message}"):
        Detector.load(saved)


def test_a_saved_ensemble_of_one_is_refused(saved):
    described = json.loads((saved / DESCRIPTION).read_text())
    (saved / DESCRIPTION).write_text(json.dumps(described | {"members": described["members"][:1]}))
    with pytest.raises(DetectorError, match=r"detector\.json: members: .* at least 2 items"):
        Detector.load(saved)
