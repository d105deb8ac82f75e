"""The detectors of a served model: the only one, or one for each entity of a fleet."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tsad.detector.detector import Detector
from tsad.detector.loaded import LoadedDetectors
from tsad.errors import DetectorError, shown
from tsad.fleet import Fleet
from tsad.serving.errors import RequestError
from tsad.thresholds import FittedThreshold

FLEET = "fleet"
"""Kind of a served model that is a fleet."""
ONLY = ""
"""Key of the detector of a model that is no fleet."""


@dataclass(frozen=True, eq=False)
class CalibratedDetector:
    """A detector in service, whose threshold may be replaced.

    Attributes:
        uri: URI of its model.
        entity: Folder of the detector in its fleet; empty for the only detector of a model.
        folder: Folder that it was saved in.
        saved: Function that returns the detector as it was saved.
        read: Function that returns the detector as it flags now.
        recalibrate: Function that makes it flag by another threshold from now on.
    """

    uri: str
    entity: str
    folder: Path
    saved: Callable[[], Detector]
    read: Callable[[], Detector]
    recalibrate: Callable[[FittedThreshold], None]

    @property
    def detector(self) -> Detector:
        """Detector that scores and flags now."""
        return self.read()


class ModelDetectors(ABC):
    """The detectors of a served model by key: one, or one for each entity and one for unknown entities.

    Attributes:
        features: Names of the features, which all detectors share.
        column: Name of the column that says which entity a row belongs to; None if all rows are of one.
        entities: Names of the entities that have a detector of their own; None if the model is no fleet.
    """

    features: tuple[str, ...]
    column: str | None
    entities: tuple[str, ...] | None

    @property
    def is_fleet(self) -> bool:
        """Whether each entity has a detector of its own."""
        return self.entities is not None

    @property
    @abstractmethod
    def kind(self) -> str:
        """Kind of the model."""

    @abstractmethod
    def key(self, entity: str | None) -> str:
        """Returns the key of the detector of an entity.

        Raises:
            RequestError: if the model is a fleet and no entity is named, or it is none and one is named.
            DataError: if the entity is unknown to a fleet without a shared detector.
        """

    @abstractmethod
    def check(self, entities: Iterable[str], source: str) -> None:
        """Raises `DataError` naming the entities that a fleet has no detector for, and some of those that it has.

        Args:
            entities: Names of the entities of rows.
            source: Name of the source of the rows, for the error.
        """

    @property
    def keys(self) -> dict[str, str]:
        """Name of each detector by its key: another one for each entity, and the same one in each version."""
        return {ONLY: ONLY}

    @abstractmethod
    def saved(self, key: str) -> Detector:
        """Returns a detector as it was saved; raises `DetectorError` if it is damaged."""

    @abstractmethod
    def get(self, key: str) -> Detector:
        """Returns a detector as it flags now; raises `DetectorError` if it is damaged."""

    @abstractmethod
    def folder(self, key: str) -> Path:
        """Returns the folder that a detector was saved in."""

    @abstractmethod
    def recalibrate(self, key: str, threshold: FittedThreshold) -> None:
        """Makes a detector flag by another threshold from now on."""

    def of(self, entity: str | None) -> Detector:
        """Returns the detector of an entity as it flags now; errors as for `key` and `get`."""
        return self.get(self.key(entity))

    def calibrated(self, key: str, uri: str) -> CalibratedDetector:
        """Returns a detector as something whose threshold may be replaced."""
        return CalibratedDetector(
            uri,
            key,
            self.folder(key),
            lambda: self.saved(key),
            lambda: self.get(key),
            lambda threshold: self.recalibrate(key, threshold),
        )


class OneDetector(ModelDetectors):
    """The only detector of a model.

    Args:
        model: Python model of MLflow that scores with the detector.
        folder: Folder that the detector was saved in.
        column: Name of the column of entities, if the detector learned from rows of several.
        loaded: Detectors in memory, among which this one makes room for others; None for one that stays in memory.
    """

    entities = None

    def __init__(self, model: Any, folder: Path, column: str | None, loaded: LoadedDetectors | None) -> None:
        self._model, self._folder = model, folder
        detector: Detector = model.detector
        self.features, self.column, self._kind = detector.scorer.features, column, detector.scorer.kind
        self.threshold = detector.threshold
        self._own = detector.threshold
        self._saved: Callable[[], Detector] = lambda: detector
        if loaded is not None:
            loaded.put(folder, detector)
            self._saved = lambda: loaded.get(folder)
        if hasattr(model, "read"):
            model.read = lambda: self.get(ONLY)

    @property
    def kind(self) -> str:
        """Kind of the detector."""
        return self._kind

    def key(self, entity: str | None) -> str:
        """Returns the only key; raises `RequestError` if an entity is named."""
        if entity is not None:
            raise RequestError(
                400, f"this model has one detector for all rows, but entity is {shown(entity)}; leave entity out"
            )
        return ONLY

    def check(self, entities: Iterable[str], source: str) -> None:
        """Does nothing: rows of every entity are scored by the only detector."""

    def saved(self, key: str) -> Detector:
        """Returns the detector as it was saved."""
        return self._saved()

    def get(self, key: str) -> Detector:
        """Returns the detector as it flags now."""
        detector = self._saved()
        return detector if self.threshold is self._own else replace(detector, threshold=self.threshold)

    def folder(self, key: str) -> Path:
        """Returns the folder that the detector was saved in."""
        return self._folder

    def recalibrate(self, key: str, threshold: FittedThreshold) -> None:
        """Makes the detector flag by another threshold, in answers of MLflow's scoring server too."""
        self.threshold = threshold
        if not hasattr(self._model, "read"):  # code that is trusted and has its own way
            self._model.detector = self.get(ONLY)


