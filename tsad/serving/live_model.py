"""The version in service, and those before and after it: requests use the one that was live when they began."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from fastapi.routing import APIRoute
from mlflow.pyfunc import scoring_server

from tsad.data.io.values import to_values
from tsad.detector.detector import Detector
from tsad.errors import DataError, DetectorError, shown
from tsad.series import Series
from tsad.serving.model_detectors import FleetDetectors, ModelDetectors
from tsad.serving.monitoring import RecentRows
from tsad.serving.recent_rows import RecentRowsByDetector
from tsad.serving.served_model import SAMPLE, SYNTHETIC, ModelSource, ServedModel

VERSION_HEADER = "X-Model-Version"
"""Header of answers with scores: number of the version that gave them."""
_MOST_FLAGGED = 0.5
"""Share of the rows of its sample that a version may flag."""


@dataclass(frozen=True, eq=False)
class Deployment:
    """A version in service, with what belongs to it alone.

    Attributes:
        served: The model.
        recents: Rows that its detectors scored.
        endpoints: Endpoints of MLflow's scoring server by path.
    """

    served: ServedModel
    recents: RecentRowsByDetector
    endpoints: dict[str, Callable[..., Any]] = field(default_factory=dict)

    def recent(self, entity: str | None) -> RecentRows:
        """Returns the recent rows of the detector of an entity; errors as for `ModelDetectors.key`."""
        return self.recents.of(self.served.detectors.key(entity))

    @property
    def headers(self) -> dict[str, str]:
        """Headers of answers with its scores."""
        version = self.served.source.version
        return {} if version is None else {VERSION_HEADER: version}


def deploy(served: ServedModel, recents: RecentRowsByDetector) -> Deployment:
    """Returns a model ready to take requests."""
    app = scoring_server.init(served.pyfunc)
    endpoints = {route.path: route.endpoint for route in app.routes if isinstance(route, APIRoute)}
    return Deployment(served, recents, endpoints)


class LiveModel:
    """The model in service, which may be replaced by another version of it.

    A request asks for `current` once, and uses that to its end, whatever takes its place meanwhile.

    Args:
        first: The first version in service.
    """

    def __init__(self, first: Deployment) -> None:
        self.current = first
        self.registry = first.served.registry
        self.previous: str | None = None
        self.since = _now()
        self.loading: str | None = None
        self.refused: dict[str, str] | None = None
        self.failure: str | None = None
        self.follows: str | None = None
        self.swaps = 0
        self.on_swap: Callable[[], None] = lambda: None
        self._asked: float | None = None

    @property
    def served(self) -> ServedModel:
        """The model in service."""
        return self.current.served

    @property
    def source(self) -> ModelSource:
        """Source of the model in service."""
        return self.served.source

    @property
    def detectors(self) -> ModelDetectors:
        """Detectors of the model in service."""
        return self.served.detectors

    def swap(self, new: Deployment) -> None:
        """Puts another version into service; requests that have begun keep the old one."""
        new.served.registry = self.registry
        self.previous, self.since = self.source.version, _now()
        self.current = new
        self.swaps += 1
        self.on_swap()

    def asked(self) -> None:
        """Notes that the registry has just answered."""
        self._asked, self.failure = time.monotonic(), None

    def problems(self) -> list[str]:
        """Returns what is in the way of the next version, in a sentence each."""
        refused = (
            [] if self.refused is None else [f"version {self.refused['version']} was refused; /api/model says why"]
        )
        return refused + ([] if self.failure is None else [self.failure])

    def card(self, entity: str | None = None) -> dict[str, Any]:
        """Returns what `/api/model` answers: the version in service, the one before it, and one that is on its way."""
        return self.served.card(entity) | {
            "live": {
                "follows": self.follows,
                "since": self.since,
                "previous": self.previous,
                "loading": self.loading,
                "refused": self.refused,
                "asked_seconds_ago": None if self._asked is None else round(time.monotonic() - self._asked, 1),
                "failure": self.failure,
            }
        }


def check_successor(new: ServedModel, before: ModelDetectors) -> None:
    """Raises `DetectorError` unless a version can take the place of one with these detectors.

    It must take the same features, score the rows of its own sample, and flag at most half of them. One without a sample must
    score generated rows. A fleet must be followed by a fleet that has a detector for each of its entities, all of them whole.
    """
    detectors = new.detectors
    _check_features(detectors.features, before.features)
    if detectors.is_fleet != before.is_fleet or (before.is_fleet and detectors.column != before.column):
        raise DetectorError(
            f"a version must be like the one in service, {_sort(before)}, but is {_sort(detectors)}; start a service "
            f"of its own for it"
        )
    if isinstance(detectors, FleetDetectors):
        try:
            detectors.fleet.check(before.entities or ())
        except DataError as error:
            raise DetectorError(f"a version must know the entities of the one in service, but {error}") from None
        for key in detectors.keys:
            saved = Detector.load(detectors.folder(key))
            _check_features(saved.scorer.features, before.features)
            _check_threshold(saved)
    detector = detectors.of(new.example_entity)
    rows = _sample(new)
    scores = detector.score(rows)
    values = scores.values  # noqa: PD011 (no table)
    is_scored = ~np.isnan(values)
    if not is_scored.any() or not np.isfinite(values[is_scored]).all():
        raise DetectorError(
            f"a version must score the {len(rows)} rows of its sample, but has no finite scores of them"
        )
    _check_threshold(detector)
    flagged = float(detector.flag(scores)[is_scored].mean())
    if flagged > _MOST_FLAGGED and SAMPLE in new.series_names():
        raise DetectorError(
            f"a version must flag at most half of the rows of its sample, but flags {flagged:.0%}; recalibrate it"
        )


def _check_features(own: Sequence[str], features: Sequence[str]) -> None:
    if tuple(own) != tuple(features):
        missing, extra = sorted(set(features) - set(own)), sorted(set(own) - set(features))
        raise DetectorError(
            f"a version must have the features of the one in service, in their order, but lacks {missing[:5]} and adds "
            f"{extra[:5]}; start a service of its own for it"
        )


def _check_threshold(detector: Detector) -> None:
    threshold = float(detector.threshold.per_row(np.array([np.nan]))[0])
    if not math.isfinite(threshold):
        raise DetectorError(f"a version must have a finite threshold, but has {threshold}; train it again")


def _sort(detectors: ModelDetectors) -> str:
    return f"a fleet with the column {shown(detectors.column)}" if detectors.is_fleet else "one detector"


def _sample(served: ServedModel) -> Series:
    features = list(served.features)
    name = SAMPLE if SAMPLE in served.series_names() else SYNTHETIC
    table: pd.DataFrame = served.series(name)
    return Series(to_values(table, features, f"the {name} rows of the version"), tuple(features))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
