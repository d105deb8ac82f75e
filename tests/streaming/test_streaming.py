import dataclasses
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

from tests.detector.test_ensemble import MODELS as MEMBERS
from tests.examples import FirstRow, built, detector_of, from_defaults, members, sensors, unscaled
from tests.streams import EXACT, assert_batch, assert_equal, pushed
from tests.thresholds.examples import SPECS as THRESHOLDS
from tsad.data.scale import StandardScalerSpec
from tsad.detector.detector import Detector, Scorer
from tsad.detector.ensemble import Ensemble
from tsad.detector.scoring import BATCH, MeanSmoothing, RollingMedianNormalization, ScoringSpec
from tsad.errors import DataError, DetectorError
from tsad.models import ModelSpec
from tsad.models.baselines.l2 import L2Spec
from tsad.series import Series
from tsad.streaming import Stream, StreamPolicy
from tsad.streaming.storage import STATE
from tsad.streaming.stream import CHUNK
from tsad.thresholds.percentile import PercentileSpec
from tsad.thresholds.threshold import GivenThreshold

FEATURES, LENGTH = 6, 8
SCORING = ScoringSpec(
    scale="validation",
    compress="log1p",
    smooth=MeanSmoothing(kind="mean", length=4),
    normalization=RollingMedianNormalization(kind="rolling_median", length=20),
)
AHEAD = SCORING.model_copy(update={"over": "mean"})
SPECS = [from_defaults(member) for member in members(ModelSpec)]
L2 = L2Spec(kind="l2")
SERIES = sensors(160, FEATURES, seed=3)
SCALER = StandardScalerSpec().fit(SERIES)
MINUTES = np.datetime64("2024-03-01T00:00") + np.arange(160).astype("timedelta64[m]")
START = MINUTES[0]

every_model = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
every_member = pytest.mark.parametrize("spec", MEMBERS, ids=lambda spec: spec.kind)


@cache
def model(spec):
    """Returns the model of a spec, fitted once."""
    return built(spec, SCALER.apply(SERIES.part(0, 80)), LENGTH)


@cache
def fitted(spec, scoring):
    """Returns a detector that flags a tenth of `SERIES`."""
    scorer = Scorer.fit(SCALER, LENGTH, (spec, model(spec)), scoring, SERIES)
    return Detector(scorer, PercentileSpec(percentile=90).fit(scorer.score(SERIES).values))


@cache
def joint(spec):
    """Returns an ensemble of a model that looks ahead and one that looks back."""
    ensemble = Ensemble.fit([fitted(spec, ScoringSpec(over="mean")).scorer, fitted(L2, SCORING).scorer], SERIES)
    return Detector(ensemble, PercentileSpec(percentile=90).fit(ensemble.score(SERIES).values))


def at(series, times):
    return dataclasses.replace(series, times=times)


def l2_detector(scoring=SCORING):
    return fitted(L2, scoring)


def column(*values):
    return np.array(values, dtype=np.float32)[:, None]


def steps_of_two(over="mean"):
    """Returns the detector of one feature whose error is the step from the first row of a window of 2; flags above 3."""
    model = FirstRow(2).eval()
    scorer = Scorer(("a",), unscaled(1), 2, L2, model, ScoringSpec(over=over, error="absolute"), np.ones(1))
    return Detector(scorer, GivenThreshold(value=3.0))


# --- the scores of the batch ---


@every_model
@pytest.mark.parametrize("over", ["last", "mean"])
def test_a_stream_gives_the_scores_of_the_batch(spec, over):
    detector = fitted(spec, SCORING.model_copy(update={"over": over}))
    assert_batch(pushed(Stream(detector, EXACT), SERIES, [1, 45, 0, 2, 90]), detector, SERIES)


@every_model
def test_batches_that_are_hardly_filled_differ_by_rounding_alone(spec):
    detector = fitted(spec, SCORING)
    assert_batch(pushed(Stream(detector), SERIES, [1] * 20), detector, SERIES, tolerance=1e-4)


@every_member
def test_an_ensemble_waits_for_the_member_that_looks_furthest(spec):
    detector = joint(spec)
    stream = Stream(detector, EXACT)
    assert_batch(pushed(stream, SERIES, [1, 45, 0, 2, 90]), detector, SERIES)


