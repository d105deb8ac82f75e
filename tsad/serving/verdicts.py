"""Answers about rows: scores, flags and events as plain values that JSON can hold."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsad.detector import Detector
from tsad.scoring import Scores
from tsad.series import Series
from tsad.serving.bodies import Rows, ascending
from tsad.tables import at_level, event_table


def judge(detector: Detector, rows: Rows, level: float | None, top: int) -> tuple[dict[str, Any], Series, Scores]:
    """Returns what `/api/score` answers, and the rows and scores that it is made of.

    Args:
        detector: Scores the rows.
        rows: Oldest first.
        level: Flags scores above this; None for the detector's own threshold.
        top: Features that explain an event, at most.

    Raises:
        DataError: if the rows cannot be scored.
        Refusal: if their times are none, or do not ascend.
    """
    judging, features = at_level(detector, level, "threshold"), detector.scorer.features
    series = ascending(rows.series(features), rows.times)
    scores = judging.score(series)
    flags = judging.flag(scores)
    answer = {
        "rows": len(flags),
        "ignored": rows.ignored(features),
        "times": rows.times,
        "score": numbers(scores.values),
        "level": numbers(judging.threshold.levels(scores.values)),
        "flag": flags.tolist(),
        "events": _events(scores, flags, rows.times, features, top) if flags.any() else [],
    }
    return answer, series, scores


def numbers(values: NDArray[np.float64]) -> list[float | None]:
    """Returns the numbers, None for those that are not finite."""
    return [value if isfinite(value) else None for value in values.tolist()]


def _events(
    scores: Scores, flags: NDArray[np.bool_], times: Sequence[str] | None, features: Sequence[str], top: int
) -> list[dict[str, Any]]:
    """Returns the rows of `event_table`, the features of each as a list."""
    table = event_table(np.arange(len(flags)), times, scores.values, flags, scores.by_feature, features, top)
    found = []
    for row in table.to_dict("records"):
        event = {str(name): value for name, value in row.items()}
        places = range(1, min(top, len(features)) + 1)
        ranked = [{"name": event.pop(f"feature_{place}"), "share": event.pop(f"share_{place}")} for place in places]
        event["peak_score"] = event["peak_score"] if isfinite(event["peak_score"]) else None
        found.append({**event, "features": [each for each in ranked if not pd.isna(each["name"])]})
    return found
