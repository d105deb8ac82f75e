"""The objectives that a search maximizes, computed in the same way for every candidate, whatever its hyperparameters."""

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
from tsad.evaluation.registry import ObjectiveMetric
from tsad.experiment import Outcome
from tsad.provenance import LabelsUsed
from tsad.series import Series
from tsad.spec import Spec


class LabeledSpec(Spec):
    """A metric on labeled rows that are set apart in time from the reported ones (`split.selection` above 0).

    Attributes:
        metric: Name of the metric; larger is better.
    """

    kind: Literal["labeled"]
    metric: ObjectiveMetric = "ranking/pr_auc"

    @property
    def labels_used(self) -> LabelsUsed:
        """Rows whose labels the objective reads: the selection rows."""
        return "selection"

    def value(self, outcome: Outcome) -> float:
        """Returns the metric; raises `DataError` if there are no selection rows, or if they do not define it."""
        if outcome.selection is None:
            raise DataError(
                "maximize: labeled needs rows to choose by; set split.selection above 0, to 0.4 for example"
            )
        if self.metric not in outcome.selection.metrics:
            reason = outcome.selection.undefined.get(self.metric, "not computed")
            raise DataError(f"the selection rows do not define {self.metric} ({reason}); set split.selection larger")
        return outcome.selection.metrics[self.metric]


class ValidationErrorSpec(Spec):
    """Negative mean squared error of the last step on validation rows, in training deviations of each feature.

    No label is read. Losses, scales and scorings of candidates make no difference (the clip of a scaler bounds the error, so
    give all candidates the same). It is a weak guide: a model with a wide bottleneck copies its input and wins without
    detecting anything.
    """

    kind: Literal["validation_error"]

    @property
    def labels_used(self) -> LabelsUsed:
        """Rows whose labels the objective reads: none."""
        return "nothing"

    def value(self, outcome: Outcome) -> float:
        """Returns the negative mean, so that larger is better; raises `DataError` for an ensemble, which has several errors."""
        scorer, parts = outcome.detector.scorer, outcome.parts
        if isinstance(scorer, Ensemble):
            raise DataError(
                f"maximize: validation_error is that of one model, but an ensemble has {len(scorer.members)}; maximize "
                f"label_free or labeled, or search without an ensemble"
            )
        scaled = row_errors(scorer.model, scorer.scaler.apply(parts.validation), scorer.window_length, ScoringSpec())
        values, least = parts.fit.values, 0.0
        if values.dtype == np.float64:  # where sums of large values, and values themselves, vary by rounding
            values, least = values - values[:1], 2.0**-50 * np.abs(values).max(axis=0)
        deviation = values.std(axis=0, dtype=np.float64)
        varying = deviation > least
        if not varying.any():
            raise DataError(
                f"maximize: validation_error needs a feature that varies in the fit rows, but all {len(deviation)} are constant; "
                f"maximize label_free or labeled"
            )
        return -float(np.nanmean((scaled * np.square(scorer.scaler.scale))[:, varying] / np.square(deviation[varying])))


