"""Generator `anomaly_types`: coupled sensors with anomalies of every type, labeled by type."""

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from tsad.data.dataset import DataSet
from tsad.data.injection import ANOMALY_TYPES, AnomalyType, inject
from tsad.data.sets.synthetic.sensors import labeled_data_set, sensor_names, sensors
from tsad.series import Series
from tsad.spec import Spec


class AnomalyTypesSpec(Spec):
    """Coupled sensors with clean training rows, and test rows with the anomalies of `tsad.data.injection`.

    Use it to see which anomaly types a detector finds. Sizes and changed features vary as `inject` describes.

    Attributes:
        rows: Number of training rows, and of test rows.
        features: Number of sensors, F.
        anomaly_types: Anomaly types to inject, at least one; all of them by default.
        ratio: Fraction of anomalous test rows, reached or exceeded by less than one event.
        longest: Rows of the longest event; all others but points have at least a seventh of that.
        noise: Standard deviation of the noise of each sensor.
        seed: Seed of the series, independent of the seed of the experiment.
    """

    kind: Literal["synthetic_anomaly_types"]
    rows: int = Field(4000, ge=200)
    features: int = Field(8, ge=2, le=1000)
    anomaly_types: tuple[AnomalyType, ...] = Field(ANOMALY_TYPES, min_length=1)
    ratio: float = Field(0.1, gt=0, le=0.3)
    longest: int = Field(40, ge=4)
    noise: float = Field(0.15, ge=0)
    seed: int = Field(0, ge=0)

    def load(self, folder: Path) -> DataSet:
        """Returns the data set; equal settings give equal rows on every machine. `folder` is not used."""
        generator = np.random.default_rng(self.seed)
        values, _ = sensors(2 * self.rows, self.features, self.noise, generator)
        whole = Series(values.astype(np.float32), sensor_names(self.features))
        test = inject(
            whole.part(self.rows, 2 * self.rows), self.anomaly_types, self.ratio, generator, longest=self.longest
        )
        return labeled_data_set(
            "synthetic-anomaly-types", self.seed, whole.part(0, self.rows), test.series, test.events
        )
