"""Thresholds: from scores to flags.

A spec says how to fit one to validation scores, and how many of these it needs (`scores_needed`). Which one matters more
than most models do. F1 of the same scores, those of a linear autoencoder of 16 rows smoothed over 10, mean over twelve
machines of SMD: ewma .46, mad .35 with a factor of 10, percentile 99 and sigma 4 .29, conformal .26, pot .22; the best fixed
threshold, an oracle, .59. Where scores drift take ewma; where validation rows are dirty, mad; where they are clean and alike
and alarms must be rare, pot; where alarms are to be counted, conformal.
"""

from typing import TYPE_CHECKING, Annotated, Union, get_args, get_type_hints

from pydantic import Field

from tsad.thresholds.best_f1 import BestF1Spec
from tsad.thresholds.conformal import ConformalSpec
from tsad.thresholds.deviation import SigmaSpec
from tsad.thresholds.ewma import EwmaSpec
from tsad.thresholds.mad import MadSpec
from tsad.thresholds.percentile import PercentileSpec
from tsad.thresholds.pot import PotSpec
from tsad.thresholds.threshold import GivenThreshold, Threshold

ThresholdSpec = Annotated[
    PercentileSpec | SigmaSpec | MadSpec | PotSpec | EwmaSpec | ConformalSpec | BestF1Spec, Field(discriminator="kind")
]
"""Every threshold that a YAML file can name."""

if TYPE_CHECKING:
    FittedThreshold = Threshold
else:
    _specs = get_args(get_args(ThresholdSpec)[0])
    _fitted = tuple(get_type_hints(spec.fit)["return"] for spec in _specs)
    FittedThreshold = Annotated[Union[(*_fitted, GivenThreshold)], Field(discriminator="kind")]
"""Every threshold that a saved detector can have: what the specs fit, and one that was given by hand."""
