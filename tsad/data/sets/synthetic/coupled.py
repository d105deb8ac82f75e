"""The built-in series, which needs no download: coupled sensors with labeled anomalies of several types."""

from itertools import cycle
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.random import Generator
from pydantic import Field, model_validator

from tsad.data.dataset import DataSet, RootCause, TypedEvent
from tsad.data.injection import CHANGES, AnomalyType, ContextWindow
from tsad.data.sets.synthetic.sensors import Values, sensor_names, sensors
from tsad.series import Series
from tsad.spec import Spec


class SyntheticSpec(Spec):
    """Sensors that share slow seasonal drivers, each with its own phase and noise.

    The training rows are clean. The test rows contain `events` anomalies, whose types alternate: point, level shift, noise
    burst, flat line, and decoupling (a sensor follows the drivers of another time). A decoupled or flat sensor stays in its
    normal range, so no threshold on single values detects it.

    Attributes:
        rows: Number of training rows, and of test rows.
        features: Number of sensors, F.
        events: Number of anomalous stretches in the test rows, evenly spread; each needs 50 rows.
        noise: Standard deviation of the noise of each sensor; the drivers have amplitude 1.
        seed: Seed of the series, independent of the seed of the experiment.

    Example:
        >>> data = SyntheticSpec(kind="synthetic", rows=500, features=4, events=5).load(Path())
        >>> data.train.values.shape, len(data.typed_events)
        ((500, 4), 5)
        >>> data.root_causes[0].features
        ('sensor_02',)
    """

    kind: Literal["synthetic"]
    rows: int = Field(4000, ge=400)
    features: int = Field(8, ge=2, le=1000)
    events: int = Field(15, ge=1)
    noise: float = Field(0.15, ge=0)
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _roomy(self) -> "SyntheticSpec":
        if self.rows < 50 * self.events:
            raise ValueError(
                f"every event needs 50 test rows, but got rows={self.rows} and events={self.events}; take more rows or "
                f"fewer events"
            )
        return self

    def load(self, folder: Path) -> DataSet:
        """Returns the data set; equal settings give equal rows on every machine. `folder` is not used."""
        generator = np.random.default_rng(self.seed)
        values, drivers = sensors(2 * self.rows, self.features, self.noise, generator)
        names = sensor_names(self.features)
        test, causes = self._disturbed(values[self.rows :], drivers[self.rows :], names, generator)
        labels = np.zeros(self.rows, bool)
        for start, stop, _ in causes:
            labels[start:stop] = True
        return DataSet(
            name=f"synthetic-{self.seed}",
            source=f"synthetic generator, seed {self.seed}",
            train=Series(values=values[: self.rows].astype(np.float32), features=names),
            test=Series(values=test.astype(np.float32), features=names, labels=labels),
            root_causes=tuple(causes),
            typed_events=tuple(
                TypedEvent(start, stop, name) for (start, stop, _), name in zip(causes, cycle(_TYPES), strict=False)
            ),
        )

    def _disturbed(
        self, values: Values, drivers: Values, names: tuple[str, ...], generator: Generator
    ) -> tuple[Values, list[RootCause]]:
        values, causes = values.copy(), []
        room = len(values) // self.events
        for event in range(self.events):
            anomaly_type = _TYPES[event % len(_TYPES)]
            length = 1 if anomaly_type == "point" else int(generator.integers(8, max(9, min(40, room // 2))))
            start = event * room + int(generator.integers(room // 8, max(room // 8 + 1, room - length)))
            rows = slice(start, start + length)
            changed_sensors = generator.choice(self.features, size=max(1, self.features // 4), replace=False)
            if anomaly_type == "decoupling":
                values[rows, changed_sensors] = _elsewhere(
                    values[rows, changed_sensors], drivers[:, changed_sensors], start, generator
                )
            else:
                amplitude = _amplitudes(anomaly_type, len(changed_sensors), generator)
                values[rows, changed_sensors] = CHANGES[anomaly_type](
                    ContextWindow(values[:, changed_sensors], start, length, amplitude), generator
                )
            causes.append(RootCause(start, start + length, tuple(names[sensor] for sensor in sorted(changed_sensors))))
        return values, causes


def _amplitudes(anomaly_type: AnomalyType, count: int, generator: Generator) -> Values:
    """Returns the (count,) amplitudes of a change; points and shifts have a random sign for each sensor."""
    signs = generator.choice([-1.0, 1.0], size=count) if anomaly_type in {"point", "level_shift"} else np.ones(count)
    return {"point": 3.0, "level_shift": 1.5, "noise_burst": 0.8}.get(anomaly_type, 0.0) * signs


def _elsewhere(rows: Values, drivers: Values, start: int, generator: Generator) -> Values:
    """Returns rows that follow the drivers of another time, at least 12 rows from `start`, with unchanged noise."""
    sources = np.arange(len(drivers) - len(rows) + 1)
    source = int(generator.choice(sources[np.abs(sources - start) >= 12]))
    return rows - drivers[start : start + len(rows)] + drivers[source : source + len(rows)]


_TYPES: tuple[AnomalyType, ...] = ("point", "level_shift", "noise_burst", "flat_line", "decoupling")