class FleetDetectors(ModelDetectors):
    """The detectors of a fleet by the names of their folders.

    Args:
        model: Python model of MLflow that scores with the fleet.
        loaded: Detectors in memory, those of this fleet among them; None for as many as a fleet has by itself.
    """

    def __init__(self, model: Any, loaded: LoadedDetectors | None) -> None:
        self._model = model
        fleet: Fleet = model.fleet
        if loaded is not None:
            self._model.fleet = replace(fleet, loaded=loaded)
        self.features, self.column, self.entities = fleet.features, fleet.manifest.column, fleet.names

    @property
    def fleet(self) -> Fleet:
        """Fleet that scores and flags now."""
        fleet: Fleet = self._model.fleet
        return fleet

    @property
    def kind(self) -> str:
        """Kind of a model that is a fleet."""
        return FLEET

    @cached_property
    def keys(self) -> dict[str, str]:
        """Name of each detector by its folder: another one for each entity, and the same one in each version."""
        manifest = self.fleet.manifest
        names = {part: f"entity {name}" for name, part in manifest.entities.items()}
        return names if manifest.shared is None else {**names, manifest.shared: "shared"}

    def key(self, entity: str | None) -> str:
        """Returns the folder of the detector of an entity below that of the fleet."""
        if entity is None:
            raise RequestError(
                400,
                f"this model is a fleet, which must be told whose rows they are: name the entity ({self._some()}) or, in rows to "
                f"score, give the column {shown(self.column)}",
            )
        return self.fleet.part(entity)

    def check(self, entities: Iterable[str], source: str) -> None:
        """Raises `DataError` naming the entities that no detector is there for."""
        self.fleet.check(entities, source)

    def saved(self, key: str) -> Detector:
        """Returns a detector as it was saved."""
        fleet = self.fleet
        return fleet.loaded.get(fleet.folder / key)

    def get(self, key: str) -> Detector:
        """Returns a detector as it flags now."""
        fleet, detector = self.fleet, self.saved(key)
        if detector.scorer.features != self.features:
            raise DetectorError(f"{key}: must have the features of its fleet, but has others; train the fleet again")
        return replace(detector, threshold=fleet.thresholds[key]) if key in fleet.thresholds else detector

    def folder(self, key: str) -> Path:
        """Returns the folder that a detector was saved in."""
        return self.fleet.folder / key

    def recalibrate(self, key: str, threshold: FittedThreshold) -> None:
        """Makes the detector of an entity flag by another threshold, in answers of MLflow's scoring server too."""
        self._model.fleet = replace(self.fleet, thresholds={**self.fleet.thresholds, key: threshold})

    def _some(self) -> str:
        return f"one of {shown(list(self.entities or ()), 200)}"
