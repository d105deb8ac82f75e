"""What a search makes large; computed in the same way for every candidate, whatever its hyperparameters."""

from contextlib import suppress
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from tsad.arrays import Flags, Floats
from tsad.data.injection import ANOMALY_TYPES, AnomalyType, inject
from tsad.detector.detector import Detector
from tsad.detector.ensemble import Ensemble
from tsad.detector.scoring import ScoringSpec, row_errors
from tsad.errors import DataError
from tsad.evaluation.pointwise import pr_auc
from tsad.experiment import Outcome
from tsad.provenance import LabelsUsed
from tsad.series import Series
from tsad.spec import Spec


class LabeledSpec(Spec):
    """A metric on labeled rows that are set apart in time from the reported ones (`split.selection` above 0).

    Attributes:
        metric: Name of a metric of the report.
    """

    kind: Literal["labeled"]
    metric: Literal["ranking/pr_auc", "ranking/vus_pr", "ranking/roc_auc", "oracle/best_f1", "point/f1"] = (
        "ranking/pr_auc"
    )

    @property
    def labels_used(self) -> LabelsUsed:
        """Whose labels it reads."""
        return "selection"

    def value(self, outcome: Outcome) -> float:
        """Returns the metric; raises `DataError` if the selection rows do not define it."""
        if outcome.selection is None:
            raise DataError(
                "maximize: labeled needs rows to choose by; set split.selection above 0, to 0.4 for example"
            )
        if self.metric not in outcome.selection.metrics:
            reason = outcome.selection.undefined.get(self.metric, "not computed")
            raise DataError(f"the selection rows do not define {self.metric} ({reason}); set split.selection larger")
        return outcome.selection.metrics[self.metric]


class ValidationErrorSpec(Spec):
    """Minus the mean squared error of the last step on validation rows, in training deviations of each feature.

    No label is read. It is the same number whatever the loss, the scale and the scoring of a candidate (a scaler's clip
    bounds it, so give all candidates the same). But a model with a wide bottleneck copies its input and wins without
    detecting anything: a weak guide.
    """

    kind: Literal["validation_error"]

    @property
    def labels_used(self) -> LabelsUsed:
        """Whose labels it reads."""
        return "nothing"

    def value(self, outcome: Outcome) -> float:
        """Returns the negative mean, so that larger is better; raises `DataError` of an ensemble, which has no one error."""
        scorer, parts = outcome.detector.scorer, outcome.parts
        if isinstance(scorer, Ensemble):
            raise DataError(
                f"maximize: validation_error is that of one model, but an ensemble has {len(scorer.members)}; maximize "
                f"label_free or labeled, or search without an ensemble"
            )
        scaled = row_errors(scorer.model, scorer.scaler.apply(parts.validation), scorer.window_length, ScoringSpec())
        deviation = parts.fit.values.std(axis=0, dtype=np.float64)
        moving = deviation > 0
        if not moving.any():
            raise DataError(
                "maximize: validation_error needs a feature that varies in the rows of the fit, but all are constant"
            )
        return -float(np.nanmean((scaled * np.square(scorer.scaler.scale))[:, moving] / np.square(deviation[moving])))


class LabelFreeSpec(Spec):
    """Mean average precision on validation rows with injected anomalies: no label is read, and no test row.

    Anomalies are put into the raw rows before any scaling and depend on the options here alone, so every candidate meets the
    same ones, and all are judged on the same rows: `edge` or more from both ends of a segment (at most a third of it).
    Each anomaly type counts the same in each draw: its rows against the normal ones, but for as many after an event as it has.

    A hint, no proof. Rank correlation with the test PR-AUC (VUS-PR) of 20 closed-form detectors, chance among them, on SMD
    1-2, 2-1, 2-8, 3-4: 0.07, 0.50, 0.63, 0.40 (-0.13, 0.44, 0.41, 0.57); of the ten of them that `validation_error` can
    rank: -0.32, 0.26, 0.30, 0.28, while `validation_error` itself has -0.45, -0.02, -0.06, 0.15. The injection was chosen
    on these machines. It favors detectors of short memory: it picked a ridge forecaster on all four, at 0.27, 0.26, 0.96,
    0.81 where the best had 0.51, 0.42, 0.97, 0.84. Where labeled rows can be set apart, `labeled` reads the labels
    themselves.

    Attributes:
        anomaly_types: Anomaly types that are injected, in turn.
        fraction: Fraction of the judged rows that become anomalous.
        draws: Injections, each scored once.
        seed: Of the first injection; the next ones have streams of their own.
        edge: Rows that a score may look back or ahead, for every candidate; the default of `split.gap`.
    """

    kind: Literal["label_free"]
    anomaly_types: tuple[AnomalyType, ...] = Field(ANOMALY_TYPES, min_length=1)
    fraction: float = Field(0.1, gt=0, le=0.3)
    draws: int = Field(3, ge=1)
    seed: int = Field(0, ge=0)
    edge: int = Field(100, ge=0)

    @property
    def labels_used(self) -> LabelsUsed:
        """Whose labels it reads."""
        return "nothing"

    def value(self, outcome: Outcome) -> float:
        """Returns the mean; raises `DataError` if a judged row has no score, or the rows have no room for an event."""
        return float(np.mean(self.precisions(outcome.detector, outcome.parts.validation)))

    def precisions(self, detector: Detector, rows: Series) -> list[float]:
        """Returns the average precision of each anomaly type in each draw, the same ones for every detector, in the same order.

        Raises:
            DataError: if a judged row has no score, or the rows have no room for an event.
        """
        return [value for draw in range(self.draws) for value in self._precisions(detector, rows, draw)]

    def _precisions(self, detector: Detector, rows: Series, draw: int) -> list[float]:
        """Returns the average precision of each anomaly type of one draw, its events against the rows that nothing touched."""
        generator = np.random.default_rng([self.seed, draw])
        injected = inject(rows, self.anomaly_types, self.fraction, generator, margin=self.edge)
        scores = detector.score(injected.series).values
        silent = int(np.isnan(scores[injected.inner]).sum())
        if silent:
            reach = detector.scorer.lookback + detector.scorer.lookahead
            raise DataError(
                f"maximize: label_free judges every candidate on the same {int(injected.inner.sum())} validation rows, but "
                f"this one has no score for {silent} of them, since it looks {reach} rows around; set "
                f"search.maximize.edge={reach} or more and give segments of {3 * reach} rows, or take a shorter window"
            )
        normal = injected.inner & ~injected.touched
        anomaly_types = {event.anomaly_type for event in injected.events}
        return [_precision(scores, injected.of(anomaly_type), normal) for anomaly_type in sorted(anomaly_types)]


def _precision(scores: Floats, anomalous: Flags, normal: Flags) -> float:
    rows = anomalous | normal
    return pr_auc(scores[rows], anomalous[rows])


MaximizeSpec = Annotated[LabelFreeSpec | LabeledSpec | ValidationErrorSpec, Field(discriminator="kind")]
"""Everything that a search can be asked to make large."""


def other_values(maximize: MaximizeSpec, outcome: Outcome) -> dict[str, float]:
    """Returns what the objectives that were not chosen would have said: `objective/KIND` of each that is defined.

    They choose nothing; a report compares all of them with the test metrics.
    """
    kinds = (
        LabelFreeSpec(kind="label_free"),
        LabeledSpec(kind="labeled"),
        ValidationErrorSpec(kind="validation_error"),
    )
    found = {}
    for other in kinds:
        if other.kind != maximize.kind:
            with suppress(DataError):  # no rows to choose by, or too few around a score
                found[f"objective/{other.kind}"] = other.value(outcome)
    return found