class LabelFreeSpec(Spec):
    """Mean average precision on validation rows with injected anomalies; no label and no test row is read.

    Anomalies are injected into the raw rows before any scaling and depend on these settings alone, so all candidates are
    evaluated on the same anomalies and the same rows: those at least `edge` rows from both ends of a segment (at most a third
    of it). Each anomaly type has equal weight in each draw: its rows are compared with the normal rows, except for as many rows
    after an event as the event has.

    The objective is a hint and no proof. Its rank correlation with the test PR-AUC (VUS-PR) of 20 closed-form detectors,
    including chance, on SMD 1-2, 2-1, 2-8, 3-4 is 0.07, 0.50, 0.63, 0.40 (-0.13, 0.44, 0.41, 0.57). Over the ten that
    `validation_error` can rank it is -0.32, 0.26, 0.30, 0.28, and that of `validation_error` is -0.45, -0.02, -0.06, 0.15.
    The injection was chosen on these machines. It favors detectors of short memory: it chose a ridge forecaster on all four,
    with 0.27, 0.26, 0.96, 0.81 where the best had 0.51, 0.42, 0.97, 0.84. If labeled rows can be set apart, prefer `labeled`.

    Attributes:
        anomaly_types: Anomaly types that are injected, in turn.
        fraction: Fraction of the evaluated rows that become anomalous, above 0 and at most 0.3.
        draws: Number of injections, each of which is scored once.
        seed: Seed of the injections; each has a random stream of its own.
        edge: Number of rows that the score of any candidate may look back or ahead; the same default as `split.gap`.
    """

    kind: Literal["label_free"]
    anomaly_types: tuple[AnomalyType, ...] = Field(ANOMALY_TYPES, min_length=1)
    fraction: float = Field(0.1, gt=0, le=0.3)
    draws: int = Field(3, ge=1)
    seed: int = Field(0, ge=0)
    edge: int = Field(100, ge=0)

    @property
    def labels_used(self) -> LabelsUsed:
        """Rows whose labels the objective reads: none."""
        return "nothing"

    def value(self, outcome: Outcome) -> float:
        """Returns the mean; raises `DataError` if an evaluated row has no score, or if the rows have no room for an event."""
        return float(np.mean(self.precisions(outcome.detector, outcome.parts.validation)))

    def precisions(self, detector: Detector, rows: Series) -> list[float]:
        """Returns the average precision of each anomaly type in each draw.

        The anomalies and their order are the same for every detector, so that two detectors can be compared pair by pair.

        Args:
            detector: Detector that is evaluated.
            rows: Rows without anomalies that the detector was not fitted to.

        Raises:
            DataError: if an evaluated row has no score, or if the rows have no room for an event.
        """
        return [value for draw in range(self.draws) for _, value in self._precisions(detector, rows, draw)]

    def evaluated(self, outcome: Outcome) -> tuple[float, dict[str, float]]:
        """Returns the value, and its components: the mean precision of each anomaly type, as `injection/TYPE`."""
        detector, rows = outcome.detector, outcome.parts.validation
        pairs = [pair for draw in range(self.draws) for pair in self._precisions(detector, rows, draw)]
        by_type: dict[str, list[float]] = {}
        for anomaly_type, precision in pairs:
            by_type.setdefault(f"injection/{anomaly_type}", []).append(precision)
        value = float(np.mean([precision for _, precision in pairs]))
        return value, {name: float(np.mean(precisions)) for name, precisions in by_type.items()}

    def _precisions(self, detector: Detector, rows: Series, draw: int) -> list[tuple[str, float]]:
        """Returns the average precision of each anomaly type of one draw, by name: its events against untouched rows."""
        generator = np.random.default_rng([self.seed, draw])
        injected = inject(rows, self.anomaly_types, self.fraction, generator, margin=self.edge)
        scores = detector.score(injected.series).values
        unscored = int(np.isnan(scores[injected.inner]).sum())
        if unscored:
            context = detector.scorer.lookback + detector.scorer.lookahead
            raise DataError(
                f"maximize: label_free evaluates every candidate on the same {int(injected.inner.sum())} validation rows, but "
                f"this one has no score for {unscored} of them, because a score depends on {context} other rows; set "
                f"search.maximize.edge={context} or more and provide segments of {3 * context} rows, or use a shorter window"
            )
        normal = injected.inner & ~injected.touched
        anomaly_types = {event.anomaly_type for event in injected.events}
        return [(name, _precision(scores, injected.of(name), normal)) for name in sorted(anomaly_types)]


def _precision(scores: Floats, anomalous: Flags, normal: Flags) -> float:
    rows = anomalous | normal
    return pr_auc(scores[rows], anomalous[rows])


MaximizeSpec = Annotated[LabelFreeSpec | LabeledSpec | ValidationErrorSpec, Field(discriminator="kind")]
"""All objectives that a search can maximize."""

_DEFAULTS: tuple[LabelFreeSpec | LabeledSpec | ValidationErrorSpec, ...] = (
    LabelFreeSpec(kind="label_free"),
    LabeledSpec(kind="labeled"),
    ValidationErrorSpec(kind="validation_error"),
)

OBJECTIVES = tuple(f"objective/{objective.kind}" for objective in _DEFAULTS)
"""Names of the metrics of a trial that hold the values of the objectives that its search did not maximize."""


def value_and_components(maximize: MaximizeSpec, outcome: Outcome) -> tuple[float, dict[str, float]]:
    """Returns the value of an objective, and the metrics that it is made of, by which rules can be replayed without training.

    Raises:
        DataError: if the outcome does not define the objective.
    """
    return maximize.evaluated(outcome) if isinstance(maximize, LabelFreeSpec) else (maximize.value(outcome), {})


def other_values(maximize: MaximizeSpec, outcome: Outcome) -> dict[str, float]:
    """Returns the values of the objectives that the search does not maximize, as metrics `objective/KIND`.

    Undefined ones are left out. They choose nothing; the report of a search compares all objectives with test metrics.

    Args:
        maximize: Objective that the search maximizes.
        outcome: Outcome of the run that is evaluated.
    """
    values = {}
    for name, other in zip(OBJECTIVES, _DEFAULTS, strict=True):
        if other.kind != maximize.kind:
            with suppress(DataError):  # no selection rows, or too few rows for an event
                values[name] = other.value(outcome)
    return values
