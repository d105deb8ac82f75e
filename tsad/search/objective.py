"""What a search makes large; computed in the same way for every candidate, whatever its genes."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from tsad.errors import DataError
from tsad.experiment import Outcome
from tsad.provenance import LabelsUsed
from tsad.scoring import ScoringSpec, misfits
from tsad.spec import Spec


class LabelledSpec(Spec):
    """A metric on labelled rows that are set apart in time from the reported ones (`split.selection` above 0).

    Attributes:
        metric: Name of a metric of the report.
    """

    kind: Literal["labelled"]
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
                "maximise: labelled needs rows to choose by; set split.selection above 0, to 0.4 for example"
            )
        if self.metric not in outcome.selection.metrics:
            reason = outcome.selection.undefined.get(self.metric, "not computed")
            raise DataError(f"the selection rows do not define {self.metric} ({reason}); set split.selection larger")
        return outcome.selection.metrics[self.metric]


class MisfitSpec(Spec):
    """Minus the mean squared misfit of the last step on validation rows, in training deviations of each feature.

    No label is read. It is the same number whatever the loss, the scale and the scoring of a candidate (a scaler's clip
    bounds it, so give all candidates the same). But a model with a wide bottleneck copies its input and wins without
    detecting anything: a weak guide.
    """

    kind: Literal["misfit"]

    @property
    def labels_used(self) -> LabelsUsed:
        """Whose labels it reads."""
        return "nothing"

    def value(self, outcome: Outcome) -> float:
        """Returns the negative mean, so that larger is better."""
        scorer, parts = outcome.detector.scorer, outcome.parts
        scaled = misfits(scorer.model, scorer.scaler.apply(parts.validation), scorer.window_length, ScoringSpec())
        deviation = parts.fit.values.std(axis=0, dtype=np.float64)
        moving = deviation > 0
        if not moving.any():
            raise DataError("maximise: misfit needs a feature that varies in the rows of the fit, but all are constant")
        return -float(np.nanmean((scaled * np.square(scorer.scaler.scale))[:, moving] / np.square(deviation[moving])))


MaximiseSpec = Annotated[LabelledSpec | MisfitSpec, Field(discriminator="kind")]
"""Everything that a search can be asked to make large."""
