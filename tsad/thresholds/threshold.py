"""Interface of fitted thresholds: each gives the highest normal score of every row."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from tsad.provenance import LabelsUsed
from tsad.spec import Spec


class Threshold(Spec, ABC):
    """A fitted rule from scores to flags: a frozen value that is its own description in JSON.

    The threshold of a row depends on the scores of the rows before it and on nothing else. A row without a score (NaN) is not
    flagged and changes nothing. Two ways lead on, both to a new threshold:

    - `after(scores)`: where the rule stands once these rows have passed. A stream carries it from one chunk of a series to
      the next, and gets the flags of the whole. A fixed threshold stays the same.
    - `update(scores)`: takes in unlabeled scores that are mostly normal, as if it had been fitted on them too. That is
      recalibration. Nothing is forgotten unless a member says so: to forget, fit its spec to recent scores.

    A series that is evaluated on its own starts from the state that was fitted or saved. Boundaries between segments do not
    bring that state back.
    """

    labels_used: ClassVar[LabelsUsed] = "nothing"

    @property
    @abstractmethod
    def method(self) -> str:
        """Description of the rule, for people: "percentile 95"."""

    @abstractmethod
    def advance(self, scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], Self]:
        """Returns the (T,) thresholds of rows with these scores, and the threshold that the row after them meets."""

    @abstractmethod
    def _updated(self, values: NDArray[np.float64]) -> Self:
        """Returns the threshold that has taken in `values`, at least one and all finite."""

    def per_row(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the (T,) finite threshold of each row, rows without a score included."""
        return self.advance(scores)[0]

    def flags(self, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Returns (T,) True where a score is above, not at, its threshold; a row without a score is not flagged."""
        return scores > self.per_row(scores)

    def after(self, scores: NDArray[np.float64]) -> Self:
        """Returns the threshold that the row after these meets."""
        return self.advance(scores)[1]

    def update(self, scores: NDArray[np.float64]) -> Self:
        """Returns the threshold that has taken in these scores too; itself if there is none among them.

        Raises:
            ValueError: if a score is infinite, or only labels could improve the threshold.
        """
        values = finite(scores)
        return self._updated(values) if len(values) else self


class FixedThreshold(Threshold):
    """One threshold for all rows.

    Attributes:
        value: Stored beside what it was computed from, so that a saved detector flags the same under later libraries.
    """

    value: float

    def advance(self, scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], Self]:
        """Returns the threshold T times, and itself."""
        return np.full(len(scores), self.value), self


class GivenThreshold(FixedThreshold):
    """A threshold that somebody chose by hand."""

    kind: Literal["given"] = "given"

    @property
    def method(self) -> str:
        """Description of the rule."""
        return "given"

    def _updated(self, values: NDArray[np.float64]) -> Self:
        raise ValueError(
            f"a given threshold does not follow scores, but {len(values)} came; fit a threshold to them, percentile for example"
        )


def finite(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the scores that are not NaN; raises ValueError if one is infinite."""
    values = scores[~np.isnan(scores)]
    infinite = np.isinf(scores)
    if infinite.any():
        raise ValueError(
            f"a threshold is fitted to finite scores, but {int(infinite.sum())} are infinite, the first in row "
            f"{int(infinite.argmax())}; take scoring.compress=log1p, or look at that row"
        )
    return values


def scored(kind: str, scores: NDArray[np.float64], needed: int, way_out: str) -> NDArray[np.float64]:
    """Returns the scores that are not NaN; raises ValueError if they are fewer than `needed`, or one is infinite."""
    values = finite(scores)
    if len(values) < needed:
        raise ValueError(
            f"threshold {kind} needs at least {needed} score{'s' * (needed > 1)}, but only {len(values)} of {len(scores)} "
            f"rows have one; {way_out}"
        )
    return values
