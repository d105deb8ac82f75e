"""Generator `sensors`: sensors with one anomaly of a chosen position, length and magnitude."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from tsad.data.dataset import DataSet
from tsad.data.injection import Event
from tsad.data.sets.synthetic.sensors import labeled_data_set, sensor_names, sensors
from tsad.series import Series
from tsad.spec import Spec


class SingleAnomalySpec(Spec):
    """Sensors of which half, rounded up, shift by the same number of deviations for a while; the training rows are clean.

    Attributes:
        rows: Number of training rows, and of test rows.
        features: Number of sensors, F.
        start: First anomalous test row; null for the row after 70 % of them.
        length: Number of anomalous rows; null for 5 % of the test rows.
        magnitude: Size of the shift in standard deviations of the sensor; negative for a downward shift.
        noise: Standard deviation of the noise of each sensor.
        seed: Seed of the series, independent of the seed of the experiment.
    """

    kind: Literal["synthetic_sensors"]
    rows: int = Field(1000, ge=20)
    features: int = Field(8, ge=1, le=10_000)
    start: int | None = Field(None, ge=0)
    length: int | None = Field(None, ge=1)
    magnitude: float = 3.0
    noise: float = Field(0.15, ge=0)
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _inside(self) -> "SingleAnomalySpec":
        start, stop = self.edges
        if stop > self.rows:
            raise ValueError(
                f"the anomaly must end within the rows, but got start={start}, length={stop - start} and rows={self.rows}; "
                f"let it start earlier, or take more rows"
            )
        return self

    @property
    def edges(self) -> tuple[int, int]:
        """First anomalous test row, and the row after the last one."""
        start = self.rows * 7 // 10 if self.start is None else self.start
        return start, start + (max(1, self.rows // 20) if self.length is None else self.length)

    def load(self, folder: Path) -> DataSet:
        """Returns the data set; equal settings give equal rows on every machine. `folder` is not used."""
        generator = np.random.default_rng(self.seed)
        values, _ = sensors(2 * self.rows, self.features, self.noise, generator)
        names = sensor_names(self.features)
        shifted = np.sort(generator.choice(self.features, -(-self.features // 2), replace=False))
        event = Event("level_shift", *self.edges, tuple(names[sensor] for sensor in shifted))
        values[self.rows :][slice(*self.edges), shifted] += self.magnitude * values[: self.rows, shifted].std(axis=0)
        whole = Series(values.astype(np.float32), names)
        labels = np.zeros(self.rows, bool)
        labels[event.start : event.stop] = True
        test = replace(whole.part(self.rows, 2 * self.rows), labels=labels)
        return labeled_data_set("synthetic-sensors", self.seed, whole.part(0, self.rows), test, (event,))
