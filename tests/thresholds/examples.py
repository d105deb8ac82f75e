"""Every threshold, fitted to the same rows."""

import numpy as np

from tests.examples import from_defaults, members
from tsad.thresholds import ThresholdSpec
from tsad.thresholds.threshold import GivenThreshold

SPECS = [from_defaults(member) for member in members(ThresholdSpec)]
DEPLOYABLE = [spec for spec in SPECS if not spec.reads_labels]


def scored_rows(rows=3000, seed=0, height=4.0):
    """Returns scores with strange bursts of three rows, and their labels."""
    generator = np.random.default_rng(seed)
    labels = np.arange(rows) % 300 >= 297
    return generator.gamma(2.0, size=rows) + height * labels, labels


def fit(spec, scores, labels):
    return spec.fit(scores, labels) if spec.reads_labels else spec.fit(scores)


FITTED = [*(fit(spec, *scored_rows()) for spec in SPECS), GivenThreshold(value=5.0)]
