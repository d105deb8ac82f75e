"""Thresholds: from scores to flags."""

from typing import Annotated

from pydantic import Field

from tsad.thresholds.best_f1 import BestF1Spec
from tsad.thresholds.deviation import SigmaSpec
from tsad.thresholds.percentile import PercentileSpec

ThresholdSpec = Annotated[PercentileSpec | SigmaSpec | BestF1Spec, Field(discriminator="kind")]
"""Every threshold that a YAML can name."""
