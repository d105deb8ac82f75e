"""A built-in series that needs no download: coupled sensors with labelled anomalies of several kinds."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tsad.data.dataset import Cause, DataSet
from tsad.series import Series
from tsad.spec import Spec

Values = NDArray[np.float64]


class SyntheticSpec(Spec):
    """Sensors that share slow seasonal drivers, each with a phase and noise of its own.

    The training rows are clean. The test rows hold `events` anomalies, the kinds in turn: point, level shift, noise
    burst, flat line, and decoupling (a sensor follows the drivers of another time). A decoupled or flat sensor stays in its
    normal range, so that no threshold on single values finds it.

    Attributes:
        rows: Rows of train and of test, each.
        features: Sensors, F.
        events: Anomalous stretches in the test rows, evenly spread.
        noise: Standard deviation of a sensor's own noise; the drivers have amplitude 1.
        seed: Makes the series; independent of the experiment's seed.
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
        """Returns the series; the same spec gives the same rows on every machine."""
        generator = np.random.default_rng(self.seed)
        values, drivers = self._sensors(generator)
        names = tuple(f"sensor_{place:02d}" for place in range(self.features))
        test, causes = self._disturbed(values[self.rows :], drivers[self.rows :], names, generator)
        labels = np.zeros(self.rows, bool)
        for start, stop, _ in causes:
            labels[start:stop] = True
        return DataSet(
            name=f"synthetic-{self.seed}",
            source=f"synthetic generator, seed {self.seed}",
            train=Series(values=values[: self.rows].astype(np.float32), features=names),
            test=Series(values=test.astype(np.float32), features=names, labels=labels),
            causes=tuple(causes),
        )

    def _sensors(self, generator: Generator) -> tuple[Values, Values]:
        """Returns (2 rows, F) values and the (2 rows, F) noiseless part of them."""
        time = np.arange(2 * self.rows)[:, None]
        periods = np.array([24.0, 59.3, 143.7])  # without a common multiple, so that no other time looks the same
        gains = generator.uniform(0.3, 1.0, (3, self.features))
        phases = generator.uniform(0, 2 * np.pi, (3, self.features))
        waves = [np.sin(2 * np.pi * time / period + phase) for period, phase in zip(periods, phases, strict=True)]
        drivers = np.einsum("ptf,pf->tf", np.stack(waves), gains)
        return drivers + self.noise * generator.standard_normal(drivers.shape), drivers

    def _disturbed(
        self, values: Values, drivers: Values, names: tuple[str, ...], generator: Generator
    ) -> tuple[Values, list[Cause]]:
        values, causes = values.copy(), []
        room = len(values) // self.events
        for event in range(self.events):
            kind, change = list(_CHANGES.items())[event % len(_CHANGES)]
            length = 1 if kind == "point" else int(generator.integers(8, max(9, min(40, room // 2))))
            start = event * room + int(generator.integers(room // 8, max(room // 8 + 1, room - length)))
            rows = slice(start, start + length)
            sensors = generator.choice(self.features, size=max(1, self.features // 4), replace=False)
            values[rows, sensors] = change(values[rows, sensors], drivers[:, sensors], start, generator)
            causes.append(Cause(start, start + length, tuple(names[sensor] for sensor in sorted(sensors))))
        return values, causes


def _signs(rows: Values, generator: Generator) -> Values:
    signs: Values = generator.choice([-1.0, 1.0], size=rows.shape[1])
    return signs


def _point(rows: Values, drivers: Values, start: int, generator: Generator) -> Values:
    return rows + 3.0 * _signs(rows, generator)


def _level_shift(rows: Values, drivers: Values, start: int, generator: Generator) -> Values:
    return rows + 1.5 * _signs(rows, generator)


def _noise_burst(rows: Values, drivers: Values, start: int, generator: Generator) -> Values:
    return rows + 0.8 * generator.standard_normal(rows.shape)


def _flat_line(rows: Values, drivers: Values, start: int, generator: Generator) -> Values:
    return rows[:1].repeat(len(rows), axis=0)


def _decoupling(rows: Values, drivers: Values, start: int, generator: Generator) -> Values:
    sources = np.arange(len(drivers) - len(rows) + 1)
    source = int(generator.choice(sources[np.abs(sources - start) >= 12]))
    return rows - drivers[start : start + len(rows)] + drivers[source : source + len(rows)]


_CHANGES: Mapping[str, Callable[[Values, Values, int, Generator], Values]] = {
    "point": _point,
    "level_shift": _level_shift,
    "noise_burst": _noise_burst,
    "flat_line": _flat_line,
    "decoupling": _decoupling,
}
