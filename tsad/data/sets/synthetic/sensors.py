"""Sensors that share slow seasonal drivers, and what an anomaly among them is described by."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tsad.data.dataset import DataSet, RootCause, TypedEvent
from tsad.data.injection import Event
from tsad.series import Series

Values = NDArray[np.float64]


def sensors(rows: int, features: int, noise: float, generator: Generator) -> tuple[Values, Values]:
    """Returns (rows, F) values and the (rows, F) noiseless part of them: three waves, for each sensor at a phase of its own.

    Args:
        rows: How many.
        features: Sensors, F.
        noise: Standard deviation of a sensor's own noise; a wave has an amplitude of .3 to 1.
        generator: Draws everything.
    """
    time = np.arange(rows)[:, None]
    periods = np.array([24.0, 59.3, 143.7])  # without a common multiple, so that no other time looks the same
    gains = generator.uniform(0.3, 1.0, (3, features))
    phases = generator.uniform(0, 2 * np.pi, (3, features))
    waves = [np.sin(2 * np.pi * time / period + phase) for period, phase in zip(periods, phases, strict=True)]
    drivers = np.einsum("ptf,pf->tf", np.stack(waves), gains)
    return drivers + noise * generator.standard_normal(drivers.shape), drivers


def sensor_names(features: int) -> tuple[str, ...]:
    """Returns sensor_00, sensor_01, ..."""
    return tuple(f"sensor_{place:02d}" for place in range(features))


def described(name: str, seed: int, train: Series, test: Series, events: tuple[Event, ...]) -> DataSet:
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
