"""Conformal p-values, and as many alarms as a false discovery rate allows."""

from math import ceil
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tsad.spec import Spec
from tsad.thresholds.sample import KEPT, Sample
from tsad.thresholds.threshold import Threshold, scored

_WIDEST = np.finfo(np.float64).max


class ConformalSpec(Spec):
    """Flags a row if Benjamini and Hochberg's procedure over the last `block` rows, itself included, rejects it.

    The p-value of a score is (1 + validation scores at or above it) / (n + 1), whatever their distribution. Of the rows
    that are rejected in a block, at most a share of `rate` is expected to be normal (Bates et al., Annals of Statistics
    2023): the more of the rows just before it stand out, the less a row has to. Unlike theirs, our rows are judged once,
    as they come; nothing is flagged in hindsight. Where all rows are normal, one in block / rate * (1 - rate) ** 2 is
    flagged: by default one in 810, 1.8 a day at one row a minute.

    All of this holds for exchangeable scores. Those of a time series are autocorrelated, and smoothing adds to it: false
    alarms then come in bursts that bear each other out, and n validation rows say as little as fewer independent ones. Of
    Gaussian scores a correlation of 0.9 between neighbors flags three times as many normal rows, 0.99 twenty-five times;
    a smaller rate counters it. After a drift nothing holds: `update`, or take ewma.

    Attributes:
        rate: Share of false alarms among all alarms.
        block: Rows that are judged together. Rows without a score are not counted; those before the first row count as normal.
    """

    reads_labels: ClassVar[bool] = False
    kind: Literal["conformal"]
    rate: float = Field(0.1, gt=0, le=0.5)
    block: int = Field(100, ge=1)

    @model_validator(mode="after")
    def _is_within_reach(self) -> Self:
        if self.scores_needed > KEPT:
            raise ValueError(
                f"block / rate must be at most {KEPT + 1}, since {KEPT} validation scores are kept, but got block={self.block} "
                f"and rate={self.rate:g}; take a smaller block or a larger rate"
            )
        return self

    @property
    def scores_needed(self) -> int:
        """Scores with which the smallest p-value, 1 / (n + 1), is a discovery on its own: rate / block at most."""
        return ceil(round(self.block / self.rate, 6)) - 1

    def fit(self, scores: NDArray[np.float64], labels: NDArray[np.bool_] | None = None) -> "ConformalThreshold":
        """Returns the threshold; raises ValueError if the scores are so few that no row could be flagged on its own."""
        way_out = "give more validation rows, a smaller threshold.block or a larger threshold.rate"
        values = scored(self.kind, scores, self.scores_needed, way_out)
        return ConformalThreshold(spec=self, sample=Sample.of(values), recent=())


class ConformalThreshold(Threshold):
    """Validation scores, and the rows just passed.

    Attributes:
        spec: How many false alarms, among how many rows.
        sample: The validation scores; beyond 10,001 their quantiles, whose p-values are 1 / 10,002 at least.
        recent: Scores of the last rows that had one, at most block - 1 of them.
    """

    kind: Literal["conformal"] = "conformal"
    spec: ConformalSpec
    sample: Sample
    recent: tuple[float, ...]

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if len(self.sample.values) < self.spec.scores_needed or len(self.recent) >= self.spec.block:
            raise ValueError(
                f"a conformal threshold must hold {self.spec.scores_needed} validation scores and fewer than "
                f"{self.spec.block} recent ones, but holds {len(self.sample.values)} and {len(self.recent)}; fit it again"
            )
        return self

    @property
    def method(self) -> str:
        """Rate of false alarms, and number of rows."""
        return f"conformal, false discovery rate {self.spec.rate:g} in {self.spec.block} rows"

    def advance(self, scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], Self]:
        """Returns the thresholds: the score above which the procedure would reject a row, given the rows before it.

        It rejects the k smallest of m p-values for the largest k such that the k-th is at most rate k / m. A row is thus
        rejected if its p-value is at most rate k / m for some k such that k - 1 others are.
        """
        block = self.spec.block
        scored_rows = ~np.isnan(scores)
        rows = np.concatenate([self.recent, scores[scored_rows].clip(-_WIDEST, _WIDEST)])
        ladder = self._ladder()
        missed = block - np.searchsorted(ladder[::-1], rows)  # rungs that a row is not above
        missed = np.concatenate([np.full(block - 1 - len(self.recent), block), missed])
        positions = len(rows) - len(self.recent) + 1  # of the scored rows, and of the one to come
        best = np.ones(positions, dtype=np.int64)
        candidates = int((missed < block).sum())
        for k in range(2, min(block, candidates + 1) + 1):
            above = np.concatenate([[0], np.cumsum(missed < k)])
            best[above[block - 1 :] - above[:positions] >= k - 1] = k  # of the block - 1 rows before
        thresholds = ladder[best - 1]
        recent = tuple(rows[max(len(rows) - block + 1, 0) :].tolist())
        return thresholds[np.cumsum(scored_rows) - scored_rows], self.model_copy(update={"recent": recent})

    def _ladder(self) -> NDArray[np.float64]:
        """Returns the (block,) scores, descending, that a row is above if its p-value is at most rate k / block, k = 1, 2, ..."""
        values = self.sample.ascending
        shares = np.arange(1, self.spec.block + 1) / self.spec.block
        counts = np.floor(self.spec.rate * shares * (len(values) + 1) + 1e-9)  # p * (n + 1) is a whole number
        return values[len(values) - counts.astype(np.int64)]

    def _updated(self, values: NDArray[np.float64]) -> Self:
        return self.model_copy(update={"sample": self.sample.joined(values)})
