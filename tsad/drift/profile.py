"""Whether rows still look like those that a detector learned from, and its scores like those of validation rows."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from tsad.arrays import Floats
from tsad.detector.detector import Detector
from tsad.detector.scoring import Scores
from tsad.drift.reference import Histogram, Reference
from tsad.errors import DataError, DetectorError
from tsad.series import Series, runs
from tsad.spec import Spec

PROFILE = "profile.json"
"""Stands beside `detector.json`."""

State = Literal["expected", "drifted", "unknown"]
"""As blocks of the reference were; further from it than they; too few rows, here or there, to tell."""


class Profile(Spec):
    """Distributions of the training rows of a detector and of its scores; no label is read.

    Attributes:
        format: Name of the file format.
        inputs: The rows that it was fitted on, one column per feature.
        scores: Reference of the scores of the validation rows, one column.
        alert_rate: Share of them that it flagged.
    """

    format: Literal["tsad-profile-1"] = "tsad-profile-1"
    inputs: Reference
    scores: Reference
    alert_rate: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _has_scores(self) -> Self:
        if len(self.scores.columns) != 1:
            raise ValueError("scores are one column")
        return self

    @classmethod
    def of(cls, detector: Detector, fit: Series, validation: Scores) -> Self:
        """Returns the profile of a detector.

        Args:
            detector: Gave the scores.
            fit: Rows that it was fitted on.
            validation: Scores of later rows.

        Raises:
            DataError: if there is no score.
        """
        has_score = ~np.isnan(validation.values)
        if not has_score.any():
            raise DataError(f"a profile needs scores, but none of {len(has_score)} rows has one; give more rows")
        edges = np.cumsum(
            [0, *(stop - start for start, stop in runs(has_score))]
        ).tolist()  # once those without are gone
        return cls(
            inputs=Reference.of(fit.features, fit.values, list(fit.segments())),
            scores=Reference.of(["score"], validation.values[has_score, None], list(pairwise(edges))),
            alert_rate=float(detector.flag(validation)[has_score].mean()),
        )

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.inputs.columns)

    def save(self, folder: Path) -> None:
        """Writes `profile.json`."""
        (folder / PROFILE).write_text(self.model_dump_json(), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Returns the profile that `save` wrote, None if there is none; raises `DetectorError` if it is damaged."""
        path = folder / PROFILE
        if not path.exists():
            return None
        try:
            return cls.model_validate_json(path.read_bytes(), strict=True)
        except (OSError, ValidationError) as error:
            raise DetectorError(f"{path}: must be the profile of a detector, but {_first(error)}") from None


def _first(error: OSError | ValidationError) -> str:
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror})"
    item = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, item['loc'])) or 'it'}: {item['msg']}; train again, or make one of normal rows"


class ColumnDrift(Spec):
    """Drift of one column from its reference.

    Attributes:
        name: Name of the feature, or `score`.
        state: What the distance says beside the expected one.
        distance: Kolmogorov-Smirnov's, from 0 (alike) to 1 (no value shared). It alone decides.
        expected: How far blocks of the reference were at most, and a margin; None if there are too few rows to tell.
        stability_index: Population stability index over ten bins; its customary limits are for independent rows.
        mean: Mean of the rows.
        reference_mean: Mean of the reference.
        stuck_ratio: Share of rows that are equal to the row before; 1 of a sensor that is stuck.
        reference_stuck_ratio: The same of the reference.
    """

    name: str
    state: State
    distance: float
    expected: float | None
    stability_index: float
    mean: float
    reference_mean: float
    stuck_ratio: float
    reference_stuck_ratio: float


class Drift(Spec):
    """Result of a comparison with the reference.

    Attributes:
        rows: Number of rows that were compared.
        state: `drifted` if a feature or the scores have drifted; `unknown` if there are too few rows to tell.
        features: In the order of the profile.
        scores: None if no row had a score.
        alert_rate: Share of scored rows that were flagged; None likewise.
        expected_alert_rate: Share of the validation rows that were.
        message: All of this in a sentence or two.
    """

    rows: int
    state: State
    features: tuple[ColumnDrift, ...]
    scores: ColumnDrift | None
    alert_rate: float | None
    expected_alert_rate: float
    message: str


