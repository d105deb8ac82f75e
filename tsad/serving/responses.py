"""Answers about rows: scores, flags and events as plain values that JSON can hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsad.detector.detector import Detector
from tsad.detector.score_table import ranked, stretches, with_threshold
from tsad.detector.scoring import Scores
from tsad.errors import DataError
from tsad.series import Series
from tsad.serving.entity_bodies import BodyRows, EntityPart
from tsad.serving.model_detectors import ModelDetectors


@dataclass(frozen=True, eq=False)
class JudgedRows:
    """The rows of one entity with what a detector says of them.

    Attributes:
        key: Key of the detector.
        series: (n, F) rows.
        scores: Their scores.
        flags: (n,) flags by the threshold of the detector itself, whatever the request asked for.
    """

    key: str
    series: Series
    scores: Scores
    flags: NDArray[np.bool_]


def judge(
    detectors: ModelDetectors, rows: BodyRows, threshold: float | None, top: int
) -> tuple[dict[str, Any], list[JudgedRows]]:
    """Returns the answer of `/api/score`, and the rows and scores of each entity that it is made of.

    Args:
        detectors: Detectors that score the rows.
        rows: Rows of a body.
        threshold: Flags scores above this; None for the detectors' own thresholds.
        top: Features that explain an event, at most.

    Raises:
        DataError: if the rows cannot be scored.
    """
    parts, columns, events = [], [], []
    for part in rows.parts:
        key = detectors.key(part.entity if detectors.is_fleet else None)
        detector = detectors.get(key)
        judging = with_threshold(detector, threshold, "threshold")
        scores = _scores(detector, part, alone=len(rows.parts) == 1)
        thresholds = judging.threshold.per_row(scores.values)
        flags = scores.values > thresholds
        parts.append(JudgedRows(key, part.series, scores, flags if threshold is None else detector.flag(scores)))
        columns.append((scores.values, thresholds, flags))
        if flags.any():
            events += _events(scores, flags, part, rows.times, top)
    if len(parts) > 1 and all(np.isnan(values).all() for values, _, _ in columns):
        detector = detectors.get(parts[0].key)
        needed = detector.scorer.lookback + detector.scorer.lookahead + 1
        raise DataError(f"body: a score needs at least {needed} consecutive rows of one entity; send more rows")
    values, thresholds, flags = (np.concatenate(column) for column in zip(*columns, strict=True))
    left_out, mapping = rows.mapping < 0, np.maximum(rows.mapping, 0)
    answer = {
        "rows": len(mapping),
        "ignored": rows.ignored,
        "times": rows.times,
        "score": numbers(np.where(left_out, np.nan, values[mapping])),
        "threshold": numbers(np.where(left_out, np.nan, thresholds[mapping])),
        "flag": (flags[mapping] & ~left_out).tolist(),
        "events": sorted(events, key=lambda event: event["first_row"]),
    }
    return answer, parts


def _scores(detector: Detector, part: EntityPart, *, alone: bool) -> Scores:
    """Returns the scores of the rows of an entity: none if they are too few, unless they are alone, which is an error."""
    longest = max((stop - start for start, stop in part.series.segments()), default=0)
    if alone or longest > detector.scorer.lookback + detector.scorer.lookahead:
        return detector.score(part.series)
    return Scores(np.full(len(part.series), np.nan), np.full(part.series.values.shape, np.nan))


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
    scores: Scores, flags: NDArray[np.bool_], part: EntityPart, times: Sequence[str] | None, top: int
) -> list[dict[str, Any]]:
    """Returns the stretches of flags, at least one, each with the features that gave most to it."""
    own_times = None if times is None else [times[number] for number in part.numbers]
    events = stretches(part.numbers, own_times, scores.values, flags, scores.by_feature)
    order, shares = ranked(np.array([stretch.contributions for stretch in events]), top)
    whose = {} if part.entity is None else {"entity": part.entity}
    return [
        {
            **whose,
            "first_row": stretch.first_row,
            "last_row": stretch.last_row,
            "start": stretch.start,
            "end": stretch.end,
            "peak_row": stretch.peak_row,
            "peak_score": stretch.peak_score if isfinite(stretch.peak_score) else None,
            "features": [
                {"name": part.series.features[index], "share": share}
                for index, share in zip(indices, row_shares, strict=True)
                if not isnan(share)
            ],
        }
        for stretch, indices, row_shares in zip(events, order.tolist(), shares.tolist(), strict=True)
    ]
