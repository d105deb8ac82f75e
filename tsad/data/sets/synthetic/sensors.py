"""Sensors that share slow seasonal drivers, and data sets that describe the anomalies among them."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tsad.data.dataset import DataSet, RootCause, TypedEvent
from tsad.data.injection import Event
from tsad.series import Series

Values = NDArray[np.float64]
"""Cells of a series, in double precision."""


def sensors(rows: int, features: int, noise: float, generator: Generator) -> tuple[Values, Values]:
    """Returns (rows, F) values and their (rows, F) part without noise: three waves with a different phase for each sensor.

    Args:
        rows: Number of rows.
        features: Number of sensors, F.
        noise: Standard deviation of the noise of each sensor; a wave has an amplitude of 0.3 to 1.
        generator: Draws everything that is random.
    """
    time = np.arange(rows)[:, None]
    periods = np.array([24.0, 59.3, 143.7])  # without a common multiple, so that no other time looks the same
    gains = generator.uniform(0.3, 1.0, (3, features))
    phases = generator.uniform(0, 2 * np.pi, (3, features))
    waves = [np.sin(2 * np.pi * time / period + phase) for period, phase in zip(periods, phases, strict=True)]
    drivers = np.einsum("ptf,pf->tf", np.stack(waves), gains)
    return drivers + noise * generator.standard_normal(drivers.shape), drivers


def sensor_names(features: int) -> tuple[str, ...]:
    """Returns the names sensor_00, sensor_01, ..."""
    return tuple(f"sensor_{number:02d}" for number in range(features))


def labeled_data_set(name: str, seed: int, train: Series, test: Series, events: tuple[Event, ...]) -> DataSet:
    """Returns a data set whose labels, root causes and anomaly types are those of the events in its test rows."""
    return DataSet(
        name=f"{name}-{seed}",
        source=f"{name} generator, seed {seed}",
        train=train,
        test=test,
        continuous=True,
        root_causes=tuple(RootCause(event.start, event.stop, event.features) for event in events),
        typed_events=tuple(TypedEvent(event.start, event.stop, event.anomaly_type) for event in events),
    )
