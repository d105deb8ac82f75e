"""Answers about rows: scores, flags and events as plain values that JSON can hold."""

from collections.abc import Sequence
from math import isfinite, isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsad.detector.detector import Detector
from tsad.detector.score_table import ranked, stretches, with_threshold
from tsad.detector.scoring import Scores
from tsad.series import Series
from tsad.serving.requests import Rows, ascending


def judge(
    detector: Detector, rows: Rows, threshold: float | None, top: int
) -> tuple[dict[str, Any], Series, Scores, NDArray[np.bool_]]:
    """Returns the answer of `/api/score`, the rows and scores that it is made of, and the flags of the detector itself.

    Args:
        detector: Scores the rows.
        rows: Oldest first.
        threshold: Flags scores above this; None for the detector's own threshold.
        top: Features that explain an event, at most.

    Raises:
        DataError: if the rows cannot be scored.
        RequestError: if their times are none, or do not ascend.
    """
    judging, features = with_threshold(detector, threshold, "threshold"), detector.scorer.features
    series = ascending(rows.series(features), rows.times)
    scores = judging.score(series)
    thresholds = judging.threshold.per_row(scores.values)
    flags = scores.values > thresholds
    answer = {
        "rows": len(flags),
        "ignored": rows.ignored(features),
        "times": rows.times,
        "score": numbers(scores.values),
        "threshold": numbers(thresholds),
        "flag": flags.tolist(),
        "events": _events(scores, flags, rows.times, features, top) if flags.any() else [],
    }
    own_flags = flags if threshold is None else detector.flag(scores)
    return answer, series, scores, own_flags


def alarms_in(flags: NDArray[np.bool_], *, before: bool = False) -> int:
    """Returns how many stretches of flagged rows begin; `before` says whether the row before them was flagged.

    >>> alarms_in(np.array([True, True, False, True]), before=True)
    1
    """
    return int((flags & ~np.concatenate([[before], flags[:-1]])).sum()) if len(flags) else 0


def numbers(values: NDArray[np.float64]) -> list[float | None]:
    """Returns the numbers, None for those that are not finite."""
    return [value if isfinite(value) else None for value in values.tolist()]


def _events(
    scores: Scores, flags: NDArray[np.bool_], times: Sequence[str] | None, features: Sequence[str], top: int
) -> list[dict[str, Any]]:
    """Returns the stretches of flags, at least one, each with the features that gave most to it."""
    events = stretches(np.arange(len(flags)), times, scores.values, flags, scores.by_feature)
    order, shares = ranked(np.array([stretch.contributions for stretch in events]), top)
    return [
        {
            "first_row": stretch.first_row,
            "last_row": stretch.last_row,
            "start": stretch.start,
            "end": stretch.end,
            "peak_row": stretch.peak_row,
            "peak_score": stretch.peak_score if isfinite(stretch.peak_score) else None,
            "features": [
                {"name": features[index], "share": share}
                for index, share in zip(indices, row_shares, strict=True)
                if not isnan(share)
            ],
        }
        for stretch, indices, row_shares in zip(events, order.tolist(), shares.tolist(), strict=True)
    ]