@pytest.mark.parametrize("spec", THRESHOLDS, ids=lambda spec: spec.kind)
def test_a_threshold_that_follows_the_scores_goes_on_from_push_to_push(spec):
    past = sensors(1500, FEATURES)
    detector = detector_of(L2, past, 1, ScoringSpec())
    scores = detector.score(past).values
    labels = scores > np.quantile(scores, 0.99)
    threshold = spec.fit(scores, labels) if spec.reads_labels else spec.fit(scores)
    detector = dataclasses.replace(detector, threshold=threshold)
    rows = SERIES.values.copy()
    rows[50:60] *= 9
    series = dataclasses.replace(SERIES, values=rows)
    found = pushed(Stream(detector), series, [1] * 70)
    assert_batch(found, detector, series)
    assert found.flags.any()


def test_a_row_gets_its_scores_as_soon_as_it_has_one():
    stream = Stream(steps_of_two())
    # steps 2, 3, 9; a row gets the mean of the step to it and of the 0 that it is when it comes first
    told = [stream.push(column(value)) for value in (0, 2, 5, 14)] + [stream.finish(), stream.finish()]
    assert [list(each.rows) for each in told] == [[], [0], [1], [2], [3], []]
    np.testing.assert_array_equal(np.concatenate([each.scores for each in told]), [np.nan, 1, 1.5, np.nan])
    assert stream.rows == 4


def test_a_causal_score_comes_with_its_row():
    found = Stream(steps_of_two("last")).push(column(0, 2, 5, 14))
    np.testing.assert_array_equal(found.scores, [np.nan, 2, 3, 9])
    np.testing.assert_array_equal(found.by_feature[:, 0], [np.nan, 2, 3, 9])
    assert found.rows.tolist() == [0, 1, 2, 3]
    assert found.thresholds.tolist() == [3, 3, 3, 3]
    assert found.flags.tolist() == [False, False, False, True]


def test_no_rows_make_no_scores():
    stream = Stream(l2_detector())
    assert len(stream.push(SERIES.values[:0])) == len(stream.finish()) == stream.rows == 0
    assert stream.push(SERIES.values[:0], MINUTES[:0]).by_feature.shape == (0, FEATURES)


def test_a_push_of_more_rows_than_are_scored_at_once():
    series = sensors(2 * CHUNK + 10, 2)
    detector = detector_of(L2, series, 3, ScoringSpec(smooth=MeanSmoothing(kind="mean", length=5)))
    assert_batch(Stream(detector).push(series.values), detector, series)


def test_an_infinite_score_takes_the_normalization_from_the_rows_after_it_as_in_the_batch():
    values = sensors(60, 1).values
    values[30] = 3e38  # its square is infinite
    scoring = ScoringSpec(normalization=RollingMedianNormalization(kind="rolling_median", length=5))
    scorer = Scorer(("s0",), unscaled(1), 2, L2, FirstRow(2).eval(), scoring, np.ones(1))
    detector, series = Detector(scorer, GivenThreshold(value=3.0)), Series(values, ("s0",))
    found = pushed(Stream(detector, EXACT), series, [3] * 20)
    assert_batch(found, detector, series)
    assert np.isinf(found.scores[30])
    assert np.isnan(found.scores[31:37]).all()
    assert np.isfinite(found.scores[37:]).all()


# --- memory ---


def test_what_a_stream_keeps_does_not_grow(tmp_path):
    detector = joint(SPECS[0])
    stream = Stream(detector)
    sizes = []
    for _ in range(3):
        stream.push(SERIES.values)
        stream.save(tmp_path)
        sizes.append({name: array.shape for name, array in load_file(tmp_path / STATE).items()})
    assert sizes[0] == sizes[1] == sizes[2]
    assert sum(np.prod(shape) for shape in sizes[0].values()) < 3 * LENGTH * (2 * FEATURES + 2)


def test_the_state_is_no_view_of_rows_that_were_pushed():
    policy = StreamPolicy(step_seconds=60, gap="ffill")
    detector = l2_detector()
    rows = SERIES.values[:100].copy()
    stream, other = Stream(detector, policy), Stream(detector, policy)
    stream.push(rows, MINUTES[:100])
    other.push(rows.copy(), MINUTES[:100])
    rows[:] = 99
    later = SERIES.values[100:], MINUTES[100:] + np.timedelta64(3, "m")
    assert_equal(stream.push(*later), other.push(*later))


