"""Generator (c): coupled sensors with anomalies of every type, each labeled by its type."""

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from tsad.data.dataset import DataSet
from tsad.data.injection import ANOMALY_TYPES, AnomalyType, inject
from tsad.data.sets.synthetic.sensors import described, sensor_names, sensors
from tsad.series import Series
from tsad.spec import Spec


class AnomalyTypesSpec(Spec):
    """Coupled sensors; the training rows are clean, the test rows hold the anomalies of `tsad.data.injection`.

    Sizes and features vary as they do there.

    Attributes:
        rows: Rows of train and of test, each.
        features: Sensors, F.
        anomaly_types: Which anomalies.
        ratio: Share of anomalous test rows, reached or passed by less than one event.
        longest: Rows of the longest event; the shortest, but for points, has a seventh of that.
        noise: Standard deviation of a sensor's own noise.
        seed: Makes the series; independent of the experiment's seed.
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
        """Returns the series; the same spec gives the same rows on every machine."""
        generator = np.random.default_rng(self.seed)
        values, _ = sensors(2 * self.rows, self.features, self.noise, generator)
        whole = Series(values.astype(np.float32), sensor_names(self.features))
        test = inject(
            whole.part(self.rows, 2 * self.rows), self.anomaly_types, self.ratio, generator, longest=self.longest
        )
        return described("synthetic-anomaly-types", self.seed, whole.part(0, self.rows), test.series, test.events)
