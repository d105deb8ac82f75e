"""Recalibration: thresholds for scores that have drifted, fitted without labels, and the record of it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsad.detector.detector import Detector
from tsad.errors import DataError, DetectorError
from tsad.spec import Spec, parse, put
from tsad.thresholds import FittedThreshold, ThresholdSpec

RECALIBRATIONS = "recalibrations.jsonl"
"""Name of the log of recalibrations, one record a line, the latest last."""


class ThresholdEffect(Spec):
    """A threshold and its effect on the rows of a recalibration.

    Attributes:
        method: How the threshold was fitted.
        value: Threshold that the first row is compared with.
        alert_rate: Share of the scored rows that it flags; None without rows.
    """

    method: str
    value: float
    alert_rate: float | None

    @classmethod
    def of(cls, threshold: FittedThreshold, scores: NDArray[np.float64]) -> "ThresholdEffect":
        """Returns the effect of a threshold on (T,) scores, NaN where a row has none."""
        flags = threshold.flags(scores)[~np.isnan(scores)]
        value = float(threshold.per_row(np.array([np.nan]))[0])
        return cls(method=threshold.method, value=value, alert_rate=float(flags.mean()) if len(flags) else None)


class Recalibration(Spec):
    """Record of a recalibration: a line of `recalibrations.jsonl`, the answer of the service, and the run that tracks it.

    Attributes:
        at: Time of the recalibration, ISO 8601 in UTC.
        model: URI or folder of the model.
        source: File that the rows came from; `service:NAME` for rows that the service got from a source, `service` for none.
        digest: SHA-256 of that file; None for rows of the service.
        rows: Number of rows with a score; 0 if an earlier threshold was restored.
        labels_used: Rows whose labels the new threshold used.
        before: Threshold before, and its effect.
        after: Threshold after, and its effect.
    """

    at: str
    model: str
    source: str
    digest: str | None = None
    rows: int
    labels_used: str
    before: ThresholdEffect
    after: ThresholdEffect

    @classmethod
    def of(
        cls,
        model: str,
        source: str,
        thresholds: tuple[FittedThreshold, FittedThreshold],
        scores: NDArray[np.float64],
        digest: str | None = None,
    ) -> "Recalibration":
        """Returns the record of a change from one threshold to another, made now.

        Args:
            model: URI or folder of the model.
            source: File that the rows came from; `service:NAME` for rows that the service got from a source, `service` for none.
            thresholds: Threshold before and after.
            scores: (T,) scores of the rows, NaN where a row has none.
            digest: SHA-256 of the file.
        """
        before, after = thresholds
        return cls(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            model=model,
            source=source,
            digest=digest,
            rows=int((~np.isnan(scores)).sum()),
            labels_used=after.labels_used,
            before=ThresholdEffect.of(before, scores),
            after=ThresholdEffect.of(after, scores),
        )

    def write(self, folder: Path) -> None:
        """Adds the record to the log in a folder."""
        with (folder / RECALIBRATIONS).open("a", encoding="utf-8") as log:
            log.write(self.model_dump_json() + "\n")


class _ThresholdSection(Spec):
    """A section of its own, so that mistakes are named by the path that they would have in an experiment."""

    threshold: ThresholdSpec


def threshold_spec(fitted: FittedThreshold, changes: Mapping[str, Any] | None = None) -> ThresholdSpec:
    """Returns the rule that a threshold was fitted by, with `changes` put at their paths (`threshold.percentile`).

    Raises:
        DetectorError: if it was given by hand or read labels, and `changes` name no other kind.
        SpecError: if the changes do not describe a threshold.
    """
    spec = getattr(fitted, "spec", None)
    before = {} if spec is None else spec.model_dump(mode="json")
    values = put({"threshold": before}, changes or {})
    if not values["threshold"]:
        raise DetectorError(
            f"a threshold is fitted anew by the rule that it came from, but this one ({fitted.method}) has none that does "
            f"without labels; name another, --method percentile for example"
        )
    return parse(_ThresholdSection, values, "recalibration").threshold


def recalibrated(
    detector: Detector, scores: NDArray[np.float64], spec: ThresholdSpec | None = None, *, keep: bool = False
) -> Detector:
    """Returns the detector with a threshold of these scores; scorer and provenance of its parts stay.

    Args:
        detector: Detector that gave the scores.
        scores: (T,) scores of rows that are mostly normal, NaN where a row has none; no labels are needed.
        spec: Rule of the new threshold; None for the rule of its present threshold.
        keep: Add the scores to those that the threshold was fitted to (`Threshold.update`) instead of replacing them; `spec`
            is then ignored.

    Raises:
        DetectorError: if there is no rule to go by, or it reads labels.
        DataError: if the scores are too few for it, or one is infinite.
    """
    try:
        if keep:
            return replace(detector, threshold=detector.threshold.update(scores))
        rule = threshold_spec(detector.threshold) if spec is None else spec
        if rule.reads_labels:
            raise DetectorError(
                f"rows for recalibration have no labels, but threshold {rule.kind} reads them; name another"
            )
        return replace(detector, threshold=rule.fit(scores))
    except ValueError as error:
        raise DataError(str(error)) from None