# --- gaps ---


def gaps(*rows):
    """Returns minutes with 5 missing before each of these rows."""
    return MINUTES + 5 * np.searchsorted(rows, np.arange(len(MINUTES)), side="right").astype("timedelta64[m]")


@every_model
def test_after_a_gap_a_new_segment_begins(spec):
    detector = fitted(spec, AHEAD)
    stream = Stream(detector, StreamPolicy(step_seconds=60, fill_to=BATCH))
    found = pushed(stream, at(SERIES, gaps(40, 43, 100)), [39, 3, 30])
    assert_batch(found, detector, dataclasses.replace(SERIES, boundaries=(40, 43, 100)))


def test_an_ensemble_begins_anew_after_a_gap():
    detector = joint(SPECS[0])
    found = pushed(Stream(detector, StreamPolicy(step_seconds=60, fill_to=BATCH)), at(SERIES, gaps(40, 44)), [41])
    assert_batch(found, detector, dataclasses.replace(SERIES, boundaries=(40, 44)))


def test_rows_that_wait_at_a_gap_never_get_a_score():
    stream = Stream(steps_of_two(), StreamPolicy(step_seconds=60))
    assert stream.push(column(0, 2), MINUTES[:2]).rows.tolist() == [0]
    found = stream.push(column(5, 14, 14), MINUTES[3:6])
    assert found.rows.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(found.scores, [np.nan, np.nan, 4.5])


@pytest.mark.parametrize("over", ["last", "mean"])
def test_a_gap_that_is_held_is_filled_with_the_row_before_it(over):
    detector = l2_detector(SCORING.model_copy(update={"over": over}))
    stream = Stream(detector, StreamPolicy(step_seconds=60, gap="ffill", longest_fill=5, fill_to=BATCH))
    found = pushed(stream, at(SERIES, gaps(40, 100)), [40, 20])
    repeats = np.repeat(np.arange(160), np.where(np.isin(np.arange(160), (39, 99)), 6, 1))
    real = np.concatenate([[True], np.diff(repeats) > 0])
    whole = detector.score(Series(SERIES.values[repeats], SERIES.features))
    np.testing.assert_array_equal(found.rows, np.arange(160))
    np.testing.assert_allclose(found.scores, whole.values[real], rtol=1e-12)
    np.testing.assert_allclose(found.by_feature, whole.by_feature[real], rtol=1e-12)


def test_a_gap_longer_than_may_be_held_is_a_restart():
    detector = l2_detector()
    stream = Stream(detector, StreamPolicy(step_seconds=60, gap="ffill", longest_fill=4, fill_to=BATCH))
    assert_batch(pushed(stream, at(SERIES, gaps(70)), [70]), detector, dataclasses.replace(SERIES, boundaries=(70,)))


def test_no_push_fills_or_has_more_gaps_than_the_policy_allows():
    detector = l2_detector()
    policy = StreamPolicy(step_seconds=60, gap="ffill", longest_fill=1000, most_filled=20, most_gaps=3)
    stream = Stream(detector, policy)
    rows, times = SERIES.values[:12], np.datetime64("2026-01-01", "ns") + np.arange(12) * np.timedelta64(60, "s")
    flood = np.datetime64("2026-01-01", "ns") + np.arange(12) * np.timedelta64(
        60_000, "s"
    )  # 999 rows are missing each time
    with pytest.raises(DataError, match="may be filled with 20 rows, but these need 10989; push fewer rows at once"):
        stream.push(rows, flood)
    assert stream.rows == 0
    for cut in (Stream(detector, policy.model_copy(update={"gap": "restart"})), Stream(detector, policy)):
        four = times + np.cumsum(np.isin(np.arange(12), (2, 4, 6, 8))) * np.timedelta64(120, "s")
        with pytest.raises(DataError, match=r"one push may have 3 gaps, but has 4; .* step_seconds .now 60."):
            cut.push(rows, four)
        assert cut.rows == 0
        three = times + np.cumsum(np.isin(np.arange(12), (2, 4, 6))) * np.timedelta64(120, "s")
        cut.push(rows, three)
        assert cut.rows == 12


