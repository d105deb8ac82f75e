"""Tables with scores, row by row and event by event."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsad.arrays import Flags, Floats
from tsad.data.io.values import to_values
from tsad.errors import DataError
from tsad.series import Series, runs
from tsad.spec import parse
from tsad.thresholds.threshold import GivenThreshold

if TYPE_CHECKING:
    from tsad.detector.detector import Detector


def with_threshold(detector: "Detector", threshold: float | None, source: str) -> "Detector":
    """Returns the detector that flags scores above `threshold`; itself if that is None.

    Raises:
        SpecError: if the threshold is not finite, naming the `source` that gave it.
    """
    return (
        detector
        if threshold is None
        else replace(detector, threshold=parse(GivenThreshold, {"value": threshold}, source))
    )


def flag_table(
    detector: "Detector", table: pd.DataFrame, source: str, *, top: int = 0, threshold: float | None = None
) -> pd.DataFrame:
    """Returns `score` (float or None) and `flag` (bool) for each row of a table, as a JSON answer needs them.

    Args:
        detector: Detector that gives scores and flags.
        table: Rows in time order; columns that are no features are ignored.
        source: Name of the source of the table, for errors.
        top: Number of features that are named, in `feature_1`, `share_1`, ...
        threshold: Flags scores above it instead of the detector's own.

    Raises:
        DataError: if a feature is absent, a cell is no finite number, the rows are too few, or `top` is negative.
        SpecError: if the threshold is not finite.
    """
    judge, features = with_threshold(detector, threshold, "threshold"), detector.scorer.features
    scores = judge.score(Series(to_values(table, features, source), features))
    unknown, flags = np.isnan(scores.values), judge.flag(scores)
    columns = {"score": np.where(unknown, np.array(None), scores.values), "flag": flags}
    if top:
        why = score_table(scores.values, flags, scores.by_feature, features, top).iloc[:, 2:].astype(object)
        columns |= dict(why.where(why.notna(), None))
    return pd.DataFrame(columns).set_axis(table.index)


def score_table(scores: Floats, flags: Flags, by_feature: Floats, features: Sequence[str], top: int) -> pd.DataFrame:
    """Returns `score` (float), `flag` (bool) and the columns of `explained`; all but `flag` are empty without a score."""
    contributions = np.where(np.isnan(scores)[:, None], np.nan, by_feature)
    return pd.DataFrame({"score": scores, "flag": flags}).join(explained(contributions, features, top))


def score_columns(features: Sequence[str], top: int) -> list[str]:
    """Returns the names of the columns of `score_table`."""
    return ["score", "flag", *explained(np.empty((0, len(features))), features, top).columns]


def explained(by_feature: Floats, features: Sequence[str], top: int) -> pd.DataFrame:
    """Returns `feature_1`, `share_1`, ... of each row: the features that gave most to its score, and their share of it.

    Args:
        by_feature: (T, F) at least 0, what each feature gave; NaN in rows that get empty cells. Equal shares if all are 0.
        features: The F names. Of equal ones the first is named first.
        top: How many are named; all if there are no more.

    Raises:
        DataError: if `top` is negative.
    """
    order, shares = ranked(by_feature, top)
    names = np.array(features, dtype=object)[order]
    names[np.isnan(shares)] = None
    columns: dict[str, Any] = {}
    for rank in range(order.shape[1]):
        columns[f"feature_{rank + 1}"] = pd.array(names[:, rank], dtype="string")
        columns[f"share_{rank + 1}"] = shares[:, rank]
    return pd.DataFrame(columns, index=range(len(by_feature)))


def ranked(by_feature: Floats, top: int) -> tuple[NDArray[np.int64], Floats]:
    """Returns the places of the features of `explained`, and their shares, both (T, `top`), or (T, F) if there are no more."""
    if top < 0:
        raise DataError(
            f"the number of features that explain a row must be at least 0, but got {top}; ask for 0 or more"
        )
    order = np.argsort(-by_feature, axis=1, kind="stable")[:, :top]
    total = by_feature.sum(axis=1, keepdims=True)
    alike = np.full_like(by_feature, 1 / by_feature.shape[1])
    with np.errstate(invalid="ignore"):  # infinite of infinite is undefined
        shares = np.divide(by_feature, total, out=alike, where=total != 0)
    return order, np.take_along_axis(shares, order, axis=1)


class Events:
    """The stretches of flags of rows that come chunk by chunk; it keeps none but the one that has not ended.

    Its tables have a row for each. Their columns are `first_row`, `last_row` (both flagged), `start`, `end` (their times,
    None without times), `peak_row` and `peak_score` (the first highest), and those of `explained`, here of the sum over the
    rows of the stretch.

    Args:
        features: The F names.
        top: How many features are named.
    """

    def __init__(self, features: Sequence[str], top: int) -> None:
        self._features = tuple(features)
        self._top = top
        self._open: list[Stretch] = []

    def take(
        self, rows: NDArray[np.int64], times: Sequence[Any] | None, scores: Floats, flags: Flags, by_feature: Floats
    ) -> pd.DataFrame:
        """Returns the stretches that have ended, once the rows have come that follow those of the last call."""
        events = self._open + stretches(rows, times, scores, flags, by_feature)
        if len(events) > len(self._open) > 0 and events[0].last_row + 1 == events[1].first_row:
            events[:2] = [events[0].then(events[1])]
        still_open = bool(events) and (not len(rows) or events[-1].last_row == rows[-1])
        self._open = events[-1:] if still_open else []
        return _table(events[: len(events) - len(self._open)], self._features, self._top)

    def close(self) -> pd.DataFrame:
        """Returns the stretch that the last row belongs to, if it is flagged; rows that come yet begin another."""
        ended, self._open = self._open, []
        return _table(ended, self._features, self._top)


@dataclass(frozen=True, eq=False)
class Stretch:
    """An event: consecutive flagged rows.

    Attributes:
        first_row: Number of the first row.
        last_row: Number of the last row.
        start: Time of the first row; None without times.
        end: Time of the last row; None without times.
        peak_row: Number of the first row with the highest score.
        peak_score: Highest score.
        contributions: (F,) contributions of the features, summed over the rows.
    """

    first_row: int
    last_row: int
    start: Any
    end: Any
    peak_row: int
    peak_score: float
    contributions: Floats

    def then(self, after: "Stretch") -> "Stretch":
        """Returns the stretch of these rows and those right after them."""
        peak = max(self, after, key=lambda stretch: stretch.peak_score)
        return Stretch(
            first_row=self.first_row,
            last_row=after.last_row,
            start=self.start,
            end=after.end,
            peak_row=peak.peak_row,
            peak_score=peak.peak_score,
            contributions=self.contributions + after.contributions,
        )


def stretches(
    rows: NDArray[np.int64], times: Sequence[Any] | None, scores: Floats, flags: Flags, by_feature: Floats
) -> list[Stretch]:
    """Returns every stretch of flags.

    Args:
        rows: (T,) numbers of the rows, ascending one by one.
        times: Times of the rows, returned as they are, or None.
        scores: (T,).
        flags: (T,) True only where there is a score.
        by_feature: (T, F).
    """
    events = []
    for first, after in runs(flags):
        peak = first + int(scores[first:after].argmax())
        events.append(
            Stretch(
                first_row=int(rows[first]),
                last_row=int(rows[after - 1]),
                start=None if times is None else times[first],
                end=None if times is None else times[after - 1],
                peak_row=int(rows[peak]),
                peak_score=float(scores[peak]),
                contributions=by_feature[first:after].sum(axis=0),
            )
        )
    return events


def _table(events: Sequence[Stretch], features: Sequence[str], top: int) -> pd.DataFrame:
    names = ("first_row", "last_row", "start", "end", "peak_row", "peak_score")
    contributions = np.array([stretch.contributions for stretch in events]).reshape(-1, len(features))
    columns = {name: [getattr(stretch, name) for stretch in events] for name in names}
    rows = dict.fromkeys(("first_row", "last_row", "peak_row"), np.int64)  # whole numbers beside an empty table too
    return pd.DataFrame(columns).astype(rows).join(explained(contributions, features, top))
