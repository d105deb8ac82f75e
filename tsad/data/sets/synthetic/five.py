"""Generator `five`: one seasonal series as five features, with anomalies at a given ratio."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.random import Generator
from pydantic import Field

from tsad.data.dataset import DataSet
from tsad.data.five_features import FIVE, five_features
from tsad.data.injection import AnomalyType, inject
from tsad.data.sets.synthetic.sensors import Values, labeled_data_set
from tsad.series import Series
from tsad.spec import Spec

_TYPES: tuple[AnomalyType, ...] = (
    "point",
    "contextual",
    "level_shift",
    "trend",
    "seasonal",
    "noise_burst",
    "flat_line",
)


class FiveFeaturesSpec(Spec):
    """A random walk with a season and with anomalies, as the five features of `tsad.data.five_features`.

    The anomalies are injected into the base, so the other features show them as they would in production, some for `period`
    more rows; only the rows of the anomaly itself are labeled. The training rows are clean.

    Attributes:
        rows: Number of training rows, and of test rows.
        ratio: Fraction of anomalous test rows, reached or exceeded by less than one event.
        period: Rows of a season, at least 2.
        longest: Rows of the longest event; all others but points have at least a seventh of that.
        noise: Standard deviation of the noise; the season has amplitude 1.
        seed: Seed of the series, independent of the seed of the experiment.
    """

    kind: Literal["synthetic_five"]
    rows: int = Field(2000, ge=200)
    ratio: float = Field(0.05, gt=0, le=0.3)
    period: int = Field(24, ge=2)
    longest: int = Field(40, ge=4)
    noise: float = Field(0.1, ge=0)
    seed: int = Field(0, ge=0)

    def load(self, folder: Path) -> DataSet:
        """Returns the data set; equal settings give equal rows on every machine. `folder` is not used."""
        generator = np.random.default_rng(self.seed)
        base = Series(self._base(generator)[:, None].astype(np.float32), FIVE[:1])
        train = base.part(0, self.rows)
        test = inject(base.part(self.rows, 2 * self.rows), _TYPES, self.ratio, generator, longest=self.longest)
        joined = np.concatenate([train.values, test.series.values])[:, 0].astype(np.float64)
        values = five_features(joined, self.period).astype(np.float32)
        return labeled_data_set(
            "synthetic-five",
            self.seed,
            Series(values[: self.rows], FIVE),
            replace(test.series, values=values[self.rows :], features=FIVE),
            test.events,
        )

    def _base(self, generator: Generator) -> Values:
        """Returns (2 rows,) values: a level that wanders around 0, a season with its overtone, and noise."""
        time = np.arange(2 * self.rows)
        steps = 0.05 * generator.standard_normal(len(time))
        level = np.zeros(len(time))
        for row in range(1, len(time)):
            level[row] = 0.99 * level[row - 1] + steps[row]
        turn = 2 * np.pi * time / self.period
        season = np.sin(turn) + 0.4 * np.sin(2 * turn + 1.0)
        return level + season + self.noise * generator.standard_normal(len(time))
