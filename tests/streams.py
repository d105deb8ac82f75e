"""What tests of streams are made of."""

from collections.abc import Iterable

import numpy as np

from tsad.detector.detector import Detector
from tsad.series import Series
from tsad.streaming import ScoredRows, Stream, StreamPolicy

EXACT = StreamPolicy(fill_to=128)
"""With this a window meets the batch's arithmetic."""


def pushed(stream: Stream, series: Series, sizes: Iterable[int]) -> ScoredRows:
    """Returns the scores of all rows, pushed in chunks of these sizes and then the rest, and of the end."""
    found, first = ScoredRows.none(len(series.features)), 0
    for size in (*sizes, len(series)):
        part = series.part(first, first + size)
        found, first = found.then(stream.push(part.values, part.times)), first + len(part)
    return found.then(stream.finish())


def assert_batch(found: ScoredRows, detector: Detector, series: Series, tolerance: float = 1e-12) -> None:
    """Asserts that the scores are what the batch says of the same rows: relative, and to the median score near 0."""
    scores = detector.score(series)
    floor = tolerance * np.nanmedian(scores.values)
    np.testing.assert_array_equal(found.rows, np.arange(len(series)))
    np.testing.assert_allclose(found.scores, scores.values, rtol=tolerance, atol=floor)
    np.testing.assert_allclose(found.by_feature, scores.by_feature, rtol=tolerance, atol=floor)
    np.testing.assert_allclose(found.thresholds, detector.threshold.per_row(scores.values), rtol=tolerance)
    np.testing.assert_array_equal(found.flags, detector.flag(scores))


def assert_equal(found: ScoredRows, expected: ScoredRows) -> None:
    """Asserts that scores are the same to the bit."""
    for name in ("rows", "scores", "thresholds", "flags", "by_feature"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
