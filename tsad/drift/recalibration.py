"""Thresholds for scores that have drifted, fitted without labels."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsad.detector.detector import Detector
from tsad.errors import DataError, DetectorError
from tsad.spec import Spec, parse, put
from tsad.thresholds import FittedThreshold, ThresholdSpec


class _Wanted(Spec):
    """Read as a section of its own, so that mistakes are named by the path that an experiment would have."""

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
    return parse(_Wanted, values, "recalibration").threshold


def recalibrated(
    detector: Detector, scores: NDArray[np.float64], spec: ThresholdSpec | None = None, *, keep: bool = False
) -> Detector:
    """Returns the detector with a threshold of these scores; scorer and provenance of its parts stay.

    Args:
        detector: Gave the scores.
        scores: (T,) of rows that are mostly normal, NaN where there is none. Nobody has to label them.
        spec: The rule; that of its threshold if not given.
        keep: Take them in beside the scores that it was fitted to, where the threshold can (`Threshold.update`), instead of
            forgetting those. `spec` is not looked at then.

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
