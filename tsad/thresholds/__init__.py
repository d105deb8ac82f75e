"""Thresholds: from scores to flags.

A spec says how to fit one to validation scores, and how many of these it needs (`scores_needed`). Which one matters more
than most models do. F1 of the same scores, those of a linear autoencoder of 16 rows smoothed over 10, mean over twelve
machines of SMD: ewma .46, mad .35 with a factor of 10, percentile 99 and sigma 4 .29, conformal .26, pot .22; the best fixed
threshold, an oracle, .59. Where scores drift take ewma; where validation rows are dirty, mad; where they are clean and alike
and alarms must be rare, pot; where alarms are to be counted, conformal.
"""

from typing import Annotated

from pydantic import Field

from tsad.thresholds.best_f1 import BestF1Spec, BestF1Threshold
from tsad.thresholds.conformal import ConformalSpec, ConformalThreshold
from tsad.thresholds.deviation import SigmaSpec, SigmaThreshold
from tsad.thresholds.ewma import EwmaSpec, EwmaThreshold
from tsad.thresholds.mad import MadSpec, MadThreshold
from tsad.thresholds.percentile import PercentileSpec, PercentileThreshold
from tsad.thresholds.pot import PotSpec, PotThreshold
from tsad.thresholds.threshold import GivenThreshold

ThresholdSpec = Annotated[
    PercentileSpec | SigmaSpec | MadSpec | PotSpec | EwmaSpec | ConformalSpec | BestF1Spec, Field(discriminator="kind")
]
"""Every threshold that a YAML can name."""

FittedThreshold = Annotated[
    PercentileThreshold
    | SigmaThreshold
    | MadThreshold
    | PotThreshold
    | EwmaThreshold
    | ConformalThreshold
    | BestF1Threshold
    | GivenThreshold,
    Field(discriminator="kind"),
]
"""What they come to, as a saved detector holds it; `given` replaces a fitted one by hand."""
