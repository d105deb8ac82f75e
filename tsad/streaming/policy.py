"""Policy of a stream: late rows, missing rows, and how closely its scores equal those of the batch."""

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tsad.arrays import Times
from tsad.detector.scoring import BATCH
from tsad.errors import DataError, shown
from tsad.spec import Spec


class RowPlan(NamedTuple):
    """Plan for the n rows of a push, of which k are kept.

    Attributes:
        kept: (n,) True where a row is not dropped.
        held: (k,) int64, how often the row before is repeated first.
        restarts: (k,) True where a new segment begins.
        latest: Nanoseconds since 1970 of the last row that had a time; None if none ever had.
    """

    accepted: NDArray[np.bool_]
    filled: NDArray[np.int64]
    restarts: NDArray[np.bool_]
    latest: int | None


class Silence(NamedTuple):
    """Alert that a stream gets no rows.

    Attributes:
        since: Time of the last row.
        seconds: Seconds without a row until now.
        steps: Whole steps without a row until now.
    """

    since: np.datetime64
    seconds: float
    steps: int


class StreamPolicy(Spec):
    """Policy for times, and for how closely scores equal those of the batch.

    Without `step_seconds` times are looked at for their order only, and may be left out. With it each row needs one. A row
    that comes more than 1 + tolerance steps after the one before follows a gap; one that comes early is simply the next row.

    Attributes:
        step_seconds: Time from row to row.
        late: A row whose time is not after that of every row before it, or is NaT: `refuse` the push, or `drop` the row.
        gap: `restart`: a new segment begins, of which the first rows have no score. `ffill`: the last row is repeated in
            place of the missing ones; the repeats are scored, and the threshold meets them, but they get no score.
        longest_fill: Missing rows up to which `ffill` fills; a longer gap is a restart.
        most_filled: Rows that `ffill` fills into all gaps of one push together; a push that needs more is refused.
        most_gaps: Gaps of one push, each of which costs as much as some rows; a push that has more is refused.
        tolerance: Steps that a row may be late before it follows a gap.
        silence: Steps without a row after which the stream is silent, which is an alert (`Stream.silence`); needs
            `step_seconds`. None never alerts. With 1 each row that is a moment late alerts.
        fill_to: Windows that a model is given at once, at least; the last one is repeated if there are fewer. A product of
            small matrices is rounded differently, so predictions may differ from the batch's by 1e-7 of a scaled row, which
            a score shows where predictions are almost perfect. 128 leaves no difference; 1 is fastest.
    """

    step_seconds: float | None = Field(None, ge=1e-9)
    late: Literal["refuse", "drop"] = "refuse"
    gap: Literal["restart", "ffill"] = "restart"
    longest_fill: int = Field(10, ge=1, le=1000)
    most_filled: int = Field(10_000, ge=1, le=100_000)
    most_gaps: int = Field(5_000, ge=1, le=20_000)
    tolerance: float = Field(0.5, ge=0)
    silence: int | None = Field(None, ge=1)
    fill_to: int = Field(4, ge=1, le=BATCH)

    @model_validator(mode="after")
    def _step_is_known(self) -> "StreamPolicy":
        if self.silence is not None and self.step_seconds is None:
            raise ValueError(
                f"silence={self.silence} counts steps, but step_seconds is unknown; set it, or leave silence out"
            )
        return self

    def silence_at(self, latest: int, now: int) -> Silence | None:
        """Returns the alert that a stream is silent, None if it is not, or if the policy does not ask.

        Args:
            latest: Nanoseconds since 1970 of the last row.
            now: Nanoseconds since 1970, by the same clock.
        """
        if self.silence is None or self.step_seconds is None:
            return None
        seconds = (now - latest) / 1e9
        steps = (now - latest) // round(self.step_seconds * 1e9)
        return Silence(np.datetime64(latest, "ns"), seconds, steps) if steps >= self.silence else None

    def arrange(self, times: Times | None, rows: int, latest: int | None) -> RowPlan:
        """Returns what becomes of rows.

        Args:
            times: (rows,) or None.
            rows: In this push.
            latest: Nanoseconds since 1970 of the last row before them, None if there is none to follow.

        Raises:
            DataError: if times are missing or cannot be read, a row is late and the policy refuses it, or the gaps need more
                rows than the policy fills.
        """
        if times is None:
            if self.step_seconds is not None and rows:
                raise DataError(
                    f"rows of a stream with step_seconds={self.step_seconds:g} need times, but {rows} rows came without; "
                    f"send their times, or leave step_seconds out"
                )
            return RowPlan(np.ones(rows, bool), np.zeros(rows, np.int64), np.zeros(rows, bool), latest)
        moments = _nanoseconds(times)
        accepted = self._in_order(times, moments, latest)
        moments = moments[accepted]
        filled, restarts = self._gaps(moments, latest)
        return RowPlan(accepted, filled, restarts, int(moments[-1]) if len(moments) else latest)

    def _in_order(self, times: Times, moments: NDArray[np.int64], latest: int | None) -> NDArray[np.bool_]:
        """Returns True where a time is after all before; NaT, the smallest number of all, never is."""
        before = np.maximum.accumulate(np.concatenate([[_NOT_A_TIME if latest is None else latest], moments]))[:-1]
        accepted = moments > before
        if self.late == "refuse" and not accepted.all():
            row = int(np.argmin(accepted))
            raise DataError(
                f"times must ascend, but row {row} of this push has {_shown(moments[row])}, which is not after "
                f"{_shown(before[row])} ({int((~accepted).sum())} of {len(times)} rows are late); sort the rows, or set "
                f"late to 'drop'"
            )
        return accepted

    def _gaps(self, moments: NDArray[np.int64], latest: int | None) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        filled, restarts = np.zeros(len(moments), np.int64), np.zeros(len(moments), bool)
        if self.step_seconds is None or not len(moments):
            return filled, restarts
        before = np.concatenate([[moments[0] if latest is None else latest], moments[:-1]])
        passed = (moments - before).view(np.uint64)  # centuries do not fit into int64, and none is negative
        steps = passed / (self.step_seconds * 1e9)
        gap = steps > 1 + self.tolerance
        missing = np.maximum(np.round(steps) - 1, 0)
        fills = gap & (missing <= self.longest_fill) & (self.gap == "ffill")
        filled[fills] = missing[fills]
        if filled.sum() > self.most_filled:
            raise DataError(
                f"the gaps of one push may be filled with {self.most_filled} rows, but these need {filled.sum()}; push fewer "
                f"rows at once, or set most_filled or gap: restart"
            )
        if gap.sum() > self.most_gaps:
            raise DataError(
                f"one push may have {self.most_gaps} gaps, but has {gap.sum()}; push fewer rows at once, or set step_seconds "
                f"(now {self.step_seconds:g}) to the time from row to row"
            )
        return filled, gap & ~fills


_NOT_A_TIME = int(np.iinfo(np.int64).min)


def moment(time: np.datetime64) -> int:
    """Returns nanoseconds since 1970 of a time; raises `DataError` if it is NaT or beyond the years 1678 to 2261."""
    if not isinstance(time, np.datetime64) or np.isnat(time):
        raise DataError(f"the present time must be a numpy.datetime64, but got {shown(time)}")
    return int(_nanoseconds(np.array([time]))[0])


def _nanoseconds(times: Times) -> NDArray[np.int64]:
    """Returns nanoseconds since 1970, the smallest int64 of NaT."""
    if not np.issubdtype(times.dtype, np.datetime64):
        raise DataError(f"times must be datetime64, but got {times.dtype}; convert them with pandas.to_datetime")
    converted = times.astype("datetime64[ns]")
    wrong = (converted.astype(times.dtype) != times) & ~np.isnat(times)  # NumPy wraps without a word
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"times must be whole nanoseconds of the years 1678 to 2261, but row {row} of this push has {times[row]}; "
            f"send times in seconds or nanoseconds of those years"
        )
    return converted.view(np.int64)


def _shown(moment: np.int64) -> str:
    return str(pd.Timestamp(int(moment)))