def test_a_push_is_held_together_in_bounded_chunks(monkeypatch):
    detector = l2_detector()
    policy = StreamPolicy(step_seconds=60, gap="ffill", fill_to=BATCH)
    whole = Stream(detector, policy).push(SERIES.values, gaps(*range(1, 160, 3)))
    monkeypatch.setattr("tsad.streaming.stream.CHUNK", 4)
    assert_equal(Stream(detector, policy).push(SERIES.values, gaps(*range(1, 160, 3))), whole)


def test_a_finished_segment_is_not_held():
    stream = Stream(steps_of_two("last"), StreamPolicy(step_seconds=60, gap="ffill"))
    stream.push(column(0, 2), MINUTES[:2])
    stream.finish()
    found = stream.push(column(5, 6), MINUTES[4:6])
    assert found.rows.tolist() == [2, 3]
    np.testing.assert_array_equal(found.scores, [np.nan, 1])


@pytest.mark.parametrize(
    ("seconds", "filled", "restarts"),
    [
        ([0, 60, 120], [0, 0, 0], [False, False, False]),
        ([0, 90, 150], [0, 0, 0], [False, False, False]),  # half a step late is no gap
        ([0, 91, 150], [0, 1, 0], [False, False, False]),
        ([0, 1, 61], [0, 0, 0], [False, False, False]),  # early is the next row
        ([0, 180, 240], [0, 2, 0], [False, False, False]),
        ([0, 240, 300], [0, 3, 0], [False, False, False]),
        ([0, 300, 360], [0, 0, 0], [False, True, False]),
        ([0, 10**10, 10**10 + 300], [0, 0, 0], [False, True, True]),  # 317 years are more than an int64 of nanoseconds
    ],
)
def test_which_rows_follow_a_gap(seconds, filled, restarts):
    moments = np.datetime64("1700-01-01", "s") + np.array(seconds, dtype="timedelta64[s]")
    plan = StreamPolicy(step_seconds=60, gap="ffill", longest_fill=3).arrange(moments, 3, None)
    assert plan.filled.tolist() == filled
    assert plan.restarts.tolist() == restarts
    assert plan.accepted.all()


# --- late rows ---


@pytest.mark.parametrize(
    ("minute", "message"),
    [
        (1, r"row 1 of this push has 2024-03-01 00:01:00, which is not after 2024-03-01 00:02:00"),
        (2, r"row 1 of this push has 2024-03-01 00:02:00, which is not after 2024-03-01 00:02:00"),
        ("NaT", r"row 1 of this push has NaT, which is not after 2024-03-01 00:02:00"),
    ],
)
def test_a_late_row_is_refused_by_row_and_time(minute, message):
    stream = Stream(l2_detector())
    stream.push(SERIES.values[:2], MINUTES[:2])
    times = np.array([MINUTES[2], START + np.timedelta64(minute, "m"), MINUTES[3]])
    with pytest.raises(
        DataError, match=rf"times must ascend, but {message} \(1 of 3 rows are late\); sort the rows, or"
    ):
        stream.push(SERIES.values[2:5], times)


def test_a_row_before_those_of_an_earlier_push_is_late():
    stream = Stream(l2_detector())
    stream.push(SERIES.values[:5], MINUTES[:5])
    stream.push(SERIES.values[5:6])  # without a time, which is not asked for
    with pytest.raises(DataError, match=r"row 0 of this push has 2024-03-01 00:04:00, which is not after .*00:04:00"):
        stream.push(SERIES.values[6:7], MINUTES[4:5])


def test_the_first_time_of_all_must_be_one():
    with pytest.raises(DataError, match="row 0 of this push has NaT"):
        Stream(l2_detector()).push(SERIES.values[:1], np.array(["NaT"], "datetime64[s]"))


def test_late_rows_that_are_dropped_are_counted_and_have_no_number():
    detector = l2_detector()
    stream = Stream(detector, StreamPolicy(late="drop", fill_to=BATCH))
    late = [20, 21, 90, 159]
    times = MINUTES.copy()
    times[late] = [MINUTES[3], MINUTES[19], np.datetime64("NaT"), MINUTES[158]]
    found = pushed(stream, at(SERIES, times), [21, 30])
    assert_batch(found, detector, dataclasses.replace(SERIES, values=np.delete(SERIES.values, late, axis=0)))
    assert (stream.rows, stream.dropped) == (156, 4)


