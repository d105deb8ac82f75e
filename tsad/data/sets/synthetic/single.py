"""Generator (a): sensors with one anomaly where and as large as it is asked for."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from tsad.data.dataset import DataSet
from tsad.data.injection import Event
from tsad.data.sets.synthetic.sensors import described, sensor_names, sensors
from tsad.series import Series
from tsad.spec import Spec


class SingleAnomalySpec(Spec):
    """Sensors of which half, rounded up, rise by the same height for a while; the training rows before them are clean.

    Attributes:
        rows: Rows of train and of test, each.
        features: Sensors, F.
        start: First anomalous test row; after 70 % of them if not given.
        length: Anomalous rows; 5 % of the rows if not given.
        magnitude: Height of the rise in standard deviations of the sensor; a negative one is a fall.
        noise: Standard deviation of a sensor's own noise.
        seed: Makes the series; independent of the experiment's seed.
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
        """The first anomalous test row and the row after the last."""
        start = self.rows * 7 // 10 if self.start is None else self.start
        return start, start + (max(1, self.rows // 20) if self.length is None else self.length)

    def load(self, folder: Path) -> DataSet:
        """Returns the series; the same spec gives the same rows on every machine."""
        generator = np.random.default_rng(self.seed)
        values, _ = sensors(2 * self.rows, self.features, self.noise, generator)
        names = sensor_names(self.features)
        moved = np.sort(generator.choice(self.features, -(-self.features // 2), replace=False))
        event = Event("level_shift", *self.edges, tuple(names[sensor] for sensor in moved))
        values[self.rows :][slice(*self.edges), moved] += self.magnitude * values[: self.rows, moved].std(axis=0)
        whole = Series(values.astype(np.float32), names)
        labels = np.zeros(self.rows, bool)
        labels[event.start : event.stop] = True
        test = replace(whole.part(self.rows, 2 * self.rows), labels=labels)
        return described("synthetic-sensors", self.seed, whole.part(0, self.rows), test, (event,))
