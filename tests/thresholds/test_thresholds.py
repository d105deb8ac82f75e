"""What holds of every threshold."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tests.examples import members
from tests.thresholds.examples import DEPLOYABLE, FITTED, SPECS, fit, scored_rows
from tsad.thresholds import FittedThreshold

STORED = TypeAdapter(FittedThreshold)
STRICTER = {
    "percentile": {"percentile": 99.5},
    "sigma": {"factor": 3.5},
    "mad": {"factor": 3.5},
    "pot": {"risk": 1e-5},
    "ewma": {"factor": 4.5},
    "conformal": {"rate": 0.09},
}
"""By kind, what should flag no more than the defaults."""

every_spec = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
every_deployable = pytest.mark.parametrize("spec", DEPLOYABLE, ids=lambda spec: spec.kind)
every_threshold = pytest.mark.parametrize("threshold", FITTED, ids=lambda threshold: threshold.kind)


def later_rows():
    """Returns scores with bursts and holes; each threshold flags some of them and not others."""
    scores, _ = scored_rows(rows=1200, seed=1, height=50.0)
    scores[[0, 7, 298, 600, 601, 1199]] = np.nan
    return scores


def with_holes(scores, labels):
    places = [0, 500, len(scores)]
    return np.insert(scores, places, np.nan), np.insert(labels, places, True)


def test_the_examples_are_all_there_is():
    assert {type(threshold) for threshold in FITTED} == set(members(FittedThreshold))
    assert STRICTER.keys() == {spec.kind for spec in DEPLOYABLE}


# --- thresholds and flags ---


@every_threshold
def test_every_row_has_a_finite_threshold_and_is_flagged_above_it(threshold):
    scores = later_rows()
    thresholds = threshold.per_row(scores)
    assert thresholds.shape == scores.shape
    assert np.isfinite(thresholds).all()
    assert threshold.method
    flags = threshold.flags(scores)
    assert flags.tolist() == [score > threshold for score, threshold in zip(scores, thresholds, strict=True)]
    assert 0 < flags.sum() < len(flags) / 2
    assert not flags[np.isnan(scores)].any()


@every_threshold
def test_a_score_at_its_threshold_is_not_flagged(threshold):
    value = threshold.per_row(np.array([0.0]))[0]
    for score, flagged in (
        (value, False),
        (np.nextafter(value, np.inf), True),
        (np.inf, True),
        (-np.inf, False),
    ):
        assert threshold.flags(np.array([score])).tolist() == [flagged]


@every_threshold
def test_a_threshold_depends_on_rows_before_its_own_only(threshold):
    scores = later_rows()
    whole = threshold.per_row(scores)
    for row in (0, 8, 298, 299, 700):
        for later in (np.nan, -50.0, 1e6, np.inf):
            changed = np.concatenate([scores[:row], np.full(300, later)])
            np.testing.assert_array_equal(threshold.per_row(changed)[: row + 1], whole[: row + 1])


@every_threshold
def test_rows_without_a_score_change_nothing(threshold):
    scores = later_rows()
    known = ~np.isnan(scores)
    np.testing.assert_array_equal(threshold.per_row(scores)[known], threshold.per_row(scores[known]))
    assert threshold.after(scores) == threshold.after(scores[known])
    nothing = np.full(5, np.nan)
    assert threshold.after(nothing) == threshold.update(nothing) == threshold.after(np.empty(0)) == threshold
    assert threshold.per_row(np.empty(0)).shape == (0,)


@every_threshold
@given(cuts=st.lists(st.integers(0, 1200), max_size=5))
def test_chunks_with_the_state_carried_get_the_flags_of_the_whole(threshold, cuts):
    scores = later_rows()
    thresholds, state = [], threshold
    for chunk in np.split(scores, sorted(cuts)):
        chunk_thresholds, after = state.advance(chunk)
        np.testing.assert_array_equal(chunk_thresholds, state.per_row(chunk))
        assert after == state.after(chunk)
        thresholds, state = [*thresholds, *chunk_thresholds], after
    np.testing.assert_array_equal(thresholds, threshold.per_row(scores))
    assert state == threshold.after(scores)


@every_threshold
def test_one_row_at_a_time_gets_the_flags_of_the_whole(threshold):
    scores, state, flags = later_rows(), threshold, []
    for score in scores[:400]:
        row = np.array([score])
        flags += state.flags(row).tolist()
        state = state.after(row)
    assert flags == threshold.flags(scores)[:400].tolist()


@every_threshold
def test_a_threshold_is_a_value(threshold):
    before = threshold.model_dump_json()
    with pytest.raises(ValidationError, match="frozen"):
        threshold.kind = "other"
    threshold.flags(later_rows())
    assert threshold.after(later_rows()).kind == threshold.kind
    assert threshold.model_dump_json() == before


# --- fits ---


@every_spec
def test_a_fit_skips_rows_without_a_score(spec):
    rows = scored_rows()
    assert fit(spec, *with_holes(*rows)) == fit(spec, *rows)


@every_spec
def test_a_fit_tells_how_many_scores_it_needs(spec):
    scores, labels = scored_rows()
    enough = np.insert(scores[: spec.scores_needed], 0, np.nan)
    known = np.insert(labels[: spec.scores_needed], 0, False)
    known[1] = True
    assert np.isfinite(fit(spec, enough, known).per_row(enough)).all()
    with pytest.raises(ValueError, match=f"threshold {spec.kind} needs"):
        fit(spec, enough[:-1], known[:-1] & (spec.scores_needed > 1))


@every_deployable
def test_too_few_scores_are_refused_with_both_counts(spec):
    scores = np.insert(scored_rows()[0][: spec.scores_needed - 1], 0, np.nan)
    message = (
        rf"threshold {spec.kind} needs at least {spec.scores_needed} scores?, but only {spec.scores_needed - 1} of "
        rf"{spec.scores_needed} rows have one; give more validation rows"
    )
    with pytest.raises(ValueError, match=message):
        spec.fit(scores)


@every_spec
def test_an_infinite_score_is_refused_by_a_fit(spec):
    scores, labels = scored_rows()
    scores[[3, 9]] = np.nan, np.inf
    with pytest.raises(
        ValueError, match=r"finite scores, but 1 are infinite, the first in row 9; take scoring\.compress"
    ):
        fit(spec, scores, labels)


@every_spec
def test_whose_labels_chose_is_marked(spec):
    assert fit(spec, *scored_rows()).labels_used == ("test" if spec.reads_labels else "nothing")


@every_deployable
def test_labels_change_nothing_that_does_not_read_them(spec):
    scores, labels = scored_rows()
    assert spec.fit(scores, labels) == spec.fit(scores, ~labels) == spec.fit(scores)


@every_spec
@pytest.mark.parametrize(("factor", "shift"), [(3.0, 0.0), (1e-3, 2.0), (1e4, -7.0)])
def test_thresholds_follow_the_scale_of_scores(spec, factor, shift):
    scores, labels = scored_rows()
    scaled = fit(spec, factor * scores + shift, labels).per_row(factor * later_rows() + shift)
    np.testing.assert_allclose(scaled, factor * fit(spec, scores, labels).per_row(later_rows()) + shift, rtol=1e-9)


@every_deployable
def test_a_stricter_spec_has_no_lower_threshold(spec):
    scores, _ = scored_rows()
    stricter = spec.model_copy(update=STRICTER[spec.kind]).fit(scores)
    thresholds, higher = spec.fit(scores).per_row(later_rows()), stricter.per_row(later_rows())
    assert (higher >= thresholds).all()
    assert (higher > thresholds).any()


@pytest.mark.parametrize("spec", [spec for spec in DEPLOYABLE if "factor" in STRICTER[spec.kind]], ids=lambda s: s.kind)
def test_equal_scores_get_their_own_threshold(spec):
    assert spec.fit(np.full(20, 4.0)).flags(np.array([4.0, 4.001])).tolist() == [False, True]


# --- updates ---


@every_deployable
def test_an_update_with_the_same_scores_changes_little(spec):
    scores, _ = scored_rows()
    threshold = spec.fit(scores)
    before = threshold.model_dump_json()
    thresholds, updated = (state.per_row(later_rows()) for state in (threshold, threshold.update(scores)))
    assert threshold.model_dump_json() == before
    assert abs(updated.mean() / thresholds.mean() - 1) < 0.1


@every_deployable
def test_an_update_with_higher_scores_raises_the_threshold(spec):
    scores, _ = scored_rows()
    threshold = spec.fit(scores)
    updated = threshold.update(np.append(1.5 * scores, np.nan))
    assert (updated.per_row(later_rows()) > threshold.per_row(later_rows())).mean() > 0.99


@every_threshold
def test_an_infinite_score_is_refused_by_an_update(threshold):
    with pytest.raises(ValueError, match="finite scores, but 2 are infinite, the first in row 1"):
        threshold.update(np.array([1.0, np.inf, -np.inf]))


@pytest.mark.parametrize("threshold", [state for state in FITTED if state.kind in {"best_f1", "given"}])
def test_what_is_not_fitted_to_scores_cannot_be_updated(threshold):
    with pytest.raises(
        ValueError, match=r"(an oracle cannot be updated without labels|a given threshold does not follow)"
    ):
        threshold.update(np.array([1.0, 2.0]))


# --- JSON ---


@every_threshold
def test_a_stored_threshold_is_equal_and_goes_on_equally(threshold):
    state = threshold.after(np.append(later_rows(), np.inf))
    text = STORED.dump_json(state)
    loaded = STORED.validate_json(text)
    assert loaded == state
    assert STORED.dump_json(loaded) == text
    assert loaded.method == state.method
    assert loaded.labels_used == state.labels_used
    np.testing.assert_array_equal(loaded.flags(later_rows()), state.flags(later_rows()))


@every_threshold
def test_a_stored_threshold_with_something_else_in_it_is_refused(threshold):
    values = json.loads(threshold.model_dump_json())
    numbers = [name for name, value in values.items() if isinstance(value, float)]
    for damage in [{"trust_me": 1}, {"kind": "pickle"}, *({name: None} for name in numbers)]:
        with pytest.raises(ValidationError):
            STORED.validate_python(values | damage)