def test_a_push_of_late_rows_alone_changes_nothing():
    stream, other = (Stream(l2_detector(), StreamPolicy(late="drop")) for _ in range(2))
    for each in (stream, other):
        each.push(SERIES.values[:100], MINUTES[:100])
    for late in (slice(0, 3), slice(97, 100)):
        assert len(stream.push(SERIES.values[late], MINUTES[late])) == 0
    assert_equal(stream.push(SERIES.values[100:]), other.push(SERIES.values[100:]))
    assert (stream.rows, stream.dropped, other.dropped) == (160, 6, 0)


# --- what is refused ---


def spoilt(value):
    values = SERIES.values[:3].copy()
    values[1, 2] = value
    return values


@pytest.mark.parametrize(
    ("values", "times", "message"),
    [
        (SERIES.values[:3, :5], None, r"the 6 features \['s0', .*\], in this order, but got 5 columns"),
        (SERIES.values[:3].astype(int), None, r"must be \(rows, features\) float32 or float64, but got \(3, 6\) int64"),
        (SERIES.values[0], None, r"must be \(rows, features\) float32 or float64, but got \(6,\) float32"),
        (spoilt(np.nan), None, r"feature 's2' has 1 values that are not finite numbers, first at row 1 \(nan\)"),
        (spoilt(-np.inf), None, r"feature 's2' has 1 values that are not finite numbers, first at row 1 \(-inf\)"),
        (SERIES.values[:3], MINUTES[100:102], r"times must have one entry for each of 3 rows, but got shape \(2,\)"),
        (SERIES.values[:3], np.arange(3.0), "times must be datetime64, but got float64; convert them with pandas"),
        (SERIES.values[:3], MINUTES[102:99:-1], "times must ascend, but row 1 of this push has .*2 of 3 rows are late"),
        (SERIES.values[:3], MINUTES[:3], "times must ascend, but row 0 of this push has .* not after .* 01:39:00"),
        (
            SERIES.values[:3],
            np.array(["2025-01-01", "2262-01-01", "9999-12-31"], "datetime64[s]"),
            "whole nanoseconds of the years 1678 to 2261, but row 2 of this push has 9999-12-31",
        ),
    ],
)
def test_a_push_that_is_refused_leaves_the_stream_as_it_was(values, times, message):
    stream, other = Stream(l2_detector()), Stream(l2_detector())
    for each in (stream, other):
        each.push(SERIES.values[:100], MINUTES[:100])
    with pytest.raises(DataError, match=message):
        stream.push(values, times)
    assert_equal(stream.push(SERIES.values[100:], MINUTES[100:]), other.push(SERIES.values[100:], MINUTES[100:]))
    assert (stream.rows, stream.dropped) == (160, 0)


def test_rows_without_times_are_refused_where_gaps_are_looked_for():
    stream = Stream(l2_detector(), StreamPolicy(step_seconds=60))
    with pytest.raises(
        DataError, match="step_seconds=60 need times, but 2 rows came without; send their times, or leave"
    ):
        stream.push(SERIES.values[:2])


def test_a_model_that_fails_in_the_middle_of_a_push_leaves_the_stream_as_it_was(monkeypatch):
    detector = l2_detector()
    stream, other = Stream(detector), Stream(detector)
    for each in (stream, other):
        each.push(SERIES.values[:50])
    calls = iter(range(3))
    forward = detector.scorer.model.forward
    with monkeypatch.context() as patch:
        patch.setattr("tsad.streaming.stream.CHUNK", 20)
        patch.setattr(detector.scorer.model, "forward", lambda windows: (2 / (2 - next(calls)), forward(windows))[1])
        with pytest.raises(ZeroDivisionError):
            stream.push(SERIES.values[50:])
    assert_equal(stream.push(SERIES.values[50:]), other.push(SERIES.values[50:]))


# --- saved ---


@pytest.fixture
def saved(tmp_path):
    """A folder that holds the state of a stream of `l2_detector()` after 100 rows."""
    stream = Stream(l2_detector())
    stream.push(SERIES.values[:100], MINUTES[:100])
    stream.save(tmp_path)
    return tmp_path


