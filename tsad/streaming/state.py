"""States of scorers within a segment: frozen values that advance from row to row, as thresholds do."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tsad.detector.ensemble import AnyScorer, Ensemble
from tsad.detector.scorer import Scorer
from tsad.detector.scoring import Past, Scores, error_sums, feature_scores, last, over_time
from tsad.series import Series
from tsad.windows import Windows

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class SegmentState:
    """All that the scores of the rows to come need of the rows that were; no window is computed twice.

    Attributes:
        scorer: Whose course it is.
        seen: Rows of the segment.
        rows: (min(seen, L - 1), F) float32, the last ones, scaled.
        sums: (min(seen, lookahead), F) float64, what the windows so far give the rows that more windows will cover.
        past: For smoothing and normalization.
    """

    scorer: Scorer
    seen: int
    rows: NDArray[np.float32]
    sums: NDArray[np.float64]
    past: Past

    @classmethod
    def start(cls, scorer: Scorer) -> "SegmentState":
        """Returns where a segment begins."""
        nothing = np.empty((0, len(scorer.features)))
        return cls(scorer, 0, nothing.astype(np.float32), nothing, Past.none(scorer.scoring))

    def advance(self, series: Series, fill_to: int) -> tuple[Scores, "SegmentState"]:
        """Returns the scores of the rows that are known now, the oldest first, and where the scorer stands then.

        Args:
            series: Rows of the segment, at least one.
            fill_to: Windows that a batch is filled up to.
        """
        return self.advance_by(series, *self.error_sums(series, fill_to))

    def error_sums(self, series: Series, fill_to: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Returns the scaled rows, those before the new ones first, and the (T, F) sums of errors of their windows."""
        scorer, length = self.scorer, self.scorer.window_length
        rows = np.concatenate([self.rows, scorer.scaler.apply(series).values])
        windows = Windows(torch.from_numpy(rows), torch.arange(max(0, len(rows) - length + 1)), length)
        return rows, error_sums(scorer.model, windows, scorer.scoring, fill_to)[0].numpy()

    def advance_by(
        self, series: Series, rows: NDArray[np.float32], sums: NDArray[np.float64]
    ) -> tuple[Scores, "SegmentState"]:
        """Returns what `advance` returns, from what `error_sums` returned to this state or to one with the same errors."""
        scorer, length, totals = self.scorer, self.scorer.window_length, sums.copy()
        first = len(self.rows) - len(self.sums)
        totals[first : len(self.rows)] += self.sums
        seen = self.seen + len(series)
        after = len(rows) - min(seen, scorer.lookahead)
        error = totals[first:after] / (scorer.lookahead + 1)
        error[: max(0, length - 1 - self.seen + len(self.sums))] = np.nan  # no window ends there
        by_feature, raw = feature_scores(scorer.scoring, error, scorer.scale)
        values, past = over_time(scorer.scoring, raw, self.past)
        return Scores(values, by_feature), SegmentState(
            scorer, seen, last(rows, length - 1), totals[after:].copy(), past
        )

    def arrays(self) -> Arrays:
        """Returns all but the scorer and the number of rows, by name."""
        return {"rows": self.rows, "sums": self.sums, "raw": self.past.raw, "smoothed": self.past.smoothed}

    def at(self, seen: int, arrays: Mapping[str, NDArray[Any]]) -> "SegmentState":
        """Returns the course of this scorer that had these `arrays`."""
        past = Past(arrays["raw"], arrays["smoothed"])
        return replace(self, seen=seen, rows=arrays["rows"], sums=arrays["sums"], past=past)


@dataclass(frozen=True, eq=False)
class EnsembleSegmentState:
    """The courses of an ensemble's members; those that know a row early wait for the others.

    Attributes:
        ensemble: Whose course it is.
        members: State of each member.
        pending: Surprisals of each member for rows that another member has not scored yet.
    """

    ensemble: Ensemble
    members: tuple[SegmentState, ...]
    pending: tuple[Scores, ...]

    @classmethod
    def start(cls, ensemble: Ensemble) -> "EnsembleSegmentState":
        """Returns where a segment begins."""
        members = tuple(SegmentState.start(member.scorer) for member in ensemble.members)
        return cls(ensemble, members, (no_scores(0, len(ensemble.features)),) * len(members))

    @property
    def seen(self) -> int:
        """Rows of the segment."""
        return self.members[0].seen

    def advance(self, series: Series, fill_to: int) -> tuple[Scores, "EnsembleSegmentState"]:
        """Returns the scores of the rows that all members know now, and where they stand then, as `SegmentState.advance`."""
        sums: dict[tuple[object, ...], tuple[NDArray[np.float32], NDArray[np.float64]]] = {}
        for segment_state in self.members:
            if (key := segment_state.scorer.error_key) not in sums:
                sums[key] = segment_state.error_sums(series, fill_to)
        advanced = [
            segment_state.advance_by(series, *sums[segment_state.scorer.error_key]) for segment_state in self.members
        ]
        scored = [
            _joined(earlier, member.measured(result))
            for earlier, member, (result, _) in zip(self.pending, self.ensemble.members, advanced, strict=True)
        ]
        ready = min(len(scores.values) for scores in scored)
        pending = tuple(Scores(scores.values[ready:].copy(), scores.by_feature[ready:].copy()) for scores in scored)
        result = self.ensemble.mean_of([Scores(scores.values[:ready], scores.by_feature[:ready]) for scores in scored])
        return result, EnsembleSegmentState(
            self.ensemble, tuple(segment_state for _, segment_state in advanced), pending
        )

    def arrays(self) -> Arrays:
        """Returns all but the ensemble and the number of rows, by member and name."""
        result: Arrays = {}
        for index, (segment_state, pending) in enumerate(zip(self.members, self.pending, strict=True)):
            own = segment_state.arrays() | {"values": pending.values, "by_feature": pending.by_feature}
            result |= {f"{index}.{name}": array for name, array in own.items()}
        return result

    def at(self, seen: int, arrays: Mapping[str, NDArray[Any]]) -> "EnsembleSegmentState":
        """Returns the course of this ensemble that had these `arrays`."""
        own = [
            {name.removeprefix(f"{index}."): array for name, array in arrays.items() if name.startswith(f"{index}.")}
            for index in range(len(self.members))
        ]
        members = tuple(
            segment_state.at(seen, member_state) for segment_state, member_state in zip(self.members, own, strict=True)
        )
        return replace(
            self,
            members=members,
            pending=tuple(Scores(member_state["values"], member_state["by_feature"]) for member_state in own),
        )


AnySegmentState = SegmentState | EnsembleSegmentState


def start(scorer: AnyScorer) -> AnySegmentState:
    """Returns where a segment begins for a scorer or an ensemble."""
    return EnsembleSegmentState.start(scorer) if isinstance(scorer, Ensemble) else SegmentState.start(scorer)


def no_scores(rows: int, features: int) -> Scores:
    """Returns the scores of rows that have none."""
    return Scores(np.full(rows, np.nan), np.full((rows, features), np.nan))


def _joined(first: Scores, second: Scores) -> Scores:
    return Scores(np.concatenate([first.values, second.values]), np.concatenate([first.by_feature, second.by_feature]))