class Comparison:
    """Rows and scores that are compared with a profile, chunk by chunk, in bounded memory and without a sample drawn.

    Args:
        profile: What they are compared with.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.inputs = Histogram(profile.inputs)
        self.scores = Histogram(profile.scores)
        self._scored = self._flagged = 0

    def take_rows(self, values: NDArray[np.floating]) -> None:
        """Takes (n, F) finite rows, which follow those before; raises `DataError` if they are not of as many features."""
        if values.ndim != 2 or values.shape[1] != len(self.profile.features):
            raise DataError(f"rows must be (n, {len(self.profile.features)}), but got {values.shape}")
        self.inputs.take(values)

    def take_scores(self, scores: Floats, flags: NDArray[np.bool_] | None = None) -> None:
        """Takes (n,) scores, NaN where there is none, and their flags, if known; they may come later than their rows."""
        has_score = ~np.isnan(scores)
        self.scores.take(scores[has_score, None])
        if flags is not None:
            self._scored += int(has_score.sum())
            self._flagged += int(flags[has_score].sum())

    def drift(self) -> Drift:
        """Returns how all that was taken compares; raises `DataError` if no row was."""
        if not self.inputs.rows:
            raise DataError("a comparison needs rows, but got none; take some first")
        features = tuple(_compare(self.inputs, index) for index in range(len(self.profile.features)))
        scores = _compare(self.scores, 0) if self.scores.rows else None
        states = {column.state for column in (*features, scores) if column is not None}
        state: State = "drifted" if "drifted" in states else "unknown" if "unknown" in states else "expected"
        return Drift(
            rows=self.inputs.rows,
            state=state,
            features=features,
            scores=scores,
            alert_rate=self._flagged / self._scored if self._scored else None,
            expected_alert_rate=self.profile.alert_rate,
            message=_message(self.inputs, state, features, scores),
        )


def drift(
    profile: Profile,
    rows: NDArray[np.floating],
    scores: Floats | None = None,
    flags: NDArray[np.bool_] | None = None,
) -> Drift:
    """Returns how rows that follow each other, and their scores, compare with what a detector learned from.

    Args:
        profile: Profile of the detector.
        rows: (T, F) finite.
        scores: (T,) NaN where there is none; None if nobody knows.
        flags: (T,) of the scores; None likewise.

    Raises:
        DataError: if there is no row, or they are not of as many features.
    """
    comparison = Comparison(profile)
    comparison.take_rows(rows)
    if scores is not None:
        comparison.take_scores(scores, flags)
    return comparison.drift()


def _compare(histogram: Histogram, index: int) -> ColumnDrift:
    column, distance = histogram.reference.columns[index], histogram.distance(index)
    expected = histogram.reference.expected(index, histogram.rows)
    state: State = "unknown" if expected is None else "drifted" if distance > expected else "expected"
    return ColumnDrift(
        name=column.name,
        state=state,
        distance=distance,
        expected=expected,
        stability_index=histogram.stability_index(index),
        mean=histogram.mean(index),
        reference_mean=column.mean,
        stuck_ratio=histogram.stuck_ratio(index),
        reference_stuck_ratio=column.stuck_ratio,
    )


def _message(inputs: Histogram, state: State, features: tuple[ColumnDrift, ...], scores: ColumnDrift | None) -> str:
    """Returns what people are told."""
    drifted = most_drifted([column for column in features if column.state == "drifted"])
    lengths = inputs.reference.lengths
    if drifted:
        names = ", ".join(
            f"{column.name} ({column.distance:.2f}, usually up to {column.expected:.2f})" for column in drifted[:3]
        )
        text = f"{len(drifted)} of {len(features)} features drifted: {names}{', ...' if len(drifted) > 3 else ''}"
    elif state == "unknown" and not lengths:
        text = f"the detector learned from {inputs.reference.rows} rows, too few to say what is expected"
    elif any(column.state == "unknown" for column in features):
        text = f"{inputs.rows} rows are too few to tell, at least {lengths[0]} are needed"
    else:
        text = f"no feature of {inputs.rows} rows is further from the training rows than blocks of them usually were"
    if scores is None:
        return f"{text}; no row has a score."
    said = {"expected": "are as expected", "drifted": "drifted", "unknown": "are too few to tell"}[scores.state]
    return f"{text}; the scores {said}."


def most_drifted(columns: Sequence[ColumnDrift]) -> list[ColumnDrift]:
    """Returns the columns as people look at them: by state, drifted ones first, then by their distance in expected distances."""
    order = ("drifted", "unknown", "expected")

    def strangeness(column: ColumnDrift) -> float:
        return column.distance / max(column.expected or 0.0, 1e-6)

    return sorted(columns, key=lambda column: (order.index(column.state), -strangeness(column)))
