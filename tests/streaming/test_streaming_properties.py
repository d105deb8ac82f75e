"""Whatever comes in whatever chunks, a stream says what the batch says."""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import built, sensors
from tests.streams import EXACT, assert_batch, assert_equal, pushed
from tsad.data.scale import StandardScalerSpec
from tsad.detector.detector import Detector, Scorer
from tsad.detector.ensemble import Ensemble
from tsad.detector.scoring import (
    BATCH,
    MeanSmoothing,
    NoNormalization,
    NoSmoothing,
    RollingMedianNormalization,
    ScoringSpec,
)
from tsad.models.baselines.autoregressive import AutoregressiveRidgeSpec
from tsad.models.baselines.l2 import L2Spec
from tsad.models.baselines.multiscale import MultiscaleLinearSpec
from tsad.models.lstm_ae import LstmAutoencoderSpec
from tsad.models.recurrent_forecaster import RecurrentForecasterSpec
from tsad.streaming import Stream, StreamPolicy
from tsad.thresholds.ewma import EwmaSpec
from tsad.thresholds.percentile import PercentileSpec

LENGTH, ROWS = 6, 120
SERIES = sensors(ROWS, 3, seed=3)
SCALER = StandardScalerSpec().fit(SERIES)
SPECS = (
    L2Spec(kind="l2"),
    AutoregressiveRidgeSpec(kind="autoregressive_ridge", order=2),
    MultiscaleLinearSpec(kind="multiscale_linear", components=2),
    LstmAutoencoderSpec(kind="lstm_ae", hidden=4, latent=2),
    RecurrentForecasterSpec(kind="recurrent_forecaster", hidden=32),
)
MODELS = {spec: built(spec, SCALER.apply(SERIES), LENGTH) for spec in SPECS}

scorings = st.builds(
    ScoringSpec,
    error=st.sampled_from(["squared", "absolute"]),
    over=st.sampled_from(["last", "window", "mean"]),
    scale=st.sampled_from(["none", "validation"]),
    compress=st.sampled_from(["none", "log1p", "root"]),
    features=st.sampled_from(["mean", "max"]),
    smooth=st.just(NoSmoothing()) | st.builds(MeanSmoothing, kind=st.just("mean"), length=st.integers(1, 9)),
    normalization=st.just(NoNormalization())
    | st.builds(
        RollingMedianNormalization, kind=st.just("rolling_median"), length=st.integers(2, 30), share=st.floats(0, 1)
    ),
)
thresholds = st.sampled_from([PercentileSpec(percentile=90), EwmaSpec(kind="ewma", factor=1.5, span=20, patience=5)])
chunks = st.lists(st.integers(0, 60), max_size=8)
places = st.sets(st.integers(1, ROWS - 1), max_size=4)


@st.composite
def scorers(draw):
    spec = draw(st.sampled_from(SPECS))
    return Scorer.fit(SCALER, LENGTH, (spec, MODELS[spec]), draw(scorings), SERIES)


@st.composite
def detectors(draw):
    drawn = draw(st.lists(scorers(), min_size=1, max_size=3))
    scorer = drawn[0] if len(drawn) == 1 else Ensemble.fit(drawn, SERIES)
    return Detector(scorer, draw(thresholds).fit(scorer.score(SERIES).values))


def minutes(gaps):
    """Returns a time for each row, with five minutes missing before each of these rows."""
    steps = np.where(np.isin(np.arange(ROWS), list(gaps)), 6, 1)
    return np.datetime64("2024-03-01T00:00") + steps.cumsum().astype("timedelta64[m]")


@given(detectors(), chunks)
def test_any_chunks_give_the_scores_of_the_batch(detector, sizes):
    assert_batch(pushed(Stream(detector, EXACT), SERIES, sizes), detector, SERIES)


@given(detectors(), chunks, places)
def test_gaps_are_the_breaks_of_the_batch(detector, sizes, boundaries):
    needed = detector.scorer.lookback + detector.scorer.lookahead + 1
    series = dataclasses.replace(SERIES, boundaries=tuple(sorted(boundaries)), times=minutes(boundaries))
    found = pushed(Stream(detector, StreamPolicy(step_seconds=60, fill_to=BATCH)), series, sizes)
    if max(after - first for first, after in series.segments()) >= needed:
        assert_batch(found, detector, series)
    else:  # the batch refuses what the stream has no score for
        assert np.isnan(found.scores).all()
        assert len(found) == ROWS


@given(detectors(), st.integers(0, ROWS), chunks)
def test_a_stream_is_restored_anywhere(detector, cut, sizes):
    policy = StreamPolicy(step_seconds=60, gap="ffill", longest_fill=5)
    series = dataclasses.replace(SERIES, times=minutes({10, 70, 119}))
    stream = Stream(detector, policy)
    stream.push(series.values[:cut], series.times[:cut])
    with tempfile.TemporaryDirectory() as folder:
        stream.save(Path(folder))
        restored = Stream.load(Path(folder), detector)
    rest = series.part(cut, ROWS)
    assert_equal(pushed(restored, rest, sizes), pushed(stream, rest, sizes))


@given(detectors(), chunks, st.sets(st.integers(1, ROWS - 1), max_size=20))
def test_late_rows_that_are_dropped_might_as_well_not_have_come(detector, sizes, late):
    times = minutes(())
    times[list(late)] -= np.timedelta64(1, "D")
    stream = Stream(detector, StreamPolicy(late="drop", fill_to=BATCH))
    found = pushed(stream, dataclasses.replace(SERIES, times=times), sizes)
    kept = dataclasses.replace(SERIES, values=np.delete(SERIES.values, list(late), axis=0))
    assert_batch(found, detector, kept)
    assert (stream.rows, stream.dropped) == (ROWS - len(late), len(late))


@given(detectors(), chunks, st.sets(st.integers(1, ROWS - 1), max_size=6), st.integers(1, 7))
def test_repeats_stand_where_rows_are_missing(detector, sizes, gaps, longest):
    series = dataclasses.replace(SERIES, times=minutes(gaps))
    policy = StreamPolicy(step_seconds=60, gap="ffill", longest_fill=longest, fill_to=BATCH)
    found = pushed(Stream(detector, policy), series, sizes)
    if longest < 5:
        expected = pushed(Stream(detector, policy.model_copy(update={"gap": "restart"})), series, ())
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-12, atol=1e-12)
        return
    follows = np.isin(np.arange(ROWS), list(gaps))
    source = np.repeat(np.arange(ROWS) - follows, 1 + 5 * follows)
    real = np.cumsum(1 + 5 * follows) - 1
    source[real] = np.arange(ROWS)
    scores = detector.score(dataclasses.replace(SERIES, values=SERIES.values[source]))
    np.testing.assert_allclose(found.scores, scores.values[real], rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(found.flags, detector.flag(scores)[real])
    np.testing.assert_array_equal(found.rows, np.arange(ROWS))