@every_member
def test_a_restored_stream_goes_on_as_if_nothing_had_happened(spec, tmp_path):
    detector = joint(spec)
    detector.save(tmp_path / "detector")
    stream = Stream(detector, StreamPolicy(step_seconds=60, late="drop", gap="ffill"))
    stream.push(SERIES.values[:30], MINUTES[:30])
    stream.push(SERIES.values[:2], MINUTES[:2])
    stream.save(tmp_path / "deep" / "state")
    restored = Stream.load(tmp_path / "deep" / "state", Detector.load(tmp_path / "detector"))
    later = SERIES.values[30:], MINUTES[30:] + np.timedelta64(2, "m")
    assert_equal(restored.push(*later), stream.push(*later))
    assert_equal(restored.finish(), stream.finish())
    assert (restored.rows, restored.dropped, restored.policy) == (160, 2, stream.policy)


@pytest.mark.parametrize("spec", THRESHOLDS, ids=lambda spec: spec.kind)
def test_where_a_threshold_stands_is_restored(spec, tmp_path):
    past = sensors(1500, FEATURES)
    detector = detector_of(L2, past, 1, ScoringSpec())
    scores = detector.score(past).values
    threshold = spec.fit(scores, scores > np.median(scores)) if spec.reads_labels else spec.fit(scores)
    stream = Stream(dataclasses.replace(detector, threshold=threshold))
    for rows in (SERIES.values[:50], 9 * SERIES.values[50:60]):
        stream.push(rows)
        stream.save(tmp_path)
        stream = Stream.load(tmp_path, stream.detector)
    other = Stream(stream.detector)
    other.push(np.concatenate([SERIES.values[:50], 9 * SERIES.values[50:60]]))
    assert_equal(stream.push(SERIES.values[60:]), other.push(SERIES.values[60:]))


def test_the_state_is_one_file_and_small_whatever_the_threshold_holds(tmp_path):
    detector = l2_detector()
    sample = PercentileSpec(percentile=99).fit(np.arange(10_000.0))
    stream = Stream(dataclasses.replace(detector, threshold=sample))
    stream.push(SERIES.values)
    stream.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [STATE]
    assert (tmp_path / STATE).stat().st_size < 4_000


def test_the_state_of_another_detector_is_refused(saved):
    other = dataclasses.replace(l2_detector(), threshold=GivenThreshold(value=1.0))
    with pytest.raises(DetectorError, match=f"must be of this detector, {other.digest[:12]}, but is of"):
        Stream.load(saved, other)


def test_a_save_that_is_cut_short_leaves_the_state_of_before(saved, monkeypatch):
    before = (saved / STATE).read_bytes()
    stream = Stream.load(saved, l2_detector())
    stream.push(SERIES.values[100:110])

    def killed(self, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            stream.save(saved)
    assert (saved / STATE).read_bytes() == before
    assert Stream.load(saved, l2_detector()).rows == 100


def cut_short(content):
    return content[:-10]


def one_bit_off(content):
    return content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_short, "must be the state of a stream, but"),
        (one_bit_off, "must hold what was written, but its checksum differs"),
        (lambda content: content.replace(b'rows\\": 100', b'rows\\": 101'), ".* its checksum differs"),
        (lambda content: b"", "must be the state of a stream, but"),
        (lambda content: b"\x80\x04\x95pickle", "must be the state of a stream, but"),
    ],
)
def test_a_damaged_state_is_refused(saved, damage, message):
    path = saved / STATE
    content = path.read_bytes()
    path.write_bytes(damage(content))
    assert path.read_bytes() != content
    with pytest.raises(DetectorError, match=rf"stream\.safetensors: {message}.*; remove it to begin anew"):
        Stream.load(saved, l2_detector())


@pytest.mark.parametrize("note", [None, "[]", "{}", "no JSON"])
def test_a_foreign_file_is_refused(saved, note):
    save_file({"rows": torch.zeros(2)}, saved / STATE, None if note is None else {"note": note})
    with pytest.raises(DetectorError, match="must be the state of a stream, but"):
        Stream.load(saved, l2_detector())


def test_a_state_of_a_later_format_is_refused(saved, monkeypatch):
    monkeypatch.setattr("tsad.streaming.storage._checksum", lambda noted, arrays: 1)
    note = json.dumps({"format": "tsad-stream-9", "checksum": 1})
    save_file({"rows": torch.zeros(2)}, saved / STATE, {"note": note})
    with pytest.raises(DetectorError, match="format: input should be 'tsad-stream-1', but got 'tsad-stream-9'"):
        Stream.load(saved, l2_detector())


def test_a_missing_state_is_named(tmp_path):
    with pytest.raises(
        DetectorError, match=r"stream\.safetensors: must be the state of a stream, but .*[Nn]o such file"
    ):
        Stream.load(tmp_path, l2_detector())


# --- digest ---


def test_a_digest_survives_saving(tmp_path):
    detector = joint(SPECS[0])
    detector.save(tmp_path)
    assert Detector.load(tmp_path).digest == detector.digest


def test_whatever_changes_a_detector_changes_its_digest():
    first, ensemble = l2_detector(), joint(L2)
    other = detector_of(L2, SERIES.part(0, 100), LENGTH, SCORING)  # other means, divisors, threshold
    weights = dataclasses.replace(first, scorer=dataclasses.replace(first.scorer, model=other.scorer.model))
    member = ensemble.scorer.members[0]
    reference = dataclasses.replace(member, reference=member.reference * 2)
    members_ = dataclasses.replace(ensemble.scorer, members=(reference, ensemble.scorer.members[1]))
    threshold = dataclasses.replace(first, threshold=GivenThreshold(value=1.0))
    chosen = dataclasses.replace(first, selection_labels="selection")
    all_of_them = [first, other, weights, threshold, chosen, ensemble, dataclasses.replace(ensemble, scorer=members_)]
    assert len({detector.digest for detector in all_of_them}) == len(all_of_them)
    assert l2_detector().digest == first.digest


# --- silence ---


def silent_stream(**policy):
    return Stream(fitted(L2, SCORING), StreamPolicy(**{"step_seconds": 60, "silence": 5} | policy))


@pytest.mark.parametrize("steps", [0, 1, 4.99, 5, 5.5, 1000])
def test_a_stream_without_rows_for_as_many_steps_is_silent_until_rows_come(steps):
    stream = silent_stream()
    assert stream.silence(START) is None  # none ever came
    stream.push(SERIES.values[:10], MINUTES[:10])
    last = MINUTES[9]
    silence = stream.silence(last + np.timedelta64(round(steps * 60_000), "ms"))
    assert (silence is not None) == (steps >= 5)
    if silence is not None:
        assert silence == (last, steps * 60, int(steps))
    stream.push(SERIES.values[10:11], MINUTES[10:11])
    assert stream.silence(MINUTES[14]) is None
    assert stream.silence(MINUTES[15]).steps == 5


def test_a_simulated_clock_sees_each_outage_once_it_is_long_enough():
    stream, present, alerts = silent_stream(silence=3), 0, []
    arrivals = {*range(10), *range(12, 20), *range(30, 40)}  # two rows are late, then ten are missing
    for present in range(60):
        if present in arrivals:
            stream.push(SERIES.values[present : present + 1], MINUTES[present : present + 1])
        silence = stream.silence(MINUTES[present])
        alerts += [present] if silence is not None else []
    assert alerts == [*range(22, 30), *range(42, 60)]


def test_a_stream_that_was_saved_goes_on_being_silent(tmp_path):
    stream = silent_stream()
    stream.push(SERIES.values[:10], MINUTES[:10])
    stream.save(tmp_path)
    assert Stream.load(tmp_path, stream.detector).silence(MINUTES[20]) == stream.silence(MINUTES[20])


def test_silence_needs_the_step_and_a_limit():
    with pytest.raises(ValueError, match="silence=3 counts steps, but step_seconds is unknown; set it, or leave"):
        StreamPolicy(silence=3)
    with pytest.raises(DataError, match="silence is not set; set it, and step_seconds"):
        Stream(fitted(L2, SCORING)).silence(START)
    for time in (np.datetime64("NaT"), 5, None):
        with pytest.raises(DataError, match=r"the present time must be a numpy.datetime64, but got "):
            silent_stream().silence(time)
